//! The schema, forward only.

mod m0001_objects;
mod m0002_versions;
mod m0003_events;
mod m0004_small_blobs;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_objects::Migration),
        Box::new(m0002_versions::Migration),
        Box::new(m0003_events::Migration),
        Box::new(m0004_small_blobs::Migration),
    ]
}
