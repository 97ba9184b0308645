//! Says in MLflow's own way which revision the schema has, in a database that we made. It comes last: a database
//! whose making was cut short has no revision and is finished at the next start.

use fragua_database::dialect::create_table;
use sea_orm::sea_query::{Query, Table};
use sea_orm::{ConnectionTrait as _, DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::{primary, required_text};
use crate::store::revision;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        let table = Table::create()
            .table("alembic_version")
            .col(required_text("version_num", 32))
            .primary_key(&mut primary("alembic_version_pkc", &["version_num"]))
            .take();
        create_table(manager, table).await?;
        let insert = Query::insert()
            .into_table("alembic_version")
            .columns(["version_num"])
            .values_panic([revision::OF_NEW_DATABASES.into()])
            .take();
        manager.get_connection().execute(&insert).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
