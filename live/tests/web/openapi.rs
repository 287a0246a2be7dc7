//! The description of the interface, walked: every operation is called, every answer judged by what is
//! said of it.

use serde_json::Value;

use crate::client::{Answer, Writing, get, send};
use crate::schema::mismatch;
use crate::support::{Server, Serving, shop, wait_until};

/// The methods of operations.
const METHODS: [&str; 4] = ["put", "patch", "get", "delete"];

/// What stands for the parameters of paths.
fn filled(path: &str, request: &str) -> String {
    path.replace("{store}", "shop").replace("{stream}", "build").replace("{request}", request)
}

/// The examples of an operation's parameters as a query; with `one` only that parameter.
fn query(document: &Value, operation: &Value, one: Option<&str>) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| match parameter["$ref"].as_str() {
        Some(path) => document.pointer(path.trim_start_matches('#')).expect("a parameter"),
        None => parameter,
    });
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
        let name = parameter["name"].as_str().unwrap();
        if one.is_some_and(|one| one != name) {
            continue;
        }
        match &parameter["example"] {
            Value::Null => {}
            Value::String(text) => {
                pairs.append_pair(name, text);
            }
            Value::Array(values) => {
                pairs.extend_pairs(values.iter().map(|value| (name, value.as_str().unwrap())));
            }
            other => {
                pairs.append_pair(name, &other.to_string());
            }
        }
    }
    pairs.finish()
}

/// Judges an answer by what the operation says of its status and type.
fn judge(document: &Value, operation: &Value, answer: &mut Answer, what: &str) {
    let status = answer.status.to_string();
    let described = &operation["responses"][&status];
    assert!(described.is_object(), "{what}: {status} is not described");
    if answer.status < 400 {
        judge_headers(described, answer, what);
    }
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    let (body, _) = answer.rest();
    let body = String::from_utf8_lossy(&body);
    if body.is_empty() {
        return;
    }
    let media = kind.split(';').next().unwrap_or_default();
    let schema = &described["content"][media]["schema"];
    assert!(schema.is_object(), "{what}: {status} with {kind} is not described: {body}");
    let documents: Vec<&str> = match media {
        "application/json" => vec![&body],
        "application/x-ndjson" => body.lines().collect(),
        _ => return,
    };
    for text in documents {
        let value: Value = serde_json::from_str(text).unwrap();
        if let Some(mismatch) = mismatch(document, schema, &value) {
            panic!("{what}: {mismatch}\n{value}");
        }
    }
}

/// Headers of our own are all described.
fn judge_headers(described: &Value, answer: &Answer, what: &str) {
    let headers = described["headers"].as_object();
    for (name, value) in &answer.headers {
        if name.to_ascii_lowercase().starts_with("logq-") {
            let mut names = headers.into_iter().flat_map(|headers| headers.keys());
            let is_described = names.any(|described| described.eq_ignore_ascii_case(name));
            assert!(is_described, "{what}: {name}: {value} is not described");
        }
    }
}

fn described(server: &Server) -> Value {
    let document = server.json("/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    document
}

#[test]
fn every_operation_answers_as_it_is_described() {
    let store = shop(3_000);
    let monitor = Some(store.path().into());
    let server = Serving { monitor, ..Serving::store("shop", store.path()) }.start();
    let document = described(&server);
    let found = server.lines("/v1/stores/shop/records?format=json&where=exists(requestId)&limit=1");
    let found: Value = serde_json::from_str(&found[0]).unwrap();
    let request = found["requestId"].as_str().unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut called = 0;
    for method in METHODS {
        for (path, item) in paths {
            let operation = &item[method];
            if !operation.is_object() {
                continue;
            }
            let path = filled(path, request);
            let whole = query(&document, operation, None);
            let address = if matches!(method, "get") { server.address } else { server.put };
            for query in [String::new(), whole] {
                let target = format!("{path}?{query}");
                let target = if method == "get" { &target } else { &path };
                let headers = [("Accept", "application/json"), ("Logq-Offset", "4")];
                let mut answer =
                    send(address, &method.to_uppercase(), target, &headers, body_of(method));
                let what = format!("{method} {target}");
                judge(&document, operation, &mut answer, &what);
                called += 1;
            }
        }
    }
    assert!(called >= 30, "{called} calls");
}

fn body_of(method: &str) -> &'static [u8] {
    match method {
        "put" => b"log\n",
        "patch" => b"more\n",
        _ => b"",
    }
}

#[test]
fn mistakes_are_answered_as_they_are_described() {
    let store = shop(10);
    let server = Serving::store("shop", store.path()).start();
    let document = described(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        let path = filled(path, "no-id");
        for accept in ["application/json", "text/plain"] {
            let target = format!("{path}?since=never&unknown=1&offset=x");
            let mut answer = get(server.address, &target, &[("Accept", accept)]);
            judge(&document, operation, &mut answer, &format!("{accept} {target}"));
        }
    }
}

#[test]
fn every_parameter_that_is_described_is_known() {
    let store = shop(200);
    let server = Serving::store("shop", store.path()).start();
    let document = described(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/stores/") {
            continue;
        }
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            let parameter = match parameter["$ref"].as_str() {
                Some(path) => document.pointer(path.trim_start_matches('#')).unwrap(),
                None => parameter,
            };
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            // An empty value is as if it were not there, but its name must be known.
            let target = format!("{}?{name}=", filled(path, "x"));
            let mut answer = get(server.address, &target, &[("Accept", "application/json")]);
            let text = answer.text();
            assert!(!text.contains("unknown parameter"), "{target}: {text}");
        }
        let target =
            format!("{}?undescribed=1", filled(path, "00000000-0000-4000-8000-000000000000"));
        assert_eq!(server.get(&target).status, 400, "{target}");
    }
}

/// Who asks with OPTIONS what a path can do is told what is described.
#[test]
fn the_methods_that_are_allowed_are_those_that_are_described() {
    let store = shop(10);
    let server = Serving::store("shop", store.path()).start();
    let document = described(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = filled(path, "00000000-0000-4000-8000-000000000000");
        let answer = send(server.address, "OPTIONS", &path, &[], b"");
        let allowed: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
        for method in METHODS {
            let is_allowed = allowed.contains(&&*method.to_uppercase());
            assert_eq!(is_allowed, item[method].is_object(), "{method} {path}: {allowed:?}");
        }
    }
}

/// The answers that no example brings about, since they need a stream that grows or whose writer was lost.
#[test]
fn a_stream_on_its_way_answers_as_it_is_described() {
    let store = shop(10);
    let server = Serving::store("shop", store.path()).start();
    let document = described(&server);
    let operations = &document["paths"]["/v1/streams/{stream}"];
    let check = |method: &str, query: &str, headers: &[(&str, &str)], body: &[u8], status| {
        let address = if method == "GET" { server.address } else { server.put };
        let target = format!("/v1/streams/build{query}");
        let mut answer = send(address, method, &target, headers, body);
        let what = format!("{method} {target} {headers:?}");
        assert_eq!(answer.status, status, "{what}");
        judge(&document, &operations[method.to_lowercase()], &mut answer, &what);
    };
    let is = |name: &str, value: Value| {
        wait_until(&format!("{name} {value}"), || {
            let streams = server.json("/v1/streams");
            streams["streams"].as_array().unwrap().iter().any(|stream| stream[name] == value)
        });
    };
    let mut writer = Writing::put(server.put, "/v1/streams/build");
    writer.write(b"0123456789");
    is("length", 10.into());
    check("GET", "?follow=0", &[], b"", 200);
    check("GET", "", &[("Range", "bytes=2-5")], b"", 206);
    check("GET", "?follow=0", &[("Range", "bytes=10-")], b"", 416);
    check("GET", "?offset=4", &[], b"", 200);
    check("GET", "?offset=10&wait=0", &[], b"", 204);
    writer.break_off();
    is("state", "interrupted".into());
    check("PATCH", "", &[("Logq-Offset", "9")], b"x", 416);
    check("PATCH", "", &[("Logq-Offset", "10"), ("Logq-More", "1")], b"x", 204);
    check("PATCH", "", &[("Logq-Offset", "11")], b"y", 204);
    let whole = server.get("/v1/streams/build");
    let tag = whole.header("etag").unwrap();
    check("GET", "", &[("If-None-Match", tag)], b"", 304);
    check("DELETE", "", &[], b"", 204);
}

/// Values that a switch takes are all described, and no others are taken.
#[test]
fn the_values_of_switches_are_those_that_are_described() {
    let store = shop(10);
    let server = Serving::store("shop", store.path()).start();
    let document = described(&server);
    let records = document["paths"]["/v1/stores/{store}/records"]["get"]["parameters"].as_array();
    let parameters = records.unwrap().iter().map(|parameter| match parameter["$ref"].as_str() {
        Some(path) => document.pointer(path.trim_start_matches('#')).unwrap(),
        None => parameter,
    });
    let mut switches = 0;
    for parameter in parameters {
        let Some(values) = parameter["schema"]["enum"].as_array() else { continue };
        if !values.contains(&"0".into()) {
            continue;
        }
        switches += 1;
        for value in ["0", "1", "true", "false", "yes", "2", "TRUE"] {
            let name = parameter["name"].as_str().unwrap();
            let answer = server.get(&format!("/v1/stores/shop/records?{name}={value}"));
            let is_described = values.contains(&value.into());
            assert_eq!(answer.status == 200, is_described, "{name}={value}");
        }
    }
    assert!(switches >= 4, "{switches}");
}
