//! The schema, forward only.

mod m0001_access_keys_and_tokens;
mod m0002_worker_tokens;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_access_keys_and_tokens::Migration),
        Box::new(m0002_worker_tokens::Migration),
    ]
}
