//! What finds the runs that updates of an asset started.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::m0001_first_schema::index;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = index(&["event_id"]);
        dialect::create_index(manager, "asset_deliveries", "asset_deliveries_by_event", columns).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
