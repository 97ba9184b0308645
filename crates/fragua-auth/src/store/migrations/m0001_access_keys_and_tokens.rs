//! Access keys of the object store and tokens of task attempts.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let access_keys = Table::create()
            .table("fragua_access_keys")
            .if_not_exists()
            .col(string_len("access_key_id", 128).primary_key())
            .col(string_len("role", 16).unique_key())
            .col(string_len("secret", 128))
            .col(big_integer("created_at"))
            .to_owned();
        let tokens = Table::create()
            .table("fragua_task_tokens")
            .if_not_exists()
            .col(string_len("token_hash", 64).primary_key())
            .col(string_len("subject", 1024))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .to_owned();
        let by_expiry = Index::create()
            .name("fragua_task_tokens_by_expiry")
            .table("fragua_task_tokens")
            .col("expires_at")
            .to_owned();
        manager.create_table(access_keys).await?;
        manager.create_table(tokens).await?;
        if !manager
            .has_index("fragua_task_tokens", "fragua_task_tokens_by_expiry")
            .await?
        {
            manager.create_index(by_expiry).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
