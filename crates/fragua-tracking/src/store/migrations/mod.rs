//! MLflow's tables, and tables and indexes of ours. Forward only.
//!
//! A database with a revision has MLflow's tables already, whoever made them, and they stay as they are: there only
//! indexes are added, and tables of ours.

mod listed;
mod m0001_experiments_and_runs;
mod m0002_logged_models;
mod m0003_registry;
mod m0004_webhooks_and_workspaces;
mod m0005_indexes;
mod m0006_revision;
mod m0007_platform;
mod m0008_beside;
mod m0009_names;
mod m0010_purged_files;
mod m0011_runs_in_order;

use fragua_database::Engine;
use sea_orm::sea_query::{
    ColumnDef, ColumnType, Expr, ForeignKey, ForeignKeyCreateStatement, Index, IndexCreateStatement,
};
use sea_orm_migration::{MigrationTrait, SchemaManager};

/// Returns every migration in the order they run.
pub(super) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_experiments_and_runs::Migration),
        Box::new(m0002_logged_models::Migration),
        Box::new(m0003_registry::Migration),
        Box::new(m0004_webhooks_and_workspaces::Migration),
        Box::new(m0005_indexes::Migration),
        Box::new(m0007_platform::Migration),
        // After all tables of MLflow: it says that they are complete.
        Box::new(m0006_revision::Migration),
        Box::new(m0008_beside::Migration),
        Box::new(m0009_names::Migration),
        Box::new(m0010_purged_files::Migration),
        Box::new(m0011_runs_in_order::Migration),
    ]
}

fn text(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(length).take()
}

fn required_text(name: &'static str, length: u32) -> ColumnDef {
    text(name, length).not_null().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

fn required_number(name: &'static str) -> ColumnDef {
    number(name).not_null().take()
}

fn integer(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().take()
}

/// A text up to 16 MiB: what is `TEXT` elsewhere ends at 64 KiB in MySQL.
fn medium_text(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let kind = match Engine::from(manager.get_database_backend()) {
        Engine::MySql => ColumnType::custom("mediumtext"),
        Engine::Sqlite | Engine::Postgres => ColumnType::Text,
    };
    ColumnDef::new_with_type(name, kind)
}

fn workspace() -> ColumnDef {
    required_text("workspace", 63).default("default").take()
}

fn primary(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).primary();
    for column in columns {
        index.col(*column);
    }
    index
}

fn index_on(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(*column);
    }
    index
}

fn foreign(
    name: &'static str,
    (from, columns): (&'static str, &[&'static str]),
    (to, others): (&'static str, &[&'static str]),
) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.name(name);
    for column in columns {
        key.from(from, *column);
    }
    for other in others {
        key.to(to, *other);
    }
    key
}

fn one_of(column: &'static str, values: &[&'static str]) -> Expr {
    use sea_orm::sea_query::ExprTrait as _;
    Expr::col(column).is_in(values.iter().copied())
}

const STAGES: &[&str] = &["active", "deleted"];
