//! Buckets, objects, uploads in parts and blobs to remove.
//!
//! Keys are bytes: every engine then compares them as S3 does, without collations, and MySQL can index 1024 of
//! them.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, string_len, string_len_null, text, var_binary};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [buckets(), objects(), uploads(), upload_parts(), garbage()] {
            manager.create_table(table).await?;
        }
        for (table, name, columns, unique) in [
            ("fragua_objects", "fragua_objects_by_blob", &["blob_id"][..], true),
            (
                "fragua_uploads",
                "fragua_uploads_by_key",
                &["bucket", "object_key", "upload_id"],
                false,
            ),
            ("fragua_uploads", "fragua_uploads_by_age", &["created_at"], false),
            (
                "fragua_upload_parts",
                "fragua_upload_parts_by_blob",
                &["blob_id"],
                true,
            ),
        ] {
            if manager.has_index(table, name).await? {
                continue;
            }
            let mut index = Index::create();
            index.name(name).table(table);
            for column in columns {
                index.col(*column);
            }
            if unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

fn buckets() -> TableCreateStatement {
    Table::create()
        .table("fragua_buckets")
        .if_not_exists()
        .col(string_len("name", 63).primary_key())
        .col(big_integer("created_at"))
        .to_owned()
}

fn objects() -> TableCreateStatement {
    Table::create()
        .table("fragua_objects")
        .if_not_exists()
        .col(string_len("bucket", 63))
        .col(var_binary("object_key", 1024))
        .col(string_len("blob_id", 32))
        .col(big_integer("size_bytes"))
        .col(string_len("etag", 40))
        .col(string_len("content_type", 255))
        .col(text("attributes"))
        .col(big_integer("modified_at"))
        .primary_key(Index::create().col("bucket").col("object_key"))
        .foreign_key(&mut in_bucket("fragua_objects"))
        .to_owned()
}

fn uploads() -> TableCreateStatement {
    Table::create()
        .table("fragua_uploads")
        .if_not_exists()
        .col(string_len("upload_id", 32).primary_key())
        .col(string_len("bucket", 63))
        .col(var_binary("object_key", 1024))
        .col(string_len("content_type", 255))
        .col(text("attributes"))
        .col(big_integer("created_at"))
        .foreign_key(&mut in_bucket("fragua_uploads"))
        .to_owned()
}

fn upload_parts() -> TableCreateStatement {
    let mut of_upload = ForeignKey::create()
        .name("fragua_upload_parts_of_upload")
        .from("fragua_upload_parts", "upload_id")
        .to("fragua_uploads", "upload_id")
        .to_owned();
    Table::create()
        .table("fragua_upload_parts")
        .if_not_exists()
        .col(string_len("upload_id", 32))
        .col(integer("part_number"))
        .col(string_len("blob_id", 32))
        .col(big_integer("size_bytes"))
        .col(string_len("etag", 40))
        .col(string_len_null("checksum", 64))
        .col(big_integer("modified_at"))
        .primary_key(Index::create().col("upload_id").col("part_number"))
        .foreign_key(&mut of_upload)
        .to_owned()
}

fn garbage() -> TableCreateStatement {
    Table::create()
        .table("fragua_blob_garbage")
        .if_not_exists()
        .col(string_len("blob_id", 32).primary_key())
        .to_owned()
}

pub(super) fn in_bucket(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_in_bucket"))
        .from(table, "bucket")
        .to("fragua_buckets", "name")
        .to_owned()
}
