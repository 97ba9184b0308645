//! One table of what is served: routes and the OpenAPI document are both made from it.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Orchestrator;
use crate::listing::{Column, Kind};

/// One method of one path.
pub(super) struct Endpoint {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// What a list is narrowed and ordered by; nothing where it is no list.
    columns: Option<&'static [Column]>,
    /// Further parameters.
    query: &'static [&'static str],
    body: Option<Value>,
    handler: MethodRouter<Orchestrator>,
}

fn endpoint<T: 'static>(
    (method, filter): (&'static str, MethodFilter),
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    Endpoint {
        method,
        path,
        summary,
        columns: None,
        query: &[],
        body: None,
        handler: on(filter, handler),
    }
}

pub(super) fn get<T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    endpoint(("get", MethodFilter::GET), path, summary, handler)
}

pub(super) fn post<T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    endpoint(("post", MethodFilter::POST), path, summary, handler)
}

pub(super) fn put<T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    endpoint(("put", MethodFilter::PUT), path, summary, handler)
}

pub(super) fn patch<T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    endpoint(("patch", MethodFilter::PATCH), path, summary, handler)
}

pub(super) fn delete<T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Orchestrator>,
) -> Endpoint {
    endpoint(("delete", MethodFilter::DELETE), path, summary, handler)
}

impl Endpoint {
    /// Says what its list is narrowed and ordered by.
    pub(super) fn list(self, columns: &'static [Column]) -> Self {
        Self {
            columns: Some(columns),
            ..self
        }
    }

    /// Says what else may stand after the question mark.
    pub(super) fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// Says what its body is.
    pub(super) fn body<T: JsonSchema>(self) -> Self {
        let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
        }
        Self {
            body: Some(schema),
            ..self
        }
    }
}

/// Makes the routes.
pub(super) fn router(endpoints: impl IntoIterator<Item = Endpoint>) -> Router<Orchestrator> {
    endpoints.into_iter().fold(Router::new(), |router, endpoint| {
        router.route(endpoint.path, endpoint.handler)
    })
}

/// Makes the OpenAPI document.
pub(super) fn document(endpoints: impl IntoIterator<Item = Endpoint>) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method] = endpoint.operation();
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Orchestrator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Airflow's REST API: version 2 below /api/v2, and what scripts of Airflow 2 use of version 1 below /api/v1.",
        },
        "paths": paths,
        "components": {
            "schemas": { "Error": {
                "type": "object",
                "required": ["detail"],
                "properties": { "detail": { "description": "What is wrong: a text, or a list with the place of each fault" } },
            } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic" },
            },
        },
    })
}

impl Endpoint {
    #[cfg(test)]
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    fn operation(&self) -> Value {
        let in_path = self
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        let further = self
            .query
            .iter()
            .map(|name| in_query(name, json!({ "type": "string" })));
        let listed = self.columns.into_iter().flat_map(list_parameters);
        let parameters: Vec<Value> = in_path.chain(further).chain(listed).collect();
        // Such as `v2 dags`; outside of both versions the first part of the path.
        let parts: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        let group = match parts.as_slice() {
            ["api", version, resource, ..] => format!("{version} {resource}"),
            [first, ..] => (*first).to_owned(),
            [] => String::new(),
        };
        let mut operation = json!({
            "summary": self.summary,
            "tags": [group],
            "parameters": parameters,
            "responses": {
                "200": { "description": "The answer" },
                "default": {
                    "description": "Why it was refused",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
                },
            },
        });
        if let Some(body) = &self.body {
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        operation
    }
}

fn in_query(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "schema": schema })
}

fn list_parameters(columns: &'static [Column]) -> impl Iterator<Item = Value> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let either_way = names
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("-{name}")]);
    let order: Vec<String> = either_way.collect();
    let page = [
        in_query(
            "limit",
            json!({ "type": "integer", "minimum": 0, "maximum": 100, "default": 50 }),
        ),
        in_query("offset", json!({ "type": "integer", "minimum": 0, "default": 0 })),
        in_query(
            "order_by",
            json!({ "type": "array", "items": { "type": "string", "enum": order } }),
        ),
    ];
    let narrowing = columns.iter().flat_map(|column| {
        let schema = match column.kind {
            Kind::Text | Kind::Choice(_) => json!({ "type": "string" }),
            Kind::Truth => json!({ "type": "boolean" }),
            Kind::Number => json!({ "type": "integer" }),
            Kind::Seconds => json!({ "type": "number" }),
            Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        };
        let suffixes: &[&str] = match column.kind {
            Kind::Text => &["", "_pattern", "_prefix_pattern"],
            Kind::Choice(_) | Kind::Truth => &[""],
            Kind::Number | Kind::Seconds | Kind::Instant => &["", "_gte", "_gt", "_lte", "_lt"],
        };
        let parameter = move |suffix: &&str| in_query(&format!("{}{suffix}", column.name), schema.clone());
        suffixes.iter().map(parameter)
    });
    page.into_iter().chain(narrowing)
}
