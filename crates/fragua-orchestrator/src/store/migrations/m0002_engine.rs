//! Task instances that tasks are mapped to, with what they share; values handed on; pools, variables, connections,
//! backfills, and the audit log.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm::sea_query::{Alias, ColumnDef, Table};
use sea_orm_migration::prelude::*;

use super::m0001_first_schema::{Columns, DAG_ID, RUN_ID, TASK_ID, index, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Names of pools, queues, variables, connections and keys.
const NAME: u32 = 200;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Columns(manager.get_database_backend().into());
        for table in [
            column.instances(),
            column.xcoms(),
            column.pools(),
            column.vault(),
            column.backfills(),
        ] {
            dialect::create_table(manager, table).await?;
        }
        dialect::create_table(manager, column.audit_log()).await?;
        dialect::add_column(manager, "dag_runs", column.key_or_null("backfill_id", 36)).await?;
        dialect::add_column(manager, "processes", column.text_or_null("queues")).await?;
        copy_instances(manager).await?;
        for (table, name, columns) in [
            (
                "instances",
                "instances_by_state",
                &["state", "priority_weight", "ordered_at"][..],
            ),
            ("instances", "instances_by_wake_at", &["wake_at"]),
            ("instances", "instances_by_deadline_at", &["deadline_at"]),
            ("instances", "instances_by_lease_until", &["lease_until"]),
            ("instances", "instances_by_waits_for_dag", &["waits_for_dag"]),
            ("instances", "instances_by_attempt_token", &["attempt_token"]),
            (
                "dag_runs",
                "dag_runs_by_logical_date",
                &["dag_id", "logical_date"],
            ),
            ("dag_runs", "dag_runs_by_backfill", &["backfill_id", "state"]),
            ("backfills", "backfills_by_dag", &["dag_id", "state"]),
            ("audit_log", "audit_log_by_dag", &["dag_id", "id"]),
        ] {
            dialect::create_index(manager, table, name, index(columns)).await?;
        }
        let mut unique = index(&["id"]);
        unique.unique();
        dialect::create_index(manager, "instances", "instances_by_id", unique).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

/// Moves the task instances to the table whose key has the number of the instance. It can be done again after it was
/// interrupted anywhere: the old table goes last.
async fn copy_instances(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let default_pool = "INSERT INTO pools (name, slots, description, include_deferred) \
        SELECT 'default_pool', 128, '', FALSE FROM (SELECT 1 AS one) once \
        WHERE NOT EXISTS (SELECT 1 FROM pools WHERE name = 'default_pool')";
    connection.execute_unprepared(default_pool).await?;
    if !manager.has_table("task_instances").await? {
        return Ok(());
    }
    let same = "dag_id, run_id, task_id, id, operator, state, attempt, failures, lost, retries, queued_at, started_at, \
        ended_at, wake_at, deadline_at, waits_for_dag, message, attempt_token, process, lease_until";
    let values = "i.dag_id, i.run_id, i.task_id, i.id, i.operator, i.state, i.attempt, i.failures, i.lost, i.retries, \
        i.queued_at, i.started_at, i.ended_at, i.wake_at, i.deadline_at, i.waits_for_dag, i.message, i.attempt_token, \
        i.process, i.lease_until";
    for statement in [
        "DELETE FROM instances".to_owned(),
        "DELETE FROM xcoms".to_owned(),
        format!(
            "INSERT INTO instances ({same}, map_index, first_started_at, requeues, is_rescheduled, pool, pool_slots, \
                priority_weight, queue, ordered_at, max_active_tasks) \
             SELECT {values}, -1, i.started_at, 0, FALSE, 'default_pool', 1, 1, 'default', \
                COALESCE(r.logical_date, r.run_after), 16 \
             FROM task_instances i JOIN dag_runs r ON r.dag_id = i.dag_id AND r.run_id = i.run_id"
        ),
        "INSERT INTO xcoms (dag_id, run_id, task_id, map_index, xcom_key, value, created_at) \
         SELECT dag_id, run_id, task_id, -1, 'return_value', xcom, COALESCE(ended_at, 0) \
         FROM task_instances WHERE xcom IS NOT NULL"
            .to_owned(),
    ] {
        connection.execute_unprepared(&statement).await?;
    }
    manager
        .drop_table(Table::drop().table(Alias::new("task_instances")).to_owned())
        .await
}

impl Columns {
    fn instances(&self) -> TableCreateStatement {
        table(
            "instances",
            &["dag_id", "run_id", "task_id", "map_index"],
            [
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key("task_id", TASK_ID),
                self.number("map_index"),
                self.text_or_null("map_values"),
                self.key("id", 36),
                self.key("operator", 100),
                self.key("state", 20),
                self.number("attempt"),
                self.number("failures"),
                self.number("lost"),
                self.number("requeues"),
                self.flag("is_rescheduled"),
                self.number("retries"),
                self.number_or_null("queued_at"),
                self.number_or_null("first_started_at"),
                self.number_or_null("started_at"),
                self.number_or_null("ended_at"),
                self.number_or_null("wake_at"),
                self.number_or_null("deadline_at"),
                self.key_or_null("waits_for_dag", DAG_ID),
                self.text_or_null("waits_for"),
                self.text_or_null("skips"),
                self.text_or_null("message"),
                self.key_or_null("attempt_token", 64),
                self.key_or_null("process", 36),
                self.number_or_null("lease_until"),
                self.key("pool", NAME),
                self.number("pool_slots"),
                self.number("priority_weight"),
                self.key("queue", NAME),
                self.number("ordered_at"),
                self.number("max_active_tasks"),
                self.number_or_null("max_active_tis_per_dag"),
                self.number_or_null("max_active_tis_per_dagrun"),
            ],
        )
    }

    fn xcoms(&self) -> TableCreateStatement {
        table(
            "xcoms",
            &["dag_id", "run_id", "task_id", "map_index", "xcom_key"],
            [
                self.key("dag_id", DAG_ID),
                // The key of an index has 3,072 bytes at most on MySQL.
                self.key("run_id", RUN_ID),
                self.key("task_id", TASK_ID),
                self.number("map_index"),
                self.key("xcom_key", 100),
                self.text("value"),
                self.number("created_at"),
            ],
        )
    }

    fn pools(&self) -> TableCreateStatement {
        table(
            "pools",
            &["name"],
            [
                self.key("name", NAME),
                self.number("slots"),
                self.text("description"),
                self.flag("include_deferred"),
            ],
        )
    }

    fn vault(&self) -> TableCreateStatement {
        table(
            "vault",
            &["kind", "name"],
            [
                self.key("kind", 20),
                self.key("name", NAME),
                self.text("secret_value"),
                self.text("description"),
                self.number("changed_at"),
            ],
        )
    }

    fn backfills(&self) -> TableCreateStatement {
        table(
            "backfills",
            &["id"],
            [
                self.key("id", 36),
                self.key("dag_id", DAG_ID),
                self.number("from_date"),
                self.number("to_date"),
                self.number("max_active_runs"),
                self.key("reprocess", 20),
                self.flag("is_reversed"),
                self.text("params"),
                self.key("state", 20),
                self.number("created_at"),
                self.number_or_null("ended_at"),
            ],
        )
    }

    fn audit_log(&self) -> TableCreateStatement {
        let mut table = table(
            "audit_log",
            &[],
            [
                self.number("happened_at"),
                self.key("event", 100),
                self.key_or_null("dag_id", DAG_ID),
                self.key_or_null("run_id", RUN_ID),
                self.key_or_null("task_id", TASK_ID),
                self.key("owner", NAME),
                self.text("extra"),
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
}
