//! A client that costs little itself, so that what is measured is the server.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ureq::{Agent, Body, SendBody};

/// Requests to one server over connections that stay open.
#[derive(Clone)]
pub(super) struct Client {
    base: String,
    agent: Agent,
}

impl Client {
    pub(super) fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: Agent::new_with_config(config),
        }
    }

    /// Returns a client of the same server with connections of its own.
    pub(super) fn another(&self) -> Self {
        Self::new(&self.base)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.post_text(path, &body.to_string())
    }

    /// Posts a JSON text that was written before, so that writing it is not measured.
    pub(super) fn post_text(&self, path: &str, body: &str) -> Result<Value> {
        let answer = self
            .agent
            .post(format!("{}{path}", self.base))
            .content_type("application/json")
            .send(body)
            .with_context(|| format!("cannot ask {path}"))?;
        read(path, answer)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        parse(path, &self.get_text(path)?)
    }

    /// Returns an answer as it is, such as a page.
    pub(super) fn get_text(&self, path: &str) -> Result<String> {
        let answer = self
            .agent
            .get(format!("{}{path}", self.base))
            .call()
            .with_context(|| format!("cannot ask {path}"))?;
        read_text(path, answer)
    }

    pub(super) fn put(&self, path: &str, length: u64, body: &mut dyn Read) -> Result<()> {
        let answer = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("Content-Length", length.to_string())
            .send(SendBody::from_reader(&mut body.take(length)))
            .with_context(|| format!("cannot upload {path}"))?;
        ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
        Ok(())
    }

    /// Reads a download to its end and returns its length.
    pub(super) fn download(&self, path: &str) -> Result<u64> {
        let answer = self
            .agent
            .get(format!("{}{path}", self.base))
            .call()
            .with_context(|| format!("cannot download {path}"))?;
        ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
        let mut body = answer.into_body().into_reader();
        Ok(std::io::copy(&mut body, &mut std::io::sink())?)
    }
}

fn read(path: &str, answer: ureq::http::Response<Body>) -> Result<Value> {
    parse(path, &read_text(path, answer)?)
}

fn parse(path: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("the answer of {path} is no JSON"))
}

fn read_text(path: &str, mut answer: ureq::http::Response<Body>) -> Result<String> {
    let status = answer.status();
    let text = answer
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_to_string()
        .with_context(|| format!("the answer of {path} breaks off"))?;
    ensure!(status.is_success(), "{path} answers {status}: {text}");
    Ok(text)
}
