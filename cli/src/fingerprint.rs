//! What messages have in common: the text with everything that differs from case to case left out.
//!
//! ```text
//! no stock for order 4711 of 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e  ->  no stock for order <n> of <id>
//! connect to 192.0.2.9:5432 timed out after 1.5s                  ->  connect to <ip>:<n> timed out after <n>s
//! bad token deadbeef01 in worker3                                  ->  bad token <hex> in worker3
//! ```
//!
//! Words keep a digit or two (`utf8`, `worker3`); longer numbers in words go. Two messages with the
//! same fingerprint are taken to be the same trouble.

use logq_format::{ErrorKind, Record};

use crate::output::escape::push_raw;
use crate::output::message::{Message, error_of};

/// Fingerprints are cut after this many bytes: what tells messages apart comes early.
const FINGERPRINT_BYTES_MAX: usize = 300;

/// The fingerprint of a record: of the first line of what it tells, and for a stack also of the
/// first frame.
pub(crate) fn of_record(record: &Record<'_>) -> String {
    let Some(error) = error_of(record) else {
        let mut text = Vec::new();
        Message::alone(push_raw).write(&mut text, record);
        return of_text(first_line(&String::from_utf8_lossy(&text)));
    };
    let mut lines = error.text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut print = of_text(lines.next().unwrap_or_default());
    if error.kind == ErrorKind::Stack
        && let Some(frame) = lines.next()
    {
        print.push_str(" | ");
        print.push_str(&of_text(frame));
    }
    print
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The fingerprint of one line.
pub(crate) fn of_text(text: &str) -> String {
    let mut print = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if print.len() >= FINGERPRINT_BYTES_MAX {
            print.push('…');
            break;
        }
        if !first.is_alphanumeric() {
            print.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (kept, len) = word(rest, &mut print);
        print.push_str(kept);
        rest = rest.get(len..).unwrap_or_default();
    }
    print
}

/// Reads one word, appends its mark, if it gets one, and answers what of it is kept after that, and
/// how many bytes were read.
fn word<'t>(text: &'t str, print: &mut String) -> (&'t str, usize) {
    if let Some(len) = uuid(text) {
        print.push_str("<id>");
        return ("", len);
    }
    if let Some(len) = ipv4(text) {
        print.push_str("<ip>");
        return ("", len);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return number(text, print);
    }
    let len = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let word = text.get(..len).unwrap_or_default();
    if is_hex(word) {
        print.push_str("<hex>");
    } else {
        push_without_long_numbers(word, print);
    }
    ("", len)
}

/// A number with what belongs to it: digits, a fraction, then its unit is kept.
fn number<'t>(text: &'t str, print: &mut String) -> (&'t str, usize) {
    let len = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let word = text.get(..len).unwrap_or_default();
    let is_prefixed = word.strip_prefix("0x").is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if is_prefixed || is_hex(word) {
        print.push_str("<hex>");
        return ("", len);
    }
    print.push_str("<n>");
    let mut end = digits(text);
    if let Some(fraction) = text.get(end..).and_then(|rest| rest.strip_prefix('.'))
        && digits(fraction) > 0
    {
        end += 1 + digits(fraction);
    }
    let unit = text.get(end..).unwrap_or_default();
    let unit_len = unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len());
    (unit.get(..unit_len).unwrap_or_default(), end + unit_len)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Appends a word; three digits and more in a row are an id that somebody glued to a name.
fn push_without_long_numbers(word: &str, print: &mut String) {
    let mut rest = word;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(letters).unwrap_or((rest, ""));
        let (number, behind) = behind.split_at_checked(digits(behind)).unwrap_or((behind, ""));
        print.push_str(name);
        print.push_str(if number.len() > 2 { "<n>" } else { number });
        rest = behind;
    }
}

/// Whether a word is an id in hexadecimal: eight digits or more, not all of them letters or
/// decimal.
fn is_hex(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 8
        && bytes.iter().all(u8::is_ascii_hexdigit)
        && bytes.iter().any(u8::is_ascii_digit)
        && bytes.iter().any(u8::is_ascii_alphabetic)
}

/// The length of the UUID (RFC 9562) that the text starts with.
fn uuid(text: &str) -> Option<usize> {
    const LEN: usize = 36;
    let is_part = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let (candidate, behind) = text.split_at_checked(LEN)?;
    let ends = !behind.starts_with(|c: char| c.is_alphanumeric());
    (ends && candidate.bytes().enumerate().all(is_part)).then_some(LEN)
}

/// The length of the IPv4 address that the text starts with.
fn ipv4(text: &str) -> Option<usize> {
    let len = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let candidate = text.get(..len)?.trim_end_matches('.');
    candidate.parse::<std::net::Ipv4Addr>().ok().map(|_| candidate.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_case_to_case_is_left_out() {
        let check = |text: &str, expected: &str| assert_eq!(of_text(text), expected, "{text:?}");
        check("no stock for order 4711", "no stock for order <n>");
        check("order 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e gone", "order <id> gone");
        check("connect to 192.0.2.9:5432 timed out", "connect to <ip>:<n> timed out");
        check("took 1.5s, 300ms or 12", "took <n>s, <n>ms or <n>");
        check("bad token deadbeef01 at 0x7ffe12", "bad token <hex> at <hex>");
        check("worker3 wrote utf8 for user4711", "worker3 wrote utf8 for user<n>");
        check("deadbeef is a word without digits", "deadbeef is a word without digits");
        check("v1.2.3 on 2026-02-03", "v1.<n> on <n>-<n>-<n>");
        check("größe 12 überschritten", "größe <n> überschritten");
        check("", "");
        check("12345678", "<n>");
    }

    #[test]
    fn long_messages_are_cut() {
        let print = of_text(&"word ".repeat(1000));
        assert!(print.len() < FINGERPRINT_BYTES_MAX + 20 && print.ends_with('…'), "{print}");
    }

    #[test]
    fn no_text_makes_it_panic_or_grow() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let pieces =
                ["é", "-", ".", "0x", "1", "9f", "ab", "\u{1F600}", " ", "\n", "192.0.2.1"];
            let text: String = (0..rng.usize(..40)).filter_map(|_| rng.choice(pieces)).collect();
            let print = of_text(&text);
            assert_eq!(of_text(&text), print, "{text:?}");
            assert!(print.len() <= 3 * text.len() + 3, "{text:?} {print:?}");
        }
    }
}
