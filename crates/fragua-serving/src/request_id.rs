//! The name of a request, given by the client or made here.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};

use crate::Error;

/// Where clients give it and answers repeat it.
const HEADER: &str = "x-request-id";

/// Names one request: 1 to 128 letters, digits, dots, dashes and underscores. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Makes one that no other request has: 32 hexadecimal digits.
    pub fn random() -> Self {
        Self(fragua_base::random_hex(16).into())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::InvalidField`] shows what may stand in it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (1..=128).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text.into()));
        }
        Err(Error::InvalidField {
            field: "request_id",
            reason: "a request id has 1 to 128 letters, digits, dots, dashes and underscores".to_owned(),
        })
    }

    /// Returns the one that the client gave, or makes one where it gave none that can be used.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        given
            .and_then(|text| Self::parse(text).ok())
            .unwrap_or_else(Self::random)
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_id_is_kept_and_a_bad_one_replaced() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(text));
            RequestId::of(&headers).to_string()
        };
        assert_eq!(of("order-7.b_2"), "order-7.b_2");
        for bad in ["", "a b", "a/b", "<script>"] {
            assert_eq!(of(bad).len(), 32, "{bad:?}");
            assert!(RequestId::parse(bad).is_err());
        }
        assert_ne!(RequestId::random(), RequestId::random());
    }
}
