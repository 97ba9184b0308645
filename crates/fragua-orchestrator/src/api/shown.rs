//! What answers are made of.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use serde_json::{Value, json};

use crate::listing::NumberedVersion;
use crate::{Error, Orchestrator};

/// The name of the one folder that DAG files come from, where Airflow has bundles.
pub(super) const BUNDLE: &str = "dags-folder";

pub(super) fn date(at: Timestamp) -> Value {
    at.to_rfc3339().into()
}

pub(super) fn date_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, date)
}

/// The seconds between two instants, where both are known.
pub(super) fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Value {
    match (from, to) {
        (Some(from), Some(to)) => to.since(from).as_secs_f64().into(),
        _ => Value::Null,
    }
}

/// The versions of some DAGs, by DAG and hash.
pub(super) struct Versions(BTreeMap<(String, String), Value>);

impl Versions {
    pub(super) async fn of<'a>(
        orchestrator: &Orchestrator,
        dag_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let mut dag_ids: Vec<&str> = dag_ids.into_iter().collect();
        dag_ids.sort_unstable();
        dag_ids.dedup();
        if dag_ids.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let versions = orchestrator.numbered_versions(&dag_ids).await?;
        let shown = versions.into_iter().map(|version| {
            let shown = version_json(&version);
            ((version.dag_id, version.version), shown)
        });
        Ok(Self(shown.collect()))
    }

    pub(super) fn shown(&self, dag_id: &str, version: &str) -> Value {
        let key = (dag_id.to_owned(), version.to_owned());
        self.0.get(&key).cloned().unwrap_or(Value::Null)
    }
}

pub(super) fn version_json(version: &NumberedVersion) -> Value {
    let id = version
        .version
        .get(..32)
        .and_then(|hash| uuid::Uuid::try_parse(hash).ok());
    json!({
        "id": id.unwrap_or_default(),
        "version_number": version.number,
        "dag_id": version.dag_id,
        "dag_display_name": version.dag_id,
        "bundle_name": BUNDLE,
        "bundle_version": null,
        "bundle_url": null,
        "created_at": date(version.created_at),
    })
}
