//! What the operator of a serving role can choose.

use std::time::Duration;

use crate::Error;
use crate::log::LogSettings;
use crate::model_ref::{ModelRef, Selector};

/// Settings of the serving role.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the registered model to serve.
    pub model: String,
    /// Alias whose version is served; the served version changes when the alias moves.
    pub alias: String,
    /// How often the registry is asked for the alias. `None` relies on the changes that the registry
    /// announces in this process; a registry behind HTTP is asked every five seconds then.
    pub poll_every: Option<Duration>,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Most rows one request may ask predictions for.
    pub max_rows: usize,
    /// Most prediction requests in work at the same time; the next one gets 429.
    pub max_in_flight: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// How long predicting may take; the answer is 504 then.
    pub request_timeout: Duration,
    /// Largest file of a model that is read into memory, in bytes.
    pub max_model_bytes: u64,
    /// Most endpoints that are kept in memory, the one of `model` and `alias` among them.
    pub max_models: usize,
    /// What is kept of predictions.
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "cover_type_class".to_owned(),
            alias: "champion".to_owned(),
            poll_every: None,
            max_body_bytes: 32 * 1024 * 1024,
            max_rows: 100_000,
            max_in_flight: 256,
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            max_model_bytes: 2 * 1024 * 1024 * 1024,
            max_models: 32,
            log: LogSettings::default(),
        }
    }
}

impl Settings {
    /// Checks what no single type can.
    ///
    /// # Errors
    /// `InvalidSetting` names the key and what it must look like.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let names = [("serving.model", &self.model), ("serving.alias", &self.alias)];
        for (key, name) in names {
            if name.is_empty() || name.contains(['/', ':', '@']) {
                return Err(Error::InvalidSetting {
                    key,
                    reason: format!("{name:?} must not be empty and must not contain '/', ':' or '@'"),
                });
            }
        }
        if !(0.0..=1.0).contains(&self.log.sample) {
            return Err(Error::InvalidSetting {
                key: "serving.log_sample",
                reason: format!("{} is no share between 0 and 1", self.log.sample),
            });
        }
        let limits = [
            ("serving.max_body_bytes", self.max_body_bytes),
            ("serving.max_rows", self.max_rows),
            ("serving.max_in_flight", self.max_in_flight),
            ("serving.max_models", self.max_models),
        ];
        for (key, limit) in limits {
            if limit == 0 {
                return Err(Error::InvalidSetting {
                    key,
                    reason: "must be at least 1".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Returns how many bytes the table of a packed body may have.
    pub(crate) fn max_unpacked_bytes(&self) -> u64 {
        const UNPACKING: u64 = 20;
        self.max_body_bytes as u64 * UNPACKING
    }

    /// Returns the model and alias that are served from the start.
    pub fn model_ref(&self) -> ModelRef {
        ModelRef {
            name: self.model.clone(),
            selector: Selector::Alias(self.alias.clone()),
        }
    }
}
