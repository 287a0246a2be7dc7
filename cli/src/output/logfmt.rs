//! `name=value` pairs, one line a record. Objects are flattened: `data.user.id=7`.
//!
//! Values with spaces, quotes, equals signs or anything unprintable stand in quotes, with the escapes
//! of JSON; so do arrays. In names such characters become underscores: there is no way to quote them.

use logq_format::json::write_string;
use logq_query::FieldValue;

use super::escape;
use super::members::{flatten, text_of};

/// Appends a field, and those within it; `safe` for a terminal.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &FieldValue<'_>, safe: bool) {
    match value {
        FieldValue::Json(json) => flatten(name, json, &mut |name, json| {
            begin(out, name);
            let text = text_of(json);
            write_value(out, text.as_deref().unwrap_or(json), safe);
        }),
        FieldValue::Text(text) => {
            begin(out, name);
            write_value(out, text, safe);
        }
        // Numbers, times, ids and levels need no quotes.
        value => {
            begin(out, name);
            value.write_text(out);
        }
    }
}

fn begin(out: &mut Vec<u8>, name: &str) {
    if !matches!(out.last(), None | Some(b'\n')) {
        out.push(b' ');
    }
    write_name(out, name);
    out.push(b'=');
}

/// Whether a character of ASCII stands for itself without quotes.
fn is_plain_ascii(byte: u8) -> bool {
    matches!(byte, 0x21..0x7F) && !matches!(byte, b'=' | b'"' | b'\\')
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    if name.bytes().all(is_plain_ascii) {
        return out.extend_from_slice(name.as_bytes());
    }
    for character in name.chars() {
        let fits = !escape::is_active(character)
            && !character.is_whitespace()
            && !matches!(character, '=' | '"');
        let character = if fits { character } else { '_' };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn write_value(out: &mut Vec<u8>, text: &str, safe: bool) {
    let is_plain =
        |c: char| !escape::is_active(c) && !c.is_whitespace() && !matches!(c, '=' | '"' | '\\');
    let is_ascii = text.bytes().all(is_plain_ascii);
    if !text.is_empty() && (is_ascii || text.chars().all(is_plain)) {
        return out.extend_from_slice(text.as_bytes());
    }
    if !safe {
        return write_string(out, text);
    }
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write_string(&mut quoted, text);
    escape::push_json(out, &String::from_utf8_lossy(&quoted));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must() {
        let check = |json: &str, safe, expected: &str| {
            let mut out = Vec::new();
            write_field(&mut out, "data", &FieldValue::Json(json.into()), safe);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(r#""plain""#, false, "data=plain");
        check(r#""""#, false, r#"data="""#);
        check(r#""two words""#, false, r#"data="two words""#);
        check(r#""a=b""#, false, r#"data="a=b""#);
        check(r#""say \"no\"\n""#, false, r#"data="say \"no\"\n""#);
        check("1.50", false, "data=1.50");
        check("null", false, "data=null");
        check(r#"["a",1]"#, false, r#"data="[\"a\",1]""#);
        check(r#"{"a b":{"c=":true},"d":7}"#, false, "data.a_b.c_=true data.d=7");
        check("\"\u{9b}31m\"", false, "data=\"\u{9b}31m\"");
        check("\"\u{9b}31m\"", true, r#"data="\u009b31m""#);
    }
}
