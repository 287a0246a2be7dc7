//! JSON objects taken apart as text: their members in order, with values that are not parsed.

use std::borrow::Cow;

use logq_format::json::write_string;
use logq_query::object_members;

/// Objects are taken apart down to this depth; what is deeper stays JSON text. Data of applications
/// is a few levels deep; hostile data may be thousands.
const DEPTH_MAX: usize = 32;

/// Calls `look` with each value of `json` that is no object, under the dotted names that lead to it.
/// Empty objects are values.
pub(crate) fn flatten(name: &str, json: &str, look: &mut impl FnMut(&str, &str)) {
    match json.starts_with('{') {
        true => flatten_to(&mut name.to_owned(), json, DEPTH_MAX, look),
        false => look(name, json),
    }
}

fn flatten_to(name: &mut String, json: &str, depth: usize, look: &mut impl FnMut(&str, &str)) {
    let members = match depth > 0 && json.starts_with('{') {
        true => object_members(json).unwrap_or_default(),
        false => Vec::new(),
    };
    if members.is_empty() {
        return look(name, json);
    }
    let length = name.len();
    for (key, value) in &members {
        name.push('.');
        name.push_str(key);
        flatten_to(name, value, depth - 1, look);
        name.truncate(length);
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
    let members = if paths.is_empty() { None } else { object_members(json) };
    let Some(members) = members else { return out.extend_from_slice(json.as_bytes()) };
    let mut separator = b'{';
    for (key, value) in &members {
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
        prune(out, value, &below);
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

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
