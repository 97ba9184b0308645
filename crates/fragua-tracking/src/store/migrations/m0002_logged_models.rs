//! Logged models.

use fragua_database::dialect::{create_index, create_table};
use sea_orm::sea_query::{Check, ColumnDef, ForeignKeyAction, Table};
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::{STAGES, foreign, index_on, integer, one_of, primary, required_number, required_text, text};
use crate::store::revision;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        logged_models(manager).await?;
        metrics(manager).await?;
        params_and_tags(manager).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

async fn logged_models(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let models = Table::create()
        .table("logged_models")
        .col(required_text("model_id", 36))
        .col(integer("experiment_id"))
        .col(required_text("name", 500))
        .col(required_text("artifact_location", 1000))
        .col(required_number("creation_timestamp_ms"))
        .col(required_number("last_updated_timestamp_ms"))
        .col(integer("status"))
        .col(text("lifecycle_stage", 32))
        .col(text("model_type", 500))
        .col(text("source_run_id", 32))
        .col(text("status_message", 1000))
        .primary_key(&mut primary("logged_models_pk", &["model_id"]))
        .check(Check::named(
            "logged_models_lifecycle_stage_check",
            one_of("lifecycle_stage", STAGES),
        ))
        .foreign_key(
            foreign(
                "fk_logged_models_experiment_id",
                ("logged_models", &["experiment_id"]),
                ("experiments", &["experiment_id"]),
            )
            .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    create_table(manager, models).await
}

async fn metrics(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    const TABLE: &str = "logged_model_metrics";
    let metrics = Table::create()
        .table(TABLE)
        .col(required_text("model_id", 36))
        .col(required_text("metric_name", 500))
        .col(required_number("metric_timestamp_ms"))
        .col(required_number("metric_step"))
        .col(ColumnDef::new("metric_value").double())
        .col(integer("experiment_id"))
        .col(required_text("run_id", 32))
        .col(text("dataset_uuid", 36))
        .col(text("dataset_name", 500))
        .col(text("dataset_digest", 36))
        .primary_key(&mut primary(
            "logged_model_metrics_pk",
            &[
                "model_id",
                "metric_name",
                "metric_timestamp_ms",
                "metric_step",
                "run_id",
            ],
        ))
        .foreign_key(&mut foreign(
            "fk_logged_model_metrics_experiment_id",
            (TABLE, &["experiment_id"]),
            ("experiments", &["experiment_id"]),
        ))
        .foreign_key(
            foreign(
                "fk_logged_model_metrics_model_id",
                (TABLE, &["model_id"]),
                ("logged_models", &["model_id"]),
            )
            .on_delete(ForeignKeyAction::Cascade),
        )
        .foreign_key(
            foreign(
                "fk_logged_model_metrics_run_id",
                (TABLE, &["run_id"]),
                ("runs", &["run_uuid"]),
            )
            .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    create_table(manager, metrics).await?;
    create_index(
        manager,
        TABLE,
        "index_logged_model_metrics_model_id",
        index_on(&["model_id"]),
    )
    .await
}

async fn params_and_tags(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for (table, key, value, names) in [
        (
            "logged_model_params",
            "param_key",
            "param_value",
            [
                "logged_model_params_pk",
                "fk_logged_model_params_experiment_id",
                "fk_logged_model_params_model_id",
            ],
        ),
        (
            "logged_model_tags",
            "tag_key",
            "tag_value",
            [
                "logged_model_tags_pk",
                "fk_logged_model_tags_experiment_id",
                "fk_logged_model_tags_model_id",
            ],
        ),
    ] {
        let [key_name, of_experiment, of_model] = names;
        let values = Table::create()
            .table(table)
            .col(required_text("model_id", 36))
            .col(integer("experiment_id"))
            .col(required_text(key, 255))
            .col(ColumnDef::new(value).text().not_null())
            .primary_key(&mut primary(key_name, &["model_id", key]))
            .foreign_key(&mut foreign(
                of_experiment,
                (table, &["experiment_id"]),
                ("experiments", &["experiment_id"]),
            ))
            .foreign_key(
                foreign(of_model, (table, &["model_id"]), ("logged_models", &["model_id"]))
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        create_table(manager, values).await?;
    }
    Ok(())
}
