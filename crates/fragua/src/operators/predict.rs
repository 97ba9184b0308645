//! `predict`: the answers of a registered model for a whole table, query or object, into a table or an object.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use fragua_base::SystemClock;
use fragua_learn::{Column, Format, OnBadCell, ReadOptions, ReadReport, Table, write_csv, write_parquet};
use fragua_orchestrator::{
    ArgumentError, ColumnKind, LoadCell, Operator, Outcome, TableLoad, TaskContext, TaskError, open_bucket,
    parse_arguments, table_asset, table_columns,
};
use fragua_serving::{DataType, ModelRef, ModelSource, ServedModel, Serving};
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt as _, PutPayload};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::rows;
use super::tracking::connect;

/// The largest object that is read, and what it may unpack to.
const MAXIMUM_OBJECT_BYTES: u64 = 2 << 30;
const MAXIMUM_UNPACKED_BYTES: u64 = 16 << 30;
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

/// A table, the rows of a query, or an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Source {
    /// The connection of the database, or of the object store: the program's own when absent.
    connection: Option<String>,
    /// The table, all of whose rows are taken.
    table: Option<String>,
    /// A query, instead of the table.
    query: Option<String>,
    /// The bucket of the object.
    bucket: Option<String>,
    /// The key of the object: `.csv`, `.jsonl` (both also `.gz`) or `.parquet`.
    key: Option<String>,
}

/// A table or an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    /// The connection of the database, or of the object store: the program's own when absent.
    connection: Option<String>,
    /// The table; made when it is missing. A retry replaces what the run wrote before.
    table: Option<String>,
    /// The bucket of the object.
    bucket: Option<String>,
    /// The key of the object: `.parquet`, or CSV. It is written over.
    key: Option<String>,
}

/// Where rows may be or go.
enum Place<'a> {
    Table { connection: &'a str, table: &'a str },
    Object(Object<'a>),
}

/// Where rows may be.
enum Origin<'a> {
    Query { connection: &'a str, query: &'a str },
    Place(Place<'a>),
}

struct Object<'a> {
    connection: Option<&'a str>,
    bucket: &'a str,
    key: &'a str,
}

impl Source {
    fn origin(&self) -> Result<Origin<'_>, ArgumentError> {
        if let (Some(connection), None, Some(query), None, None) = (
            &self.connection,
            &self.table,
            &self.query,
            &self.bucket,
            &self.key,
        ) {
            return Ok(Origin::Query { connection, query });
        }
        let place = Place::of(&self.connection, &self.table, &self.bucket, &self.key);
        let place = place.filter(|_| self.query.is_none()).map(Origin::Place);
        let message = "give a connection with a table or a query, or a bucket and a key";
        place.ok_or_else(|| ArgumentError::at("/from", message))
    }
}

impl Target {
    fn place(&self) -> Result<Place<'_>, ArgumentError> {
        let place = Place::of(&self.connection, &self.table, &self.bucket, &self.key);
        place
            .ok_or_else(|| ArgumentError::at("/into", "give a connection and a table, or a bucket and a key"))
    }
}

impl<'a> Place<'a> {
    fn of(
        connection: &'a Option<String>,
        table: &'a Option<String>,
        bucket: &'a Option<String>,
        key: &'a Option<String>,
    ) -> Option<Self> {
        match (connection, table, bucket, key) {
            (Some(connection), Some(table), None, None) => Some(Self::Table { connection, table }),
            (connection, None, Some(bucket), Some(key)) => Some(Self::Object(Object {
                connection: connection.as_deref(),
                bucket,
                key,
            })),
            _ => None,
        }
    }
}

impl Object<'_> {
    fn open(&self, context: &TaskContext) -> anyhow::Result<(AmazonS3, ObjectPath)> {
        let path = ObjectPath::parse(self.key).with_context(|| format!("the key {}", self.key))?;
        Ok((open_bucket(context, self.connection, self.bucket)?, path))
    }

    fn format(&self) -> Format {
        Format::of(Path::new(self.key))
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
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
    let (table, report, source) = match from.origin()? {
        Origin::Place(Place::Table { connection, table }) => {
            let rows = rows::read(&rows::open(context, connection).await?, table, on_bad_cell).await?;
            let source = vec![
                ("connection", json!(connection)),
                ("table", json!(table)),
                ("digest", json!(rows.digest)),
                ("batches", json!(rows.batches)),
            ];
            (rows.table, rows.report, source)
        }
        Origin::Query { connection, query } => {
            let database = rows::open(context, connection).await?;
            let (table, report) = rows::query(&database, query, None, on_bad_cell).await?;
            let source = vec![("connection", json!(connection)), ("query", json!(query))];
            (table, report, source)
        }
        Origin::Place(Place::Object(object)) => {
            let (store, path) = object.open(context)?;
            let found = store.get(&path).await.with_context(|| object.to_string())?;
            let size = found.meta.size;
            ensure!(
                size <= MAXIMUM_OBJECT_BYTES,
                "{object} has {size} bytes, more than {MAXIMUM_OBJECT_BYTES}; part it"
            );
            let source = vec![
                ("object", json!(object.to_string())),
                ("etag", json!(found.meta.e_tag)),
            ];
            let options = ReadOptions {
                format: Some(object.format()),
                kinds: None,
                on_bad_cell,
                max_bytes: MAXIMUM_UNPACKED_BYTES,
            };
            let (table, report) = model.read_file(found.bytes().await?, options)?;
            (table, report, source)
        }
    };
    let source = source.into_iter();
    Ok(Input {
        table,
        report,
        source: source.map(|(key, value)| (key.to_owned(), value)).collect(),
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
            let scored = without_own_columns(scored)?;
            let known = table_columns(&database, table).await?;
            let columns = kinds(model, &scored, &known, table)?;
            let cells = cells(&scored, &columns)?;
            let mut digest = Digest::default();
            write_csv(&scored, &mut digest)?;
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
                digest: &hex::encode(&digest.0.finalize()[..8]),
            };
            load.write(&database).await?;
            database.close().await;
            Ok(table_asset(connection, table))
        }
    }
}

/// A query may give columns that tell where rows are from; those of the new table tell it of this run.
fn without_own_columns(table: &Table) -> anyhow::Result<Table> {
    let columns = table.names().iter().zip(table.columns());
    let kept = columns.filter(|(name, _)| !name.starts_with("fragua_"));
    Ok(Table::new(
        kept.map(|(name, column)| (name.clone(), column.clone()))
            .collect(),
    )?)
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

/// Hashes what is written to it.
#[derive(Default)]
struct Digest(Sha256);

impl std::io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
