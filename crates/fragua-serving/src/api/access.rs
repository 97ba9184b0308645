//! Who may ask: a serving key in front of each route that predicts or tells of models, where keys are required.
//!
//! What a probe, a scraper and a client without a key yet need stays open: `/health`, `/health/ready`, `/ping`, `/version`,
//! `/v2` and its health, `/metrics`, `/docs` and `/openapi.json`. None of them predicts, changes anything or brings a model
//! into memory; readiness of a single model does, so that one needs a key.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fragua_auth::{Auth, KeyScope, ServingKey};
use fragua_base::ErrorKind;
use serde_json::json;

use super::models::name_in;
use super::{Refusal, v2};
use crate::{LoggedPrediction, RequestId, Serving};

/// Another place for the key, for clients that cannot send `Authorization`.
const KEY_HEADER: &str = "x-api-key";

/// Which models the one who asks may know of.
#[derive(Debug, Clone)]
pub(super) struct Access(Option<Granted>);

/// A good key, and the façade that counts what it is refused.
#[derive(Debug, Clone)]
struct Granted {
    key: Arc<ServingKey>,
    serving: Serving,
}

impl Access {
    /// Returns whether a model is in the scope.
    pub(super) fn allows(&self, model: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|granted| granted.key.scope.allows(model))
    }

    /// Returns the names in the scope; nothing when it is every model.
    pub(super) fn models(&self) -> Option<&BTreeSet<String>> {
        match &self.0.as_ref()?.key.scope {
            KeyScope::AllModels => None,
            KeyScope::Models(names) => Some(names),
        }
    }

    /// Refuses a model outside of the scope, whether there is such a model or not.
    pub(super) fn check(&self, model: &str) -> Result<(), Refusal> {
        match &self.0 {
            Some(Granted { key, serving }) if !key.scope.allows(model) => {
                serving.inner.metrics.refused_key(StatusCode::FORBIDDEN.as_u16());
                let model: String = model.chars().take(256).collect();
                let message = format!(
                    "the API key {} ({}) is not for the model {model:?}: ask for one that is",
                    key.id, key.name
                );
                Err(Refusal::new(StatusCode::FORBIDDEN, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a request in the log that was answered, in part too, by models outside of the scope.
    pub(super) async fn check_logged(&self, serving: &Serving, id: &RequestId) -> Result<(), Refusal> {
        if self.models().is_none() {
            return Ok(());
        }
        self.check_rows(&serving.kept_log()?.prediction(id).await?)
    }

    /// Refuses rows of the log that were answered, in part too, by models outside of the scope.
    pub(super) fn check_rows(&self, rows: &[LoggedPrediction]) -> Result<(), Refusal> {
        rows.iter().try_for_each(|row| self.check(&row.model))
    }
}

impl FromRequestParts<Serving> for Access {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, serving: &Serving) -> Result<Self, Refusal> {
        match (parts.extensions.get::<Self>(), serving.requires_keys()) {
            (Some(access), _) => Ok(access.clone()),
            (None, false) => Ok(Self(None)),
            (None, true) => {
                tracing::error!("a route that needs a key is not behind the check of keys");
                Err(Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Internal Server Error",
                ))
            }
        }
    }
}

/// Lets a request pass whose key is good for the model that its address names.
pub(super) async fn check_key(
    State(serving): State<Serving>,
    path: MatchedPath,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(auth) = &serving.keys else {
        return next.run(request).await;
    };
    let access = match bearer(auth, request.headers()).await {
        Ok(key) => Access(Some(Granted {
            key,
            serving: serving.clone(),
        })),
        Err(refusal) => {
            serving.inner.metrics.refused_key(refusal.status.as_u16());
            return refuse(path.as_str(), refusal);
        }
    };
    let parameters = match &parameters {
        Ok(parameters) => parameters,
        Err(rejection) => {
            let refusal = Refusal::new(rejection.status(), rejection.body_text());
            return refuse(path.as_str(), refusal);
        }
    };
    let model = match path.as_str() {
        "/predict" | "/invocations" => Some(serving.settings().model.as_str()),
        _ => parameters
            .iter()
            .find(|(name, _)| *name == "model")
            .map(|(_, model)| name_in(model)),
    };
    if let Some(Err(refusal)) = model.map(|model| access.check(model)) {
        return refuse(path.as_str(), refusal);
    }
    request.extensions_mut().insert(access);
    next.run(request).await
}

async fn bearer(auth: &Auth, headers: &HeaderMap) -> Result<Arc<ServingKey>, Refusal> {
    let Some(sent) = sent_key(headers) else {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "an API key is needed here: send it as `Authorization: Bearer frk_…` or as `X-API-Key: frk_…`; who runs this \
             server makes one with `fragua serving-keys create`",
        ));
    };
    auth.check_serving_key(sent)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Unauthenticated => Refusal::new(StatusCode::UNAUTHORIZED, error.to_string()),
            _ => {
                tracing::error!(%error, "API keys cannot be checked");
                let message = "the database of API keys does not answer; try again in a moment";
                Refusal {
                    passes: true,
                    ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
                }
            }
        })
}

/// Returns the key that was sent. What is no bearer token, such as the password for a proxy before this server, is not ours.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(key) = text(KEY_HEADER) {
        return Some(key.trim());
    }
    let (scheme, key) = text(header::AUTHORIZATION.as_str())?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Says no in the words of the protocol that is spoken at a path.
fn refuse(path: &str, refusal: Refusal) -> Response {
    let status = refusal.status;
    let mut response = if path.starts_with("/v2/") {
        v2::refuse(refusal)
    } else if path.ends_with("/invocations") {
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
            StatusCode::FORBIDDEN => "PERMISSION_DENIED",
            StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
            _ => "BAD_REQUEST",
        };
        refusal.with_body(|message| json!({ "error_code": code, "message": message }))
    } else {
        refusal.into_response()
    };
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"fragua serving\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_either_header() {
        for (headers, expected) in [
            (vec![], None),
            (vec![("authorization", "Bearer frk_1")], Some("frk_1")),
            (vec![("authorization", "bearer  frk_1 ")], Some("frk_1")),
            (vec![("authorization", "Bearer")], None),
            (vec![("authorization", "Basic YTpi")], None),
            (vec![("x-api-key", "frk_2")], Some("frk_2")),
            (
                vec![("authorization", "Basic YTpi"), ("x-api-key", "frk_2")],
                Some("frk_2"),
            ),
        ] {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(sent_key(&headers), expected, "{headers:?}");
        }
    }
}
