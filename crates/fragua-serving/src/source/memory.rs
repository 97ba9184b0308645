//! A registry in memory: what tests of serving need of one, and faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fragua_base::Timestamp;
use fragua_tracking::{
    Dataset, DatasetInput, ExperimentId, LifecycleStage, Metric, Run, RunInfo, RunStatus, Tag,
};
use tokio::sync::broadcast;

use super::{Located, RegisteredModel, SourceError};
use crate::model_ref::{ModelRef, Selector};

/// Files of a model folder by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
    changes: broadcast::Sender<()>,
    announces: bool,
}

#[derive(Debug, Default)]
struct Inner {
    versions: BTreeMap<String, Files>,
    alias: Option<String>,
    is_down: bool,
    reads: usize,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::default(),
            changes: broadcast::channel(16).0,
            announces: true,
        }
    }

    /// A registry that must be asked, as one behind HTTP.
    pub(crate) fn silent() -> Self {
        Self {
            announces: false,
            ..Self::new()
        }
    }

    pub(crate) fn put(&self, version: &str, files: Files) {
        self.inner
            .lock()
            .unwrap()
            .versions
            .insert(version.to_owned(), files);
    }

    pub(crate) fn point(&self, version: Option<&str>) {
        self.inner.lock().unwrap().alias = version.map(str::to_owned);
        let _ = self.changes.send(());
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.inner.lock().unwrap().is_down = is_down;
    }

    /// Files read so far.
    pub(crate) fn reads(&self) -> usize {
        self.inner.lock().unwrap().reads
    }

    pub(super) fn changes(&self) -> Option<broadcast::Receiver<()>> {
        self.announces.then(|| self.changes.subscribe())
    }

    pub(super) fn models(&self) -> Vec<RegisteredModel> {
        let inner = self.inner.lock().unwrap();
        let number = |version: &String| version.parse().unwrap();
        vec![RegisteredModel {
            name: "forest".to_owned(),
            aliases: inner
                .alias
                .iter()
                .map(|version| ("champion".to_owned(), number(version)))
                .collect(),
            versions: inner.versions.keys().rev().map(number).collect(),
        }]
    }

    /// A run of a task, over a table that two batches filled.
    pub(super) fn run(&self, run_id: &str) -> Result<Run, SourceError> {
        let tag = |(key, value): (&str, &str)| Tag::new(key, value);
        let tags = [
            ("fragua.dag_id", "training"),
            ("fragua.dag_run_id", "manual__1"),
            ("fragua.task_id", "train"),
        ];
        Ok(Run {
            info: RunInfo {
                run_id: run_id.to_owned(),
                run_name: "train".to_owned(),
                experiment_id: ExperimentId(1),
                user_id: "fragua".to_owned(),
                status: RunStatus::Finished,
                start_time: None,
                end_time: None,
                lifecycle_stage: LifecycleStage::Active,
                artifact_uri: format!("memory:/{run_id}"),
            },
            metrics: vec![Metric {
                key: format!("of_{run_id}"),
                value: 0.5,
                timestamp: Timestamp::from_millis(1),
                step: 0,
                model_id: None,
                dataset_name: None,
                dataset_digest: None,
            }],
            params: Vec::new(),
            tags: tags.map(tag).to_vec(),
            dataset_inputs: vec![DatasetInput {
                dataset: Dataset {
                    name: "cover_type".to_owned(),
                    digest: "0123456789abcdef".to_owned(),
                    source_type: "sql".to_owned(),
                    source: r#"{"table":"cover_type","batches":[{"dag_run_id":"load__1"},{"dag_run_id":"load__2"}]}"#
                        .to_owned(),
                    schema: None,
                    profile: Some(r#"{"num_rows":120}"#.to_owned()),
                },
                tags: vec![Tag::new("mlflow.data.context", "training")],
            }],
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }

    pub(super) fn set_alias(&self, model: &str, alias: &str, version: i32) -> Result<(), SourceError> {
        assert_eq!((model, alias), ("forest", "champion"));
        self.point(Some(&version.to_string()));
        Ok(())
    }

    pub(super) fn locate(&self, model: &ModelRef) -> Result<Located, SourceError> {
        let inner = self.inner.lock().unwrap();
        if inner.is_down {
            return Err(SourceError::Unreachable("connection refused".to_owned()));
        }
        let found = match &model.selector {
            _ if model.name != "forest" => None,
            Selector::Alias(alias) => inner.alias.clone().filter(|_| alias == "champion"),
            Selector::Version(version) => Some(version.to_string()),
            Selector::Latest => inner.versions.keys().next_back().cloned(),
        };
        let version = found
            .filter(|version| inner.versions.contains_key(version))
            .ok_or_else(|| SourceError::NotFound(model.to_string()))?;
        Ok(Located {
            identity: format!("memory:{version}"),
            run_id: Some(format!("run{version}")),
            created_at: Timestamp::from_millis(1_743_552_000_000),
            folder: format!("memory:/{version}"),
            version,
        })
    }

    pub(super) fn read(&self, located: &Located, file: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let mut inner = self.inner.lock().unwrap();
        inner.reads += 1;
        let files = &inner.versions[&located.version];
        let bytes = files
            .get(file)
            .ok_or_else(|| SourceError::NotFound(file.to_owned()))?;
        if bytes.len() as u64 > limit {
            return Err(SourceError::TooLarge {
                file: file.to_owned(),
                limit,
            });
        }
        Ok(bytes.clone())
    }
}
