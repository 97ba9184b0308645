//! Page tokens, in MLflow's form: base64 of `{"offset": N}`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use crate::Error;

#[derive(Serialize, Deserialize)]
struct Token {
    offset: u64,
}

/// Returns the token of the page that begins at `offset`.
pub(crate) fn encode(offset: u64) -> String {
    STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// Returns where the page of a token begins; 0 without one.
pub(crate) fn offset(token: Option<&str>) -> Result<u64, Error> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    let invalid = || Error::invalid("Invalid page token: use the next_page_token of the page before");
    let bytes = STANDARD
        .decode(token)
        .or_else(|_| URL_SAFE.decode(token))
        .map_err(|_| invalid())?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    // The offset is bound as a signed number.
    if i64::try_from(token.offset).is_err() {
        return Err(invalid());
    }
    Ok(token.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_mlflow() {
        assert_eq!(encode(10), "eyJvZmZzZXQiOiAxMH0=");
        for (text, expected) in [
            (None, Some(0)),
            (Some(""), Some(0)),
            (Some("eyJvZmZzZXQiOiAxMH0="), Some(10)),
            (Some("eyJvZmZzZXQiOiAtMX0="), None),
            (Some("not base64!"), None),
            (Some("e30="), None),
        ] {
            assert_eq!(offset(text).ok(), expected, "{text:?}");
        }
    }
}
