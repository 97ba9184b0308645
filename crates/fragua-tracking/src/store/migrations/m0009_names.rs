//! Indexes of ours for what is found by its name: in MLflow's own the workspace comes first.

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
            ("experiments", "fragua_experiments_by_name", &["name"][..]),
            ("registered_models", "fragua_registered_models_by_name", &["name"]),
            (
                "registered_model_aliases",
                "fragua_registered_model_aliases_by_name",
                &["name", "alias"],
            ),
            (
                "registered_model_tags",
                "fragua_registered_model_tags_by_name",
                &["name"],
            ),
            (
                "model_versions",
                "fragua_model_versions_by_name",
                &["name", "version"],
            ),
            (
                "model_version_tags",
                "fragua_model_version_tags_by_name",
                &["name", "version"],
            ),
        ] {
            create_index(manager, table, name, index_on(columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
