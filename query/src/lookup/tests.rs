//! Finding values in JSON text, compared with a parser that builds trees.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::seeded;

fn key(key: &str) -> Step {
    Step::Key(key.to_owned())
}

#[test]
fn values_are_found_by_keys_and_indices() {
    let json = r#" { "a" : [ 1 , {"b":"x"} , [ ] ] , "c" : null,"d":{"e":{}},"f":-1.5e3 } "#;
    let check = |steps: &[Step], expected: Option<Found<'_>>| {
        assert_eq!(find(json, steps), expected, "{steps:?}");
    };
    check(&[key("a"), Step::Index(0)], Some(Found::Number("1")));
    check(&[key("a"), Step::Index(1), key("b")], Some(Found::Text("x".into())));
    check(&[key("a"), Step::Index(2)], Some(Found::Nested("[ ]")));
    check(&[key("a"), Step::Index(2), Step::Index(0)], None);
    check(&[key("a"), Step::Index(3)], None);
    check(&[key("c")], Some(Found::Null));
    check(&[key("c"), key("x")], None);
    check(&[key("d"), key("e")], Some(Found::Nested("{}")));
    check(&[key("d"), key("e"), key("")], None);
    check(&[key("f")], Some(Found::Number("-1.5e3")));
    check(&[Step::Index(0)], None);
    check(&[key("b")], None);
    assert_eq!(find("true", &[]), Some(Found::Bool(true)));
    assert_eq!(find(" \"\" ", &[]), Some(Found::Text("".into())));
}

#[test]
fn members_come_in_their_order_as_they_are_written() {
    let check = |json: &str, expected: Option<&[(&str, &str)]>| {
        let found = object_members(json);
        let found: Option<Vec<_>> =
            found.as_ref().map(|all| all.iter().map(|(key, value)| (&**key, *value)).collect());
        assert_eq!(found.as_deref(), expected, "{json}");
    };
    check("{}", Some(&[]));
    check(" { } ", Some(&[]));
    check(
        r#"{"b":1.50, "a" : [ {} ],"b":"x}" }"#,
        Some(&[("b", "1.50"), ("a", "[ {} ]"), ("b", "\"x}\"")]),
    );
    check(r#"{"\u0061\"":null}"#, Some(&[("a\"", "null")]));
    for text in [
        "",
        "[]",
        "7",
        "{",
        "{}{}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 2}"#,
        r#"{"a":{}"#,
    ] {
        check(text, None);
    }
}

#[test]
fn escapes_are_understood_in_keys_and_values() {
    let check = |json: &str, wanted: &str, expected: &str| {
        let found = find(json, &[key(wanted)]);
        assert_eq!(found, Some(Found::Text(expected.into())), "{json}");
    };
    check(r#"{"\u0061\"":"\ud83d\ude00\n\/\\"}"#, "a\"", "😀\n/\\");
    check(r#"{"é":"\u00E9\b\f\r\t"}"#, "é", "é\u{8}\u{c}\r\t");
    check(r#"{"a":"\ud83d x"}"#, "a", "\u{fffd} x");
    check(r#"{"a":"\ude00"}"#, "a", "\u{fffd}");
    check(r#"{"a":"\ud83d\u0041"}"#, "a", "\u{fffd}A");
    check(r#"{"x":"\\","a":"\\\""}"#, "a", "\\\"");
}

#[test]
fn of_keys_that_come_twice_the_last_one_counts() {
    let json = r#"{"a":{"b":1},"\u0061":{"b":2},"c":3,"c":{}}"#;
    assert_eq!(find(json, &[key("a"), key("b")]), Some(Found::Number("2")));
    assert_eq!(find(json, &[key("c")]), Some(Found::Nested("{}")));
    assert_eq!(find(r#"{"a":{"b":1},"a":2}"#, &[key("a"), key("b")]), None);
}

#[test]
fn deep_nesting_is_skipped_without_a_stack() {
    let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let json = format!(r#"{{"deep":{deep},"a":1}}"#);
    assert_eq!(find(&json, &[key("a")]), Some(Found::Number("1")));
    let steps = vec![Step::Index(0); 1000];
    let found = find(&deep, &steps);
    assert!(matches!(found, Some(Found::Nested(inner)) if inner.len() == deep.len() - 2000));
}

#[test]
fn what_is_no_json_does_no_harm() {
    for text in [
        "",
        "{",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":[",
        "{\"a\":\"\\",
        "}",
        "nul",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "\"\\u12",
        "\"\\ud83d\\u",
        "{\"a\":1,}",
        ",",
        ":",
        "+1",
        ".",
    ] {
        find(text, &[]);
        find(text, &[key("a")]);
        find(text, &[key("a"), key("b")]);
        find(text, &[Step::Index(1)]);
    }
    assert_eq!(find("nul", &[]), None);
    assert_eq!(find("{\"a\":[", &[key("a")]), None);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[ab\"\\\\é]{0,2}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Compares every value of a tree with what is found at its place.
fn check_all(json: &str, value: &Value, steps: &mut Vec<Step>) -> Result<(), TestCaseError> {
    let found = find(json, steps);
    match value {
        Value::Null => prop_assert_eq!(found, Some(Found::Null)),
        Value::Bool(value) => prop_assert_eq!(found, Some(Found::Bool(*value))),
        Value::Number(number) => {
            prop_assert_eq!(found, Some(Found::Number(&number.to_string())));
        }
        Value::String(text) => {
            prop_assert_eq!(found, Some(Found::Text(text.as_str().into())));
        }
        Value::Array(_) | Value::Object(_) => {
            let Some(Found::Nested(inner)) = found else { panic!("{steps:?} in {json}") };
            prop_assert_eq!(&serde_json::from_str::<Value>(inner).unwrap(), value);
        }
    }
    let members = value.as_object().into_iter().flatten();
    let members = members.map(|(name, value)| (key(name), value));
    let elements = value.as_array().into_iter().flatten().enumerate();
    let elements = elements.map(|(index, value)| (Step::Index(index), value));
    for (step, value) in members.chain(elements) {
        steps.push(step);
        check_all(json, value, steps)?;
        steps.pop();
    }
    Ok(())
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn every_value_is_found_where_a_parser_finds_it(value in tree()) {
        check_all(&value.to_string(), &value, &mut Vec::new())?;
        check_all(&format!("{value:#}"), &value, &mut Vec::new())?;
    }

    #[test]
    fn cut_off_json_does_no_harm(value in tree(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        let end = text.ceil_char_boundary(cut.index(text.len() + 1));
        let text = text.get(..end).unwrap();
        for steps in [&[][..], &[key("a")], &[key("a"), key("b")], &[Step::Index(0)]] {
            find(text, steps);
        }
    }
}
