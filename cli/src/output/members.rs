//! JSON objects taken apart as text: their members in order, with values that are not parsed.

use std::borrow::Cow;

use logq_format::json::write_string;
use serde_json::value::RawValue;

/// The members of a JSON object in their order.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// `None` if the text is something else than an object.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

/// Objects are taken apart down to this depth; what is deeper stays JSON text. Data of applications
/// is a few levels deep; hostile data may be thousands.
const DEPTH_MAX: usize = 32;

/// Calls `look` with each value of `json` that is no object, under the dotted names that lead to it.
/// Empty objects are values.
pub(crate) fn flatten(name: &str, json: &str, look: &mut impl FnMut(&str, &str)) {
    flatten_to(name, json, DEPTH_MAX, look);
}

fn flatten_to(name: &str, json: &str, depth: usize, look: &mut impl FnMut(&str, &str)) {
    match Members::parse(json).filter(|members| depth > 0 && !members.0.is_empty()) {
        None => look(name, json),
        Some(members) => {
            for (key, value) in &members.0 {
                flatten_to(&format!("{name}.{key}"), value.get(), depth - 1, look);
            }
        }
    }
}

/// The text that a JSON string stands for; `None` for other values.
pub(crate) fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        true => serde_json::from_str(json).ok().map(Cow::Owned),
        false => Some(Cow::Borrowed(inside)),
    }
}

/// Appends a JSON object without the members at `paths`, each a list of keys.
pub(crate) fn prune(out: &mut Vec<u8>, json: &str, paths: &[&[String]]) {
    let Some(members) = Members::parse(json).filter(|_| !paths.is_empty()) else {
        return out.extend_from_slice(json.as_bytes());
    };
    let mut separator = b'{';
    for (key, value) in &members.0 {
        let below: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| path.split_first().filter(|(first, _)| *first == key))
            .map(|(_, rest)| rest)
            .collect();
        if below.iter().any(|path| path.is_empty()) {
            continue;
        }
        out.push(separator);
        separator = b',';
        write_string(out, key);
        out.push(b':');
        prune(out, value.get(), &below);
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A member's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_flattened_to_dotted_names() {
        let mut found = Vec::new();
        let json = r#"{"user":{"id":7,"tags":["a",{"b":1}]},"empty":{},"text":"a.b"}"#;
        flatten("data", json, &mut |name, value| found.push(format!("{name} {value}")));
        let expected = [
            "data.user.id 7",
            r#"data.user.tags ["a",{"b":1}]"#,
            "data.empty {}",
            r#"data.text "a.b""#,
        ];
        assert_eq!(found, expected);
        let (deep, mut calls) = ("{\"a\":".repeat(100) + "1" + &"}".repeat(100), 0);
        flatten("data", &deep, &mut |_, _| calls += 1);
        assert_eq!(calls, 1);
    }

    #[test]
    fn members_are_left_out_at_any_depth() {
        let check = |paths: &[&[&str]], expected: &str| {
            let owned: Vec<Vec<String>> = paths
                .iter()
                .map(|path| path.iter().map(|key| (*key).to_owned()).collect())
                .collect();
            let paths: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            prune(&mut out, r#"{"a":{"b":1,"c":"x\"y"},"d":[1.50]}"#, &paths);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(&[], r#"{"a":{"b":1,"c":"x\"y"},"d":[1.50]}"#);
        check(&[&["a"]], r#"{"d":[1.50]}"#);
        check(&[&["a", "b"], &["d"]], r#"{"a":{"c":"x\"y"}}"#);
        check(&[&["a"], &["d"]], "{}");
        check(&[&["d", "e"], &["x"]], r#"{"a":{"b":1,"c":"x\"y"},"d":[1.50]}"#);
    }
}
