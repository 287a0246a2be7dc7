//! Lines of text and what they become.

use super::*;
use crate::import::Format;
use crate::import::testing::{check_bytes, check_lines, import, options};

const TIME: &str = "2026-02-03T14:05:06.000000Z";

#[test]
fn lines_without_a_time_continue_the_record() {
    check_lines(
        Format::Auto,
        concat!(
            "2026-02-03 14:05:06 ERROR failed\r\n",
            "java.io.IOException: \"disk\"\r\n",
            "\tat a.B.c(D.java:1)\r\n",
            "\r\n",
            "Caused by: x\n",
            "\n",
            "2026-02-03 14:05:07,5 INFO went on",
        ),
        &[
            &format!(
                r#"{TIME} ERROR LOG 1 {{"message":"2026-02-03 14:05:06 ERROR failed\njava.io.IOException: \"disk\"\n\tat a.B.c(D.java:1)\n\nCaused by: x"}}"#
            ),
            r#"2026-02-03T14:05:07.500000Z INFO LOG 1 {"message":"2026-02-03 14:05:07,5 INFO went on"}"#,
        ],
    );
}

#[test]
fn leading_lines_get_the_first_time() {
    check_lines(
        Format::Text,
        "\tat a.B\nWARNING: starting\n\n[warn] 2026-02-03 14:05:06 x\n",
        &[
            &format!(r#"{TIME} INFO LOG 1 {{"message":"\tat a.B"}}"#),
            &format!(r#"{TIME} WARN LOG 1 {{"message":"WARNING: starting"}}"#),
            &format!(r#"{TIME} WARN LOG 1 {{"message":"[warn] 2026-02-03 14:05:06 x"}}"#),
        ],
    );
}

#[test]
fn text_without_any_time_is_as_old_as_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "one\ntwo\n").unwrap();
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_770_127_506);
    file.as_file().set_modified(modified).unwrap();
    let (lines, summary) =
        crate::import::testing::import_files(&[file.path()], &options(Format::Auto));
    assert_eq!((lines.len(), summary.untimed), (2, 2));
    assert!(lines.iter().all(|line| line.contains(TIME)), "{lines:?}");
}

#[test]
fn bytes_that_are_not_text_are_shown_and_kept() {
    check_bytes(
        Format::Auto,
        b"2026-02-03 14:05:06 a\xFF\0\x1b[31m\xC3\xA9\\x",
        &[&format!(
            r#"{TIME} INFO LOG 1 {{"message":"2026-02-03 14:05:06 a\\xff\u0000\u001b[31mé\\x"}}"#
        )],
    );
}

/// The messages of all records, decoded.
fn messages(text: &str) -> Vec<String> {
    let (lines, summary) = import(text.as_bytes(), &options(Format::Text));
    assert_eq!(summary.failures.total(), 0);
    let message = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].as_str().unwrap().starts_with("2026-02-03T14:05:06"));
        assert_eq!(line["level"], "ERROR");
        line["data"]["message"].as_str().unwrap().to_owned()
    };
    lines.iter().map(message).collect()
}

#[test]
fn records_go_on_across_chunks() {
    // 1 MB in records of 40 KB, so that chunks end within records.
    let trace = "\tat some.package.Class.method(Class.java:42)\n".repeat(900);
    let record = format!("2026-02-03 14:05:06 ERROR failed\n{trace}");
    let found = messages(&record.repeat(60));
    assert_eq!(found.len(), 60);
    assert!(found.iter().all(|message| message == record.trim_end()));
}

#[test]
fn a_record_has_a_bound() {
    let text = format!("2026-02-03 14:05:06 ERROR x\n{}", "no time here\n".repeat(300_000));
    let found = messages(&text);
    assert!(found.len() >= 4, "{}", found.len());
    assert!(found.iter().all(|message| message.len() <= RECORD_BYTES_MAX));
    assert_eq!(found.join("\n"), text.trim_end());
}

#[test]
fn one_long_line_stays_one_record() {
    let line = format!("2026-02-03 14:05:06 ERROR {}", "x".repeat(3 << 20));
    assert_eq!(messages(&format!("{line}\nshort\n")), [line.as_str(), "short"]);
}
