//! The schema, forward only.

mod m0001_access_keys_and_tokens;
mod m0002_worker_tokens;
mod m0003_serving_keys;
mod m0004_storage_keys;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_access_keys_and_tokens::Migration),
        Box::new(m0002_worker_tokens::Migration),
        Box::new(m0003_serving_keys::Migration),
        Box::new(m0004_storage_keys::Migration),
    ]
}
