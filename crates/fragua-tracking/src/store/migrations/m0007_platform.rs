//! The tables of MLflow that only MLflow uses. They come before the revision, which says that all are there.

use fragua_database::dialect::insert_if_absent;
use sea_orm::sea_query::Query;
use sea_orm::{ConnectionTrait as _, DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::listed;
use crate::store::revision;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        listed::create(manager, include_str!("platform.tables")).await?;
        // MLflow writes this row when it makes the table.
        let insert = Query::insert()
            .into_table("workspaces")
            .columns(["name", "description"])
            .values_panic(["default".into(), "Default workspace for legacy resources".into()])
            .on_conflict(insert_if_absent(&["name"]))
            .take();
        manager.get_connection().execute(&insert).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
