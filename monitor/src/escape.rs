//! Making text from a log safe for a terminal: whatever is not plainly printable is shown as an
//! escape sequence of Rust and JSON, and bytes that are no UTF-8 as `\xff`.

use std::fmt::Write as _;

/// `bytes` with everything invisible or active escaped: control characters (ESC, BEL, C1), marks and
/// overrides of writing direction (CVE-2021-42574), line separators, invisible characters, tags.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut out, character);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, character: char) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if is_active(character) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        _ => out.push(character),
    }
}

fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}'
                | '\u{61C}'
                | '\u{180E}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_active_gets_through() {
        for (bytes, expected) in [
            ("/plain ünïcode 日本".as_bytes(), "/plain ünïcode 日本"),
            (b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}"),
            (b"\x1b]52;c;AAAA\x1b\\", "\\u{1b}]52;c;AAAA\\u{1b}\\"),
            ("a\u{9b}31m".as_bytes(), "a\\u{9b}31m"),
            (b"a\x9b31m", "a\\x9b31m"),
            (b"a\nb\tc\rd\0", "a\\nb\\tc\\rd\\u{0}"),
            ("user\u{202e}txt.exe\u{200b}".as_bytes(), "user\\u{202e}txt.exe\\u{200b}"),
            (b"\xff\xfe", "\\xff\\xfe"),
        ] {
            assert_eq!(text(bytes), expected);
        }
    }
}
