//! The routes whose description does not depend on a model, written short in `routes.json` and here made OpenAPI: parameters
//! by name (`q:` for those of the query), `error` and `v2` for the bodies of errors, `object` and `file` for bodies of any
//! content, an empty `security` where no key is ever needed.

use serde_json::{Map, Value, json};

/// Returns the paths.
pub(super) fn paths() -> Map<String, Value> {
    let short: Map<String, Value> =
        serde_json::from_str(include_str!("routes.json")).expect("the file is checked by a test");
    short
        .into_iter()
        .map(|(path, operations)| {
            let operations = operations.as_object().cloned().unwrap_or_default();
            let written = operations
                .into_iter()
                .map(|(method, operation)| (method, write(operation)));
            (path, Value::Object(written.collect()))
        })
        .collect()
}

fn write(mut operation: Value) -> Value {
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        for parameter in parameters {
            *parameter = write_parameter(parameter.as_str().unwrap_or_default());
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        let (content, schema) = match body.as_str() {
            Some("file") => (
                "application/octet-stream",
                json!({ "schema": { "type": "string", "format": "binary" } }),
            ),
            Some(_) => ("application/json", json!({ "schema": { "type": "object" } })),
            None => ("application/json", body.take()),
        };
        *body = json!({ "required": true, "content": { content: schema } });
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        for response in responses.values_mut() {
            let key = match response.as_str() {
                Some("v2") => "error",
                Some(_) => "detail",
                None => continue,
            };
            *response = json!({
                "description": "Says what is wrong",
                "content": { "application/json": { "schema": { "type": "object", "required": [key] } } },
            });
        }
    }
    operation
}

fn write_parameter(name: &str) -> Value {
    let (place, name) = match name.strip_prefix("q:") {
        Some(name) => ("query", name),
        None if matches!(name, "proba" | "explain") => ("query", name),
        None => ("path", name),
    };
    let schema = match name {
        "proba" | "explain" | "has_feedback" => json!({ "type": "boolean" }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
        "on_bad_cell" => json!({ "enum": ["refuse", "null", "skip"], "default": "refuse" }),
        "format" => json!({ "enum": ["csv", "parquet", "jsonl"] }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
}
