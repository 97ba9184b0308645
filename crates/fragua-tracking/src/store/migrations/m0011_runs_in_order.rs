//! The index of the runs of an experiment holds them in the order in which they are listed: a page is read without
//! sorting all of them, and a search ends when the page is full.

use sea_orm::sea_query::{Index, IndexOrder};
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use fragua_database::dialect::create_index;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create()
            .col("experiment_id")
            .col("lifecycle_stage")
            .col(("start_time", IndexOrder::Desc))
            .col("run_uuid")
            .take();
        create_index(manager, "runs", "fragua_runs_in_order", index).await?;
        // The one it replaces.
        let replaced = "fragua_runs_by_experiment";
        if manager.has_index("runs", replaced).await? {
            manager
                .drop_index(Index::drop().name(replaced).table("runs").to_owned())
                .await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}
