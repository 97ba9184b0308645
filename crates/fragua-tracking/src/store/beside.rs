//! What the database of an older MLflow has no place for is kept in tables of ours beside it, and moved into MLflow's
//! own when `mlflow db upgrade` has made them.

use fragua_database::{Database, Row, Statements};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::SchemaManager;

use super::revision::{Family, Lacks};
use crate::Error;

impl Lacks {
    /// MLflow's names of the tables that are ours here.
    const fn beside(self) -> &'static [&'static str] {
        match self {
            Self::LoggedModels => &[
                "logged_models",
                "logged_model_metrics",
                "logged_model_params",
                "logged_model_tags",
                "inputs",
                "webhooks",
                "webhook_events",
            ],
            Self::Webhooks => &["webhooks", "webhook_events"],
            Self::Nothing => &[],
        }
    }
}

impl Family {
    /// Returns what a database that was brought up to date has.
    pub(super) const fn opened(lacks: Lacks) -> Self {
        Self {
            lacks,
            has_tables_beside: true,
        }
    }

    /// Returns what a database has that is read as it is. What is beside still, though MLflow has made the tables for it
    /// since, is read there.
    pub(super) async fn as_it_is(database: &Database, lacks: Lacks) -> Result<Self, Error> {
        let manager = SchemaManager::new(database.reader());
        for kept in [Lacks::LoggedModels, Lacks::Webhooks] {
            if manager.has_table(format!("fragua_{}", kept.beside()[0])).await? {
                return Ok(Self::opened(kept));
            }
        }
        Ok(Self {
            lacks,
            has_tables_beside: false,
        })
    }

    /// Returns a connection to logged models, to the models that runs read and made, and to webhooks, wherever this
    /// database keeps them. Statements are written for MLflow's tables.
    pub(crate) const fn on<C>(self, connection: &C) -> Beside<'_, C> {
        Beside {
            connection,
            family: self,
        }
    }
}

/// A connection that puts the names of our tables in the place of MLflow's where those do not exist. Names are quoted
/// in every statement and values are always bound, so nothing else can be meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'c, C> {
    connection: &'c C,
    family: Family,
}

impl<C> Beside<'_, C> {
    /// Whether the statement reads tables that are neither MLflow's nor ours.
    fn finds_nothing(&self, statement: &Statement) -> bool {
        let mut lacking = self.family.lacks.beside().iter();
        !self.family.has_tables_beside
            && lacking.any(|name| statement.sql.contains(&quoted(statement.db_backend, name)))
    }

    fn renamed(&self, mut statement: Statement) -> Statement {
        for name in self.family.lacks.beside() {
            let [theirs, ours] = [(*name).to_owned(), format!("fragua_{name}")]
                .map(|name| quoted(statement.db_backend, &name));
            statement.sql = statement.sql.replace(&theirs, &ours);
        }
        statement
    }
}

impl<C: Statements> Statements for Beside<'_, C> {
    fn backend(&self) -> DbBackend {
        self.connection.backend()
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        self.connection.run(self.renamed(statement)).await
    }

    async fn read<F>(&self, statement: Statement, each: F) -> Result<(), DbErr>
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send,
    {
        if self.finds_nothing(&statement) {
            return Ok(());
        }
        self.connection.read(self.renamed(statement), each).await
    }
}

#[async_trait::async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Beside<'_, C> {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.connection.execute_raw(self.renamed(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let statement = Statement::from_string(self.get_database_backend(), sql);
        self.connection
            .execute_unprepared(&self.renamed(statement).sql)
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if self.finds_nothing(&statement) {
            return Ok(None);
        }
        self.connection.query_one_raw(self.renamed(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if self.finds_nothing(&statement) {
            return Ok(Vec::new());
        }
        self.connection.query_all_raw(self.renamed(statement)).await
    }

    fn support_returning(&self) -> bool {
        self.connection.support_returning()
    }
}

/// MLflow's table, its columns, and which rows can be moved: what they belong to may have been deleted meanwhile.
const LOGGED_MODELS: &[(&str, &str, &str)] = &[
    (
        "logged_models",
        "model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, \
         lifecycle_stage, model_type, source_run_id, status_message",
        "experiment_id IN (SELECT experiment_id FROM experiments)",
    ),
    (
        "logged_model_metrics",
        "model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id, dataset_uuid, \
         dataset_name, dataset_digest",
        "model_id IN (SELECT model_id FROM logged_models) AND run_id IN (SELECT run_uuid FROM runs)",
    ),
    (
        "logged_model_params",
        "model_id, experiment_id, param_key, param_value",
        "model_id IN (SELECT model_id FROM logged_models)",
    ),
    (
        "logged_model_tags",
        "model_id, experiment_id, tag_key, tag_value",
        "model_id IN (SELECT model_id FROM logged_models)",
    ),
    (
        "inputs",
        "input_uuid, source_type, source_id, destination_type, destination_id, step",
        "1 = 1",
    ),
];

const WEBHOOKS: &[(&str, &str, &str)] = &[
    (
        "webhooks",
        "webhook_id, name, description, url, status, secret, creation_timestamp, last_updated_timestamp, \
         deleted_timestamp",
        "1 = 1",
    ),
    ("webhook_events", "webhook_id, entity, action", "1 = 1"),
];

/// Moves what is kept beside into the tables that MLflow has made since, and removes ours.
pub(super) async fn move_home(database: &Database, lacks: Lacks) -> Result<(), Error> {
    let manager = SchemaManager::new(database.reader());
    for tables in [LOGGED_MODELS, WEBHOOKS] {
        let (first, ..) = tables[0];
        if lacks.beside().contains(&first) || !manager.has_table(format!("fragua_{first}")).await? {
            continue;
        }
        // One transaction moves the rows; the empty tables go after it, also at a later start.
        let transaction = database.begin().await?;
        for (table, columns, rows) in tables {
            let columns = columns
                .split(", ")
                .map(|name| quoted(transaction.get_database_backend(), name));
            let columns = columns.collect::<Vec<_>>().join(", ");
            let moved =
                format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM fragua_{table} WHERE {rows}");
            transaction.execute_unprepared(&moved).await?;
        }
        for (table, ..) in tables {
            let emptied = format!("DELETE FROM fragua_{table}");
            transaction.execute_unprepared(&emptied).await?;
        }
        transaction.commit().await?;
        for (table, ..) in tables.iter().rev() {
            let dropped = format!("DROP TABLE IF EXISTS fragua_{table}");
            database.writer().execute_unprepared(&dropped).await?;
        }
        tracing::info!(table = first, "moved into the tables that MLflow has made");
    }
    Ok(())
}

/// `status`, `action` and the like are words of SQL in some engine.
fn quoted(backend: DbBackend, name: &str) -> String {
    match backend {
        DbBackend::MySql => format!("`{name}`"),
        _ => format!("\"{name}\""),
    }
}
