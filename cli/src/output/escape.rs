//! Making text from a log safe for a terminal.
//!
//! Whoever can put text into a log could otherwise move the cursor, change the title, or turn the
//! order of letters around (CVE-2021-42574). Everything that is not plainly printable is shown as an
//! escape sequence of Rust and JSON: `\u{1b}`.

use std::fmt::Write as _;

/// Appends `text` with everything invisible or active escaped.
pub(crate) fn push(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        push_char(out, character);
    }
}

/// Appends `text` as it is: for files and pipes.
pub(crate) fn push_raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends JSON text with what is active escaped in the way of JSON, so that it means the same.
///
/// JSON text of one line has such characters in its strings only.
pub(crate) fn push_json(out: &mut Vec<u8>, json: &str) {
    for character in json.chars() {
        if !is_active(character) || character == '\n' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            super::push(out, format_args!("\\u{unit:04x}"));
        }
    }
}

fn push_char(out: &mut Vec<u8>, character: char) {
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if is_active(character) => {
            let mut escaped = String::new();
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            out.extend_from_slice(escaped.as_bytes());
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Whether a terminal may do something else with a character than show it.
pub(crate) fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Marks, embeddings, overrides and isolates of writing direction; line separators;
            // invisible characters; tags.
            '\u{61C}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

/// `text` made safe, with its line breaks kept: for messages of our own that quote others.
pub(crate) fn for_terminal_lines(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        push(&mut out, line);
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_active_gets_through() {
        let check = |text: &str, expected: &str| {
            let mut out = Vec::new();
            push(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check("plain ünïcode 日本", "plain ünïcode 日本");
        check("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}");
        check("a\u{9b}31m", "a\\u{9b}31m");
        check("a\nb\tc\rd", "a\\nb\\tc\\rd");
        check("user\u{202e}txt.exe\u{200b}", "user\\u{202e}txt.exe\\u{200b}");
        assert_eq!(for_terminal_lines("a\n\u{1b}b"), "a\n\\u{1b}b");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "\u{9b}31m \u{202e} \u{e0041} \u{7f} plain ü";
        let json = serde_json::to_string(text).unwrap();
        let mut out = Vec::new();
        push_json(&mut out, &json);
        let escaped = String::from_utf8(out).unwrap();
        assert!(!escaped.chars().any(is_active), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
