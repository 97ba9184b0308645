//! One table of what is served: routes and the OpenAPI document are both made from it.

use axum::Router;
use axum::extract::Extension;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::field::Field;
use crate::Tracking;
use crate::validation::limits;

/// One method of one path.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// In axum's syntax, below the group's path.
    pub(crate) path: &'static str,
    /// What it does, as the OpenAPI document says it.
    pub(crate) summary: &'static str,
    /// What it takes besides the names in its path.
    pub(crate) fields: &'static [Field],
    pub(crate) body: Body,
    body_bytes: usize,
    handler: MethodRouter<Tracking>,
}

/// Where a request has its fields, or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// The fields are in the query string.
    None,
    /// The fields are in a JSON object.
    Json,
    /// The fields are in the query string, and the body is a file.
    File,
}

/// What the endpoint of a request declares, for the one who reads the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) fields: &'static [Field],
    /// The largest JSON body.
    pub(crate) body_bytes: usize,
}

fn endpoint<T: 'static>(
    (method, filter): (Method, MethodFilter),
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    let body = if method == Method::GET {
        Body::None
    } else {
        Body::Json
    };
    Endpoint {
        method,
        path,
        summary,
        fields,
        body,
        body_bytes: limits::JSON_BODY_BYTES,
        handler: on(filter, handler),
    }
}

pub(crate) fn get<T: 'static>(
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    endpoint((Method::GET, MethodFilter::GET), path, summary, fields, handler)
}

pub(crate) fn post<T: 'static>(
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    endpoint((Method::POST, MethodFilter::POST), path, summary, fields, handler)
}

pub(crate) fn put<T: 'static>(
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    endpoint((Method::PUT, MethodFilter::PUT), path, summary, fields, handler)
}

pub(crate) fn patch<T: 'static>(
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    endpoint(
        (Method::PATCH, MethodFilter::PATCH),
        path,
        summary,
        fields,
        handler,
    )
}

pub(crate) fn delete<T: 'static>(
    path: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    handler: impl Handler<T, Tracking>,
) -> Endpoint {
    endpoint(
        (Method::DELETE, MethodFilter::DELETE),
        path,
        summary,
        fields,
        handler,
    )
}

impl Endpoint {
    /// Says that the body is a file, so that the fields are in the query string.
    pub(crate) fn takes_file(self) -> Self {
        Self {
            body: Body::File,
            ..self
        }
    }

    /// Says how large a body is taken.
    pub(crate) fn body_at_most(self, body_bytes: usize) -> Self {
        Self { body_bytes, ..self }
    }
}

/// Makes routes of a group of endpoints.
pub(crate) fn router(endpoints: Vec<Endpoint>) -> Router<Tracking> {
    endpoints.into_iter().fold(Router::new(), |router, endpoint| {
        let declared = Declared {
            fields: endpoint.fields,
            body_bytes: endpoint.body_bytes,
        };
        router.route(endpoint.path, endpoint.handler.layer(Extension(declared)))
    })
}
