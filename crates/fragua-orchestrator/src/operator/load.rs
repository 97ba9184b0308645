//! The rows of a task in a table: all of them or none, tagged with the DAG run, with a record of the load.

use fragua_base::{Clock as _, SystemClock};
use fragua_database::{Database, Engine, dialect};
use sea_orm::sea_query::{ColumnDef, ColumnType, Expr, ExprTrait as _, Index, Query, Table};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::SchemaManager;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::warehouse::{Kind, check_table_name, failed, name};
use super::{TaskContext, TaskError};

/// The column that says which DAG run a row came from.
const TAG: &str = "fragua_dag_run_id";

/// The table with one row a load.
const LOADS: &str = "fragua_loads";

/// The most values that one statement may bind: SQLite takes 32,766.
const MOST_VALUES: usize = 30_000;

/// The most rows in one statement; more are not faster.
const MOST_ROWS: usize = 1000;

/// A value as the database takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadCell {
    /// A whole number.
    Integer(Option<i64>),
    /// A number.
    Float(Option<f64>),
    /// A text.
    Text(Option<String>),
}

impl From<LoadCell> for sea_orm::Value {
    fn from(cell: LoadCell) -> Self {
        match cell {
            LoadCell::Integer(value) => value.into(),
            LoadCell::Float(value) => value.into(),
            LoadCell::Text(value) => value.into(),
        }
    }
}

/// Rows that a task writes to a table. Each carries the DAG run in the column `fragua_dag_run_id`, by which a retry
/// replaces what it wrote before; the load is a row of `fragua_loads` in the same database.
#[derive(Debug)]
pub struct TableLoad<'a> {
    /// Whose rows they are.
    pub context: &'a TaskContext,
    /// The table; made when it is missing.
    pub table: &'a str,
    /// Names and kinds of the columns.
    pub columns: Vec<(&'a str, Kind)>,
    /// The rows, each with a cell a column.
    pub cells: Vec<Vec<LoadCell>>,
    /// Where the rows are from.
    pub source_url: &'a str,
    /// What else is known of it.
    pub source_fields: &'a Map<String, Value>,
    /// A digest of the rows, of at most 64 characters.
    pub digest: &'a str,
}

impl TableLoad<'_> {
    /// Writes the rows in one transaction, in place of those that this task wrote before in the same DAG run. Returns how
    /// many there are.
    ///
    /// # Errors
    /// The name cannot be a table's, the table has other columns, or the database refuses or does not answer; the table is
    /// as it was then.
    pub async fn write(self, database: &Database) -> Result<usize, TaskError> {
        check_table_name(self.table).map_err(TaskError::FailedForGood)?;
        prepare(database, &self).await?;
        write(database, self).await
    }
}

/// Makes the table, its tag and index, and the table of loads, where they are missing. Some engines cannot do this in
/// a transaction, so it comes before and can be done again.
async fn prepare(database: &Database, load: &TableLoad<'_>) -> Result<(), TaskError> {
    let made = make_tables(database, load).await;
    match made {
        // Two first loads at once: the one that comes second may see the first one's table appear in between.
        Err(_) => make_tables(database, load)
            .await
            .map_err(failed("the table cannot be made")),
        Ok(()) => Ok(()),
    }
}

async fn make_tables(database: &Database, load: &TableLoad<'_>) -> Result<(), DbErr> {
    let engine = database.engine();
    let manager = SchemaManager::new(database.writer());
    let key = |column: &str, length: u32| {
        ColumnDef::new_with_type(name(column), dialect::text_key(engine, length))
            .not_null()
            .to_owned()
    };
    let text = |column: &str| {
        ColumnDef::new_with_type(name(column), dialect::long_text(engine))
            .not_null()
            .to_owned()
    };
    let number = |column: &str| ColumnDef::new(name(column)).big_integer().not_null().to_owned();
    let loads = Table::create()
        .table(name(LOADS))
        .col(key("dag_id", 200))
        .col(key("dag_run_id", 250))
        .col(key("task_id", 200))
        .col(key("table_name", 63))
        .col(key("tag", 300))
        .col(number("row_count"))
        .col(text("source_url"))
        .col(text("source_fields"))
        .col(key("digest", 64))
        .col(number("loaded_at"))
        .primary_key(
            Index::create()
                .col(name("dag_id"))
                .col(name("dag_run_id"))
                .col(name("task_id"))
                .col(name("table_name")),
        )
        .to_owned();
    dialect::create_table(&manager, loads).await?;
    let by_tag = Index::create()
        .unique()
        .col(name("table_name"))
        .col(name("tag"))
        .to_owned();
    dialect::create_index(&manager, LOADS, "fragua_loads_by_tag", by_tag).await?;

    let tag = || ColumnDef::new_with_type(name(TAG), dialect::text_key(engine, 300)).to_owned();
    let mut table = Table::create().table(name(load.table)).to_owned();
    for (column, kind) in &load.columns {
        table.col(ColumnDef::new_with_type(name(column), column_type(engine, kind)));
    }
    table.col(tag());
    dialect::create_table(&manager, table).await?;
    dialect::add_column(&manager, load.table, tag()).await?;
    let by_run = Index::create().col(name(TAG)).to_owned();
    dialect::create_index(&manager, load.table, &index_name(load.table), by_run).await
}

/// An index's name counts for the whole database, and has at most 63 characters on PostgreSQL.
fn index_name(table: &str) -> String {
    let short = hex::encode(&Sha256::digest(table)[..4]);
    format!("{}_{short}_by_dag_run", &table[..table.len().min(40)])
}

fn column_type(engine: Engine, kind: &Kind) -> ColumnType {
    match kind {
        Kind::Integer => ColumnType::BigInteger,
        Kind::Float => ColumnType::Double,
        Kind::Text | Kind::Other(_) => match engine {
            // A text of MySQL ends at 64 kB.
            Engine::MySql => dialect::long_text(engine),
            Engine::Sqlite | Engine::Postgres => ColumnType::Text,
        },
    }
}

/// Replaces the rows of this load by those given, and its record, in one transaction. Returns how many there are.
async fn write(database: &Database, load: TableLoad<'_>) -> Result<usize, TaskError> {
    let reason = failed("the rows cannot be written, the table is unchanged");
    let transaction = database.begin().await.map_err(TaskError::failed)?;
    let tag = find_tag(&transaction, &load).await.map_err(&reason)?;
    let delete = Query::delete()
        .from_table(name(load.table))
        .and_where(Expr::col(name(TAG)).eq(&tag))
        .to_owned();
    let replaced = transaction
        .execute(&delete)
        .await
        .map_err(&reason)?
        .rows_affected();
    if replaced > 0 {
        println!("replaces the {replaced} rows that this run wrote before");
    }
    record(&transaction, &load, &tag).await.map_err(&reason)?;

    let columns: Vec<_> = load
        .columns
        .iter()
        .map(|(column, _)| name(column))
        .chain([name(TAG)])
        .collect();
    let rows_a_statement = (MOST_VALUES / columns.len()).clamp(1, MOST_ROWS);
    let count = load.cells.len();
    let mut cells = load.cells.into_iter().peekable();
    while cells.peek().is_some() {
        let mut insert = Query::insert()
            .into_table(name(load.table))
            .columns(columns.clone())
            .to_owned();
        for row in cells.by_ref().take(rows_a_statement) {
            let tagged = row
                .into_iter()
                .map(sea_orm::Value::from)
                .chain([sea_orm::Value::from(tag.clone())]);
            insert.values(tagged.map(Expr::val)).map_err(TaskError::failed)?;
        }
        transaction.execute(&insert).await.map_err(&reason)?;
    }
    transaction.commit().await.map_err(&reason)?;
    Ok(count)
}

/// Returns what this load's rows are tagged with: the DAG run's id. Where another task, or a DAG with a run of the
/// same id, has tagged rows of this table with it, a digest is added, so that nobody replaces rows of others.
async fn find_tag(connection: &impl ConnectionTrait, load: &TableLoad<'_>) -> Result<String, DbErr> {
    let context = load.context;
    let own = Query::select()
        .column(name("tag"))
        .from(name(LOADS))
        .and_where(Expr::col(name("dag_id")).eq(&context.dag_id))
        .and_where(Expr::col(name("dag_run_id")).eq(&context.dag_run_id))
        .and_where(Expr::col(name("task_id")).eq(&context.task_id))
        .and_where(Expr::col(name("table_name")).eq(load.table))
        .to_owned();
    if let Some(row) = connection.query_one(&own).await? {
        return row.try_get_by_index(0);
    }
    let taken = Query::select()
        .column(name("tag"))
        .from(name(LOADS))
        .and_where(Expr::col(name("table_name")).eq(load.table))
        .and_where(Expr::col(name("tag")).eq(&context.dag_run_id))
        .to_owned();
    if connection.query_one(&taken).await?.is_none() {
        return Ok(context.dag_run_id.clone());
    }
    let digest = Sha256::digest(format!("{}/{}", context.dag_id, context.task_id));
    Ok(format!("{}~{}", context.dag_run_id, hex::encode(&digest[..8])))
}

async fn record(connection: &impl ConnectionTrait, load: &TableLoad<'_>, tag: &str) -> Result<(), DbErr> {
    let context = load.context;
    let row: [(&str, sea_orm::Value); 10] = [
        ("dag_id", context.dag_id.clone().into()),
        ("dag_run_id", context.dag_run_id.clone().into()),
        ("task_id", context.task_id.clone().into()),
        ("table_name", load.table.into()),
        ("tag", tag.into()),
        (
            "row_count",
            i64::try_from(load.cells.len()).unwrap_or(i64::MAX).into(),
        ),
        ("source_url", load.source_url.into()),
        (
            "source_fields",
            Value::Object(load.source_fields.clone()).to_string().into(),
        ),
        ("digest", load.digest.into()),
        ("loaded_at", SystemClock.now().as_millis().into()),
    ];
    let keys = ["dag_id", "dag_run_id", "task_id", "table_name"];
    let others = [
        "tag",
        "row_count",
        "source_url",
        "source_fields",
        "digest",
        "loaded_at",
    ];
    let mut insert = Query::insert()
        .into_table(name(LOADS))
        .columns(row.each_ref().map(|(column, _)| name(column)))
        .to_owned();
    insert.values_panic(row.map(|(_, value)| Expr::val(value)));
    insert.on_conflict(dialect::upsert(&keys, &others));
    connection.execute(&insert).await?;
    Ok(())
}
