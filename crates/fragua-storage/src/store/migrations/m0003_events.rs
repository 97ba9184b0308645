//! Events that are still to be sent.

use fragua_database::dialect;
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, string_len};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "fragua_object_events";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::create_table(manager, events(manager)).await?;
        for (name, columns) in [
            ("fragua_object_events_by_due", &["webhook", "due_at"][..]),
            ("fragua_object_events_by_age", &["created_at"]),
        ] {
            let mut index = Index::create();
            for column in columns {
                index.col(*column);
            }
            dialect::create_index(manager, TABLE, name, index).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

/// The number of a row is never used again: it puts events in order.
fn events(manager: &SchemaManager<'_>) -> TableCreateStatement {
    let text = dialect::long_text(manager.get_database_backend());
    let record = ColumnDef::new_with_type("record", text).not_null().to_owned();
    Table::create()
        .table(TABLE)
        .col(big_integer("id").primary_key().auto_increment())
        .col(string_len("delivery_id", 32))
        .col(string_len("webhook", 255))
        .col(record)
        .col(big_integer("created_at"))
        .col(integer("tries"))
        .col(big_integer("due_at"))
        .to_owned()
}
