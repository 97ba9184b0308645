//! What a worker says of itself, and how the process of an attempt ended.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use fragua_database::dialect;

use super::m0001_first_schema::Columns;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Names of workers, hosts and versions.
const NAME: u32 = 200;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Columns(manager.get_database_backend().into());
        for name in ["name", "host", "version"] {
            dialect::add_column(manager, "processes", column.key_or_null(name, NAME)).await?;
        }
        for name in ["slots", "remote"] {
            dialect::add_column(manager, "processes", column.number_or_null(name)).await?;
        }
        for name in ["exit_status", "exit_signal", "cpu_millis"] {
            dialect::add_column(manager, "attempts", column.number_or_null(name)).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
