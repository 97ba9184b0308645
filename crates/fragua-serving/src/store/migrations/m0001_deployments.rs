//! Canaries and shadows.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer_null, string_len};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let deployments = Table::create()
            .table("fragua_serving_deployments")
            .if_not_exists()
            .col(string_len("model", 256))
            .col(string_len("alias", 256))
            .col(integer_null("canary_version"))
            .col(integer_null("canary_percent"))
            .col(integer_null("shadow_version"))
            .col(integer_null("previous_version"))
            .col(big_integer("updated_at"))
            .primary_key(Index::create().col("model").col("alias"))
            .to_owned();
        manager.create_table(deployments).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
