//! Which MLflow made the database, and what its tables lack.

use fragua_database::Database;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::SchemaManager;

use crate::Error;

/// The revision of a database that we make: the newest whose MLflow can be installed. A newer MLflow upgrades it, an
/// older one could never open what is newer.
pub(super) const OF_NEW_DATABASES: &str = "dc11669786a5";

/// What the tables of a database lack, and whether tables of ours are there for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub(super) lacks: Lacks,
    /// Not so in a database that is only read and was never opened here: what its tables lack is read as if it were
    /// empty.
    pub(super) has_tables_beside: bool,
}

/// What the tables of a group of revisions lack, as far as it matters to us.
///
/// Databases before MLflow 3.10 have no column `workspace` too. It needs no family of its own: no statement of ours
/// names the column, its default is the workspace `default`, and a database with other workspaces is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// MLflow 2: no logged models, no step of a model that a run made, no webhooks.
    LoggedModels,
    /// MLflow 3.0 to 3.2: no webhooks.
    Webhooks,
    /// All that we use is there.
    Nothing,
}

/// The newest revision of each release that we open: revision, releases, family.
const KNOWN: &[(&str, &str, Lacks)] = &[
    ("0584bdc529eb", "2.22", Lacks::LoggedModels),
    ("6953534de441", "3.0.0 and 3.1.0", Lacks::Webhooks),
    ("bda7b8c39065", "3.0.1 and 3.1.1 to 3.1.4", Lacks::Webhooks),
    ("770bee3ae1dd", "3.2", Lacks::Webhooks),
    ("1a0cddfcaa16", "3.3", Lacks::Nothing),
    ("71994744cf8e", "3.4", Lacks::Nothing),
    ("bf29a5ff90ea", "3.5 to 3.7", Lacks::Nothing),
    ("1bd49d398cd23", "3.8", Lacks::Nothing),
    ("d3e4f5a6b7c8", "3.9", Lacks::Nothing),
    ("1b5f0d9ad7c1", "3.10", Lacks::Nothing),
    ("c3d6457b6d8a", "3.11", Lacks::Nothing),
    ("7d34483879f0", "3.12", Lacks::Nothing),
    ("da6fb0208061", "3.13", Lacks::Nothing),
    ("b7e4c1a90f23", "3.14", Lacks::Nothing),
    ("6f8d9c3b2a1e", "3.15", Lacks::Nothing),
    ("b7e2c1a4d9f3", "3.16", Lacks::Nothing),
    ("dc11669786a5", "3.17", Lacks::Nothing),
    ("f4a9b2c7d1e6", "3.18", Lacks::Nothing),
];

/// Returns MLflow's revision. A database that is being made has none yet.
pub(super) async fn find(manager: &SchemaManager<'_>) -> Result<Option<String>, DbErr> {
    if !manager.has_table("alembic_version").await? {
        return Ok(None);
    }
    let select = Query::select()
        .column("version_num")
        .from("alembic_version")
        .limit(1)
        .take();
    let row = manager.get_connection().query_one(&select).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

/// Returns what the tables of the database lack, which may be empty.
///
/// # Errors
/// [`Error::UnknownRevision`] and [`Error::OtherWorkspaces`], before anything is changed.
pub(super) async fn lacks(database: &Database) -> Result<Lacks, Error> {
    let manager = SchemaManager::new(database.reader());
    let revision = match find(&manager).await? {
        Some(revision) => revision,
        // Of a database that we began to make, the ledger of our migrations is the first table.
        None if !manager.has_table("experiments").await?
            || manager.has_table("fragua_tracking_migrations").await? =>
        {
            return Ok(Lacks::Nothing);
        }
        None => "none".to_owned(),
    };
    let Some((_, releases, lacks)) = KNOWN.iter().find(|(known, ..)| *known == revision) else {
        return Err(Error::UnknownRevision {
            revision,
            known: known(),
        });
    };
    for table in ["experiments", "registered_models"] {
        if manager.has_column(table, "workspace").await? {
            refuse_other_workspaces(database, table).await?;
        }
    }
    if !manager.has_table("fragua_tracking_migrations").await? {
        tracing::info!("opened MLflow's database, revision {revision} (MLflow {releases})");
    }
    Ok(*lacks)
}

/// As MLflow itself does while its workspaces are off: what is in others would be mixed with what is in the default.
async fn refuse_other_workspaces(database: &Database, table: &'static str) -> Result<(), Error> {
    let select = Query::select()
        .column("workspace")
        .from(table)
        .and_where(Expr::col("workspace").ne("default"))
        .limit(1)
        .take();
    match database.reader().query_one(&select).await? {
        None => Ok(()),
        Some(row) => Err(Error::OtherWorkspaces {
            table,
            workspace: row.try_get_by_index(0)?,
        }),
    }
}

/// Names the range for people.
fn known() -> String {
    let name = |(revision, releases, _): &(&str, &str, Lacks)| format!("{releases} ({revision})");
    let (first, last) = (KNOWN.first().map(name), KNOWN.last().map(name));
    let [first, last] = [first, last].map(Option::unwrap_or_default);
    format!("MLflow {first} to {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_revision_is_known_once_and_the_one_of_new_databases_is_among_them() {
        let mut revisions: Vec<&str> = KNOWN.iter().map(|(revision, ..)| *revision).collect();
        assert!(revisions.contains(&OF_NEW_DATABASES));
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), KNOWN.len());
    }

    #[test]
    fn the_range_is_told_by_releases_and_revisions() {
        assert_eq!(known(), "MLflow 2.22 (0584bdc529eb) to 3.18 (f4a9b2c7d1e6)");
    }
}
