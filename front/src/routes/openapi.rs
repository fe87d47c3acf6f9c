//! The OpenAPI document in `web/openapi.json` says what the routes do, no more and no less.

use super::problem::status;
use super::table::{Body, ROUTES};
use serde_json::Value;
use souk_proto::Code;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(include_str!("../../web/openapi.json")).expect("the document is JSON")
}

/// Follows a reference of the document.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(place) => {
            let pointer = place.strip_prefix('#').expect("references stay in the document");
            document.pointer(pointer).unwrap_or_else(|| panic!("there is no {place}"))
        }
        None => value,
    }
}

/// Every operation: method, path and what the document says of it.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("an item").iter().map(move |(method, operation)| {
                (method.to_ascii_uppercase(), path.clone(), operation)
            })
        })
        .collect()
}

fn every_value<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| every_value(item, visit)),
        Value::Object(members) => members.values().for_each(|item| every_value(item, visit)),
        _ => {}
    }
}

#[test]
fn the_document_has_exactly_the_routes() {
    let document = document();
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let routed: BTreeSet<(String, String)> = ROUTES
        .iter()
        .map(|route| (route.method.name().to_owned(), route.path.replace("{*", "{")))
        .collect();
    assert_eq!(described, routed);
}

#[test]
fn bodies_and_path_parameters_are_described_where_the_routes_take_them() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let route = ROUTES
            .iter()
            .find(|route| route.method.name() == method && route.path.replace("{*", "{") == path)
            .expect("another test compares the sets");
        let media: BTreeSet<&str> = operation["requestBody"]["content"]
            .as_object()
            .map(|content| content.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let has = |kind: &str| media.iter().any(|media| media.starts_with(kind));
        let found = [
            has("application/json"),
            has("application/x-www-form-urlencoded"),
            has("multipart/form-data"),
            has("image/"),
        ];
        let expected = match route.body {
            Body::Ignored => [false, false, false, false],
            Body::Json | Body::Batch => [true, false, false, false],
            Body::Form => [true, true, false, false],
            Body::FormOrPicture => [true, true, true, false],
            Body::Picture => [false, false, true, true],
        };
        assert_eq!(found, expected, "{method} {path} takes {media:?}");

        let named: BTreeSet<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| resolve(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().expect("a name")))
            .collect();
        let wanted: BTreeSet<String> =
            path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
        assert_eq!(named, wanted, "{method} {path}");
    }
}

#[test]
fn every_error_code_is_known_and_stands_under_its_status() {
    let document = document();
    let all: BTreeSet<&str> = Code::all().map(Code::name).collect();
    let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
        .as_array()
        .expect("the codes");
    let listed: BTreeSet<&str> = listed.iter().map(|name| name.as_str().expect("a name")).collect();
    assert_eq!(listed, all, "the document lists every code");
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses");
        for (number, response) in responses {
            let response = resolve(&document, response);
            let problem = response["content"].get("application/problem+json");
            let codes = response.get("x-codes").and_then(Value::as_array);
            assert_eq!(problem.is_some(), codes.is_some(), "{method} {path} {number}");
            let example = problem.map(|problem| &problem["example"]);
            if let Some(example) = example {
                assert_eq!(example["status"].to_string(), *number, "{method} {path}");
                assert!(codes.is_some_and(|codes| codes.contains(&example["code"])));
            }
            for name in codes.into_iter().flatten() {
                let code = Code::all().find(|code| *name == code.name());
                let code = code.unwrap_or_else(|| panic!("there is no code {name}"));
                assert_eq!(status(code).to_string(), *number, "{method} {path}: {name}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    every_value(&document, &mut |value| {
        if let Some(place) = value.get("$ref").and_then(Value::as_str) {
            resolve(&document, value);
            used.insert(place.to_owned());
        }
    });
    for kind in ["schemas", "responses", "parameters", "headers"] {
        for name in document["components"][kind].as_object().expect(kind).keys() {
            let place = format!("#/components/{kind}/{name}");
            assert!(used.contains(&place), "nothing refers to {place}");
        }
    }
    let ids: BTreeSet<_> =
        operations(&document).iter().map(|(_, _, it)| it["operationId"].to_string()).collect();
    assert_eq!(ids.len(), operations(&document).len(), "operation ids are unique");
}
