//! Webhooks, and the table of workspaces: nothing here writes to that one, but MLflow expects it and would change a
//! database without it.

use fragua_database::dialect::{create_index, create_table};
use sea_orm::sea_query::{ColumnDef, ForeignKeyAction, Table};
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::{foreign, index_on, number, primary, required_text, text, workspace};
use crate::store::revision;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        let webhooks = Table::create()
            .table("webhooks")
            .col(required_text("webhook_id", 256))
            .col(required_text("name", 256))
            .col(text("description", 1000))
            .col(required_text("url", 500))
            .col(required_text("status", 20).default("ACTIVE"))
            .col(text("secret", 1000))
            .col(number("creation_timestamp"))
            .col(number("last_updated_timestamp"))
            .col(number("deleted_timestamp"))
            .col(workspace())
            .primary_key(&mut primary("webhook_pk", &["webhook_id"]))
            .take();
        let events = Table::create()
            .table("webhook_events")
            .col(required_text("webhook_id", 256))
            .col(required_text("entity", 50))
            .col(required_text("action", 50))
            .primary_key(&mut primary(
                "webhook_event_pk",
                &["webhook_id", "entity", "action"],
            ))
            .foreign_key(
                foreign(
                    "fk_webhook_events_webhook_id",
                    ("webhook_events", &["webhook_id"]),
                    ("webhooks", &["webhook_id"]),
                )
                .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        let workspaces = Table::create()
            .table("workspaces")
            .col(required_text("name", 63))
            .col(ColumnDef::new("description").text())
            .col(ColumnDef::new("default_artifact_root").text())
            .col(ColumnDef::new("trace_archival_location").text())
            .col(text("trace_archival_retention", 32))
            .primary_key(&mut primary("workspaces_pk", &["name"]))
            .take();
        create_table(manager, webhooks).await?;
        create_table(manager, events).await?;
        create_table(manager, workspaces).await?;
        for (table, name, columns) in [
            ("webhooks", "idx_webhooks_status", &["status"][..]),
            ("webhooks", "idx_webhooks_name", &["name"]),
            ("webhooks", "idx_webhooks_workspace", &["workspace"]),
            ("webhook_events", "idx_webhook_events_entity", &["entity"]),
            ("webhook_events", "idx_webhook_events_action", &["action"]),
            (
                "webhook_events",
                "idx_webhook_events_entity_action",
                &["entity", "action"],
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
