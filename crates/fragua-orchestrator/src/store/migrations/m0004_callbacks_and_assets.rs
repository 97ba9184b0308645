//! What is to be told to whom, until when runs are to be over, and what happened to assets.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm::sea_query::{Alias, ColumnDef};
use sea_orm_migration::prelude::*;

use super::m0001_first_schema::{Columns, DAG_ID, RUN_ID, TASK_ID, index, table};
use crate::dag::asset::LONGEST_ASSET;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ASSET: u32 = LONGEST_ASSET as u32;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Columns(manager.get_database_backend().into());
        for table in [
            column.callbacks(),
            column.deadlines(),
            column.asset_events(),
            column.asset_schedules(),
            column.asset_outlets(),
            column.asset_deliveries(),
        ] {
            dialect::create_table(manager, table).await?;
        }
        dialect::add_column(manager, "instances", column.text_or_null("map_label")).await?;
        for (table, name, columns) in [
            ("callbacks", "callbacks_by_next_try_at", &["next_try_at"][..]),
            ("callbacks", "callbacks_by_dag", &["dag_id", "created_at"]),
            ("deadlines", "deadlines_by_late_at", &["late_at"]),
            ("asset_events", "asset_events_by_asset", &["asset", "id"]),
            ("asset_schedules", "asset_schedules_by_asset", &["asset"]),
            (
                "asset_deliveries",
                "asset_deliveries_by_run",
                &["dag_id", "run_id"],
            ),
        ] {
            dialect::create_index(manager, table, name, index(columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

impl Columns {
    fn callbacks(&self) -> TableCreateStatement {
        table(
            "callbacks",
            &["id"],
            [
                self.key("id", 36),
                self.key("event", 40),
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key_or_null("task_id", TASK_ID),
                self.text("notifier"),
                self.text("body"),
                self.key("state", 20),
                self.number("tries"),
                self.number("created_at"),
                self.number_or_null("next_try_at"),
                self.number_or_null("ended_at"),
                self.text_or_null("message"),
            ],
        )
    }

    fn deadlines(&self) -> TableCreateStatement {
        table(
            "deadlines",
            &["dag_id", "run_id", "task_id"],
            [
                self.key("dag_id", DAG_ID),
                self.key("run_id", RUN_ID),
                self.key("task_id", TASK_ID),
                self.number("late_at"),
            ],
        )
    }

    fn asset_events(&self) -> TableCreateStatement {
        let mut table = table(
            "asset_events",
            &[],
            [
                self.key("asset", ASSET),
                self.text("extra"),
                self.key_or_null("source_dag_id", DAG_ID),
                self.key_or_null("source_run_id", RUN_ID),
                self.key_or_null("source_task_id", TASK_ID),
                self.number("source_map_index"),
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

    fn asset_schedules(&self) -> TableCreateStatement {
        table(
            "asset_schedules",
            &["dag_id", "asset"],
            [self.key("dag_id", DAG_ID), self.key("asset", ASSET)],
        )
    }

    fn asset_outlets(&self) -> TableCreateStatement {
        table(
            "asset_outlets",
            &["dag_id", "task_id", "asset"],
            [
                self.key("dag_id", DAG_ID),
                self.key("task_id", TASK_ID),
                self.key("asset", ASSET),
            ],
        )
    }

    fn asset_deliveries(&self) -> TableCreateStatement {
        table(
            "asset_deliveries",
            &["dag_id", "event_id"],
            [
                self.key("dag_id", DAG_ID),
                self.number("event_id"),
                self.key_or_null("run_id", RUN_ID),
            ],
        )
    }
}
