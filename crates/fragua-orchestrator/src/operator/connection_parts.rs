//! A connection in the parts that Airflow knows, to and from the address that is kept here.

use fragua_base::Secret;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::Connection;

/// The parts of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionParts {
    /// What it connects to, such as `postgres`.
    pub conn_type: String,
    /// The host; of SQLite the file.
    pub host: Option<String>,
    /// The user.
    pub login: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database; of HTTP the scheme.
    pub schema: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Whatever else, as the text of a JSON object.
    pub extra: Option<Secret>,
}

/// The parameter with an `extra` that is no flat object of texts, as in Airflow's addresses.
const EXTRA: &str = "__extra__";

/// The parameters with the credentials of what has no host: an address has a place for them beside a host alone.
const LOGIN: &str = "__login__";
pub(super) const PASSWORD: &str = "__password__";

impl ConnectionParts {
    /// Returns the address that says the same.
    ///
    /// # Errors
    /// What is wrong, in words that follow a field's name. No password is repeated.
    pub fn url(&self) -> Result<Secret, String> {
        let given = |part: &Option<String>| part.clone().filter(|part| !part.is_empty());
        let conn_type = self.conn_type.trim();
        let fits =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '+');
        if !conn_type.starts_with(|first: char| first.is_ascii_alphabetic()) || !conn_type.chars().all(fits) {
            return Err("conn_type must be a word such as postgres, mysql, sqlite, http or aws".to_owned());
        }
        let encoded = |part: &str| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        let host = given(&self.host);
        let base = match (conn_type, &host) {
            ("sqlite", host) => format!("sqlite:{}", host.as_deref().unwrap_or_default()),
            // Airflow lets the host of an HTTP connection carry the scheme.
            (_, Some(host)) if host.contains("://") => host.clone(),
            (_, host) => {
                let scheme = match (conn_type, self.schema.as_deref()) {
                    ("http", Some("https")) => "https".to_owned(),
                    ("postgres", _) => "postgresql".to_owned(),
                    (other, _) => other.replace('_', "-"),
                };
                format!("{scheme}://{}", host.as_deref().unwrap_or_default())
            }
        };
        let wrong = |_| "host, with conn_type, does not make an address".to_owned();
        let mut url = Url::parse(&base).map_err(wrong)?;
        if let Some(port) = self.port {
            url.set_port(Some(port))
                .map_err(|()| "port needs a host".to_owned())?;
        }
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        if let Some(login) = given(&self.login) {
            match has_host {
                true => drop(url.set_username(&encoded(&login))),
                false => drop(url.query_pairs_mut().append_pair(LOGIN, &login)),
            }
        }
        if let Some(password) = self
            .password
            .as_ref()
            .filter(|password| !password.expose().is_empty())
        {
            match has_host {
                true => drop(url.set_password(Some(&encoded(password.expose())))),
                false => drop(url.query_pairs_mut().append_pair(PASSWORD, password.expose())),
            }
        }
        if let Some(schema) = given(&self.schema).filter(|_| !is_http(url.scheme()) && url.path().len() <= 1)
        {
            url.set_path(&format!("/{}", encoded(&schema)));
        }
        self.add_extra(&mut url)?;
        Ok(Secret::new(url.to_string()))
    }

    fn add_extra(&self, url: &mut Url) -> Result<(), String> {
        let Some(extra) = self
            .extra
            .as_ref()
            .map(Secret::expose)
            .filter(|extra| !extra.trim().is_empty())
        else {
            return Ok(());
        };
        let fields: Map<String, Value> = serde_json::from_str(extra).map_err(|_| {
            "extra must be the text of a JSON object, such as {\"sslmode\": \"require\"}".to_owned()
        })?;
        if fields.values().all(Value::is_string) {
            let texts = fields
                .iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?)));
            url.query_pairs_mut().extend_pairs(texts);
        } else {
            url.query_pairs_mut().append_pair(EXTRA, extra);
        }
        // A query that was opened for nothing.
        if url.query() == Some("") {
            url.set_query(None);
        }
        Ok(())
    }
}

fn is_http(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

impl From<&Connection> for ConnectionParts {
    fn from(connection: &Connection) -> Self {
        let Some(url) = connection.parts() else {
            return Self {
                conn_type: "generic".to_owned(),
                ..Self::default()
            };
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let path = decoded(url.path());
        let host = url.host_str().map(decoded).and_then(some);
        let (conn_type, host, schema) = match url.scheme() {
            "sqlite" => ("sqlite".to_owned(), some(path), None),
            "http" | "https" => {
                let path = path.trim_end_matches('/');
                let schema = (url.scheme() == "https").then(|| "https".to_owned());
                (
                    "http".to_owned(),
                    host.map(|host| format!("{host}{path}")),
                    schema,
                )
            }
            "postgresql" | "postgres" => (
                "postgres".to_owned(),
                host,
                some(path.trim_start_matches('/').to_owned()),
            ),
            other => (
                other.replace('-', "_"),
                host,
                some(path.trim_start_matches('/').to_owned()),
            ),
        };
        let mut login = some(decoded(url.username()));
        let mut password = url.password().map(decoded);
        let (mut fields, mut whole) = (Map::new(), None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                LOGIN => login = Some(value.into_owned()),
                PASSWORD => password = Some(value.into_owned()),
                EXTRA => whole = Some(value.into_owned()),
                _ => drop(fields.insert(name.into_owned(), value.into_owned().into())),
            }
        }
        let extra = whole.or_else(|| (!fields.is_empty()).then(|| Value::Object(fields).to_string()));
        Self {
            conn_type,
            host,
            login,
            password: password.map(Secret::new),
            schema,
            port: url.port(),
            extra: extra.map(Secret::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> ConnectionParts {
        let value: Value = serde_json::from_str(text).unwrap();
        let part = |name: &str| value[name].as_str().map(str::to_owned);
        ConnectionParts {
            conn_type: part("conn_type").unwrap(),
            host: part("host"),
            login: part("login"),
            password: part("password").map(Secret::new),
            schema: part("schema"),
            port: value["port"].as_u64().map(|port| port as u16),
            extra: part("extra").map(Secret::new),
        }
    }

    #[test]
    fn parts_make_an_address_that_gives_them_back() {
        for (given, url) in [
            (
                r#"{"conn_type": "postgres", "host": "db", "login": "me", "password": "p@ss/w%", "schema": "rows", "port": 5432, "extra": "{\"sslmode\":\"require\"}"}"#,
                "postgresql://me:p%40ss%2Fw%25@db:5432/rows?sslmode=require",
            ),
            (
                r#"{"conn_type": "sqlite", "host": "/tmp/a.db"}"#,
                "sqlite:/tmp/a.db",
            ),
            (
                r#"{"conn_type": "aws", "login": "key", "password": "hunter2", "extra": "{\"region_name\":\"eu\"}"}"#,
                "aws://?__login__=key&__password__=hunter2&region_name=eu",
            ),
            (
                r#"{"conn_type": "google_cloud_platform", "extra": "{\"scopes\":[\"a\"]}"}"#,
                "google-cloud-platform://?__extra__=%7B%22scopes%22%3A%5B%22a%22%5D%7D",
            ),
            (
                r#"{"conn_type": "http", "host": "api.example/v1", "schema": "https"}"#,
                "https://api.example/v1",
            ),
            (r#"{"conn_type": "mysql", "host": "db"}"#, "mysql://db"),
        ] {
            let parts = parts(given);
            assert_eq!(parts.url().unwrap().expose(), url, "{given}");
            assert_eq!(ConnectionParts::from(&Connection::new(url)), parts, "{url}");
        }
    }

    #[test]
    fn wrong_parts_are_named_without_their_secrets() {
        for (given, expected) in [
            (r#"{"conn_type": ""}"#, "conn_type"),
            (r#"{"conn_type": "post gres"}"#, "conn_type"),
            (
                r#"{"conn_type": "mysql", "host": "a b", "password": "hunter2"}"#,
                "host",
            ),
            (
                r#"{"conn_type": "mysql", "host": "db", "extra": "hunter2"}"#,
                "extra",
            ),
            (r#"{"conn_type": "aws", "port": 1}"#, "port"),
        ] {
            let error = parts(given).url().unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
