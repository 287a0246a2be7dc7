//! Whether a line of text begins a record: whether it starts with a time, or nearly so.

use logq_format::Timestamp;

use crate::import::level;
use crate::import::parse::Lines;
use crate::import::scan::Scan;
use crate::import::time::Times;

/// How many words that are no time may come before it, such as a level.
const WORDS_MAX: usize = 2;

/// How far into the line the time of an access log may start.
const ACCESS_TIME_AT_MAX: usize = 128;

/// How many lines are looked at to find out where the time is.
const LINES_MAX: usize = 64;

/// The most words before the time of a line, in logs that are not known otherwise.
const UNKNOWN_WORDS_MAX: usize = 5;

/// How many words come before the time in these lines, as far as [`time_of`] does not know better.
///
/// It is 0 unless most lines have a time behind the same number of words, and fewer start with one:
/// load balancers write a scheme or a name first, others a host or a process.
pub(in crate::import) fn words_before_time(text: &str, times: &mut Times) -> usize {
    let lines: Vec<_> = Lines::new(text)
        .map(|(_, line)| line)
        .filter(|line| !line.trim_ascii().is_empty())
        .take(LINES_MAX)
        .collect();
    let mut count =
        |words: usize| lines.iter().filter_map(|line| time_of(line, words, times)).count();
    let known = count(0);
    (1..=UNKNOWN_WORDS_MAX)
        .find(|words| {
            let found = count(*words);
            found > known && found * 2 > lines.len()
        })
        .unwrap_or(0)
}

/// The time that the line starts with, or that comes behind so many words if that is not 0.
///
/// In front of it may be: a bracket; the priority of syslog, `<34>` or `<34>1`; a level, a letter
/// for it or the role of a Redis process; a name and a bar, as composed containers have it; the
/// client's fields of an access log. A line that starts with white space always continues another.
pub(in crate::import) fn time_of(line: &str, words: usize, times: &mut Times) -> Option<Timestamp> {
    let first = line.bytes().next()?;
    if first.is_ascii_whitespace() {
        return None;
    }
    let mut scan = Scan::new(line);
    if words > 0 {
        for _ in 0..words {
            scan.take_while(|byte| !byte.is_ascii_whitespace());
            scan.take_while(|byte| byte.is_ascii_whitespace());
        }
        return at(scan, times);
    }
    skip_priority(&mut scan);
    at(scan, times)
        .or_else(|| behind_words(scan, times))
        .or_else(|| behind_bar(line, times))
        .or_else(|| of_access_line(line, times))
}

/// The time right here, in a bracket or not.
fn at(mut scan: Scan<'_>, times: &mut Times) -> Option<Timestamp> {
    let _ = scan.eat_any(b"[(\"");
    times.prefix(scan.rest()).map(|(moment, _)| moment.time)
}

/// `<34>` of RFC 3164, `<34>1 ` of RFC 5424.
fn skip_priority(scan: &mut Scan<'_>) {
    let mut ahead = *scan;
    let priority = ahead.eat("<").and_then(|()| ahead.number(3)).and_then(|_| ahead.eat(">"));
    if priority.is_some() {
        *scan = ahead;
        let _ = scan.eat("1 ");
    }
}

/// `ERROR 2026-...`, `[warn] 2026-...`, `I, [2026-...`, `1234:M 03 Feb 2026 ...`.
fn behind_words(mut scan: Scan<'_>, times: &mut Times) -> Option<Timestamp> {
    for _ in 0..WORDS_MAX {
        let word = scan.take_while(|byte| byte.is_ascii_graphic());
        if !may_precede_time(word) {
            return None;
        }
        scan.take_while(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'|'));
        if let Some(time) = at(scan, times) {
            return Some(time);
        }
    }
    None
}

fn may_precede_time(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let is_letter = matches!(bare, "T" | "D" | "I" | "W" | "E" | "F" | "C");
    let is_redis = bare.split_once(':').is_some_and(|(pid, role)| {
        pid.bytes().all(|byte| byte.is_ascii_digit()) && matches!(role, "M" | "S" | "C" | "X")
    });
    is_letter || is_redis || level::word(bare).is_some()
}

/// `web_1  | 2026-...`.
fn behind_bar(line: &str, times: &mut Times) -> Option<Timestamp> {
    let mut scan = Scan::new(line);
    let name = scan.take_while(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.is_empty() {
        return None;
    }
    scan.spaces();
    scan.eat("| ")?;
    at(scan, times)
}

/// `1.2.3.4 - - [03/Feb/2026:...`, which may occur among other lines.
fn of_access_line(line: &str, times: &mut Times) -> Option<Timestamp> {
    let bracket = line.bytes().take(ACCESS_TIME_AT_MAX).position(|byte| byte == b'[')?;
    let text = line.get(bracket + 1..)?;
    let looks_right =
        text.as_bytes().get(2) == Some(&b'/') && text.as_bytes().get(6) == Some(&b'/');
    if !looks_right {
        return None;
    }
    times.prefix(text).map(|(moment, _)| moment.time)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn time(line: &str) -> Option<Timestamp> {
        time_of(line, 0, &mut times())
    }

    fn times() -> Times {
        Times::new(TimeZone::UTC, "2026-06-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_place_of_the_time_is_learnt_from_the_lines() {
        let check = |text: &str, words| {
            assert_eq!(words_before_time(text, &mut times()), words, "{text}");
        };
        let balancer = "h2 2026-02-03T14:05:06.789Z app/a 1.2.3.4:5\n";
        check(balancer, 1);
        check("web-1 app [2026-02-03 14:05:06] x\n\tat y\nweb-1 db [2026-02-03 14:05:06] x\n", 2);
        check("2026-02-03 14:05:06 2026-02-03 14:05:06 x\n\tat y\n", 0);
        check("one\ntwo 2026-02-03 14:05:06\nthree\n", 0);
        check("", 0);
        assert_eq!(time_of(balancer, 1, &mut times()).unwrap().as_micros(), 1_770_127_506_789_000);
        assert_eq!(time_of(" h2 2026-02-03T14:05:06Z", 1, &mut times()), None);
        assert_eq!(time_of("é", 5, &mut times()), None);
    }

    #[test]
    fn lines_of_common_logs_begin_records() {
        for line in [
            "2026-02-03T14:05:06Z app started",
            "2026-02-03 14:05:06,000 ERROR [main] c.f.Bar - failed",
            "2026-02-03 14:05:06.000 UTC [123] LOG:  checkpoint",
            "[2026-02-03 14:05:06] production.ERROR: x",
            "[Tue Feb 03 14:05:06.000000 2026] [core:error] [pid 1] x",
            "2026/02/03 14:05:06 [error] 1234#0: *5 open() failed",
            "Feb  3 14:05:06 host sshd[42]: Accepted",
            "<34>Feb  3 14:05:06 host su: failed",
            "<34>1 2026-02-03T14:05:06.000Z host su - ID47 - failed",
            "I0203 14:05:06.000000   1 main.go:9] ready",
            "[03/Feb/2026:14:05:06 +0000] x",
            "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1",
            "ERROR 2026-02-03 14:05:06 x",
            "[WARN] 2026-02-03 14:05:06 x",
            "INFO  [2026-02-03 14:05:06,000] org.x: y",
            "I, [2026-02-03T14:05:06.000000 #123]  INFO -- : x",
            "1234:M 03 Feb 2026 14:05:06.000 * Ready",
            "Feb 03, 2026 2:05:06 PM com.foo.Bar main",
            "web_1  | 2026-02-03T14:05:06Z up",
            "1770127506.000    43 10.0.0.1 TCP_MISS/200",
            "1770127506000 x",
        ] {
            assert_eq!(time(line), Some("2026-02-03T14:05:06Z".parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn other_lines_continue_records() {
        for line in [
            "",
            "    at com.foo.Bar.baz(Bar.java:42)",
            "\tat x",
            "Caused by: java.io.IOException: 2026-02-03 14:05:06",
            " 2026-02-03 14:05:06 indented",
            "retry at 2026-02-03 14:05:06",
            "INFO: ready",
            "Feb was cold",
            "42",
            "{\"time\":\"2026-02-03T14:05:06Z\"}",
            "[1] 2026-02-03",
            "<999999> 2026-02-03 14:05:06",
            "a | b",
            "é",
        ] {
            assert_eq!(time(line), None, "{line}");
        }
    }
}
