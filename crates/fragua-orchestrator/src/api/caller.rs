//! Who is asking: `POST /auth/token`, and the tokens it gives.
//!
//! Where there are no users, everybody who reaches the port may do everything, and credentials only say whose name the
//! audit log notes. What is sent as a token must still be one: a wrong one is a mistake worth telling.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fragua_base::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::endpoint::{Endpoint, get, post};
use super::failure::Failure;
use super::request::read;
use crate::Orchestrator;

/// How long a token is good for, and one for a command line.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Whom a token is for, as in Airflow's.
const AUDIENCE: &str = "apache-airflow";

/// What stands in a token, which is encrypted with the key that secrets are kept with: each server of a database
/// reads those of the others.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    /// Seconds since the epoch.
    exp: i64,
}

/// The orchestrator, for the one who asks.
pub(super) struct Caller(pub(super) Orchestrator);

impl FromRequestParts<Orchestrator> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, orchestrator: &Orchestrator) -> Result<Self, Failure> {
        let name = caller(orchestrator, &parts.headers)?;
        Ok(Self(match name {
            Some(name) => orchestrator.acting_as(&name),
            None => orchestrator.clone(),
        }))
    }
}

/// Returns the name of the one who asks, where one is given.
fn caller(orchestrator: &Orchestrator, headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let refused = |why: &str| Failure::new(StatusCode::UNAUTHORIZED, why);
    let given = given
        .to_str()
        .map_err(|_| refused("the header Authorization is not text"))?;
    let (scheme, credentials) = given.split_once(' ').unwrap_or((given, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => match read_token(orchestrator, credentials.trim())? {
            Some(name) => Ok(Some(name)),
            None => Err(refused(
                "the token is not valid here, or its time is over: ask for one with POST /auth/token",
            )),
        },
        "basic" => {
            let pair = BASE64.decode(credentials.trim()).ok();
            let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
            let name = pair
                .as_deref()
                .and_then(|pair| pair.split_once(':'))
                .map(|(name, _)| name);
            let name = name.and_then(clean_name);
            name.map(Some)
                .ok_or_else(|| refused("basic credentials are the Base64 of USER:PASSWORD"))
        }
        _ => Err(refused("the header Authorization takes Bearer or Basic")),
    }
}

/// What the audit log can keep.
fn clean_name(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.chars().count() <= 200 && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

fn read_token(orchestrator: &Orchestrator, token: &str) -> Result<Option<String>, Failure> {
    let text = orchestrator.core.fernet()?.decrypt(token);
    let claims = text.and_then(|text| serde_json::from_str::<Claims>(&text).ok());
    let is_good = |claims: &Claims| {
        claims.aud == AUDIENCE && Timestamp::from_millis(claims.exp * 1000) > orchestrator.now()
    };
    Ok(claims.filter(is_good).map(|claims| claims.sub))
}

/// A name and a password.
#[derive(Debug, Deserialize, JsonSchema)]
struct Credentials {
    username: String,
    #[expect(
        dead_code,
        reason = "there are no users yet to compare it with; a form without one is still wrong"
    )]
    password: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/token", "Gives a token for a name", token).body::<Credentials>(),
        get(
            "/auth/token",
            "Gives a token for nobody in particular",
            token_for_anybody,
        ),
        post(
            "/auth/token/cli",
            "Gives a token that is good for an hour",
            token_for_command_line,
        )
        .body::<Credentials>(),
    ]
}

/// `POST /auth/token`, with JSON or a form.
async fn token(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    grant(&orchestrator, &headers, &body, DAY)
}

/// `POST /auth/token/cli`.
async fn token_for_command_line(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    grant(&orchestrator, &headers, &body, HOUR)
}

/// `GET /auth/token`: without credentials, as in Airflow where everybody is an admin.
async fn token_for_anybody(State(orchestrator): State<Orchestrator>) -> Result<Response, Failure> {
    make_token(&orchestrator, "anonymous", DAY)
}

fn grant(
    orchestrator: &Orchestrator,
    headers: &HeaderMap,
    body: &[u8],
    lifetime: Duration,
) -> Result<Response, Failure> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let value = match is_form {
        true => url::form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        false => serde_json::from_slice(body)
            .map_err(|error| Failure::invalid("body", "", "json_invalid", &error.to_string()))?,
    };
    let credentials: Credentials = read(value)?;
    let name = clean_name(&credentials.username);
    let name = name.ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "Invalid credentials"))?;
    make_token(orchestrator, &name, lifetime)
}

fn make_token(orchestrator: &Orchestrator, name: &str, lifetime: Duration) -> Result<Response, Failure> {
    let now = orchestrator.now();
    let claims = Claims {
        sub: name.to_owned(),
        aud: AUDIENCE.to_owned(),
        exp: now.plus(lifetime).as_millis() / 1000,
    };
    let token = orchestrator
        .core
        .fernet()?
        .encrypt(&json!(claims).to_string(), now);
    Ok((StatusCode::CREATED, Json(json!({ "access_token": token }))).into_response())
}
