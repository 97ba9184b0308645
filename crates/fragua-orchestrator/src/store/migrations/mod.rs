//! The schema, forward only.

mod m0001_first_schema;
mod m0002_engine;
mod m0003_workers;
mod m0004_callbacks_and_assets;
mod m0005_indexes_of_lists;
mod m0006_unfinished;
mod m0007_runs_of_events;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_first_schema::Migration),
        Box::new(m0002_engine::Migration),
        Box::new(m0003_workers::Migration),
        Box::new(m0004_callbacks_and_assets::Migration),
        Box::new(m0005_indexes_of_lists::Migration),
        Box::new(m0006_unfinished::Migration),
        Box::new(m0007_runs_of_events::Migration),
    ]
}

#[cfg(test)]
mod tests;
