//! `predict`: the answers of a registered model for a whole table, query or object, into a table or an object.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use fragua_base::SystemClock;
use fragua_learn::{Column, Format, OnBadCell, ReadReport, Table, write_csv, write_parquet};
use fragua_orchestrator::{
    ArgumentError, ColumnKind, LoadCell, Operator, Outcome, TableLoad, TaskContext, TaskError,
    parse_arguments, table_asset, table_columns,
};
use fragua_serving::{DataType, ModelRef, ModelSource, ServedModel, Serving};
use object_store::{ObjectStoreExt as _, PutPayload};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::place::{Origin, Place, Source, Target};
use super::rows::{self, Types, Wanted};
use super::tracking::connect;

/// The alias of a model that is named without one.
const ALIAS: &str = "champion";

/// Predicts a table, with a model of the registry.
pub(super) struct Predict;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The registered model: NAME for its champion, NAME@ALIAS, or NAME/VERSION.
    model: String,
    /// Where the rows are.
    from: Source,
    /// Where the rows go, with the answers as further columns.
    into: Target,
    /// What to do with a cell that cannot be read as what its column holds.
    #[serde(default)]
    on_bad_cell: OnBadCell,
}

fn parse(arguments: &Value) -> Result<Arguments, ArgumentError> {
    let arguments: Arguments = parse_arguments(arguments)?;
    let is_written_later = arguments.model.contains("{{");
    if !is_written_later {
        ModelRef::parse(&arguments.model, ALIAS)
            .map_err(|error| ArgumentError::at("/model", error.to_string()))?;
    }
    arguments.from.origin()?;
    arguments.into.place()?;
    Ok(arguments)
}

#[async_trait]
impl Operator for Predict {
    fn name(&self) -> &'static str {
        "predict"
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(Arguments)
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        parse(arguments).map(drop)
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments = parse(&arguments)?;
        predict(context, &arguments)
            .await
            .map_err(|error| TaskError::failed(format!("{error:#}")))
    }
}

/// Rows to predict.
struct Input {
    table: Table,
    report: ReadReport,
    /// Where they are from, as it is kept beside the answers.
    source: Map<String, Value>,
}

async fn predict(context: &TaskContext, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let model = load(context, &arguments.model).await?;
    let name = format!("{} version {}", model.name, model.version);
    let input = read(context, &arguments.from, arguments.on_bad_cell, &model).await?;
    println!("read {} rows for {name}", input.table.row_count());
    if input.report.bad_cells > 0 {
        println!("{}", input.report);
    }
    let scoring = (Arc::clone(&model), input.table);
    let scored = tokio::task::spawn_blocking(move || scoring.0.score(&scoring.1))
        .await
        .context("predicting panicked")??;
    let asset = write(context, &arguments.into, &model, &scored, &input.source).await?;
    println!("wrote {} rows to {asset}", scored.row_count());
    let handed_on = json!({
        "model": model.name,
        "version": model.version,
        "run_id": model.run_id,
        "rows": scored.row_count(),
        "skipped_rows": input.report.skipped_rows,
        "bad_cells": input.report.bad_cells,
        "into": asset,
    });
    Ok(Outcome::with_xcom(handed_on).with_assets([asset]))
}

/// Loads a version as the serving role does, so that both answer the same.
async fn load(context: &TaskContext, model: &str) -> anyhow::Result<Arc<ServedModel>> {
    let model = ModelRef::parse(model, ALIAS)?;
    let source = ModelSource::Remote(connect(context)?);
    let settings = fragua_serving::Settings::default();
    let serving = Serving::open(source, settings, Arc::new(SystemClock))?;
    Ok(serving.loaded(&model).await?)
}

async fn read(
    context: &TaskContext,
    from: &Source,
    on_bad_cell: OnBadCell,
    model: &ServedModel,
) -> anyhow::Result<Input> {
    let origin = from.origin()?;
    let mut source = origin.source();
    let (table, report) = match origin {
        Origin::Place(Place::Table { connection, table }) => {
            let rows = rows::read(
                &rows::open(context, connection).await?,
                table,
                &Types::new(),
                on_bad_cell,
            )
            .await?;
            source.insert("digest".to_owned(), json!(rows.digest));
            source.insert("batches".to_owned(), json!(rows.batches));
            (rows.table, rows.report)
        }
        Origin::Query { connection, query } => {
            let database = rows::open(context, connection).await?;
            rows::query(&database, query, Wanted::All(&Types::new()), on_bad_cell).await?
        }
        Origin::Place(Place::Object(object)) => {
            let (bytes, etag) = object.read(context).await?;
            source.insert("etag".to_owned(), json!(etag));
            model.read_file(bytes, object.read_options(on_bad_cell))?
        }
    };
    Ok(Input {
        table,
        report,
        source,
    })
}

/// Writes the scored rows, and returns the asset that they are.
async fn write(
    context: &TaskContext,
    into: &Target,
    model: &ServedModel,
    scored: &Table,
    source: &Map<String, Value>,
) -> anyhow::Result<String> {
    match into.place()? {
        Place::Object(object) => {
            let mut bytes = Vec::new();
            match object.format() {
                Format::Parquet => write_parquet(scored, &mut bytes)?,
                Format::Csv | Format::JsonLines => write_csv(scored, &mut bytes)?,
            }
            let (store, path) = object.open(context)?;
            let put = store.put(&path, PutPayload::from(bytes)).await;
            put.with_context(|| object.to_string())?;
            Ok(object.to_string())
        }
        Place::Table { connection, table } => {
            let database = rows::open(context, connection).await?;
            let scored = rows::without_own_columns(scored)?;
            let known = table_columns(&database, table).await?;
            let columns = kinds(model, &scored, &known, table)?;
            let cells = cells(&scored, &columns)?;
            let mut source = source.clone();
            source.insert("version".to_owned(), json!(model.version));
            source.insert("run_id".to_owned(), json!(model.run_id));
            let load = TableLoad {
                context,
                table,
                columns,
                cells,
                source_url: &format!("models:/{}/{}", model.name, model.version),
                source_fields: &source,
                digest: &rows::digest(&scored)?,
            };
            load.write(&database).await?;
            database.close().await;
            Ok(table_asset(connection, table))
        }
    }
}

/// What each column holds in the database: what it holds there already, else what the model or its cells say.
fn kinds<'a>(
    model: &ServedModel,
    scored: &'a Table,
    known: &[(String, ColumnKind)],
    table: &str,
) -> anyhow::Result<Vec<(&'a str, ColumnKind)>> {
    let columns = scored.names().iter().zip(scored.columns());
    columns
        .map(|(name, column)| {
            if !known.is_empty() {
                let found = known.iter().find(|(known, _)| known == name);
                let (_, kind) = found.with_context(|| {
                    format!("table {table} has no column {name}; name another table, or add the column")
                })?;
                return Ok((name.as_str(), kind.clone()));
            }
            let feature = model.features.iter().find(|feature| feature.name == *name);
            let kind = match (column, feature.map(|feature| feature.data_type)) {
                (Column::Categorical(_), _) => ColumnKind::Text,
                (Column::Numeric(_), Some(DataType::Float | DataType::Double)) => ColumnKind::Float,
                (Column::Numeric(values), _)
                    if values.iter().all(|value| value.is_nan() || is_whole(*value)) =>
                {
                    ColumnKind::Integer
                }
                (Column::Numeric(_), _) => ColumnKind::Float,
            };
            Ok((name.as_str(), kind))
        })
        .collect()
}

/// Whole numbers up to 2^53 are exact.
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < 9e15
}

fn cells(scored: &Table, columns: &[(&str, ColumnKind)]) -> anyhow::Result<Vec<Vec<LoadCell>>> {
    let cell = |row: usize, index: usize| {
        let (name, kind) = &columns[index];
        let cell = match (scored.cell(row, index), kind) {
            (fragua_learn::Cell::Missing, ColumnKind::Integer) => LoadCell::Integer(None),
            (fragua_learn::Cell::Missing, ColumnKind::Float) => LoadCell::Float(None),
            (fragua_learn::Cell::Missing, ColumnKind::Text) => LoadCell::Text(None),
            (fragua_learn::Cell::Number(number), ColumnKind::Integer) if is_whole(number) => {
                LoadCell::Integer(Some(number as i64))
            }
            (fragua_learn::Cell::Number(number), ColumnKind::Float) => LoadCell::Float(Some(number)),
            (fragua_learn::Cell::Number(number), ColumnKind::Text) => {
                LoadCell::Text(Some(number.to_string()))
            }
            (fragua_learn::Cell::Text(text), ColumnKind::Text) => LoadCell::Text(Some(text.into_owned())),
            _ => bail!(
                "row {}, column {name}: the table's column holds {kind}; no row was written",
                row + 1
            ),
        };
        Ok(cell)
    };
    (0..scored.row_count())
        .map(|row| (0..columns.len()).map(|index| cell(row, index)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_thing() {
        let check = |from: Value, into: Value| {
            let arguments = json!({ "model": "forest@champion", "from": from, "into": into });
            Predict.check(&arguments).map_err(|error| error.to_string())
        };
        let table = json!({ "connection": "warehouse", "table": "rows" });
        let object = json!({ "connection": "store", "bucket": "in", "key": "rows.parquet" });
        assert_eq!(check(table.clone(), object.clone()), Ok(()));
        assert_eq!(check(object, table.clone()), Ok(()));
        let query = json!({ "connection": "warehouse", "query": "SELECT 1" });
        assert_eq!(check(query.clone(), table.clone()), Ok(()));
        let nothing = json!({ "connection": "store", "bucket": "in" });
        assert!(
            check(nothing.clone(), table.clone())
                .unwrap_err()
                .contains("a table or a query, or a bucket")
        );
        assert!(
            check(table.clone(), nothing)
                .unwrap_err()
                .contains("a table, or a bucket")
        );
        assert!(check(table.clone(), query).unwrap_err().contains("query"));
        let arguments = json!({ "model": "forest/first", "from": table, "into": table });
        assert!(
            Predict
                .check(&arguments)
                .unwrap_err()
                .to_string()
                .contains("version")
        );
    }
}
