//! JSON text taken apart without building a tree: the members of an object, and compact text.
//!
//! `serde_json` decides what is valid; values and names keep the text they have.

use std::borrow::Cow;
use std::fmt;

use logq_format::json;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member of a JSON object as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// The name with its quotes and escapes.
    pub(super) name: &'a str,
    /// The value, valid JSON.
    pub(super) value: &'a str,
}

impl<'a> Member<'a> {
    /// The name without quotes; empty if it has escapes, as no name that means something has.
    pub(super) fn plain_name(&self) -> &'a str {
        plain(self.name).unwrap_or_default()
    }
}

/// Takes an object apart. `members` is cleared first.
///
/// # Errors
///
/// The text is not a JSON object and nothing but space around it.
pub(super) fn split<'a>(text: &'a str, members: &mut Vec<Member<'a>>) -> serde_json::Result<()> {
    members.clear();
    let mut parser = serde_json::Deserializer::from_str(text);
    Collect(members).deserialize(&mut parser)?;
    parser.end()
}

struct Collect<'v, 'a>(&'v mut Vec<Member<'a>>);

impl<'a> DeserializeSeed<'a> for Collect<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.0.push(Member { name: name.get(), value: value.get() });
        }
        Ok(())
    }
}

/// The text of a JSON string; `None` if the value is no string, or one that is not Unicode.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match plain(value) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// The text of a JSON string without escapes.
fn plain(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    // Most texts asked for are short names.
    if text.bytes().any(|byte| byte == b'\\') { None } else { Some(text) }
}

/// Appends one JSON value without the space between its tokens; everything else stays as it is.
pub(super) fn write_compact(out: &mut Vec<u8>, value: &str) {
    if value.starts_with(['{', '[']) {
        write_nested_compact(out, value);
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}

fn write_nested_compact(out: &mut Vec<u8>, json: &str) {
    let mut rest = json;
    while let Some((outside, inside)) = rest.split_once('"') {
        write_without_space(out, outside);
        out.push(b'"');
        let (string, behind) = inside.split_at_checked(string_len(inside)).unwrap_or((inside, ""));
        out.extend_from_slice(string.as_bytes());
        rest = behind;
    }
    write_without_space(out, rest);
}

fn write_without_space(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(is_space) {
        out.extend(text.bytes().filter(|byte| !is_space(*byte)));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// The white space of RFC 8259, section 2.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The bytes up to the end of a string, its closing quote included.
fn string_len(inside: &str) -> usize {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if bytes.get(at - 1) == Some(&b'"') {
            return at;
        }
        // Whatever follows a backslash does not end the string.
        at += 1;
    }
    bytes.len()
}

/// Appends a text as a JSON string, like [`json::write_string`]; fast if nothing is to be escaped.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // A plain loop over bytes: the compiler turns it into vector instructions.
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        return json::write_string(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Escapes the control characters within strings, which JSON forbids and some programs write.
/// `None` if there are none.
pub(super) fn escape_controls(json: &str) -> Option<String> {
    if !json.bytes().any(|byte| byte < 0x20) {
        return None;
    }
    let mut repaired = String::with_capacity(json.len() + 32);
    let mut rest = json;
    while let Some((outside, inside)) = rest.split_once('"') {
        let (string, behind) = inside.split_at_checked(string_len(inside)).unwrap_or((inside, ""));
        repaired.push_str(outside);
        repaired.push('"');
        for char in string.chars() {
            if char < ' ' {
                repaired.push_str(&format!("\\u{:04x}", u32::from(char)));
            } else {
                repaired.push(char);
            }
        }
        rest = behind;
    }
    repaired.push_str(rest);
    Some(repaired)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_keep_their_text() {
        let mut members = Vec::new();
        split(r#" { "a" : 1.50 , "b\u0041":{"c": [1, "}"]},"a":"x\"y" } "#, &mut members).unwrap();
        let found: Vec<_> = members.iter().map(|member| (member.name, member.value)).collect();
        let expected =
            [(r#""a""#, "1.50"), (r#""b\u0041""#, r#"{"c": [1, "}"]}"#), (r#""a""#, r#""x\"y""#)];
        assert_eq!(found, expected);
        assert_eq!(members[0].plain_name(), "a");
        assert_eq!(members[1].plain_name(), "");
        assert_eq!(text(members[2].value).as_deref(), Some("x\"y"));
        assert_eq!(text(members[0].value), None);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let mut members = Vec::new();
        for text in ["", "{", "[]", "{}x", r#"{"a":}"#, r#"{"a":01}"#, "{\"a\":\"\t\"}", "{a:1}"] {
            assert!(split(text, &mut members).is_err(), "{text}");
        }
        assert!(split("{}", &mut members).is_ok());
    }

    #[test]
    fn control_characters_in_strings_are_escaped() {
        let repaired = escape_controls("{\t\"a\tb\":\"\u{0}\\\"\u{1f}\"}").unwrap();
        assert_eq!(repaired, "{\t\"a\\u0009b\":\"\\u0000\\\"\\u001f\"}");
        assert_eq!(escape_controls(r#"{"a":1}"#), None);
    }

    fn compact(json: &str) -> String {
        let mut out = Vec::new();
        write_compact(&mut out, json);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn space_goes_and_nothing_else() {
        assert_eq!(compact("\" a  b \""), "\" a  b \"");
        let spacious = "{ \"a b\" :\t[ 1.0 , \"x \\\" y \\\\\" , { } ] , \"é\" : null }";
        assert_eq!(compact(spacious), r#"{"a b":[1.0,"x \" y \\",{}],"é":null}"#);
    }

    proptest! {
        #[test]
        fn compacting_damaged_json_never_panics(text in r#"[ "\\\\{}é:,\t]{0,20}"#) {
            compact(&text);
            let _ = escape_controls(&text);
        }

        #[test]
        fn strings_are_those_of_the_format(text: String) {
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            write_string(&mut found, &text);
            json::write_string(&mut expected, &text);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn compact_text_means_the_same(value in arbitrary_json()) {
            let spacious = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&spacious), value.to_string());
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }
}
