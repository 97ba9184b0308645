//! The data set of a training, in the words of MLflow's tracking.

use fragua_learn::{ColumnKind, Table};
use fragua_tracking::{Dataset, DatasetInput, Tag};
use serde_json::{Map, Value, json};

use super::place::{Origin, Place};
use super::rows::{Batch, Rows};

/// MLflow refuses longer sources and schemas.
const MAXIMUM_BYTES: usize = 65_535;

/// Returns the rows as the input of a training.
pub(super) fn input(origin: &Origin<'_>, rows: &Rows) -> DatasetInput {
    let (name, source_type) = match origin {
        Origin::Query { .. } => ("query", "sql"),
        Origin::Place(Place::Table { table, .. }) => (*table, "sql"),
        Origin::Place(Place::Object(object)) => (object.file_name(), "s3"),
    };
    let dataset = Dataset {
        name: name.to_owned(),
        digest: rows.digest.clone(),
        source_type: source_type.to_owned(),
        source: source(origin.source(), &rows.batches),
        schema: Some(schema(&rows.table)),
        profile: Some(profile(&rows.table)),
    };
    DatasetInput {
        dataset,
        tags: vec![Tag::new("mlflow.data.context", "training")],
    }
}

/// Returns the source of the data set: where the rows are, and which loads brought them.
///
/// Lineage reads this back. Above MLflow's limit the loads are summed up by their DAG.
fn source(place: Map<String, Value>, batches: &[Batch]) -> String {
    let written = |more: Value| {
        let more = more.as_object().cloned().unwrap_or_default();
        Value::Object(place.clone().into_iter().chain(more).collect()).to_string()
    };
    let full = written(json!({ "batches": batches }));
    if full.len() <= MAXIMUM_BYTES {
        return full;
    }
    let first = batches.first().map(|batch| &batch.dag_run_id);
    let last = batches.last().map(|batch| &batch.dag_run_id);
    written(json!({ "batch_count": batches.len(), "first": first, "last": last }))
}

/// Returns the columns in the form of MLflow's data set schemas.
fn schema(table: &Table) -> String {
    let columns: Vec<Value> = table
        .names()
        .iter()
        .zip(table.columns())
        .map(|(name, column)| {
            let kind = match column.kind() {
                ColumnKind::Numeric => "double",
                ColumnKind::Categorical => "string",
            };
            json!({ "type": kind, "name": name, "required": true })
        })
        .collect();
    json!({ "mlflow_colspec": columns }).to_string()
}

/// Returns the size of the table in the form of MLflow's data set profiles.
fn profile(table: &Table) -> String {
    let rows = table.row_count();
    json!({ "num_rows": rows, "num_elements": rows * table.names().len() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Map<String, Value> {
        let (connection, table) = ("warehouse", "cover_type");
        Origin::Place(Place::Table { connection, table }).source()
    }

    fn batches(count: usize) -> Vec<Batch> {
        (0..count)
            .map(|number| Batch {
                dag_id: "data_loading_dag".to_owned(),
                dag_run_id: format!("scheduled__{number}"),
                row_count: 1_162,
                source: json!({ "batch_number": number }),
            })
            .collect()
    }

    #[test]
    fn the_source_names_each_batch() {
        let source: Value = serde_json::from_str(&source(place(), &batches(2))).unwrap();
        assert_eq!(source["batches"][1]["source"]["batch_number"], 1);
    }

    #[test]
    fn a_source_over_the_limit_is_summed_up() {
        let text = source(place(), &batches(10_000));
        assert!(text.len() < MAXIMUM_BYTES);
        let source: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&source["batch_count"], &source["last"]),
            (&json!(10_000), &json!("scheduled__9999"))
        );
    }
}
