//! Judges answers by the schemas of the description: the part of JSON Schema that it uses, and a panic at
//! anything else, so that no keyword goes unheeded.

use serde_json::{Map, Value};

/// Why a value does not match; `None` if it does.
pub(crate) fn mismatch(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = resolved(document, schema);
    let mut keywords = schema.iter();
    keywords.find_map(|(keyword, wanted)| match keyword.as_str() {
        "type" => wrong_type(wanted, value),
        "enum" => (!wanted.as_array().unwrap().contains(value))
            .then(|| format!("{value} is none of {wanted}")),
        "minimum" => (value.as_f64() < wanted.as_f64() && value.is_number())
            .then(|| format!("{value} is below {wanted}")),
        "maximum" => (value.as_f64() > wanted.as_f64() && value.is_number())
            .then(|| format!("{value} is above {wanted}")),
        "format" => wrong_format(wanted.as_str().unwrap(), value),
        "items" => value.as_array()?.iter().find_map(|item| mismatch(document, wanted, item)),
        "required" => {
            let object = value.as_object()?;
            let names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let mut missing = names.filter(|name| !object.contains_key(*name));
            missing.next().map(|name| format!("{name} is missing"))
        }
        "properties" => {
            let object = value.as_object()?;
            wanted.as_object().unwrap().iter().find_map(|(name, schema)| {
                let found = mismatch(document, schema, object.get(name)?)?;
                Some(format!("{name}: {found}"))
            })
        }
        "additionalProperties" => additional(document, schema, wanted, value),
        "oneOf" => {
            let matches = |schema: &&Value| mismatch(document, schema, value).is_none();
            let count = wanted.as_array().unwrap().iter().filter(matches).count();
            (count != 1).then(|| format!("matches {count} of the alternatives"))
        }
        "description" | "pattern" => None,
        other => panic!("the schema has {other}, which this test cannot judge"),
    })
}

/// The object that a schema is, or refers to.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Map<String, Value> {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => {
            let found = document.pointer(path.trim_start_matches('#'));
            found.unwrap_or_else(|| panic!("{path} leads nowhere")).as_object().unwrap()
        }
        None => schema.as_object().unwrap(),
    }
}

fn wrong_type(wanted: &Value, value: &Value) -> Option<String> {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    };
    let matches = match wanted {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    };
    (!matches).then(|| format!("{value} is no {wanted}"))
}

fn wrong_format(format: &str, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_right = match format {
        "date-time" => text.parse::<logq_format::Timestamp>().is_ok(),
        "uuid" => text.parse::<logq_format::RequestId>().is_ok(),
        "binary" => true,
        other => panic!("{other} is no format that this test knows"),
    };
    (!is_right).then(|| format!("{text} is no {format}"))
}

fn additional(
    document: &Value,
    schema: &Map<String, Value>,
    wanted: &Value,
    value: &Value,
) -> Option<String> {
    let known = schema.get("properties").and_then(Value::as_object);
    let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
    let mut others = value.as_object()?.iter().filter(|(name, _)| !is_known(name));
    match wanted {
        Value::Bool(true) => None,
        Value::Bool(false) => others.next().map(|(name, _)| format!("{name} is not described")),
        schema => others.find_map(|(name, value)| {
            Some(format!("{name}: {}", mismatch(document, schema, value)?))
        }),
    }
}

#[test]
fn mismatches_are_found() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": ["integer", "null"], "minimum": 0 },
                        "b": { "type": "array", "items": { "type": "string", "format": "date-time" } } },
    });
    let check = |value: Value, is_right: bool| {
        assert_eq!(mismatch(&Value::Null, &schema, &value).is_none(), is_right, "{value}");
    };
    check(serde_json::json!({ "a": 1, "b": ["2026-02-03T00:00:00Z"] }), true);
    check(serde_json::json!({ "a": null }), true);
    check(serde_json::json!({}), false);
    check(serde_json::json!({ "a": -1 }), false);
    check(serde_json::json!({ "a": 1.5 }), false);
    check(serde_json::json!({ "a": 1, "b": ["now"] }), false);
    check(serde_json::json!({ "a": 1, "c": 1 }), false);
    check(serde_json::json!([]), false);
}
