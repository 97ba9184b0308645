//! Databases that MLflow made are opened in place, on each engine and of each family of revisions, and MLflow reads
//! what was written to them.

mod peer;

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use fragua_database::testing::TestDatabase;
use fragua_database::{Database, Engine, sqlite_url};
use fragua_tracking::{
    Batch, Dataset, DatasetInput, ExperimentId, LoggedModelQuery, LoggedModelStatus, Metric, ModelOutput,
    NewExperiment, NewLoggedModel, NewRun, NewVersion, Param, Query, RunStatus, RunUpdate, Stage, Tag,
    Tracking,
};
use peer::{mlflow, open, read};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

/// The revisions of MLflow's releases, oldest first.
const REVISIONS: &[&str] = &[
    "0584bdc529eb",
    "6953534de441",
    "bda7b8c39065",
    "770bee3ae1dd",
    "1a0cddfcaa16",
    "71994744cf8e",
    "bf29a5ff90ea",
    "1bd49d398cd23",
    "d3e4f5a6b7c8",
    "1b5f0d9ad7c1",
    "c3d6457b6d8a",
    "7d34483879f0",
    "da6fb0208061",
    "b7e4c1a90f23",
    "6f8d9c3b2a1e",
    "b7e2c1a4d9f3",
    "dc11669786a5",
];
/// MLflow 2.22, MLflow 3.17, and between them one of each family: without webhooks, without workspaces.
const OLDEST: &str = "0584bdc529eb";
const NEWEST: &str = "dc11669786a5";
const BETWEEN: &[&str] = &["770bee3ae1dd", "d3e4f5a6b7c8"];

/// Returns the address as SQLAlchemy wants it.
fn sqlalchemy(url: &str) -> String {
    match url.split_once("://") {
        Some(("postgresql" | "postgres", rest)) => format!("postgresql+psycopg2://{rest}"),
        Some(("mysql", rest)) => format!("mysql+pymysql://{rest}"),
        _ => url.replacen("sqlite:", "sqlite:///", 1),
    }
}

/// MLflow's tables and their columns.
async fn shape(database: &Database) -> Vec<String> {
    let sql = match database.engine() {
        Engine::Sqlite => {
            "SELECT name || ': ' || sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'fragua%' \
             AND name NOT LIKE 'sqlite%' ORDER BY 1"
        }
        Engine::Postgres => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) \
             FROM information_schema.columns WHERE table_schema = current_schema() \
             AND table_name NOT LIKE 'fragua%' ORDER BY 1"
        }
        Engine::MySql => {
            "SELECT concat_ws(' ', table_name, column_name, column_type, is_nullable, column_default) \
             FROM information_schema.columns WHERE table_schema = database() \
             AND table_name NOT LIKE 'fragua%' ORDER BY 1"
        }
    };
    texts(database, sql).await
}

async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let reader = database.reader();
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let rows = reader.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn revision(database: &Database) -> Vec<String> {
    texts(database, "SELECT version_num FROM alembic_version").await
}

/// Does what people do, through the façade.
async fn work(tracking: &Tracking) {
    let new = NewExperiment {
        name: "ours".to_owned(),
        tags: vec![Tag::new("kind", "trial")],
        ..NewExperiment::default()
    };
    let experiment = tracking.create_experiment(new).await.unwrap();
    let mut runs = Vec::new();
    for (name, score) in [("second", 0.75), ("third", f64::NAN)] {
        let new = NewRun {
            experiment_id: Some(experiment),
            run_name: Some(name.to_owned()),
            ..NewRun::default()
        };
        let run = tracking.create_run(new).await.unwrap().info.run_id;
        let metrics = (0..3).map(|step| Metric::new("score", score, Timestamp::from_millis(5), step));
        let batch = Batch {
            metrics: metrics.collect(),
            params: vec![Param::new("side", "right")],
            tags: vec![Tag::new("team", "forest")],
        };
        tracking.log_batch(&run, batch).await.unwrap();
        runs.push(run);
    }
    let query = Query {
        filter: "params.side = 'right' AND tags.team = 'forest'".to_owned(),
        order_by: vec!["metrics.score ASC".to_owned()],
        ..Query::default()
    };
    let found = tracking.search_runs(&[experiment], &query).await.unwrap().items;
    let names: Vec<&str> = found.iter().map(|run| run.info.run_name.as_str()).collect();
    assert_eq!(names, ["second", "third"]);
    log_models(tracking, experiment, &runs).await;
    register(tracking, &runs[0]).await;
    tracking.delete_run(&runs[0]).await.unwrap();
    tracking.restore_run(&runs[0]).await.unwrap();
    tracking.delete_run(&runs[1]).await.unwrap();
    let update = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    tracking.update_run(&runs[0], update).await.unwrap();
    let new = NewExperiment {
        name: "gone".to_owned(),
        ..NewExperiment::default()
    };
    let gone = tracking.create_experiment(new).await.unwrap();
    tracking.delete_experiment(gone).await.unwrap();
    tracking.restore_experiment(gone).await.unwrap();
    tracking.delete_experiment(gone).await.unwrap();
}

async fn log_models(tracking: &Tracking, experiment: ExperimentId, runs: &[String]) {
    let new = NewLoggedModel {
        experiment_id: Some(experiment),
        name: Some("forest".to_owned()),
        source_run_id: Some(runs[0].clone()),
        params: vec![Param::new("trees", "100")],
        tags: vec![Tag::new("colour", "green")],
        ..NewLoggedModel::default()
    };
    let model = tracking.create_logged_model(new).await.unwrap().model_id;
    let mut metric = Metric::new("accuracy", 0.9, Timestamp::from_millis(7), 1);
    metric.model_id = Some(model.clone());
    let batch = Batch {
        metrics: vec![metric],
        ..Batch::default()
    };
    tracking.log_batch(&runs[0], batch).await.unwrap();
    tracking
        .finalize_logged_model(&model, LoggedModelStatus::Ready)
        .await
        .unwrap();
    tracking
        .set_logged_model_tags(&model, vec![Tag::new("colour", "brown")])
        .await
        .unwrap();
    let dataset = Dataset {
        name: "rows".to_owned(),
        digest: "d2".to_owned(),
        source_type: "code".to_owned(),
        source: "{}".to_owned(),
        schema: None,
        profile: None,
    };
    let input = DatasetInput {
        dataset,
        tags: vec![Tag::new("mlflow.data.context", "testing")],
    };
    tracking
        .log_inputs(&runs[0], vec![input], vec![model.clone()])
        .await
        .unwrap();
    let output = ModelOutput {
        model_id: model,
        step: 3,
    };
    tracking.log_outputs(&runs[0], &[output]).await.unwrap();
    check_models(tracking).await;
}

/// Finds the logged model by its metric, and the run that made it.
async fn check_models(tracking: &Tracking) {
    let experiment = tracking.experiment_by_name("ours").await.unwrap().unwrap();
    let query = LoggedModelQuery {
        experiment_ids: vec![experiment.id],
        filter: "metrics.accuracy > 0.5 AND params.trees = '100' AND tags.colour = 'brown'".to_owned(),
        ..LoggedModelQuery::default()
    };
    let found = tracking.search_logged_models(&query).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].status, LoggedModelStatus::Ready);
    let run = found[0].source_run_id.as_deref().unwrap();
    let run = tracking.run(run).await.unwrap();
    assert_eq!(run.model_inputs, [found[0].model_id.as_str()]);
    assert_eq!(run.model_outputs.len(), 1);
    assert_eq!(
        (run.model_outputs[0].model_id.as_str(), run.model_outputs[0].step),
        (found[0].model_id.as_str(), 3)
    );
}

async fn register(tracking: &Tracking, run: &str) {
    let tags = vec![Tag::new("use", "maps")];
    tracking
        .create_model("soil", Some("ours".to_owned()), tags)
        .await
        .unwrap();
    tracking
        .set_model_tag("soil", Tag::new("use", "trips"))
        .await
        .unwrap();
    for number in 1..=2 {
        let new = NewVersion {
            name: "soil".to_owned(),
            source: "s3://bucket/soil".to_owned(),
            run_id: Some(run.to_owned()),
            tags: vec![Tag::new("size", "small")],
            ..NewVersion::default()
        };
        assert_eq!(tracking.create_version(new).await.unwrap().version, number);
        tracking.set_alias("soil", "champion", number).await.unwrap();
    }
    tracking
        .set_version_tag("soil", 2, Tag::new("size", "large"))
        .await
        .unwrap();
    tracking
        .move_to_stage("soil", 1, Stage::Archived, false)
        .await
        .unwrap();
    let champion = tracking.version_by_alias("soil", "champion").await.unwrap();
    assert_eq!(champion.version, 2);
    tracking.rename_model("soil", "ground").await.unwrap();
    let query = Query {
        filter: "tags.`use` = 'trips'".to_owned(),
        ..Query::default()
    };
    let found = tracking.search_models(&query).await.unwrap().items;
    assert_eq!((found.len(), found[0].name.as_str()), (1, "ground"));
    tracking
        .create_model("short lived", None, Vec::new())
        .await
        .unwrap();
    tracking.delete_model("short lived").await.unwrap();
}

/// Without the logged models, which MLflow 2 does not have.
fn classical(mut told: Value) -> Value {
    if let Some(told) = told.as_object_mut() {
        told.remove("logged_models");
    }
    told
}

struct Case {
    made_by: String,
    /// As SQLAlchemy wants it.
    url: String,
    address: String,
    database: Database,
    _server: Option<TestDatabase>,
}

impl Case {
    fn on_server(made_by: &str, server: TestDatabase) -> Self {
        Self {
            made_by: made_by.to_owned(),
            url: sqlalchemy(&server.url),
            address: server.url.clone(),
            database: server.database.clone(),
            _server: Some(server),
        }
    }
}

#[tokio::test]
async fn databases_of_each_family_are_opened_in_place_and_mlflow_reads_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut commands = vec![json!(["make files", folder, REVISIONS])];
    let mut cases = Vec::new();
    for made_by in [OLDEST, BETWEEN[0], BETWEEN[1], NEWEST] {
        for server in [TestDatabase::postgres().await, TestDatabase::mariadb().await] {
            let case = Case::on_server(made_by, server);
            commands.push(json!(["upgrade", case.url, made_by]));
            cases.push(case);
        }
    }
    let file = |revision: &str| format!("sqlite:///{}/{revision}.db", folder.display());
    let of = |cases: &[Case], made_by: &str| -> Vec<String> {
        let of_servers = cases.iter().filter(|case| case.made_by == made_by);
        of_servers
            .map(|case| case.url.clone())
            .chain([file(made_by)])
            .collect()
    };
    commands.extend(of(&cases, NEWEST).iter().map(|url| json!(["write", url])));
    mlflow("FRAGUA_TEST_PYTHON", folder, &commands);
    let writes: Vec<Value> = of(&cases, OLDEST)
        .iter()
        .map(|url| json!(["write", url]))
        .collect();
    mlflow("FRAGUA_TEST_PYTHON_MLFLOW_2", folder, &writes);
    for revision in REVISIONS {
        let address = sqlite_url(&folder.join(format!("{revision}.db")));
        cases.push(Case {
            made_by: (*revision).to_owned(),
            url: file(revision),
            database: Database::open(&address, "test").await.unwrap(),
            address,
            _server: None,
        });
    }

    let mut told = BTreeMap::new();
    for case in &cases {
        let before = shape(&case.database).await;
        let tracking = open(&case.database, folder).await;
        work(&tracking).await;
        assert_eq!(shape(&case.database).await, before, "{}", case.url);
        assert_eq!(revision(&case.database).await, [case.made_by.as_str()]);
        told.insert(case.url.clone(), read(&tracking).await);
    }

    // MLflow 2 reads what it made, and its successor takes the database over.
    let urls = of(&cases[..cases.len() - REVISIONS.len()], OLDEST);
    let reads: Vec<Value> = urls.iter().map(|url| json!(["read", url])).collect();
    let answers = mlflow("FRAGUA_TEST_PYTHON_MLFLOW_2", folder, &reads);
    for (url, answer) in urls.iter().zip(answers) {
        assert_eq!(answer, told[url], "{url}");
    }
    let upgrades: Vec<Value> = urls.iter().map(|url| json!(["upgrade", url, "heads"])).collect();
    mlflow("FRAGUA_TEST_PYTHON", folder, &upgrades);
    for case in cases.iter().filter(|case| case.made_by == OLDEST) {
        // Fragua does not run while MLflow changes the tables.
        case.database.close().await;
        let database = Database::open(&case.address, "test").await.unwrap();
        assert_eq!(revision(&database).await, [NEWEST]);
        let tracking = open(&database, folder).await;
        check_models(&tracking).await;
        assert_eq!(read(&tracking).await, told[&case.url]);
    }

    // MLflow 3 reads both what it made and what it took over.
    let mut reads = of(&cases[..cases.len() - REVISIONS.len()], NEWEST);
    reads.extend(urls);
    let commands: Vec<Value> = reads.iter().map(|url| json!(["read", url])).collect();
    let answers = mlflow("FRAGUA_TEST_PYTHON", folder, &commands);
    for (url, answer) in reads.iter().zip(answers) {
        let models = json!([{
            "name": "forest",
            "params": { "trees": "100" },
            "tags": { "colour": "brown" },
            "metrics": { "accuracy": 0.9 },
        }]);
        assert_eq!(answer["logged_models"], models, "{url}");
        assert_eq!(classical(answer), told[url], "{url}");
    }
}

#[tokio::test]
async fn mlflow_opens_a_database_that_was_made_here() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut cases = Vec::new();
    let mut commands = Vec::new();
    for [ours, theirs] in [
        [TestDatabase::sqlite().await, TestDatabase::sqlite().await],
        [TestDatabase::postgres().await, TestDatabase::postgres().await],
        [TestDatabase::mariadb().await, TestDatabase::mariadb().await],
    ] {
        let tracking = open(&ours.database, folder).await;
        work(&tracking).await;
        let (url, reference) = (sqlalchemy(&ours.url), sqlalchemy(&theirs.url));
        commands.push(json!(["upgrade", reference, "heads"]));
        commands.push(json!(["compare", url, reference]));
        commands.push(json!(["read", url]));
        commands.push(json!(["write", url]));
        let told = read(&tracking).await;
        cases.push((ours, theirs, tracking, told));
    }
    let answers = mlflow("FRAGUA_TEST_PYTHON", folder, &commands);
    let differences: Vec<&Value> = answers.iter().skip(1).step_by(4).collect();
    assert_eq!(differences, [&json!({}); 3]);
    for ((ours, _theirs, tracking, told), answers) in cases.iter().zip(answers.chunks(4)) {
        let answer = &answers[2];
        assert_eq!(&classical(answer.clone()), told, "{}", ours.url);
        let theirs = tracking.experiment_by_name("theirs").await.unwrap().unwrap();
        let runs = tracking
            .search_runs(&[theirs.id], &Query::default())
            .await
            .unwrap();
        assert!(runs.items[0].metric("score").unwrap().is_nan());
    }
}
