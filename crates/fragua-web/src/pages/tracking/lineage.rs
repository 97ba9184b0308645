//! Where something came from: the rows, the DAG runs that loaded them, the DAG run that trained, the run.

use fragua_tracking::{DatasetInput, Run, Tracking};
use serde_json::Value;

use super::experiments::run_name;
use crate::format;
use crate::page::{Page, encode};

/// The tags that say which DAG run made a tracking run.
pub(super) const DAG_TAG: &str = "fragua.dag_id";
pub(super) const DAG_RUN_TAG: &str = "fragua.dag_run_id";

/// Batches that are named one by one before the list is cut.
const MOST_DAG_RUNS: usize = 12;

/// A data set as a run read it.
pub(super) struct DatasetView {
    pub(super) name: String,
    pub(super) digest: String,
    pub(super) context: String,
    pub(super) source: String,
    pub(super) rows: String,
    pub(super) dag_runs: Vec<DagRunLink>,
    /// How many DAG runs are not listed.
    pub(super) more: u64,
}

#[derive(Debug, PartialEq)]
pub(super) struct DagRunLink {
    pub(super) label: String,
    pub(super) address: Option<String>,
}

pub(super) fn dataset(page: &Page, input: &DatasetInput) -> DatasetView {
    let dataset = &input.dataset;
    let context = input.tags.iter().find(|tag| tag.key == "mlflow.data.context");
    let source: Value = serde_json::from_str(&dataset.source).unwrap_or(Value::Null);
    let profile: Option<Value> = dataset
        .profile
        .as_deref()
        .and_then(|profile| serde_json::from_str(profile).ok());
    let rows = profile.and_then(|profile| profile.get("num_rows")?.as_u64());
    let loads = loads(&source);
    let dag_runs = loads
        .iter()
        .take(MOST_DAG_RUNS)
        .map(|(dag_id, run_id)| DagRunLink {
            label: (*run_id).to_owned(),
            address: dag_run_address(page, Some(dag_id), Some(run_id)),
        })
        .collect();
    DatasetView {
        name: dataset.name.clone(),
        digest: dataset.digest.clone(),
        context: context.map_or_else(String::new, |tag| tag.value.clone()),
        source: place(&source).unwrap_or_else(|| match source {
            Value::Object(_) => dataset.source_type.clone(),
            _ => format::shorten(&dataset.source, 120),
        }),
        rows: rows.map_or_else(String::new, |rows| page.tn("count-rows", &rows)),
        dag_runs,
        more: loads.len().saturating_sub(MOST_DAG_RUNS) as u64,
    }
}

/// Returns the DAG run that made a run.
pub(super) fn dag_run(page: &Page, run: &Run) -> Option<DagRunLink> {
    Some(DagRunLink {
        label: run.tag(DAG_RUN_TAG)?.to_owned(),
        address: dag_run_address(page, run.tag(DAG_TAG), run.tag(DAG_RUN_TAG)),
    })
}

/// Returns where a run and its rows come from, for pages of other roles: the key of what it is, its name, its address.
/// Nothing for a run that is not there any more.
pub(crate) async fn origin(
    page: &Page,
    tracking: &Tracking,
    run_id: &str,
) -> Vec<(&'static str, String, Option<String>)> {
    let Ok(run) = tracking.run(run_id).await else {
        return Vec::new();
    };
    let made_by = dag_run(page, &run).map(|link| ("dag-run", link.label, link.address));
    let datasets = run.dataset_inputs.iter().map(|input| {
        let run_page = page.at_tracking(&format!("/runs/{}", encode(run_id)));
        ("dataset", dataset(page, input).name, run_page)
    });
    made_by.into_iter().chain(datasets).collect()
}

fn dag_run_address(page: &Page, dag_id: Option<&str>, dag_run_id: Option<&str>) -> Option<String> {
    page.at_orchestrator(&format!("/dags/{}/runs/{}", encode(dag_id?), encode(dag_run_id?)))
}

/// Returns the DAG runs that loaded the rows, as our training notes them: `(dag_id, dag_run_id)`.
fn loads(source: &Value) -> Vec<(&str, &str)> {
    let Some(batches) = source.get("batches").and_then(Value::as_array) else {
        return Vec::new();
    };
    batches
        .iter()
        .filter_map(|load| Some((load.get("dag_id")?.as_str()?, load.get("dag_run_id")?.as_str()?)))
        .collect()
}

/// Returns where a data set lies, in a few words.
fn place(source: &Value) -> Option<String> {
    if let (Some(connection), Some(table)) = (source.get("connection"), source.get("table")) {
        return Some(format!("{} · {}", connection.as_str()?, table.as_str()?));
    }
    // Data that autologging saw without a place of their own have the tags of the program that handed them over.
    ["uri", "url", "path", "tags"]
        .into_iter()
        .find_map(|key| {
            let place = source.get(key)?;
            place.get("mlflow.source.name").unwrap_or(place).as_str()
        })
        .map(str::to_owned)
}

/// A station on the way from the rows to where a model answers.
pub(super) struct Station {
    /// The key of the word for its kind.
    pub(super) kind: &'static str,
    pub(super) icon: &'static str,
    pub(super) label: String,
    pub(super) note: String,
    pub(super) address: Option<String>,
    /// The page itself.
    pub(super) is_here: bool,
}

impl Station {
    pub(super) fn new(kind: &'static str, icon: &'static str, label: impl Into<String>) -> Self {
        Self {
            kind,
            icon,
            label: label.into(),
            note: String::new(),
            address: None,
            is_here: false,
        }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn at(mut self, address: Option<String>) -> Self {
        self.address = address;
        self
    }

    pub(super) fn here(mut self) -> Self {
        self.is_here = true;
        self
    }
}

/// Returns the way to a run: what loaded the rows, the data sets, the DAG run that trained, the run itself.
pub(super) fn way_to(page: &Page, run: &Run) -> Vec<Station> {
    let mut way = Vec::new();
    for input in &run.dataset_inputs {
        let view = dataset(page, input);
        if let Some(first) = view.dag_runs.first() {
            let others = (view.dag_runs.len() - 1) as u64 + view.more;
            let note = if others > 0 {
                page.tn("and-more", &others)
            } else {
                String::new()
            };
            let load = Station::new("loaded-by", "graph", &first.label);
            way.push(load.note(note).at(first.address.clone()));
        }
        let note = if view.rows.is_empty() {
            view.digest
        } else {
            view.rows
        };
        let set = Station::new("dataset", "bucket", view.name);
        way.push(
            set.note(note)
                .at(Some(format!("/runs/{}#data", encode(&run.info.run_id)))),
        );
    }
    if let Some(dag_run) = dag_run(page, run) {
        let trained = Station::new("dag-run", "graph", dag_run.label);
        way.push(
            trained
                .note(run.tag(DAG_TAG).unwrap_or_default())
                .at(dag_run.address),
        );
    }
    let made = Station::new("run", "flask", run_name(run));
    way.push(made.at(Some(format!("/runs/{}", encode(&run.info.run_id)))));
    way
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_loads_of_a_training() {
        let source = json!({
            "connection": "warehouse",
            "table": "cover_type",
            "batches": [
                {"dag_id": "data_loading_dag", "dag_run_id": "scheduled__1", "row_count": 1162},
                {"dag_id": "data_loading_dag", "dag_run_id": "scheduled__2", "row_count": 1162},
                {"row_count": 3},
                "nonsense",
            ],
        });
        let expected = [
            ("data_loading_dag", "scheduled__1"),
            ("data_loading_dag", "scheduled__2"),
        ];
        assert_eq!(loads(&source), expected);
        assert_eq!(place(&source).as_deref(), Some("warehouse · cover_type"));
        for foreign in [json!(null), json!([1]), json!({"batches": 7}), json!("s3://x")] {
            assert!(loads(&foreign).is_empty(), "{foreign}");
        }
        assert_eq!(
            place(&json!({"uri": "s3://b/x.csv"})).as_deref(),
            Some("s3://b/x.csv")
        );
        let autologged = json!({"tags": {"mlflow.user": "ana", "mlflow.source.name": "train.py"}});
        assert_eq!(place(&autologged).as_deref(), Some("train.py"));
        assert_eq!(place(&json!({"tags": {"mlflow.user": "ana"}})), None);
    }
}
