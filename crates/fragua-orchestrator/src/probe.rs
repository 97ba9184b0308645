//! Tries a connection: does the other side answer, and does it take the credentials?

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use fragua_database::Database;
use object_store::ObjectStore as _;
use object_store::aws::AmazonS3Builder;
use reqwest::StatusCode;
use sea_orm::ConnectionTrait as _;
use url::Url;

use crate::logs::Mask;
use crate::operator::Connection;
use crate::{Error, Orchestrator};

/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of trying a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How long it took.
    pub took: Duration,
    /// What answered, or why nothing did.
    pub outcome: Result<Answered, String>,
}

/// What answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// A database, which ran a statement.
    Database,
    /// An object store, which takes the credentials.
    ObjectStore,
    /// An HTTP server, with this status.
    Http(u16),
    /// Something that listens there; it was asked nothing, so that the credentials were not tried.
    Port,
}

impl fmt::Display for Answered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => formatter.write_str("the database answers"),
            Self::ObjectStore => formatter.write_str("the object store answers, and takes the credentials"),
            Self::Http(status) => write!(formatter, "it answers with the status {status}"),
            Self::Port => formatter.write_str("something listens there; the credentials were not tried"),
        }
    }
}

impl Orchestrator {
    /// Tries a connection for ten seconds at most, and changes nothing on the other side.
    ///
    /// # Errors
    /// [`Error::NotKept`] when there is no connection of this name, and as [`Self::connections`].
    pub async fn probe_connection(&self, name: &str) -> Result<Probe, Error> {
        let all = self.core.connections(self.core.database.reader()).await?;
        let connection = all.get(name).ok_or_else(|| Error::NotKept {
            kind: "connection",
            name: name.to_owned(),
        })?;
        Ok(self.probe(connection).await)
    }

    /// As [`Self::probe_connection`], with a connection that need not be kept.
    pub async fn probe(&self, connection: &Connection) -> Probe {
        let started = Instant::now();
        let tried = tokio::time::timeout(PATIENCE, try_out(connection, &self.core.settings.project_folder));
        let outcome = match tried.await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
        };
        let mask = Mask::new(connection.secrets());
        Probe {
            took: started.elapsed(),
            outcome: outcome.map_err(|reason| mask.hide(&reason)),
        }
    }
}

async fn try_out(connection: &Connection, project_folder: &Path) -> Result<Answered, String> {
    let text = connection.url.expose();
    let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "sqlite" => {
            let path = text["sqlite:".len()..].trim_start_matches("//");
            let path = path.split('?').next().unwrap_or_default();
            // Opening it would make it.
            if path != ":memory:" && !project_folder.join(path).exists() {
                return Err(format!("there is no file {path}"));
            }
            database(text).await
        }
        "postgres" | "postgresql" | "mysql" | "mariadb" => database(text).await,
        "http" | "https" => {
            let url = connection
                .parts()
                .ok_or_else(|| "this is no address".to_owned())?;
            http(url).await
        }
        _ => port(connection.parts()).await,
    }
}

async fn database(url: &str) -> Result<Answered, String> {
    let opened = Database::open(url, "the connection's url").await;
    let database = opened.map_err(|error| error.to_string())?;
    let answered = database.reader().execute_unprepared("SELECT 1").await;
    database.close().await;
    answered.map_err(|error| fragua_database::Error::from(error).to_string())?;
    Ok(Answered::Database)
}

async fn http(url: Url) -> Result<Answered, String> {
    // Whoever came first has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
        .build();
    let client = client.map_err(|error| error.to_string())?;
    let answer = client
        .get(url.as_str())
        .send()
        .await
        .map_err(|error| causes(&error))?;
    let status = answer.status();
    let head = answer.bytes().await.map_err(|error| causes(&error))?;
    let head = String::from_utf8_lossy(&head[..head.len().min(1000)]).into_owned();
    // An object store refuses what is not signed, in XML of its own.
    let is_object_store = head.contains("<Error>") && head.contains("<Code>");
    if is_object_store && !url.username().is_empty() {
        return object_store(url).await;
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(
            format!("the server answers, but refuses the credentials: {status}"),
        ),
        _ if status.is_server_error() => Err(format!("the server answers with an error: {status}")),
        _ => Ok(Answered::Http(status.as_u16())),
    }
}

async fn object_store(mut url: Url) -> Result<Answered, String> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let access = decoded(url.username());
    let secret = decoded(url.password().unwrap_or_default());
    let is_changed = url.set_username("").is_ok() && url.set_password(None).is_ok();
    debug_assert!(is_changed, "an address with a host takes credentials");
    let store = AmazonS3Builder::new()
        .with_endpoint(url.as_str().trim_end_matches('/'))
        // Whether there is such a bucket is asked after the signature is checked.
        .with_bucket_name("fragua-connection-test")
        .with_region("us-east-1")
        .with_access_key_id(access)
        .with_secret_access_key(secret)
        .with_allow_http(url.scheme() == "http")
        .with_virtual_hosted_style_request(false)
        .with_retry(object_store::RetryConfig {
            max_retries: 0,
            ..Default::default()
        })
        .build()
        .map_err(|error| error.to_string())?;
    match store.list_with_delimiter(None).await {
        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(Answered::ObjectStore),
        Err(error) => {
            let text = error.to_string();
            // A key may be known and have no right to this bucket.
            if text.contains("NoSuchBucket") || text.contains("AccessDenied") {
                return Ok(Answered::ObjectStore);
            }
            let code = text
                .split_once("<Code>")
                .and_then(|(_, rest)| rest.split_once("</Code>"))
                .map(|(code, _)| code.to_owned());
            Err(format!("the object store says {}", code.unwrap_or(text)))
        }
    }
}

async fn port(url: Option<Url>) -> Result<Answered, String> {
    let place = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port()?)));
    let Some((host, port)) = place else {
        return Err(
            "only databases, HTTP servers, object stores, and addresses with a host and a port can be tried"
                .to_owned(),
        );
    };
    tokio::net::TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| format!("nothing answers at {host}:{port}: {error}"))?;
    Ok(Answered::Port)
}

/// The innermost cause says what happened.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
