//! Indexes of ours for the lists people look at: MLflow has none on the experiment of a run.

use fragua_database::dialect::create_index;
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::index_on;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name, columns) in [
            (
                "runs",
                "fragua_runs_by_experiment",
                &["experiment_id", "lifecycle_stage", "start_time"][..],
            ),
            (
                "logged_models",
                "fragua_logged_models_by_experiment",
                &["experiment_id", "creation_timestamp_ms"],
            ),
            ("logged_models", "fragua_logged_models_by_run", &["source_run_id"]),
            ("model_versions", "fragua_model_versions_by_run", &["run_id"]),
        ] {
            // The database of an older MLflow has no logged models.
            if manager.has_table(table).await? {
                create_index(manager, table, name, index_on(columns)).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
