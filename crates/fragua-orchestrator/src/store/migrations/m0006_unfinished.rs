//! What tells whether a run has anything left to do.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::m0001_first_schema::index;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = index(&["dag_id", "run_id", "state"]);
        dialect::create_index(manager, "instances", "instances_by_run_state", columns).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
