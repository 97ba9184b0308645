//! What the lists of many DAGs look for.

use fragua_database::dialect;
use sea_orm_migration::prelude::*;

use super::m0001_first_schema::index;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = index(&["dag_id", "run_type", "interval_end"]);
        dialect::create_index(manager, "dag_runs", "dag_runs_by_interval_end", columns).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
