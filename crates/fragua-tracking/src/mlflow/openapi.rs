//! `/openapi.json`: the table of endpoints in another form.

use axum::http::Method;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required};

use super::answer::{Answer, json};
use super::endpoint::{Body, Endpoint};
use super::field::{Field, Kind};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const ERROR: &str = "Error";

pub(super) async fn show() -> Answer {
    json(&document())
}

pub(super) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tracking")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "MLflow's REST protocol. Every path below /api is served below /ajax-api as well.",
        ));
    let mut paths = Paths::new();
    for (group, endpoints) in super::api_groups() {
        for endpoint in endpoints {
            add(&mut paths, &format!("/api{group}{}", endpoint.path), &endpoint);
        }
    }
    for endpoint in super::root_endpoints() {
        add(&mut paths, endpoint.path, &endpoint);
    }
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(ComponentsBuilder::new().schema(ERROR, error()).build()))
        .build()
}

fn add(paths: &mut Paths, path: &str, endpoint: &Endpoint) {
    // `{*path}` takes the rest of the path.
    let path = path.replace("{*", "{");
    paths.add_path_operation(
        &path,
        vec![http_method(&endpoint.method)],
        operation(&path, endpoint),
    );
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(path: &str, endpoint: &Endpoint) -> Operation {
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary))
        .response("200", described("The answer"))
        .response("default", refused());
    for name in path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(of_type(Type::String))),
        );
    }
    let content = match endpoint.body {
        Body::Json if !endpoint.fields.is_empty() => Some((JSON, fields_schema(endpoint.fields))),
        Body::File => Some((BYTES, of_type(Type::String))),
        Body::Json | Body::None => None,
    };
    if endpoint.body != Body::Json {
        for field in endpoint.fields {
            let parameter = ParameterBuilder::new()
                .name(field.name)
                .parameter_in(ParameterIn::Query)
                .required(needed(field))
                .schema(Some(field_schema(field)));
            operation = operation.parameter(parameter);
        }
    }
    let body = content.map(|(media_type, schema)| {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        RequestBodyBuilder::new()
            .content(media_type, content)
            .required(Some(Required::True))
            .build()
    });
    operation.request_body(body).build()
}

fn needed(field: &Field) -> Required {
    if field.required {
        Required::True
    } else {
        Required::False
    }
}

fn of_type(of_type: Type) -> Schema {
    ObjectBuilder::new().schema_type(of_type).build().into()
}

fn fields_schema(fields: &[Field]) -> Schema {
    let mut object = ObjectBuilder::new();
    for field in fields {
        object = object.property(field.name, field_schema(field));
        if field.required {
            object = object.required(field.name);
        }
    }
    object.build().into()
}

fn field_schema(field: &Field) -> RefOr<Schema> {
    let schema = match field.kind {
        Kind::Text => of_type(Type::String),
        Kind::Integer => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .maximum(field.most)
            .build()
            .into(),
        Kind::Number => of_type(Type::Number),
        Kind::Truth => of_type(Type::Boolean),
        Kind::Texts => ArrayBuilder::new()
            .items(RefOr::T(of_type(Type::String)))
            .build()
            .into(),
        Kind::Choice(names) => ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names.iter().map(|(name, _)| *name)))
            .build()
            .into(),
        Kind::Object(fields) => fields_schema(fields),
        Kind::Objects(fields) => ArrayBuilder::new()
            .items(RefOr::T(fields_schema(fields)))
            .build()
            .into(),
    };
    schema.into()
}

fn described(description: &str) -> Response {
    ResponseBuilder::new().description(description).build()
}

fn refused() -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ERROR)))
        .build();
    ResponseBuilder::new()
        .description("Why it was refused")
        .content(JSON, content)
        .build()
}

fn error() -> Schema {
    let object = ["error_code", "message"]
        .into_iter()
        .fold(ObjectBuilder::new(), |object, name| {
            object.property(name, of_type(Type::String)).required(name)
        });
    ["sqlstate", "error_class"]
        .into_iter()
        .fold(object, |object, name| {
            object.property(name, of_type(Type::String))
        })
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_endpoint_is_in_the_document() {
        let document: Value = serde_json::from_slice(&serde_json::to_vec(&document()).unwrap()).unwrap();
        let below_api = super::super::api_groups()
            .into_iter()
            .flat_map(|(group, endpoints)| {
                endpoints
                    .into_iter()
                    .map(move |endpoint| (format!("/api{group}{}", endpoint.path), endpoint))
            });
        let at_root = super::super::root_endpoints()
            .into_iter()
            .map(|endpoint| (endpoint.path.to_owned(), endpoint));
        for (path, endpoint) in below_api.chain(at_root) {
            let path = path.replace("{*", "{");
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][&path][&method];
            assert_eq!(operation["summary"], endpoint.summary, "{method} {path}");
            let text = operation.to_string();
            for field in endpoint.fields {
                assert!(
                    text.contains(&format!("\"{}\"", field.name)),
                    "{method} {path}: {}",
                    field.name
                );
            }
        }
    }
}
