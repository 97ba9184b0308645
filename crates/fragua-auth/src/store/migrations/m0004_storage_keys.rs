//! Keys of the object store with policies, and what was done there.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, pk_auto, string_len, string_len_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = Table::create()
            .table("fragua_storage_keys")
            .if_not_exists()
            .col(string_len("access_key_id", 128).primary_key())
            .col(string_len("name", 200))
            .col(string_len("secret", 128))
            .col(text("policy"))
            .col(big_integer("created_at"))
            .col(big_integer_null("expires_at"))
            .col(big_integer_null("last_used_at"))
            .col(big_integer_null("disabled_at"))
            .col(big_integer_null("revoked_at"))
            .to_owned();
        let log = Table::create()
            .table("fragua_storage_access_log")
            .if_not_exists()
            .col(pk_auto("id").big_integer())
            .col(big_integer("happened_at"))
            .col(string_len("request_id", 32))
            .col(string_len_null("access_key_id", 128))
            .col(string_len_null("key_name", 200))
            .col(string_len("operation", 64))
            .col(string_len_null("bucket", 63))
            .col(text_null("object_key"))
            .col(integer("status"))
            .to_owned();
        manager.create_table(keys).await?;
        manager.create_table(log).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
