//! Bytes of small objects.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_len;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let blobs = Table::create()
            .table("fragua_small_blobs")
            .col(string_len("blob_id", 32).primary_key())
            .col(ColumnDef::new("bytes").blob().not_null())
            .to_owned();
        dialect::create_table(manager, blobs).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
