//! How severe a line of text is, by the words near its start.

use logq_format::Level;

use crate::import::level;
use crate::import::scan::Scan;

/// How many bytes from the start words for a level may be in.
const WORD_AT_MAX: usize = 128;

/// The level of a record that starts with this line; INFO if nothing tells it.
///
/// A word for a level counts if it is in capitals (`ERROR`), in brackets or quotes (`[warn]`,
/// `[core:error]`), in front of a colon (`error: ...`) or behind `level=` and the like. Other words
/// are prose. Without such a word, the letter of glog (`E0203 ...`) or the priority of syslog tells.
pub(in crate::import) fn level_of(line: &str) -> Level {
    told_level(line).unwrap_or(Level::Info)
}

/// The level that a line of text tells, if it does.
pub(in crate::import) fn told_level(line: &str) -> Option<Level> {
    word(line).or_else(|| glog(line)).or_else(|| priority(line))
}

fn word(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    let mut before_last = "";
    let mut at = 0;
    while at < bytes.len().min(WORD_AT_MAX) {
        let rest = line.get(at..).unwrap_or_default();
        let len = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if len == 0 {
            at += 1;
            continue;
        }
        let word = rest.get(..len).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        if let Some(level) = level::word(word)
            && stands_out(word, before_last, before, bytes.get(at + len).copied())
        {
            return Some(level);
        }
        before_last = word;
        at += len;
    }
    None
}

/// Whether a word between these two bytes, behind another word, is meant as the level.
fn stands_out(word: &str, word_before: &str, before: Option<u8>, behind: Option<u8>) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    if before.is_some_and(is_part) || behind.is_some_and(|byte| is_part(byte) && byte != b'-') {
        // `error_log`, `java.lang.Error`, `no-error`; but `ERROR-` and `.ERROR:` are levels.
        return before == Some(b'.') && behind == Some(b':') && is_capitals(word);
    }
    let enclosed = matches!(before, Some(b'[' | b'(' | b'<' | b':' | b'|' | b'"'))
        && matches!(behind, Some(b']' | b')' | b'>' | b'|' | b'"'));
    let assigned = matches!(before, Some(b'=' | b':' | b'"'))
        && ["level", "lvl", "severity"].iter().any(|name| word_before.eq_ignore_ascii_case(name));
    is_capitals(word) || enclosed || assigned || behind == Some(b':')
}

fn is_capitals(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// `E0203 14:05:06.123456`.
fn glog(line: &str) -> Option<Level> {
    let mut scan = Scan::new(line);
    let letter = scan.eat_any(b"DIWEF")?;
    let digits = scan.take_while(|byte| byte.is_ascii_digit()).len();
    if !matches!(digits, 4 | 8) || scan.peek() != Some(b' ') {
        return None;
    }
    Some(match letter {
        b'D' => Level::Debug,
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        _ => Level::Critical,
    })
}

/// `<34>`: facility times eight plus severity.
fn priority(line: &str) -> Option<Level> {
    let mut scan = Scan::new(line);
    scan.eat("<")?;
    let priority = scan.number(3)?;
    scan.eat(">")?;
    level::number(priority % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_stand_out_tell_the_level() {
        let check = |line, level| assert_eq!(level_of(line), level, "{line}");
        check("2026-02-03 14:05:06,789 ERROR [main] x", Level::Error);
        check("2026-02-03 14:05:06 - root - WARNING - x", Level::Warn);
        check("2026-02-03 [warn] x", Level::Warn);
        check("[Tue Feb 03 2026] [core:error] x", Level::Error);
        check("2026-02-03 level=debug x", Level::Debug);
        check("2026-02-03 {\"level\":\"fatal\"}", Level::Critical);
        check("Feb  3 host prog[1]: error: disk", Level::Error);
        check("2026-02-03 UTC [1] FATAL:  x", Level::Critical);
        check("[2026-02-03 14:05:06] production.ERROR: x", Level::Error);
        check("INFO ERROR", Level::Info);
        check("E0203 14:05:06.123456 1 x", Level::Error);
        check("F20260203 14:05:06.123456 1 x", Level::Critical);
        check("<34>Feb  3 14:05:06 host su: failed", Level::Critical);
        check("<30>Feb  3 14:05:06 host su: failed", Level::Info);
        check("<34>1 2026-02-03T14:05:06Z host su - - WARN x", Level::Warn);
    }

    #[test]
    fn prose_does_not() {
        for line in [
            "",
            "2026-02-03 no error found",
            "2026-02-03 reading error_log",
            "2026-02-03 java.lang.Error: x",
            "2026-02-03 ERROR_CODE 5",
            "2026-02-03 GET /error 200",
            "2026-02-03 errors: 5",
            "E02030 x",
            "<1000> x",
            "é ü",
        ] {
            assert_eq!(level_of(line), Level::Info, "{line}");
        }
        assert_eq!(level_of(&format!("{:128}ERROR", "")), Level::Info);
    }
}
