//! Tries a connection: whether what it names answers.

use std::path::Path;
use std::time::Duration;

use fragua_database::Database;

use super::{Connection, ConnectionParts};

/// How long a test may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Connection {
    /// Connects, and says what answered.
    ///
    /// # Errors
    /// Why it did not, in words without the credentials.
    pub async fn test(&self) -> Result<String, String> {
        let answer = tokio::time::timeout(PATIENCE, self.try_once()).await;
        let answer = answer.map_err(|_| format!("no answer in {} seconds", PATIENCE.as_secs()))?;
        answer.map_err(|message| {
            let hidden = |message: String, secret: &String| message.replace(secret.as_str(), "***");
            self.secrets().iter().fold(message, hidden)
        })
    }

    async fn try_once(&self) -> Result<String, String> {
        let parts = ConnectionParts::from(self);
        match parts.conn_type.as_str() {
            "sqlite" => {
                let file = parts.host.unwrap_or_default();
                if !file.contains("memory") && !Path::new(&file).is_file() {
                    return Err(format!("there is no file {file}"));
                }
                self.try_database().await
            }
            "postgres" | "mysql" | "mariadb" => self.try_database().await,
            "http" => self.try_http().await,
            other => Err(format!(
                "connections of the type {other} cannot be tested here; postgres, mysql, sqlite and http can"
            )),
        }
    }

    async fn try_database(&self) -> Result<String, String> {
        let database = Database::open(self.url.expose(), "the connection's url")
            .await
            .map_err(|error| error.to_string())?;
        let said = format!("connected to {}", database.describe());
        database.close().await;
        Ok(said)
    }

    /// Any answer is one: which paths there are is not known here.
    async fn try_http(&self) -> Result<String, String> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| error.to_string())?;
        let answer = client.get(self.url.expose()).send().await;
        let answer = answer.map_err(|error| error.without_url().to_string())?;
        Ok(format!("it answers {}", answer.status()))
    }
}
