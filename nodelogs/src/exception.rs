//! The JSON of an error: `[kind, text, properties, debug]`.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// An error or exception with the DEBUG entries that were kept back until it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception<'a> {
    /// Whether the text is a stack; else it is a value as text.
    pub is_stack: bool,
    /// The stack or the value.
    pub text: Cow<'a, str>,
    /// Its further properties, as JSON; `{}` if it has none.
    pub properties: &'a str,
    /// DEBUG entries, oldest first: milliseconds since the Unix epoch, and any JSON.
    pub debug: Vec<(i64, &'a str)>,
}

/// The four members of the array.
type Members<'a> = (u8, &'a RawValue, &'a RawValue, Vec<(i64, &'a RawValue)>);

impl<'a> Exception<'a> {
    /// Reads the JSON; `None` if it is anything else.
    pub fn parse(json: &'a str) -> Option<Self> {
        let (kind, text, properties, debug): Members<'a> = serde_json::from_str(json).ok()?;
        let is_stack = match kind {
            0 => false,
            1 => true,
            _ => return None,
        };
        let debug = debug.into_iter().map(|(time_ms, data)| (time_ms, data.get())).collect();
        Some(Self { is_stack, text: string(text.get())?, properties: properties.get(), debug })
    }
}

/// The text of a JSON string; `None` if it is another value.
///
/// JavaScript's strings may hold halves of surrogate pairs, which no UTF-8 has. Such a half becomes
/// the six characters of its escape, `\ud83d`.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let text = serde_json::from_str(json).or_else(|_| serde_json::from_str(&escape_halves(json)));
    text.ok().map(Cow::Owned)
}

/// The JSON with one more backslash before each escaped half of a surrogate pair.
fn escape_halves(json: &str) -> String {
    let mut whole = String::with_capacity(json.len() + 8);
    let mut rest = json;
    while let Some((plain, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        whole.push_str(plain);
        let is_pair = matches!((half(escape, 0), half(escape, 6)), (Some(0xD8), Some(0xDC)));
        let len = match half(escape, 0) {
            Some(_) if is_pair => 12,
            Some(_) => {
                whole.push('\\');
                6
            }
            None => 2,
        };
        let (taken, behind) = escape.split_at_checked(len).unwrap_or((escape, ""));
        whole.push_str(taken);
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

/// Which half of a surrogate pair the escape at this place is: `D8`, the first, or `DC`, the second.
fn half(text: &str, at: usize) -> Option<u8> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(0xD8),
        0xDC00..=0xDFFF => Some(0xDC),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_members_are_taken_as_they_are() {
        let json =
            r#"[1,"Error: \"no\"\n  at x",{"code":1.50},[[1700000000000,{"a":[]}],[1,null]]]"#;
        let found = Exception::parse(json).unwrap();
        let expected = Exception {
            is_stack: true,
            text: "Error: \"no\"\n  at x".into(),
            properties: r#"{"code":1.50}"#,
            debug: vec![(1_700_000_000_000, r#"{"a":[]}"#), (1, "null")],
        };
        assert_eq!(found, expected);
        let found = Exception::parse(r#"[0,"null",{},[]]"#).unwrap();
        assert!(!found.is_stack && found.debug.is_empty());
        assert_eq!((&*found.text, found.properties), ("null", "{}"));
    }

    #[test]
    fn anything_else_is_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"[1,"a",{}]"#,
            r#"[1,"a",{},[],0]"#,
            r#"[2,"a",{},[]]"#,
            r#"[1,7,{},[]]"#,
            r#"[1,"a",{},[1]]"#,
            r#"[1,"a",{},[["1",2]]]"#,
            r#"[1,"a",{},[]"#,
            r#"[1,"a\q",{},[]]"#,
        ] {
            assert_eq!(Exception::parse(json), None, "{json}");
        }
    }

    #[test]
    fn halves_of_characters_stay_readable() {
        let check =
            |json: &str, text: &str| assert_eq!(string(json).as_deref(), Some(text), "{json}");
        check(r#""a\ud83db""#, r"a\ud83db");
        check(r#""\uD83D\ude00\ude00\\ud83d""#, "😀\\ude00\\ud83d");
        check(r#""\ud83d\u0041\n""#, "\\ud83dA\n");
        check(r#""\ude00\ud83d""#, r"\ude00\ud83d");
    }
}
