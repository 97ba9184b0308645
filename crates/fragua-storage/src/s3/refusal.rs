//! What is refused says why, and is one quiet line of the log: a client's mistake is no trouble of the server's.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::error::sentence;
use super::trail::Asked;
use crate::BucketName;

/// Far above what any answer about an error has.
const MOST_BYTES: usize = 1 << 20;

/// Logs an error that a client is told of, and gives it a message where the library that found it has none.
pub(super) async fn tell(asked: &Asked, request_id: &str, response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let is_xml = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes) == Some(b"application/xml");
    let (mut head, body) = response.into_parts();
    // What is kept in memory anyway cannot be too long or break off.
    let bytes = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let code = between(text, "<Code>", "</Code>").unwrap_or_default();
    tracing::debug!(operation = asked.operation(), code, %status, request_id, "an S3 request was refused");
    let message = match between(text, "<Message>", "</Message>") {
        None if is_xml && !code.is_empty() => Some(message(code, asked)),
        _ => None,
    };
    let Some(message) = message else {
        return Response::from_parts(head, Body::from(bytes));
    };
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(
            operation = asked.operation(),
            request_id,
            "an S3 request could not be answered"
        );
    }
    head.headers.remove(CONTENT_LENGTH);
    let end = "</Code>";
    let told = text.replacen(end, &format!("{end}<Message>{}</Message>", escaped(&message)), 1);
    Response::from_parts(head, Body::from(told))
}

fn between<'text>(text: &'text str, start: &str, end: &str) -> Option<&'text str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn message(code: &str, asked: &Asked) -> String {
    let text = match code {
        "InvalidBucketName" => match BucketName::parse(&asked.bucket()) {
            Err(error) => return sentence(&error),
            Ok(_) => "The specified bucket is not valid.",
        },
        "InvalidURI" => "The address of the request cannot be read.",
        "KeyTooLongError" => "Your key is too long.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method."
        }
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request body is empty.",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our schema.",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        }
        "InvalidRange" => "The requested range is not valid.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "AccessDenied" => "Access Denied.",
        "NotImplemented" => "What the request asks for is not offered.",
        "InternalError" => super::error::INTERNAL,
        _ => return format!("The request was refused: {code}."),
    };
    text.to_owned()
}
