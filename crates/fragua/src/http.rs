//! The HTTP client for our own roles.

use std::time::Duration;

use anyhow::Context as _;

/// Returns a client for addresses of this machine or this network: no proxy stands between the parts.
///
/// # Errors
/// When the system's TLS set-up is broken.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(30))
        .build()
        .context("the HTTP client cannot be made")
}

/// Asks `address` and says what was wrong in words, without the address.
///
/// # Errors
/// Says why there was no answer, or which other status it had.
pub(crate) async fn expect_ok(client: &reqwest::Client, address: &str) -> Result<(), String> {
    let response = client.get(address).send().await.map_err(|error| reason(&error))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answers {status}")),
    }
}

/// Returns the innermost cause: "connection refused" rather than "error sending request".
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
