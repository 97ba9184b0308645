//! The façade on each engine, and the protocol without a socket.

mod artifacts;
mod client;
mod experiments;
mod filters_against_mlflow;
mod local_artifacts;
mod logged_models;
mod metrics;
mod overview;
mod protocol;
mod purge;
mod registry;
mod runs;
mod safety;
mod schema;
mod search;
mod search_lists;
mod uploads;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use fragua_base::{ErrorKind, ManualClock, Timestamp};
use fragua_database::Database;
use fragua_storage::Storage;
use tempfile::TempDir;

use crate::runs::{Batch, NewRun, Param, Run, Tag};
use crate::{Error, ExperimentId, Metric, NewExperiment, Settings, Tracking};

/// Tracking over a fresh database; objects go to a folder that ends with it.
struct Bench {
    tracking: Tracking,
    clock: Arc<ManualClock>,
    _objects: TempDir,
}

impl Bench {
    async fn open(database: Database) -> Self {
        let settings = Settings {
            metric_history_limit: 1_000,
            ..Settings::default()
        };
        Self::open_with(database, settings).await
    }

    async fn open_with(database: Database, settings: Settings) -> Self {
        let objects = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let storage_settings = fragua_storage::Settings::new(objects.path());
        let storage = Storage::open(database.clone(), storage_settings, clock.clone())
            .await
            .unwrap();
        let tracking = Tracking::open(database, storage, settings, clock.clone())
            .await
            .unwrap();
        Self {
            tracking,
            clock,
            _objects: objects,
        }
    }

    async fn experiment(&self, name: &str) -> ExperimentId {
        let new = NewExperiment {
            name: name.to_owned(),
            ..NewExperiment::default()
        };
        self.tracking.create_experiment(new).await.unwrap()
    }

    /// A run that starts a second after the one before.
    async fn run(&self, experiment: ExperimentId, name: &str) -> Run {
        self.clock.advance(Duration::from_secs(1));
        let new = NewRun {
            experiment_id: Some(experiment),
            run_name: Some(name.to_owned()),
            user_id: Some("ana".to_owned()),
            ..NewRun::default()
        };
        self.tracking.create_run(new).await.unwrap()
    }

    async fn log(&self, run: &Run, metrics: &[Metric], params: &[(&str, &str)], tags: &[(&str, &str)]) {
        let batch = Batch {
            metrics: metrics.to_vec(),
            params: params
                .iter()
                .map(|(key, value)| Param::new(*key, *value))
                .collect(),
            tags: tags.iter().map(|(key, value)| Tag::new(*key, *value)).collect(),
        };
        self.tracking.log_batch(&run.info.run_id, batch).await.unwrap();
    }
}

fn metric(key: &str, value: f64, millis: i64, step: i64) -> Metric {
    Metric::new(key, value, Timestamp::from_millis(millis), step)
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(
        matches!(&result, Err(error) if error.kind() == ErrorKind::InvalidInput),
        "{result:?}"
    );
}

#[track_caller]
fn assert_missing<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::NotFound(_))), "{result:?}");
}

#[track_caller]
fn assert_taken<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::AlreadyExists(_))), "{result:?}");
}
