//! Registered models, versions, aliases and tags.

use fragua_database::dialect::{create_index, create_table};
use sea_orm::sea_query::{ColumnDef, ForeignKeyAction, Table};
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::{foreign, index_on, integer, number, primary, required_text, text, workspace};
use crate::store::revision;

const MODEL: &[&str] = &["workspace", "name"];
const VERSION: &[&str] = &["workspace", "name", "version"];

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        models(manager).await?;
        versions(manager).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

async fn models(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let models = Table::create()
        .table("registered_models")
        .col(required_text("name", 256))
        .col(number("creation_time"))
        .col(number("last_updated_time"))
        .col(text("description", 5000))
        .col(workspace())
        .primary_key(&mut primary("registered_model_pk", MODEL))
        .take();
    let tags = Table::create()
        .table("registered_model_tags")
        .col(required_text("key", 250))
        .col(text("value", 5000))
        .col(required_text("name", 256))
        .col(workspace())
        .primary_key(&mut primary(
            "registered_model_tag_pk",
            &["workspace", "key", "name"],
        ))
        .foreign_key(
            foreign(
                "fk_registered_model_tags_registered_models",
                ("registered_model_tags", MODEL),
                ("registered_models", MODEL),
            )
            .on_update(ForeignKeyAction::Cascade),
        )
        .take();
    let aliases = Table::create()
        .table("registered_model_aliases")
        .col(required_text("alias", 256))
        .col(integer("version"))
        .col(required_text("name", 256))
        .col(workspace())
        .primary_key(&mut primary(
            "registered_model_alias_pk",
            &["workspace", "name", "alias"],
        ))
        .foreign_key(
            foreign(
                "fk_registered_model_aliases_registered_models",
                ("registered_model_aliases", MODEL),
                ("registered_models", MODEL),
            )
            .on_delete(ForeignKeyAction::Cascade)
            .on_update(ForeignKeyAction::Cascade),
        )
        .take();
    create_table(manager, models).await?;
    create_table(manager, tags).await?;
    create_table(manager, aliases).await?;
    create_index(
        manager,
        "registered_models",
        "idx_registered_models_workspace",
        index_on(&["workspace"]),
    )
    .await?;
    create_index(
        manager,
        "registered_model_tags",
        "idx_registered_model_tags_workspace_name",
        index_on(MODEL),
    )
    .await
}

async fn versions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let versions = Table::create()
        .table("model_versions")
        .col(required_text("name", 256))
        .col(integer("version"))
        .col(number("creation_time"))
        .col(number("last_updated_time"))
        .col(text("description", 5000))
        .col(text("user_id", 256))
        .col(text("current_stage", 20))
        .col(text("source", 500))
        .col(text("run_id", 32))
        .col(text("status", 20))
        .col(text("status_message", 500))
        .col(text("run_link", 500))
        .col(text("storage_location", 500))
        .col(workspace())
        .primary_key(&mut primary("model_version_pk", VERSION))
        .foreign_key(
            foreign(
                "fk_model_versions_registered_models",
                ("model_versions", MODEL),
                ("registered_models", MODEL),
            )
            .on_update(ForeignKeyAction::Cascade),
        )
        .take();
    let tags = Table::create()
        .table("model_version_tags")
        .col(required_text("key", 250))
        .col(ColumnDef::new("value").text())
        .col(required_text("name", 256))
        .col(integer("version"))
        .col(workspace())
        .primary_key(&mut primary(
            "model_version_tag_pk",
            &["workspace", "key", "name", "version"],
        ))
        .foreign_key(
            foreign(
                "fk_model_version_tags_model_versions",
                ("model_version_tags", VERSION),
                ("model_versions", VERSION),
            )
            .on_update(ForeignKeyAction::Cascade),
        )
        .take();
    create_table(manager, versions).await?;
    create_table(manager, tags).await?;
    create_index(
        manager,
        "model_version_tags",
        "idx_model_version_tags_workspace_name_version",
        index_on(VERSION),
    )
    .await
}
