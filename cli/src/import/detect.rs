//! The format of an input, told from its first lines.

use crate::import::csv::Layout;
use crate::import::parse::Lines;
use crate::import::time::Times;
use crate::import::{Format, access, logfmt};

/// How many lines that are not empty are looked at.
const LINES_MAX: usize = 64;

/// The format that the lines are in.
///
/// More than half of the first lines have to fit; of several formats that do, the strictest one is
/// taken. A table is told by the names in its first line. What fits nothing is text.
pub(super) fn detect(text: &str, times: &mut Times) -> Format {
    let lines: Vec<_> = Lines::new(text)
        .map(|(_, line)| line.trim_start_matches('\u{1e}').trim_ascii())
        .filter(|line| !line.is_empty())
        .take(LINES_MAX)
        .collect();
    let most = |count: usize| count * 2 > lines.len();
    if most(lines.iter().filter(|line| line.starts_with('{') && line.ends_with('}')).count()) {
        return Format::Jsonl;
    }
    let exchanges: Vec<_> = lines.iter().filter_map(|line| access::fits(line, times)).collect();
    if most(exchanges.len()) {
        let combined = exchanges.iter().filter(|more| **more).count() * 2 > exchanges.len();
        return if combined { Format::Combined } else { Format::Common };
    }
    if Layout::detect(text).is_some() {
        return Format::Csv;
    }
    if most(lines.iter().filter(|line| logfmt::fits(line)).count()) {
        return Format::Logfmt;
    }
    Format::Text
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use logq_format::Timestamp;

    use super::*;

    fn check(text: &str, format: Format) {
        let mut times = Times::new(TimeZone::UTC, Timestamp::default());
        assert_eq!(detect(text, &mut times), format, "{text}");
    }

    #[test]
    fn each_format_is_known_by_its_first_lines() {
        check("{\"a\":1}\n{}\n", Format::Jsonl);
        check("\u{1e}{\"a\":1}\r\n", Format::Jsonl);
        check("npm start\n\n{\"a\":1}\n{\"b\":1}\n", Format::Jsonl);
        check("1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1", Format::Common);
        check(
            "1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"curl\"",
            Format::Combined,
        );
        check(
            "a.org 1.2.3.4 - - [03/Feb/2026:14:05:06 +0000] \"-\" 400 0 \"-\" \"-\"",
            Format::Combined,
        );
        check("remotehost,date,request\n1,2,3\n", Format::Csv);
        check("level=info msg=\"a b\"\nlevel=warn msg=c\n", Format::Logfmt);
    }

    #[test]
    fn what_fits_nothing_is_text() {
        for text in [
            "",
            "\n\n",
            "2026-02-03 14:05:06 x",
            "{\"a\":1}\nx\n",
            "[1, 2]",
            "a,b,c\n1,2,3",
            "2026-02-03 14:05:06 INFO a=b",
            "\u{0}\u{1}",
        ] {
            check(text, Format::Text);
        }
    }
}
