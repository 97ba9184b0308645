//! Rows of a warehouse table as a table to learn from.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use fragua_database::{Database, Engine};
use fragua_learn::config::ColumnType;
use fragua_learn::files::Intake;
use fragua_learn::{Cell, Column, ColumnKind, OnBadCell, ReadReport, Table, TableBuilder, write_csv};
use fragua_orchestrator::TaskContext;
use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, QueryResult, Statement, StreamTrait as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The column that `http_to_table` tags rows with.
const DAG_RUN_COLUMN: &str = "fragua_dag_run_id";
/// The table in which `http_to_table` notes each load.
const LOADS_TABLE: &str = "fragua_loads";

/// A table with where its rows came from.
pub(super) struct Rows {
    pub(super) table: Table,
    /// 16 hexadecimal characters of the SHA-256 over names and cells; equal tables have equal digests.
    pub(super) digest: String,
    /// The loads that brought the rows, in the order of their DAG runs.
    pub(super) batches: Vec<Batch>,
    /// What was not read as it stood.
    pub(super) report: ReadReport,
}

/// The rows that one DAG run loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) dag_id: String,
    pub(super) dag_run_id: String,
    pub(super) row_count: i64,
    /// What the source said beside the rows, such as `batch_number`.
    pub(super) source: Value,
}

/// Opens the database of a connection.
///
/// # Errors
/// There is no such connection, or its database does not answer.
pub(super) async fn open(context: &TaskContext, connection: &str) -> anyhow::Result<Database> {
    let url = context.connection_url(connection)?;
    Ok(Database::open(url.expose(), "connections").await?)
}

/// Reads all rows of `table` in an order that does not depend on the engine's mood: by DAG run, then by value.
/// Columns named `fragua_…` are ours and left out.
///
/// # Errors
/// When the table is missing or empty, a column holds something that is neither a number nor a text, or a cell is refused.
pub(super) async fn read(
    database: &Database,
    table: &str,
    types: &Types,
    on_bad_cell: OnBadCell,
) -> anyhow::Result<Rows> {
    let all_columns = columns(database, table).await?;
    let names: Vec<String> = all_columns
        .iter()
        .filter(|name| !name.starts_with("fragua_"))
        .cloned()
        .collect();
    ensure!(!names.is_empty(), "table {table} has no columns");
    let is_tagged = all_columns.iter().any(|name| name == DAG_RUN_COLUMN);

    let listed = names
        .iter()
        .map(|name| quote(database, name))
        .collect::<Vec<_>>()
        .join(", ");
    let order = if is_tagged {
        format!("{}, {listed}", quote(database, DAG_RUN_COLUMN))
    } else {
        listed.clone()
    };
    let sql = format!("SELECT {listed} FROM {} ORDER BY {order}", quote(database, table));

    let builder = TableBuilder::new(names.iter().cloned()).declare(types);
    let mut intake = Intake::new(builder, on_bad_cell);
    let mut hasher = Sha256::new();
    names
        .iter()
        .for_each(|name| absorb(&mut hasher, b'c', name.as_bytes()));
    let mut decoders = vec![Decoder::Integer; names.len()];
    let mut stream = database.reader().stream_raw(statement(database, sql)).await?;
    let mut number = 0;
    while let Some(row) = stream.try_next().await? {
        let mut cells = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            cells.push(cell(&row, index, &mut decoders[index]).with_context(|| format!("column {name}"))?);
        }
        cells.iter().for_each(|cell| cell.absorb_into(&mut hasher));
        number += 1;
        intake.push(number, cells.iter().map(|cell| Ok(cell.as_cell())))?;
    }
    drop(stream);

    let digest = hex::encode(&hasher.finalize()[..8]);
    let batches = if is_tagged {
        batches(database, table).await?
    } else {
        Vec::new()
    };
    let (table, report) = intake.finish()?;
    Ok(Rows {
        table,
        digest,
        batches,
        report,
    })
}

/// What columns are said to hold.
pub(crate) type Types = BTreeMap<String, ColumnType>;

/// Which columns are read, and as what.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// These, with their kinds.
    These(&'a [(String, ColumnKind)]),
    /// All; kinds that are not said are found.
    All(&'a Types),
}

/// Reads the rows of a query.
///
/// # Errors
/// When the query fails or gives no rows, a column is missing or holds something that is neither a number nor a text, or a
/// cell is refused.
pub(crate) async fn query(
    database: &Database,
    sql: &str,
    wanted: Wanted<'_>,
    on_bad_cell: OnBadCell,
) -> anyhow::Result<(Table, ReadReport)> {
    let mut stream = database
        .reader()
        .stream_raw(statement(database, sql.to_owned()))
        .await?;
    let first = stream.try_next().await?.context("the query gives no rows")?;
    let present = first.column_names();
    let (builder, places) = match wanted {
        Wanted::All(types) => (
            TableBuilder::new(present.iter().cloned()).declare(types),
            (0..present.len()).collect(),
        ),
        Wanted::These(kinds) => {
            let place = |(name, _): &(String, ColumnKind)| {
                let found = present.iter().position(|known| known == name);
                found.with_context(|| {
                    format!(
                        "the query gives no column {name}; it gives: {}",
                        present.join(", ")
                    )
                })
            };
            let places = kinds.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?;
            (TableBuilder::typed(kinds.iter().cloned()), places)
        }
    };
    let mut intake = Intake::new(builder, on_bad_cell);
    let mut decoders = vec![Decoder::Integer; places.len()];
    let (mut next, mut number) = (Some(first), 0);
    while let Some(row) = next {
        let mut cells = Vec::with_capacity(places.len());
        for (&index, decoder) in places.iter().zip(&mut decoders) {
            cells.push(cell(&row, index, decoder).with_context(|| format!("column {}", present[index]))?);
        }
        number += 1;
        intake.push(number, cells.iter().map(|cell| Ok(cell.as_cell())))?;
        next = stream.try_next().await?;
    }
    Ok(intake.finish()?)
}

/// Reads the rows of a query, in its order, to learn from: all columns but ours.
///
/// # Errors
/// As [`query`].
pub(super) async fn read_query(
    database: &Database,
    sql: &str,
    types: &Types,
    on_bad_cell: OnBadCell,
) -> anyhow::Result<Rows> {
    let (table, report) = query(database, sql, Wanted::All(types), on_bad_cell).await?;
    let batches = batches_of_query(database, &table).await?;
    let table = without_own_columns(&table)?;
    Ok(Rows {
        digest: digest(&table)?,
        table,
        batches,
        report,
    })
}

/// Leaves out the columns that tell where rows are from.
pub(super) fn without_own_columns(table: &Table) -> anyhow::Result<Table> {
    let columns = table.names().iter().zip(table.columns());
    let kept = columns.filter(|(name, _)| !name.starts_with("fragua_"));
    Ok(Table::new(
        kept.map(|(name, column)| (name.clone(), column.clone()))
            .collect(),
    )?)
}

/// Returns 16 hexadecimal characters of the SHA-256 over the rows as CSV.
pub(super) fn digest(table: &Table) -> anyhow::Result<String> {
    let mut digest = Digest::default();
    write_csv(table, &mut digest)?;
    Ok(hex::encode(&digest.0.finalize()[..8]))
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

async fn columns(database: &Database, table: &str) -> anyhow::Result<Vec<String>> {
    let sql = format!("SELECT * FROM {} LIMIT 1", quote(database, table));
    let row = database
        .reader()
        .query_one_raw(statement(database, sql))
        .await
        .with_context(|| format!("cannot read table {table}; has its loading DAG run?"))?;
    Ok(row
        .with_context(|| format!("table {table} has no rows; has its loading DAG run?"))?
        .column_names())
}

/// Counts the rows of each DAG run and joins what was noted when they were loaded.
async fn batches(database: &Database, table: &str) -> anyhow::Result<Vec<Batch>> {
    let run = quote(database, DAG_RUN_COLUMN);
    let sql = format!(
        "SELECT {run}, COUNT(*) FROM {} WHERE {run} IS NOT NULL GROUP BY {run} ORDER BY {run}",
        quote(database, table)
    );
    let rows = database.reader().query_all_raw(statement(database, sql)).await?;
    let counted = rows
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)));
    let counted = counted.collect::<anyhow::Result<_>>()?;
    Ok(noted(counted, notes(database, Some(table)).await?))
}

/// The same of the rows of a query that gives the column of DAG runs too.
async fn batches_of_query(database: &Database, table: &Table) -> anyhow::Result<Vec<Batch>> {
    let Ok(Column::Categorical(runs)) = table.column(DAG_RUN_COLUMN) else {
        return Ok(Vec::new());
    };
    let mut counted = BTreeMap::<String, i64>::new();
    for run in (0..table.row_count()).filter_map(|row| runs.text(row)) {
        match counted.get_mut(run) {
            Some(count) => *count += 1,
            None => {
                counted.insert(run.to_owned(), 1);
            }
        }
    }
    Ok(noted(counted, notes(database, None).await?))
}

fn noted(counted: BTreeMap<String, i64>, mut notes: BTreeMap<String, Note>) -> Vec<Batch> {
    let batch = |(tag, row_count): (String, i64)| {
        let note = notes.remove(&tag);
        let (dag_id, dag_run_id, source) = note.unwrap_or_else(|| (String::new(), tag, Value::Null));
        Batch {
            dag_id,
            dag_run_id,
            row_count,
            source,
        }
    };
    counted.into_iter().map(batch).collect()
}

/// DAG, DAG run and the source's fields of a load.
type Note = (String, String, Value);

/// Returns what was noted of each load of a table by the tag of its rows; of all tables those whose tag one of them alone has.
async fn notes(database: &Database, table: Option<&str>) -> anyhow::Result<BTreeMap<String, Note>> {
    let mut sql = format!("SELECT tag, dag_id, dag_run_id, source_fields FROM {LOADS_TABLE}");
    if table.is_some() {
        sql.push_str(match database.engine() {
            Engine::Postgres => " WHERE table_name = $1",
            _ => " WHERE table_name = ?",
        });
    }
    let backend = database.reader().get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, table.map(Into::into));
    let rows = database.reader().query_all_raw(statement).await?;
    let (mut notes, mut shared) = (BTreeMap::new(), BTreeSet::new());
    for row in &rows {
        let tag: String = row.try_get_by_index(0)?;
        let source: String = row.try_get_by_index(3)?;
        let source = serde_json::from_str(&source).unwrap_or_default();
        let note = (row.try_get_by_index(1)?, row.try_get_by_index(2)?, source);
        if notes.insert(tag.clone(), note).is_some() {
            shared.insert(tag);
        }
    }
    notes.retain(|tag, _| !shared.contains(tag));
    Ok(notes)
}

fn statement(database: &Database, sql: String) -> Statement {
    Statement::from_string(database.reader().get_database_backend(), sql)
}

/// Quotes a name of a table or column; the quote character inside is doubled.
fn quote(database: &Database, name: &str) -> String {
    let mark = if database.engine() == Engine::MySql {
        '`'
    } else {
        '"'
    };
    format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
}

/// A cell that outlives its row.
#[derive(Debug, PartialEq)]
enum Owned {
    Missing,
    Number(f64),
    Text(String),
}

impl Owned {
    fn as_cell(&self) -> Cell<'_> {
        match self {
            Self::Missing => Cell::Missing,
            Self::Number(number) => Cell::Number(*number),
            Self::Text(text) => Cell::Text(text.into()),
        }
    }

    fn absorb_into(&self, hasher: &mut Sha256) {
        match self {
            Self::Missing => absorb(hasher, b'0', b""),
            Self::Number(number) => absorb(hasher, b'n', &number.to_bits().to_le_bytes()),
            Self::Text(text) => absorb(hasher, b't', text.as_bytes()),
        }
    }
}

/// Hashes a kind, a length and the bytes, so that no two lists of cells hash the same text.
fn absorb(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// How a column's values are read. The engines differ in the types they report, SQLite even from row to row,
/// so the way that worked last is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoder {
    Integer,
    Double,
    Text,
    SmallInteger,
    Single,
    Boolean,
}

const DECODERS: [Decoder; 6] = [
    Decoder::Integer,
    Decoder::Double,
    Decoder::Text,
    Decoder::SmallInteger,
    Decoder::Single,
    Decoder::Boolean,
];

impl Decoder {
    #[expect(clippy::cast_precision_loss, reason = "models calculate in floating point")]
    fn decode(self, row: &QueryResult, index: usize) -> Option<Owned> {
        let number = |value: Option<f64>| value.map_or(Owned::Missing, Owned::Number);
        match self {
            Self::Integer => row
                .try_get_by_index::<Option<i64>>(index)
                .ok()
                .map(|value| number(value.map(|value| value as f64))),
            Self::Double => row.try_get_by_index::<Option<f64>>(index).ok().map(number),
            Self::Text => row
                .try_get_by_index::<Option<String>>(index)
                .ok()
                .map(|value| value.map_or(Owned::Missing, Owned::Text)),
            Self::SmallInteger => row
                .try_get_by_index::<Option<i32>>(index)
                .ok()
                .map(|value| number(value.map(f64::from))),
            Self::Single => row
                .try_get_by_index::<Option<f32>>(index)
                .ok()
                .map(|value| number(value.map(f64::from))),
            Self::Boolean => row
                .try_get_by_index::<Option<bool>>(index)
                .ok()
                .map(|value| number(value.map(|value| f64::from(u8::from(value))))),
        }
    }
}

fn cell(row: &QueryResult, index: usize, decoder: &mut Decoder) -> anyhow::Result<Owned> {
    if let Some(value) = decoder.decode(row, index) {
        return Ok(value);
    }
    for other in DECODERS {
        if let Some(value) = other.decode(row, index) {
            *decoder = other;
            return Ok(value);
        }
    }
    bail!("holds a type that is neither a number nor a text; cast it in a view")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(database: &Database, statements: &[&str]) {
        for sql in statements {
            database
                .writer()
                .execute_raw(statement(database, (*sql).to_owned()))
                .await
                .unwrap();
        }
    }

    async fn load(database: &Database, inserts: [&str; 2]) {
        run(
            database,
            &[
                "CREATE TABLE trees (height DOUBLE PRECISION, rings BIGINT, kind VARCHAR(20), fragua_dag_run_id VARCHAR(99))",
                "CREATE TABLE fragua_loads (dag_id VARCHAR(99), dag_run_id VARCHAR(99), table_name VARCHAR(99), \
                 tag VARCHAR(99), source_fields VARCHAR(99))",
                "INSERT INTO fragua_loads VALUES ('loading', 'day 1', 'trees', 'day 1', '{\"batch_number\":1}'), \
                 ('loading', 'day 2', 'trees', 'day 2~ab12', '{\"batch_number\":2}'), \
                 ('loading', 'day 1', 'flowers', 'day 1', '{\"batch_number\":9}')",
                inserts[0],
                inserts[1],
            ],
        )
        .await;
    }

    const FIRST: &str = "INSERT INTO trees VALUES (2.5, 7, 'oak', 'day 1'), (NULL, 3, NULL, 'day 1')";
    const SECOND: &str = "INSERT INTO trees VALUES (1.0, 9, 'fir', 'day 2~ab12')";

    async fn rows_come_in_one_order_with_the_batches_they_came_in(database: Database) {
        load(&database, [SECOND, FIRST]).await;
        let rows = read(&database, "trees", &Types::new(), OnBadCell::Refuse)
            .await
            .unwrap();
        assert_eq!(rows.table.names(), ["height", "rings", "kind"]);
        assert_eq!(rows.table.row_count(), 3);
        assert_eq!(
            format!("{:?}", rows.table.cell(2, 2)),
            format!("{:?}", Cell::Text("fir".into()))
        );
        let batches: Vec<_> = rows
            .batches
            .iter()
            .map(|batch| {
                (
                    batch.dag_run_id.as_str(),
                    batch.row_count,
                    batch.source["batch_number"].as_i64(),
                )
            })
            .collect();
        assert_eq!(batches, [("day 1", 2, Some(1)), ("day 2", 1, Some(2))]);
    }

    async fn a_missing_and_an_empty_table_are_named(database: Database) {
        let error = read(&database, "trees", &Types::new(), OnBadCell::Refuse)
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("cannot read table trees"), "{error:#}");
        run(&database, &["CREATE TABLE trees (height BIGINT)"]).await;
        let error = read(&database, "trees", &Types::new(), OnBadCell::Refuse)
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("table trees has no rows"), "{error:#}");
    }

    async fn a_query_gives_the_columns_that_are_asked_for(database: Database) {
        load(&database, [FIRST, SECOND]).await;
        let sql = "SELECT kind, height, rings FROM trees ORDER BY rings";
        let (table, report) = query(&database, sql, Wanted::All(&Types::new()), OnBadCell::Refuse)
            .await
            .unwrap();
        assert_eq!(table.names(), ["kind", "height", "rings"]);
        assert_eq!((report.rows, table.cell(2, 0)), (3, Cell::Text("fir".into())));
        let kinds = ["rings", "kind"].map(|name| (name.to_owned(), ColumnKind::Numeric));
        let refused = query(&database, sql, Wanted::These(&kinds), OnBadCell::Refuse)
            .await
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("row 2, column `kind`: expected a number")
        );
        let (table, report) = query(&database, sql, Wanted::These(&kinds), OnBadCell::Skip)
            .await
            .unwrap();
        assert_eq!(table.names(), ["rings", "kind"]);
        assert_eq!((table.row_count(), report.skipped_rows), (1, 2));
        let none = "SELECT kind FROM trees WHERE rings > 99";
        let none = query(&database, none, Wanted::All(&Types::new()), OnBadCell::Refuse)
            .await
            .unwrap_err();
        assert_eq!(none.to_string(), "the query gives no rows");
        let kinds = [("bark".to_owned(), ColumnKind::Numeric)];
        let missing = query(&database, sql, Wanted::These(&kinds), OnBadCell::Refuse)
            .await
            .unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the query gives no column bark; it gives: kind, height, rings"
        );
    }

    async fn rows_of_a_query_tell_the_batches_they_came_in(database: Database) {
        load(&database, [FIRST, SECOND]).await;
        let sql = "SELECT * FROM trees WHERE rings < 8 ORDER BY rings";
        let rows = read_query(&database, sql, &Types::new(), OnBadCell::Refuse)
            .await
            .unwrap();
        assert_eq!(rows.table.names(), ["height", "rings", "kind"]);
        // Two tables have loads of the first day: from which one a query took its rows nobody knows.
        let batch = |dag_id: &str, source: Value| Batch {
            dag_id: dag_id.to_owned(),
            dag_run_id: "day 1".to_owned(),
            row_count: 2,
            source,
        };
        assert_eq!(rows.batches, [batch("", Value::Null)]);
        run(
            &database,
            &["DELETE FROM fragua_loads WHERE table_name = 'flowers'"],
        )
        .await;
        let again = read_query(&database, sql, &Types::new(), OnBadCell::Refuse)
            .await
            .unwrap();
        assert_eq!(
            again.batches,
            [batch("loading", serde_json::json!({ "batch_number": 1 }))]
        );
        assert_eq!(again.digest, rows.digest);
        let untagged = "SELECT rings FROM trees";
        let rows = read_query(&database, untagged, &Types::new(), OnBadCell::Refuse)
            .await
            .unwrap();
        assert!(rows.batches.is_empty());
    }

    async fn names_that_need_quotes_are_quoted(database: Database) {
        let table = "odd \"name` ; table";
        let quoted = quote(&database, table);
        let column = quote(&database, "a \"b` c");
        run(
            &database,
            &[
                &format!("CREATE TABLE {quoted} ({column} BIGINT)"),
                &format!("INSERT INTO {quoted} VALUES (5)"),
            ],
        )
        .await;
        let rows = read(&database, table, &Types::new(), OnBadCell::Refuse)
            .await
            .unwrap();
        assert_eq!(rows.table.names(), ["a \"b` c"]);
        assert!(rows.batches.is_empty());
    }

    fragua_database::each_engine!(
        engines: rows_come_in_one_order_with_the_batches_they_came_in,
        a_missing_and_an_empty_table_are_named,
        names_that_need_quotes_are_quoted,
        a_query_gives_the_columns_that_are_asked_for,
        rows_of_a_query_tell_the_batches_they_came_in,
    );

    #[tokio::test]
    async fn equal_rows_have_equal_digests_in_whatever_order_they_were_written() {
        let mut digests = Vec::new();
        for inserts in [[FIRST, SECOND], [SECOND, FIRST]] {
            let test = fragua_database::testing::TestDatabase::sqlite().await;
            load(&test.database, inserts).await;
            digests.push(
                read(&test.database, "trees", &Types::new(), OnBadCell::Refuse)
                    .await
                    .unwrap()
                    .digest,
            );
        }
        assert_eq!(digests[0], digests[1]);
    }
}
