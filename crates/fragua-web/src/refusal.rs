//! The page that tells a browser why nothing of this port is for it. It stands alone: under a name that is not served
//! there is no style sheet either.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use fragua_auth::Refused;

use crate::page::encode;
use crate::site::accepts_html;
use crate::text::Language;

const POLICY: &str = "default-src 'none'; style-src data:; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = include_str!("../static/refusal.css");

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal {
    language: Language,
    /// The style sheet, percent-encoded.
    style: String,
    title: String,
    advice: String,
    /// The name that was asked for, without its port.
    host: Option<String>,
}

/// Tells a browser why its request was refused; nothing for other programs.
pub fn refusal(headers: &HeaderMap, why: Refused) -> Option<Response> {
    if !accepts_html(headers) {
        return None;
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let language = text(header::ACCEPT_LANGUAGE)
        .and_then(Language::from_accept_language)
        .unwrap_or_default();
    let host = text(header::HOST).unwrap_or_default();
    // An address of IPv6 has its brackets around colons.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let (title, advice) = match why {
        Refused::Host => ("refused-host", "refused-host-advice"),
        Refused::ForeignWrite => ("error-403", "error-403-advice"),
    };
    let page = Refusal {
        language,
        style: encode(STYLE),
        title: language.text_with(title, &[("host", name)]),
        advice: language.text(advice),
        host: (why == Refused::Host && !name.is_empty()).then(|| name.trim_matches(['[', ']']).to_owned()),
    };
    let body = page.render().ok()?;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Some((StatusCode::FORBIDDEN, headers, Html(body)).into_response())
}
