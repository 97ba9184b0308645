use bytes::Bytes;
use fragua_database::Database;
use futures::stream;
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::Query;
use sea_orm_migration::SchemaManager;

use super::Bench;
use crate::store::prepare;
use crate::{ArtifactPath, Error, ExperimentId};

async fn revision(database: &Database) -> String {
    let select = Query::select()
        .column("version_num")
        .from("alembic_version")
        .take();
    let rows = database.reader().query_all(&select).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows[0].try_get_by_index(0).unwrap()
}

async fn run(database: &Database, statements: &[&str]) {
    for sql in statements {
        database.writer().execute_unprepared(sql).await.unwrap();
    }
}

async fn refused(database: &Database) -> Error {
    let now = fragua_base::Timestamp::from_millis(0);
    prepare(database, || now).await.unwrap_err()
}

async fn an_empty_database_gets_mlflows_schema_and_the_default_experiment(database: Database) {
    let bench = Bench::open(database.clone()).await;
    assert_eq!(revision(&database).await, "dc11669786a5");
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

async fn the_revision_stays_when_mlflow_has_upgraded_the_database(database: Database) {
    Bench::open(database.clone()).await;
    let newer = "UPDATE alembic_version SET version_num = 'f4a9b2c7d1e6'";
    run(&database, &[newer]).await;
    Bench::open(database.clone()).await;
    assert_eq!(revision(&database).await, "f4a9b2c7d1e6");
}

async fn an_unknown_revision_is_refused_and_nothing_is_changed(database: Database) {
    let statements = [
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('cc1f77228345')",
        "CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL)",
    ];
    run(&database, &statements).await;
    let error = refused(&database).await;
    let expected = "the database has the revision cc1f77228345 of MLflow's schema, which is not known; those of MLflow \
                    2.22 (0584bdc529eb) to 3.18 (f4a9b2c7d1e6) are: bring an older database up to one of them with \
                    that MLflow's `mlflow db upgrade`, open a newer one with a newer Fragua. Nothing was changed";
    assert_eq!(error.to_string(), expected);
    let manager = SchemaManager::new(database.reader());
    for table in ["runs", "fragua_tracking_migrations"] {
        assert!(!manager.has_table(table).await.unwrap(), "{table}");
    }
}

async fn tables_without_a_revision_are_refused(database: Database) {
    run(
        &database,
        &["CREATE TABLE experiments (experiment_id INTEGER NOT NULL)"],
    )
    .await;
    let error = refused(&database).await;
    assert!(
        matches!(&error, Error::UnknownRevision { revision, .. } if revision == "none"),
        "{error}"
    );
}

async fn other_workspaces_are_refused_not_mixed(database: Database) {
    Bench::open(database.clone()).await;
    let other = "INSERT INTO registered_models (name, workspace) VALUES ('cover', 'team-a')";
    run(&database, &[other]).await;
    let error = refused(&database).await;
    assert!(
        matches!(&error, Error::OtherWorkspaces { table: "registered_models", workspace } if workspace == "team-a"),
        "{error}"
    );
}

async fn artifacts_of_mlflow_are_missed_until_one_is_there(database: Database) {
    let bench = Bench::open(database.clone()).await;
    let lacks = async |sql: &str| {
        run(&database, &[sql]).await;
        bench.tracking.lacks_artifacts_of_mlflow().await.unwrap()
    };
    let of_ours = format!("UPDATE experiments SET creation_time = {}", i64::MAX);
    assert!(!lacks(&of_ours).await);
    assert!(lacks("UPDATE experiments SET creation_time = NULL").await);
    assert!(lacks("UPDATE experiments SET creation_time = 1000").await);
    assert!(!lacks("UPDATE experiments SET artifact_location = 's3://elsewhere/0'").await);
    assert!(lacks("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/0'").await);
    let place = ArtifactPath::parse("0/a.txt").unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"hello"))]);
    bench
        .tracking
        .put_artifact(&place, None, None, body)
        .await
        .unwrap();
    assert!(!bench.tracking.lacks_artifacts_of_mlflow().await.unwrap());
}

fragua_database::each_engine!(
    schema: an_empty_database_gets_mlflows_schema_and_the_default_experiment,
    the_revision_stays_when_mlflow_has_upgraded_the_database,
    an_unknown_revision_is_refused_and_nothing_is_changed,
    tables_without_a_revision_are_refused,
    other_workspaces_are_refused_not_mixed,
    artifacts_of_mlflow_are_missed_until_one_is_there,
);
