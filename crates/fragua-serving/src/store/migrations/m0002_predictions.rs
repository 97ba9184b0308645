//! Predictions, what turned out to be true, and alarms of drift.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, integer, pk_auto, string_len, string_len_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let predictions = Table::create()
            .table("fragua_serving_predictions")
            .if_not_exists()
            .col(pk_auto("id").big_integer())
            .col(string_len("request_id", 128))
            .col(integer("row_index"))
            .col(string_len("role", 8))
            .col(string_len("source", 16))
            .col(string_len("model", 256))
            .col(string_len("version", 32))
            .col(string_len_null("run_id", 64))
            .col(big_integer("created_at"))
            .col(big_integer("took_microseconds"))
            .col(text("inputs"))
            .col(text("label"))
            .col(text_null("probabilities"))
            .to_owned();
        manager.create_table(predictions).await?;
        let index = |name: &str, columns: &[&'static str]| {
            let mut index = Index::create();
            index.name(name).table("fragua_serving_predictions");
            for column in columns {
                index.col(*column);
            }
            index
        };
        let request = index(
            "fragua_serving_predictions_request",
            &["request_id", "row_index", "role"],
        )
        .unique()
        .to_owned();
        manager.create_index(request).await?;
        let version = index("fragua_serving_predictions_version", &["model", "version", "id"]).to_owned();
        manager.create_index(version).await?;
        let age = index("fragua_serving_predictions_age", &["created_at"]).to_owned();
        manager.create_index(age).await?;

        let feedback = Table::create()
            .table("fragua_serving_feedback")
            .if_not_exists()
            .col(string_len("request_id", 128))
            .col(integer("row_index"))
            .col(text("label"))
            .col(text_null("note"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("request_id").col("row_index"))
            .to_owned();
        manager.create_table(feedback).await?;

        let alarms = Table::create()
            .table("fragua_serving_drift_alarms")
            .if_not_exists()
            .col(string_len("model", 256))
            .col(string_len("version", 32))
            .col(big_integer("raised_at"))
            .primary_key(Index::create().col("model").col("version"))
            .to_owned();
        manager.create_table(alarms).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
