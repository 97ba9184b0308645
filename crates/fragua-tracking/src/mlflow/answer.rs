//! Answers. MLflow's messages leave empty lists out and never say `null`.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde::Serialize;

use super::error::ApiError;

/// The answer of a handler.
pub(super) type Answer = Result<Response, ApiError>;

/// How many bytes of a list are written before they are sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Answers with JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(ApiError::unwritable)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// Answers with one thing under its name.
pub(super) fn one(name: &'static str, item: impl Serialize) -> Answer {
    json(&std::collections::BTreeMap::from([(name, item)]))
}

/// The answer to what changes something and tells nothing.
pub(super) fn done() -> Answer {
    json(&serde_json::Map::new())
}

/// Answers with a list and with the token of the next page, each left out when there is none. A long list is sent
/// while it is written, so that it is never whole in memory as text.
pub(super) fn list<I>(name: &'static str, items: I, next_page_token: Option<String>) -> Answer
where
    I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
{
    let mut pieces = Pieces {
        name,
        items: items.into_iter(),
        next_page_token,
        begun: false,
        ended: false,
    };
    let first = pieces
        .next()
        .transpose()
        .map_err(ApiError::unwritable)?
        .unwrap_or_default();
    let body = if pieces.ended {
        Body::from(first)
    } else {
        let rest = futures::stream::iter(pieces);
        Body::from_stream(futures::stream::iter([Ok(first)]).chain(rest))
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The text of a list, cut in pieces.
struct Pieces<I> {
    name: &'static str,
    items: I,
    next_page_token: Option<String>,
    begun: bool,
    ended: bool,
}

impl<I: Iterator<Item: Serialize>> Pieces<I> {
    fn write(&mut self) -> Result<Vec<u8>, serde_json::Error> {
        let mut piece = Vec::new();
        if !self.begun {
            piece.push(b'{');
        }
        while piece.len() < PIECE_BYTES {
            let Some(item) = self.items.next() else {
                self.end(&mut piece)?;
                break;
            };
            if self.begun {
                piece.push(b',');
            } else {
                serde_json::to_writer(&mut piece, self.name)?;
                piece.extend_from_slice(b":[");
                self.begun = true;
            }
            serde_json::to_writer(&mut piece, &item)?;
        }
        Ok(piece)
    }

    fn end(&mut self, piece: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        if self.begun {
            piece.push(b']');
        }
        if let Some(token) = &self.next_page_token {
            if self.begun {
                piece.push(b',');
            }
            piece.extend_from_slice(b"\"next_page_token\":");
            serde_json::to_writer(&mut *piece, token)?;
        }
        piece.push(b'}');
        self.ended = true;
        Ok(())
    }
}

impl<I: Iterator<Item: Serialize>> Iterator for Pieces<I> {
    type Item = Result<Bytes, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.write();
        // A piece that cannot be written is the last one.
        self.ended |= piece.is_err();
        Some(piece.map(Bytes::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(items: Vec<String>, next: Option<&str>) -> String {
        let response = list("items", items, next.map(str::to_owned)).unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn lists_leave_out_what_is_empty() {
        let items = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        for (list, next, expected) in [
            (items(&[]), None, "{}"),
            (items(&["a"]), None, r#"{"items":["a"]}"#),
            (
                items(&["a", "b"]),
                Some("t"),
                r#"{"items":["a","b"],"next_page_token":"t"}"#,
            ),
            (items(&[]), Some("t"), r#"{"next_page_token":"t"}"#),
        ] {
            assert_eq!(text(list, next).await, expected);
        }
    }

    #[tokio::test]
    async fn long_lists_are_sent_in_pieces() {
        let items: Vec<String> = (0..30_000).map(|at| format!("item {at}")).collect();
        let written = text(items.clone(), Some("t")).await;
        assert!(written.len() > 4 * PIECE_BYTES);
        let expected = serde_json::json!({"items": items, "next_page_token": "t"});
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written).unwrap(),
            expected
        );
    }
}
