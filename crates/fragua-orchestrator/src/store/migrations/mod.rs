//! The schema, forward only.

mod m0001_first_schema;
mod m0002_engine;
mod m0003_workers;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_first_schema::Migration),
        Box::new(m0002_engine::Migration),
        Box::new(m0003_workers::Migration),
    ]
}

#[cfg(test)]
mod tests;
