//! The words and numbers that logs use for severity.

use logq_format::Level;

/// The longest word for a level.
const WORD_BYTES_MAX: usize = 13;

/// The level that a word stands for, in any case of letters.
///
/// Knows the words of syslog, log4j, java.util.logging, Python, .NET, Serilog, bunyan and pino.
pub(super) fn word(text: &str) -> Option<Level> {
    let mut lower = [0; WORD_BYTES_MAX];
    let lower = lower.get_mut(..text.len())?;
    lower.copy_from_slice(text.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"critical" | b"crit" | b"fatal" | b"emerg" | b"emergency" | b"alert" | b"panic" => {
            Level::Critical
        }
        b"error" | b"err" | b"severe" | b"fail" => Level::Error,
        b"warn" | b"warning" | b"wrn" => Level::Warn,
        b"info" | b"information" | b"informational" | b"inf" | b"notice" | b"note" => Level::Info,
        b"debug" | b"dbg" | b"dbug" | b"fine" => Level::Debug,
        b"trace" | b"trc" | b"trce" | b"verbose" | b"finer" | b"finest" | b"silly" => Level::Trace,
        _ => return None,
    })
}

/// The level that a number stands for: 0 to 7 as in syslog, 10 to 69 as in bunyan and pino.
pub(super) fn number(value: u64) -> Option<Level> {
    Some(match value {
        0..=2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        7 => Level::Debug,
        10..=19 => Level::Trace,
        20..=29 => Level::Debug,
        30..=39 => Level::Info,
        40..=49 => Level::Warn,
        50..=59 => Level::Error,
        60..=69 => Level::Critical,
        _ => return None,
    })
}

/// Whether the word says exactly what the level's own name says.
pub(super) fn is_name(text: &str, level: Level) -> bool {
    text.eq_ignore_ascii_case(level.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_case_are_known() {
        let check = |words: &str, level| {
            for text in words.split(' ') {
                assert_eq!(word(text), Some(level), "{text}");
                assert_eq!(word(&text.to_uppercase()), Some(level), "{text}");
            }
        };
        check("critical crit Fatal emerg alert panic", Level::Critical);
        check("error err severe", Level::Error);
        check("warn Warning", Level::Warn);
        check("info Information notice", Level::Info);
        check("debug dbug", Level::Debug);
        check("trace Verbose", Level::Trace);
    }

    #[test]
    fn other_words_are_not() {
        for text in ["", "errors", "i", "informationally", "level", "überall"] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_syslog_and_of_bunyan() {
        let known: Vec<_> = (0..100).filter_map(number).collect();
        assert_eq!(known.len(), 8 + 60);
        assert_eq!([10, 20, 30, 40, 50, 60].map(number), [5, 4, 3, 2, 1, 0].map(nth));
        assert_eq!([0, 3, 4, 6, 7].map(number), [0, 1, 2, 3, 4].map(nth));
        assert_eq!(number(8), None);
        assert_eq!(number(u64::MAX), None);
    }

    fn nth(index: usize) -> Option<Level> {
        Some(Level::ALL[index])
    }
}
