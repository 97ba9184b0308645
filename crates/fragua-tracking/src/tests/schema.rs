use fragua_database::Database;
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::Query;

use super::Bench;
use crate::{Error, ExperimentId};

async fn revision(database: &Database) -> String {
    let select = Query::select()
        .column("version_num")
        .from("alembic_version")
        .take();
    let rows = database.reader().query_all(&select).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows[0].try_get_by_index(0).unwrap()
}

async fn an_empty_database_gets_mlflows_schema_and_the_default_experiment(database: Database) {
    let bench = Bench::open(database.clone()).await;
    assert_eq!(revision(&database).await, "f4a9b2c7d1e6");
    let default = bench.tracking.experiment(ExperimentId(0)).await.unwrap();
    assert_eq!(
        (default.name.as_str(), default.artifact_location.as_str()),
        ("Default", "mlflow-artifacts:/0")
    );
    assert_eq!(bench.experiment("first").await, ExperimentId(1));
    drop(bench);
    let again = Bench::open(database).await;
    assert_eq!(
        again
            .tracking
            .search_experiments(&crate::Query::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

async fn the_revision_of_a_database_that_mlflow_made_stays(database: Database) {
    Bench::open(database.clone()).await;
    let newer = "UPDATE alembic_version SET version_num = '0123456789ab'";
    database.writer().execute_unprepared(newer).await.unwrap();
    database
        .writer()
        .execute_unprepared("DELETE FROM fragua_tracking_migrations")
        .await
        .unwrap();
    Bench::open(database.clone()).await;
    assert_eq!(revision(&database).await, "0123456789ab");
}

async fn a_database_of_an_old_mlflow_is_refused(database: Database) {
    for sql in [
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('cc1f77228345')",
        "CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL)",
    ] {
        database.writer().execute_unprepared(sql).await.unwrap();
    }
    let result = crate::store::prepare(&database, fragua_base::Timestamp::from_millis(0)).await;
    match result {
        Err(Error::OldSchema { revision, missing }) => {
            assert_eq!(
                (revision.as_str(), missing),
                ("cc1f77228345", "column experiments.workspace")
            );
        }
        other => panic!("{other:?}"),
    }
}

fragua_database::each_engine!(
    schema: an_empty_database_gets_mlflows_schema_and_the_default_experiment,
    the_revision_of_a_database_that_mlflow_made_stays,
    a_database_of_an_old_mlflow_is_refused,
);
