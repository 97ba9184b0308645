//! DAGs, their versions and runs, task instances, attempts, and what happened to them.

use fragua_database::{Engine, dialect};
use sea_orm::DbErr;
use sea_orm::sea_query::{Alias, ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Longest texts in keys; a DAG's or task's name may have 200 characters, a run's 250.
pub(super) const DAG_ID: u32 = 200;
pub(super) const RUN_ID: u32 = 250;
pub(super) const TASK_ID: u32 = 200;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Columns(manager.get_database_backend().into());
        for table in [
            column.dags(),
            column.dag_versions(),
            column.dag_runs(),
            column.task_instances(),
            column.attempts(),
            column.import_errors(),
            column.transitions(),
            column.processes(),
        ] {
            dialect::create_table(manager, table).await?;
        }
        for (table, name, columns) in [
            ("dags", "dags_by_look_again_at", &["look_again_at"][..]),
            ("dag_runs", "dag_runs_by_run_after", &["dag_id", "run_after"]),
            ("dag_runs", "dag_runs_by_state", &["state", "dag_id"]),
            ("dag_runs", "dag_runs_by_timeout_at", &["timeout_at"]),
            (
                "task_instances",
                "task_instances_by_state",
                &["state", "queued_at"],
            ),
            ("task_instances", "task_instances_by_wake_at", &["wake_at"]),
            (
                "task_instances",
                "task_instances_by_deadline_at",
                &["deadline_at"],
            ),
            (
                "task_instances",
                "task_instances_by_lease_until",
                &["lease_until"],
            ),
            (
                "task_instances",
                "task_instances_by_waits_for_dag",
                &["waits_for_dag"],
            ),
            (
                "task_instances",
                "task_instances_by_attempt_token",
                &["attempt_token"],
            ),
            ("attempts", "attempts_by_process", &["process", "state"]),
            ("transitions", "transitions_by_run", &["dag_id", "run_id"]),
        ] {
            dialect::create_index(manager, table, name, index(columns)).await?;
        }
        let mut unique = index(&["id"]);
        unique.unique();
        dialect::create_index(manager, "task_instances", "task_instances_by_id", unique).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

pub(super) fn index(columns: &[&str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

pub(super) struct Columns(pub(super) Engine);

impl Columns {
    pub(super) fn key(&self, name: &str, length: u32) -> ColumnDef {
        ColumnDef::new_with_type(Alias::new(name), dialect::text_key(self.0, length))
            .not_null()
            .to_owned()
    }

    pub(super) fn key_or_null(&self, name: &str, length: u32) -> ColumnDef {
        ColumnDef::new_with_type(Alias::new(name), dialect::text_key(self.0, length))
    }

    pub(super) fn text(&self, name: &str) -> ColumnDef {
        ColumnDef::new_with_type(Alias::new(name), dialect::long_text(self.0))
            .not_null()
            .to_owned()
    }

    pub(super) fn text_or_null(&self, name: &str) -> ColumnDef {
        ColumnDef::new_with_type(Alias::new(name), dialect::long_text(self.0))
    }

    pub(super) fn number(&self, name: &str) -> ColumnDef {
        ColumnDef::new(Alias::new(name))
            .big_integer()
            .not_null()
            .to_owned()
    }

    pub(super) fn number_or_null(&self, name: &str) -> ColumnDef {
        ColumnDef::new(Alias::new(name)).big_integer().to_owned()
    }

    pub(super) fn flag(&self, name: &str) -> ColumnDef {
        ColumnDef::new(Alias::new(name)).boolean().not_null().to_owned()
    }

    fn dags(&self) -> TableCreateStatement {
        table(
            "dags",
            &["dag_id"],
            [
                self.key("dag_id", DAG_ID),
                self.text("path"),
                self.flag("is_active"),
                self.flag("is_paused"),
                self.key("version", 64),
                self.number_or_null("look_again_at"),
                self.number("parsed_at"),
            ],
        )
    }

    fn dag_versions(&self) -> TableCreateStatement {
        table(
            "dag_versions",
            &["dag_id", "version"],
            [
                self.key("dag_id", DAG_ID),
                self.key("version", 64),
                self.text("definition"),
                self.text("source"),
                self.number("created_at"),
            ],
        )
    }

    fn dag_runs(&self) -> TableCreateStatement {
        table(
            "dag_runs",
            &["dag_id", "run_id"],
            [
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key("run_type", 20),
                self.key("state", 20),
                self.number_or_null("logical_date"),
                self.number("interval_start"),
                self.number("interval_end"),
                self.number("run_after"),
                self.number("queued_at"),
                self.number_or_null("started_at"),
                self.number_or_null("ended_at"),
                self.number_or_null("timeout_at"),
                self.text("params"),
                self.text_or_null("note"),
                self.key("version", 64),
            ],
        )
    }

    fn task_instances(&self) -> TableCreateStatement {
        table(
            "task_instances",
            &["dag_id", "run_id", "task_id"],
            [
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key("task_id", TASK_ID),
                self.key("id", 36),
                self.key("operator", 100),
                self.key("state", 20),
                self.number("attempt"),
                self.number("failures"),
                self.number("lost"),
                self.number("retries"),
                self.number_or_null("queued_at"),
                self.number_or_null("started_at"),
                self.number_or_null("ended_at"),
                self.number_or_null("wake_at"),
                self.number_or_null("deadline_at"),
                self.key_or_null("waits_for_dag", DAG_ID),
                self.text_or_null("message"),
                self.text_or_null("xcom"),
                self.key_or_null("attempt_token", 64),
                self.key_or_null("process", 36),
                self.number_or_null("lease_until"),
            ],
        )
    }

    fn attempts(&self) -> TableCreateStatement {
        table(
            "attempts",
            &["task_instance", "number"],
            [
                self.key("task_instance", 36),
                self.number("number"),
                self.key("token", 64),
                self.key("process", 36),
                self.key("state", 20),
                self.number("started_at"),
                self.number_or_null("ended_at"),
                self.number_or_null("process_id"),
                self.number_or_null("process_start"),
                self.number_or_null("peak_memory_bytes"),
                self.text_or_null("message"),
            ],
        )
    }

    fn import_errors(&self) -> TableCreateStatement {
        table(
            "import_errors",
            &["path", "position"],
            [
                self.key("path", 700),
                self.number("position"),
                self.number_or_null("line"),
                self.number_or_null("column_number"),
                self.text("message"),
                self.text_or_null("hint"),
                self.number("seen_at"),
            ],
        )
    }

    fn transitions(&self) -> TableCreateStatement {
        let mut table = table(
            "transitions",
            &[],
            [
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key_or_null("task_id", TASK_ID),
                self.number_or_null("attempt"),
                self.key("from_state", 20),
                self.key("to_state", 20),
                self.text_or_null("message"),
                self.number("happened_at"),
            ],
        );
        table.col(
            ColumnDef::new(Alias::new("id"))
                .big_integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        );
        table
    }

    fn processes(&self) -> TableCreateStatement {
        table(
            "processes",
            &["id"],
            [
                self.key("id", 36),
                self.key("kind", 20),
                self.key("home", 64),
                self.number("process_id"),
                self.number("started_at"),
                self.number("heartbeat_at"),
                self.number_or_null("ended_at"),
            ],
        )
    }
}

pub(super) fn table<const N: usize>(
    name: &str,
    key: &[&str],
    columns: [ColumnDef; N],
) -> TableCreateStatement {
    let mut table = Table::create().table(Alias::new(name)).to_owned();
    for mut column in columns {
        table.col(&mut column);
    }
    if !key.is_empty() {
        table.primary_key(&mut index(key));
    }
    table
}
