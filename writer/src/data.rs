//! From any serializable value to the JSON text that a record stores.
//!
//! The value is serialized before any lock is taken: a `Serialize` implementation may be slow, may
//! panic, and may itself log.

use std::cell::Cell;

use logq_format::Json;
use serde::Serialize;

thread_local! {
    /// The buffer of this thread; taken out while in use, so that nested calls find an empty one.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most capacity a thread's buffer keeps between calls.
const KEPT_BYTES_MAX: usize = 1 << 16;

/// Serializes `data` and passes the JSON text on.
///
/// A value that refuses to be serialized (a map with keys that are no strings, say) is replaced by
/// an object that tells why, so that the record itself is not lost.
pub(crate) fn with_json<T>(data: &impl Serialize, use_json: impl FnOnce(Json<'_>) -> T) -> T {
    let mut buffer = BUFFER.take();
    buffer.clear();
    if let Err(error) = serde_json::to_writer(&mut buffer, data) {
        buffer.clear();
        let refusal = serde_json::json!({ "unserializable": error.to_string() });
        buffer.extend_from_slice(refusal.to_string().as_bytes());
    }
    // The serializer writes UTF-8 on one line; a raw value inside may hold anything.
    let text = std::str::from_utf8(&buffer).unwrap_or_default();
    let result = match Json::new(text) {
        Some(json) if !text.is_empty() => use_json(json),
        _ => use_json(compact(text).as_deref().and_then(Json::new).unwrap_or(Json::NULL)),
    };
    if buffer.capacity() <= KEPT_BYTES_MAX {
        BUFFER.set(buffer);
    }
    result
}

/// The same JSON without white space between tokens; raw values may come with line breaks.
fn compact(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(value.to_string())
}

/// Serializes `data` into a text of its own, for records that are kept back.
pub(crate) fn to_json_text(data: &impl Serialize) -> Box<str> {
    with_json(data, |json| json.as_str().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn unserializable_data_says_why() {
        let map = BTreeMap::from([((1, 2), 3)]);
        let text = to_json_text(&map);
        assert_eq!(&*text, r#"{"unserializable":"key must be a string"}"#);
    }

    #[test]
    fn nested_calls_do_not_share_a_buffer() {
        struct Nested;
        impl Serialize for Nested {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&to_json_text(&[1, 2]))
            }
        }
        assert_eq!(&*to_json_text(&(7, Nested)), r#"[7,"[1,2]"]"#);
    }

    #[test]
    fn raw_values_with_line_breaks_become_one_line() {
        let raw = serde_json::value::RawValue::from_string("{\n \"a\": 1\n}".to_owned()).unwrap();
        assert_eq!(&*to_json_text(&raw), r#"{"a":1}"#);
    }
}
