//! What can go wrong while a page is made, and the page that says so.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use fragua_base::ErrorKind;

use crate::page::Page;
use crate::text::Language;

/// A failure of a page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no page has this address")]
    NoSuchPage,
    #[error("this address does not take this method")]
    MethodNotAllowed,
    #[error("this form was sent from a page of another site")]
    ForeignWrite,
    #[error("the page could not be made")]
    Panicked,
    /// The thing that the address names does not exist.
    #[error("{what} {name:?} does not exist")]
    Missing { what: &'static str, name: String },
    /// A field of a form or of the address is wrong.
    #[error("{0}")]
    Invalid(String),
    #[error("the template could not be rendered: {0}")]
    Template(#[from] askama::Error),
    /// A failure of the part of Fragua that the page shows.
    #[error("{message}")]
    Part { kind: ErrorKind, message: String },
}

impl Error {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchPage | Self::Missing { .. } => ErrorKind::NotFound,
            Self::MethodNotAllowed | Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::ForeignWrite => ErrorKind::Forbidden,
            Self::Panicked | Self::Template(_) => ErrorKind::Internal,
            Self::Part { kind, .. } => *kind,
        }
    }

    /// Returns what to say of a form that is refused, with the status of its page.
    ///
    /// # Errors
    /// A failure that is none of the one who asked: it has a page of its own, and its words are for the log.
    pub(crate) fn into_refusal(self) -> Result<(StatusCode, String), Self> {
        match self.status() {
            status if status.is_server_error() => Err(self),
            status => Ok((status, self.to_string())),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::from_u16(self.kind().http_status()).expect("every kind has a valid status"),
        }
    }
}

impl IntoResponse for Error {
    /// Answers with the status and leaves the words to the frame, which knows the reader's language.
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, "a page could not be made");
        }
        // What went wrong inside is for the log, not for the reader.
        let detail = match self {
            Self::NoSuchPage | Self::MethodNotAllowed | Self::ForeignWrite => Detail::None,
            _ if self.kind() == ErrorKind::Internal => Detail::None,
            Self::Missing { what, name } => Detail::Missing { what, name },
            other => Detail::Words(other.to_string()),
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Failure { status, detail });
        response
    }
}

/// Takes over the failure of a part: its kind and its words, which are written for the one who asked.
macro_rules! from_part {
    ($($part:ident),*) => {$(
        impl From<$part::Error> for Error {
            fn from(error: $part::Error) -> Self {
                Self::Part { kind: error.kind(), message: error.to_string() }
            }
        }
    )*};
}

from_part!(
    fragua_auth,
    fragua_orchestrator,
    fragua_serving,
    fragua_storage,
    fragua_tracking
);

/// What an error page says. Travels in the response's extensions from the handler to the frame.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    status: StatusCode,
    detail: Detail,
}

/// What is said beside the status.
#[derive(Debug, Clone)]
enum Detail {
    None,
    /// The thing that the address names does not exist.
    Missing {
        what: &'static str,
        name: String,
    },
    /// In English, as the part says it.
    Words(String),
}

impl Detail {
    /// Writes it in the reader's language. What a part does not find has no words there but its address.
    fn written(&self, page: &Page, status: StatusCode) -> String {
        match self {
            Self::None => String::new(),
            Self::Missing { what, name } => {
                let text = match *what {
                    "asset" => "missing-asset",
                    "folder" => "missing-folder",
                    "experiment" => "missing-experiment",
                    _ => "missing-entry",
                };
                page.t1(text, "name", name)
            }
            Self::Words(_) if status == StatusCode::NOT_FOUND && page.language() != Language::English => {
                page.t1("error-404-named", "address", &page.path())
            }
            Self::Words(words) => words.clone(),
        }
    }
}

impl Failure {
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let detail = Detail::None;
        Self { status, detail }
    }

    pub(crate) fn render(&self, page: &Page, as_html: bool) -> Response {
        let number = self.status.as_u16();
        let title_key = match number {
            403 | 404 | 405 | 413 | 503 => format!("error-{number}"),
            400..500 => "error-4xx".to_owned(),
            _ => "error-5xx".to_owned(),
        };
        let title = page.t(&title_key);
        let advice = page.t(format!("{title_key}-advice"));
        let detail = self.detail.written(page, self.status);
        if !as_html {
            let text = if detail.is_empty() { &title } else { &detail };
            return (self.status, format!("{text}\n")).into_response();
        }
        let template = ErrorPage {
            page,
            number,
            title,
            advice,
            detail,
        };
        match template.render() {
            Ok(body) => (self.status, Html(body)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the error page could not be rendered");
                self.status.into_response()
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    page: &'a Page,
    number: u16,
    title: String,
    advice: String,
    detail: String,
}

/// Renders a template as a page.
pub(crate) fn render(template: &impl Template) -> Result<Response, Error> {
    Ok(Html(template.render()?).into_response())
}

/// Answers a form with the page to show next.
pub(crate) fn see_other(address: &str) -> Response {
    let location = HeaderValue::from_str(address).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
