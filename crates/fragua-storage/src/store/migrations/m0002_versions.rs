//! Versions, settings of buckets and what goes on in the background.
//!
//! `fragua_objects` keeps what each key stands for now, so that lists and reads cost what they did. What was replaced
//! and each delete marker is a row of `fragua_object_versions`.

use fragua_database::{Engine, dialect};
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, string_len, string_len_null, var_binary,
};

use super::m0001_objects::in_bucket;
use crate::store::versions::KEY_LOCKS;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let versioning = string_len("versioning", 10).default("").to_owned();
        dialect::add_column(manager, "fragua_buckets", versioning).await?;
        let version_id = string_len("version_id", 32).default("null").to_owned();
        dialect::add_column(manager, "fragua_objects", version_id).await?;
        let version_rank = big_integer("version_rank").default(0).to_owned();
        dialect::add_column(manager, "fragua_objects", version_rank).await?;
        lengthen_attributes(manager).await?;
        manager.create_table(versions(manager)).await?;
        for (name, columns, unique) in [
            (
                "fragua_object_versions_by_rank",
                &["bucket", "object_key", "version_rank"][..],
                false,
            ),
            ("fragua_object_versions_by_blob", &["blob_id"], true),
        ] {
            let mut index = Index::create();
            for column in columns {
                index.col(*column);
            }
            if unique {
                index.unique();
            }
            dialect::create_index(manager, "fragua_object_versions", name, index).await?;
        }
        for table in [key_locks(), bucket_settings(manager), chores(manager)] {
            manager.create_table(table).await?;
        }
        insert_key_locks(manager).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

/// MySQL's `TEXT` ends at 64 kB, which the sizes of ten thousand parts go beyond.
async fn lengthen_attributes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    if Engine::from(backend) != Engine::MySql {
        return Ok(());
    }
    let attributes = ColumnDef::new_with_type("attributes", dialect::long_text(backend))
        .not_null()
        .to_owned();
    let longer = Table::alter()
        .table("fragua_objects")
        .modify_column(attributes)
        .to_owned();
    manager.alter_table(longer).await
}

/// A row without a blob is a delete marker. Ranks count down: the smallest of a key is its newest version.
fn versions(manager: &SchemaManager<'_>) -> TableCreateStatement {
    let text = dialect::long_text(manager.get_database_backend());
    let attributes = ColumnDef::new_with_type("attributes", text).not_null().to_owned();
    Table::create()
        .table("fragua_object_versions")
        .if_not_exists()
        .col(string_len("bucket", 63))
        .col(var_binary("object_key", 1024))
        .col(string_len("version_id", 32))
        .col(big_integer("version_rank"))
        .col(string_len_null("blob_id", 32))
        .col(big_integer("size_bytes"))
        .col(string_len("etag", 40))
        .col(string_len("content_type", 255))
        .col(attributes)
        .col(big_integer("modified_at"))
        .primary_key(Index::create().col("bucket").col("object_key").col("version_id"))
        .foreign_key(&mut in_bucket("fragua_object_versions"))
        .to_owned()
}

fn key_locks() -> TableCreateStatement {
    Table::create()
        .table("fragua_key_locks")
        .if_not_exists()
        .col(integer("slot").primary_key())
        .to_owned()
}

async fn insert_key_locks(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut rows = Query::insert();
    rows.into_table("fragua_key_locks").columns(["slot"]);
    for slot in 0..KEY_LOCKS {
        rows.values_panic([slot.into()]);
    }
    rows.on_conflict(dialect::insert_if_absent(&["slot"]));
    manager.execute(rows).await
}

fn bucket_settings(manager: &SchemaManager<'_>) -> TableCreateStatement {
    let text = dialect::long_text(manager.get_database_backend());
    let document = ColumnDef::new_with_type("document", text).not_null().to_owned();
    Table::create()
        .table("fragua_bucket_settings")
        .if_not_exists()
        .col(string_len("bucket", 63))
        .col(string_len("name", 32))
        .col(document)
        .primary_key(Index::create().col("bucket").col("name"))
        .foreign_key(&mut in_bucket("fragua_bucket_settings"))
        .to_owned()
}

/// Work that one process at a time does for all: who does it, until when, and what it knows.
fn chores(manager: &SchemaManager<'_>) -> TableCreateStatement {
    let text = dialect::long_text(manager.get_database_backend());
    let state = ColumnDef::new_with_type("state", text).not_null().to_owned();
    Table::create()
        .table("fragua_storage_chores")
        .if_not_exists()
        .col(string_len("name", 32).primary_key())
        .col(string_len_null("holder", 32))
        .col(big_integer_null("held_until"))
        .col(big_integer("due_at"))
        .col(state)
        .to_owned()
}
