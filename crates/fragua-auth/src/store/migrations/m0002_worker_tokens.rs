//! Tokens of workers on other machines.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tokens = Table::create()
            .table("fragua_worker_tokens")
            .if_not_exists()
            .col(string_len("name", 200).primary_key())
            .col(string_len("token_hash", 64).unique_key())
            .col(big_integer("created_at"))
            .to_owned();
        manager.create_table(tokens).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
