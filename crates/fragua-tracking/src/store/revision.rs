//! Which MLflow made the database.

use fragua_database::Database;
use sea_orm::sea_query::Query;
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::SchemaManager;

use crate::Error;

/// Returns MLflow's revision; the table has to exist.
pub(super) async fn find(connection: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let select = Query::select()
        .column("version_num")
        .from("alembic_version")
        .limit(1)
        .take();
    connection
        .query_one(&select)
        .await?
        .map(|row| row.try_get_by_index(0))
        .transpose()
}

/// Refuses a database of an MLflow whose tables lack what we read and write. The classical tables change rarely, so
/// this looks for columns and not for a list of revisions.
pub(super) async fn check(database: &Database) -> Result<(), Error> {
    let manager = SchemaManager::new(database.reader());
    if !manager.has_table("alembic_version").await? {
        return Ok(());
    }
    let Some(revision) = find(database.reader()).await? else {
        return Ok(());
    };
    for (table, column, missing) in [
        ("experiments", "workspace", "column experiments.workspace"),
        (
            "registered_models",
            "workspace",
            "column registered_models.workspace",
        ),
        ("inputs", "step", "column inputs.step"),
        ("logged_models", "model_id", "table logged_models"),
    ] {
        if !manager.has_column(table, column).await? {
            return Err(Error::OldSchema { revision, missing });
        }
    }
    Ok(())
}
