//! The schema, forward only.

mod m0001_deployments;
mod m0002_predictions;

use sea_orm_migration::MigrationTrait;

/// Returns every migration, oldest first.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_deployments::Migration),
        Box::new(m0002_predictions::Migration),
    ]
}
