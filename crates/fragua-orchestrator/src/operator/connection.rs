//! A named address with its credentials.

use fragua_base::Secret;
use serde::Deserialize;
use url::Url;

/// What a task connects to. Its credentials never reach a log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The whole address, credentials included, such as `postgres://user:password@host/database`.
    pub url: Secret,
}

impl Connection {
    /// Makes a connection to an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
        }
    }

    /// Returns the address in its parts, where it is a URL that has any.
    pub(crate) fn parts(&self) -> Option<Url> {
        Url::parse(self.url.expose()).ok()
    }

    /// Returns the texts that must not be shown: the password as written and as meant.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let Some(url) = self.parts() else {
            return Vec::new();
        };
        let Some(written) = url.password().filter(|password| !password.is_empty()) else {
            return Vec::new();
        };
        let meant = percent_encoding::percent_decode_str(written)
            .decode_utf8_lossy()
            .into_owned();
        if meant == written {
            vec![meant]
        } else {
            vec![written.to_owned(), meant]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_hidden_as_written_and_as_meant() {
        for (url, expected) in [
            ("postgres://user:p%40ss@host/db", vec!["p%40ss", "p@ss"]),
            ("postgres://user:plain@host/db", vec!["plain"]),
            ("http://host/path", vec![]),
            ("sqlite:warehouse.db", vec![]),
        ] {
            assert_eq!(Connection::new(url).secrets(), expected, "{url}");
        }
        assert!(!format!("{:?}", Connection::new("postgres://user:plain@host/db")).contains("plain"));
    }
}
