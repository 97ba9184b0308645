//! `http_to_table`: the rows that a source answers with, into a table; all of them or none.

mod rows;
mod source;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::load::TableLoad;
use super::warehouse::Kind;
use super::{
    ArgumentError, Operator, Outcome, TaskContext, TaskError, Text, check_arguments, parse_arguments,
    table_asset, warehouse,
};
use crate::dag::duration::parse_duration;

/// Asks a source for rows and appends them to a table. Each row is checked first; the rows of one attempt are written
/// in one transaction, tagged with the DAG run in the column `fragua_dag_run_id`. A retry, or a run that was cleared,
/// replaces the rows it wrote before. Each load is a row of `fragua_loads` in the same database.
#[derive(Debug)]
pub(super) struct HttpToTable;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The address to ask with GET. Each attempt of a task sends the same `Idempotency-Key`.
    url: Text,
    /// Where the rows are in the answer: a key, or a JSON pointer such as `/result/data`.
    rows: Text,
    /// The columns, in the order of a row's values.
    columns: Vec<Text>,
    /// The name of the connection to the database.
    connection: Text,
    /// The table; made when it is missing.
    table: Text,
    /// What happens to rows that are there already: `append` leaves those of other runs alone.
    #[serde(default)]
    #[allow(dead_code, reason = "there is one mode, and a file may say so")]
    mode: Mode,
    /// What columns hold, where the first rows would not tell; asked only when the table is made.
    #[serde(default)]
    types: BTreeMap<String, ColumnType>,
    /// How long the source may take; one minute when absent.
    timeout: Option<Text>,
    /// The largest answer in bytes; 64 MiB when absent.
    max_body_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Append,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ColumnType {
    #[serde(alias = "bigint", alias = "BIGINT")]
    Integer,
    #[serde(alias = "double", alias = "DOUBLE")]
    Number,
    #[serde(alias = "TEXT")]
    Text,
}

impl From<ColumnType> for Kind {
    fn from(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Integer => Self::Integer,
            ColumnType::Number => Self::Float,
            ColumnType::Text => Self::Text,
        }
    }
}

impl Arguments {
    fn check(&self) -> Result<(), ArgumentError> {
        if self.columns.is_empty() {
            return Err(ArgumentError::at("/columns", "give at least one column"));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let place = format!("/columns/{index}");
            let column = column.as_str();
            if column.is_empty() || column.len() > 63 || column.contains('\0') {
                return Err(ArgumentError::at(
                    place,
                    format!("{column:?} cannot be a column's name"),
                ));
            }
            if column.to_ascii_lowercase().starts_with("fragua_") {
                return Err(ArgumentError::at(
                    place,
                    "names that begin with fragua_ are taken",
                ));
            }
            let twice = self.columns[..index]
                .iter()
                .any(|other| other.as_str().eq_ignore_ascii_case(column));
            if twice {
                return Err(ArgumentError::at(
                    place,
                    format!("column {column:?} stands here twice"),
                ));
            }
        }
        for column in self.types.keys() {
            if !self.columns.iter().any(|known| known.as_str() == column) {
                return Err(ArgumentError::at(
                    format!("/types/{column}"),
                    format!("there is no column {column:?}"),
                ));
            }
        }
        if !self.table.as_str().contains("{{") {
            warehouse::check_table_name(self.table.as_str())
                .map_err(|message| ArgumentError::at("/table", message))?;
        }
        self.timeout().map(drop)
    }

    fn timeout(&self) -> Result<Duration, ArgumentError> {
        let written = self.timeout.as_ref().map_or("60s", Text::as_str);
        if written.contains("{{") {
            return Ok(Duration::ZERO);
        }
        parse_duration(written).map_err(|message| ArgumentError::at("/timeout", message))
    }

    fn column_names(&self) -> Vec<&str> {
        self.columns.iter().map(Text::as_str).collect()
    }
}

#[async_trait]
impl Operator for HttpToTable {
    fn name(&self) -> &'static str {
        "http_to_table"
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(Arguments)
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        match check_arguments::<Arguments>(arguments)? {
            Some(arguments) => arguments.check(),
            None => Ok(()),
        }
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments: Arguments = parse_arguments(&arguments)?;
        arguments.check()?;
        let answer = source::ask(context, &arguments).await?;
        let columns = arguments.column_names();
        let rows = rows::shape(&answer.rows, &columns)?;
        println!("{} answered {} rows", answer.source_url, rows.len());

        let database = warehouse::open(context, arguments.connection.as_str()).await?;
        let table = arguments.table.as_str();
        let known = warehouse::table_columns(&database, table).await?;
        let kinds = match known.is_empty() {
            true => rows::infer_kinds(&rows, &columns, &arguments.types),
            false => rows::kinds_of_table(&columns, &known, table)?,
        };
        let cells = rows::convert(&rows, &columns, &kinds)?;
        let load = TableLoad {
            context,
            table,
            columns: columns.iter().copied().zip(kinds).collect(),
            cells,
            source_url: &answer.source_url,
            source_fields: &answer.fields,
            digest: &answer.digest,
        };
        let count = load.write(&database).await?;
        database.close().await;
        println!("wrote {count} rows to {table}");
        let handed_on =
            json!({ "table": table, "rows": count, "digest": answer.digest, "source_fields": answer.fields });
        let asset = table_asset(arguments.connection.as_str(), table);
        Ok(Outcome::with_xcom(handed_on).with_assets([asset]))
    }
}
