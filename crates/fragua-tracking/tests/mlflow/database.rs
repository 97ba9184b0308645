//! Databases that MLflow made are opened in place, on each engine and of each family of revisions, and MLflow reads
//! what was written to them.

use fragua_base::Timestamp;
use fragua_database::testing::TestDatabase;
use fragua_database::{Database, Engine, sqlite_url};
use fragua_tracking::{
    Batch, Dataset, DatasetInput, ExperimentId, LoggedModelQuery, LoggedModelStatus, Metric, ModelOutput,
    NewExperiment, NewLoggedModel, NewRun, NewVersion, NewWebhook, Param, PurgeRequest, Query, RunStatus,
    RunUpdate, Stage, Tag, Tracking, WebhookEvent, WebhookStatus, WebhookUpdate,
};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::FileStore;
use super::peer::{Mlflow, open, open_to_read, read, sqlalchemy, with_no_models};

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
const OLDEST: &str = "0584bdc529eb";
const NEWEST: &str = "dc11669786a5";
/// One of each family: MLflow 2.22, 3.2 without webhooks, 3.9 without workspaces, 3.10 with them, and 3.17.
const FAMILIES: &[&str] = &[OLDEST, "770bee3ae1dd", "d3e4f5a6b7c8", "1b5f0d9ad7c1", NEWEST];
const REVISION: &str = "SELECT version_num FROM alembic_version";

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

/// All tables and indexes, those of ours too, and how many rows each table has.
async fn everything(database: &Database) -> Vec<String> {
    let (tables, indexes) = match database.engine() {
        Engine::Sqlite => (
            "SELECT name FROM sqlite_master WHERE type = 'table'",
            "SELECT concat_ws(' ', type, name, tbl_name, sql) FROM sqlite_master ORDER BY 1",
        ),
        Engine::Postgres => (
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1",
        ),
        Engine::MySql => (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
            "SELECT concat_ws(' ', table_name, index_name, seq_in_index, column_name) \
             FROM information_schema.statistics WHERE table_schema = database() ORDER BY 1",
        ),
    };
    let mut found = shape(database).await;
    found.extend(texts(database, indexes).await);
    let mut tables = texts(database, tables).await;
    tables.sort();
    for table in tables {
        let rows = texts(database, &format!("SELECT concat(count(*), '') FROM {table}")).await;
        found.push(format!("{table}: {}", rows[0]));
    }
    found
}

async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let reader = database.reader();
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let rows = reader.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Does what people do, through the façade. Names end with `mark`.
async fn work(tracking: &Tracking, mark: &str) {
    let new = NewExperiment {
        name: format!("ours {mark}"),
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
    log_models(tracking, experiment, &runs, mark).await;
    register(tracking, &runs[0], mark).await;
    tell_others(tracking).await;
    tracking.delete_run(&runs[0]).await.unwrap();
    tracking.restore_run(&runs[0]).await.unwrap();
    tracking.delete_run(&runs[1]).await.unwrap();
    let update = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    tracking.update_run(&runs[0], update).await.unwrap();
    let new = NewExperiment {
        name: format!("gone {mark}"),
        ..NewExperiment::default()
    };
    let gone = tracking.create_experiment(new).await.unwrap();
    tracking.delete_experiment(gone).await.unwrap();
    tracking.restore_experiment(gone).await.unwrap();
    tracking.delete_experiment(gone).await.unwrap();
}

async fn log_models(tracking: &Tracking, experiment: ExperimentId, runs: &[String], mark: &str) {
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
    check_models(tracking, mark).await;
}

/// Finds the logged model by its metric, and the run that made it.
async fn check_models(tracking: &Tracking, mark: &str) {
    let name = format!("ours {mark}");
    let experiment = tracking.experiment_by_name(&name).await.unwrap().unwrap();
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

async fn register(tracking: &Tracking, run: &str, mark: &str) {
    let (soil, ground) = (&format!("soil {mark}"), &format!("ground {mark}"));
    let tags = vec![Tag::new("use", "maps"), Tag::new("mark", mark)];
    tracking
        .create_model(soil, Some("ours".to_owned()), tags)
        .await
        .unwrap();
    tracking
        .set_model_tag(soil, Tag::new("use", "trips"))
        .await
        .unwrap();
    for number in 1..=2 {
        let new = NewVersion {
            name: soil.clone(),
            source: "s3://bucket/soil".to_owned(),
            run_id: Some(run.to_owned()),
            tags: vec![Tag::new("size", "small")],
            ..NewVersion::default()
        };
        assert_eq!(tracking.create_version(new).await.unwrap().version, number);
        tracking.set_alias(soil, "champion", number).await.unwrap();
    }
    tracking
        .set_version_tag(soil, 2, Tag::new("size", "large"))
        .await
        .unwrap();
    tracking
        .move_to_stage(soil, 1, Stage::Archived, false)
        .await
        .unwrap();
    let champion = tracking.version_by_alias(soil, "champion").await.unwrap();
    assert_eq!(champion.version, 2);
    tracking.rename_model(soil, ground).await.unwrap();
    let query = Query {
        filter: format!("tags.`use` = 'trips' AND tags.mark = '{mark}'"),
        ..Query::default()
    };
    let found = tracking.search_models(&query).await.unwrap().items;
    assert_eq!((found.len(), &found[0].name), (1, ground));
    tracking
        .create_model("short lived", None, Vec::new())
        .await
        .unwrap();
    tracking.delete_model("short lived").await.unwrap();
}

/// A webhook is made, changed and found; one more is deleted.
async fn tell_others(tracking: &Tracking) {
    let known = tracking.webhooks(None, None).await.unwrap().items.len();
    let new = |name: &str| NewWebhook {
        name: name.to_owned(),
        description: None,
        url: "https://93.184.216.34/told".to_owned(),
        events: vec![WebhookEvent::VersionCreated],
        secret: None,
        status: WebhookStatus::Active,
    };
    let kept = tracking.create_webhook(new("kept")).await.unwrap();
    let update = WebhookUpdate {
        status: Some(WebhookStatus::Disabled),
        ..WebhookUpdate::default()
    };
    tracking.update_webhook(&kept.id, update).await.unwrap();
    let gone = tracking.create_webhook(new("gone")).await.unwrap();
    tracking.delete_webhook(&gone.id).await.unwrap();
    let found = tracking.webhooks(None, None).await.unwrap().items;
    assert_eq!(found.len(), known + 1);
    assert_eq!(tracking.webhook(&kept.id).await.unwrap().events, kept.events);
}

/// MLflow 2 and 3, side by side.
struct Peers {
    old: Mlflow,
    new: Mlflow,
    folder: TempDir,
    files: FileStore,
}

impl Peers {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            old: Mlflow::start("FRAGUA_TEST_PYTHON_MLFLOW_2", folder.path()),
            new: Mlflow::start("FRAGUA_TEST_PYTHON", folder.path()),
            folder,
            files: FileStore::written_by("FRAGUA_TEST_PYTHON"),
        }
    }

    /// Makes a database of MLflow 2 in which MLflow 2 wrote, and returns what MLflow 2 reads in it.
    fn make_old(&mut self, url: &str) -> Value {
        self.new.ask(&json!(["upgrade", url, OLDEST]));
        self.old.ask(&json!(["write", url, "theirs"]));
        self.old.ask(&json!(["read", url]))
    }

    /// Opens the database of a revision with Fragua, which reads what is in it, writes more, and leaves MLflow's tables
    /// and rows as they were. Returns what is in it then.
    async fn open_in_place(&mut self, address: &str, revision: &str, before: &Value) -> Value {
        let url = sqlalchemy(address);
        let saved = self.folder.path().join("rows.json");
        self.new.ask(&json!(["save", url, saved]));
        let database = Database::open(address, "test").await.unwrap();
        self.try_out(&database, before).await;
        let tables = shape(&database).await;
        let tracking = open(&database, self.folder.path()).await;
        assert_eq!(&read(&tracking).await, before, "{url} at {revision}");
        work(&tracking, revision).await;
        let told = read(&tracking).await;
        assert_eq!(shape(&database).await, tables, "{url} at {revision}");
        assert_eq!(texts(&database, REVISION).await, [revision]);
        drop(tracking);
        // Fragua does not run while MLflow changes the tables.
        database.close().await;
        let lost = self.new.ask(&json!(["lost", url, saved]));
        assert_eq!(lost, json!({}), "{url} at {revision}");
        told
    }

    /// Plans a purge and an import, which once made tables of ours, and reads the rest.
    async fn try_out(&self, database: &Database, before: &Value) {
        let found = everything(database).await;
        let tracking = open_to_read(database, self.folder.path()).await;
        assert_eq!(&read(&tracking).await, before);
        let plan = tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
        let told = tracking.purge_preview(&plan).await.unwrap();
        let stages = before.to_string().matches("\"stage\":\"deleted\"").count() as u64;
        assert_eq!(told.runs + told.experiments, stages, "{told:?}");
        let would = self.files.import(&tracking, true).await;
        // The registered version of the files has the number of one that the database has.
        assert_eq!((would.logged_models, would.skipped.len()), (1, 1), "{would:?}");
        assert_eq!(everything(database).await, found);
    }

    /// Lets MLflow 3 bring the database up to its newest revision, and read and write in it.
    async fn take_over(&mut self, address: &str, marks: &[&str], told: &Value) {
        let url = sqlalchemy(address);
        let saved = self.folder.path().join("rows.json");
        self.new.ask(&json!(["save", url, saved]));
        self.new.ask(&json!(["upgrade", url, "heads"]));
        assert_eq!(self.new.ask(&json!(["lost", url, saved])), json!({}), "{url}");
        let database = Database::open(address, "test").await.unwrap();
        assert_eq!(texts(&database, REVISION).await, [NEWEST]);
        let tracking = open(&database, self.folder.path()).await;
        for mark in marks {
            check_models(&tracking, mark).await;
        }
        assert_eq!(&read(&tracking).await, told, "{url}");
        assert_eq!(&self.new.ask(&json!(["read", url])), told, "{url}");
        let rows = self.new.ask(&json!(["counts", url]));
        assert_eq!(rows["webhooks"], 2 * marks.len(), "{url}");
        assert_eq!(rows["logged_models"], marks.len(), "{url}");
        self.new.ask(&json!(["write", url, "theirs again"]));
        let told = self.new.ask(&json!(["read", url]));
        assert_eq!(read(&tracking).await, told, "{url}");
    }
}

/// Without what MLflow 2 has no words for.
fn classical(mut told: Value) -> Value {
    if let Some(told) = told.as_object_mut() {
        told.remove("logged_models");
    }
    for experiment in told["experiments"].as_array_mut().into_iter().flatten() {
        for run in experiment["runs"].as_array_mut().into_iter().flatten() {
            if let Some(run) = run.as_object_mut() {
                run.remove("models read");
                run.remove("models made");
            }
        }
    }
    told
}

#[tokio::test]
async fn a_file_of_each_release_is_opened_in_place_and_mlflow_reads_it_again() {
    let mut peers = Peers::start();
    let work = peers.folder.path().join("work.db");
    let url = sqlite_url(&work);
    let theirs = with_no_models(peers.make_old(&sqlalchemy(&url)));
    for revision in REVISIONS {
        peers.new.ask(&json!(["upgrade", sqlalchemy(&url), revision]));
        let copy = peers.folder.path().join(format!("{revision}.db"));
        std::fs::copy(&work, &copy).unwrap();
        let address = sqlite_url(&copy);
        let told = peers.open_in_place(&address, revision, &theirs).await;
        peers.take_over(&address, &[revision], &told).await;
    }
}

/// On a server, databases of each family.
async fn check_families(mut server: impl AsyncFnMut() -> TestDatabase) {
    let mut peers = Peers::start();
    for revision in FAMILIES {
        let fresh = server().await;
        let url = sqlalchemy(&fresh.url);
        let theirs = with_no_models(peers.make_old(&url));
        peers.new.ask(&json!(["upgrade", url, revision]));
        let told = peers.open_in_place(&fresh.url, revision, &theirs).await;
        peers.take_over(&fresh.url, &[revision], &told).await;
    }
}

#[tokio::test]
async fn a_postgres_database_of_each_family_is_opened_in_place_and_mlflow_reads_it_again() {
    check_families(TestDatabase::postgres).await;
}

#[tokio::test]
async fn a_mariadb_database_of_each_family_is_opened_in_place_and_mlflow_reads_it_again() {
    check_families(TestDatabase::mariadb).await;
}

/// One database goes through all releases, opened here at each.
async fn check_all_releases(fresh: TestDatabase) {
    let mut peers = Peers::start();
    let url = sqlalchemy(&fresh.url);
    let mut told = with_no_models(peers.make_old(&url));
    for revision in REVISIONS {
        peers.new.ask(&json!(["upgrade", url, revision]));
        told = peers.open_in_place(&fresh.url, revision, &told).await;
        if *revision == OLDEST {
            let theirs = peers.old.ask(&json!(["read", url]));
            assert_eq!(theirs, classical(told.clone()));
        }
    }
    peers.take_over(&fresh.url, REVISIONS, &told).await;
}

#[tokio::test]
async fn a_file_is_used_here_while_mlflow_upgrades_it_release_by_release() {
    check_all_releases(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_postgres_database_is_used_here_while_mlflow_upgrades_it_release_by_release() {
    check_all_releases(TestDatabase::postgres().await).await;
}

#[tokio::test]
async fn a_mariadb_database_is_used_here_while_mlflow_upgrades_it_release_by_release() {
    check_all_releases(TestDatabase::mariadb().await).await;
}

/// `differences` are told as what is here and what MLflow makes.
async fn check_new([ours, theirs]: [TestDatabase; 2], differences: Value) {
    let mut peers = Peers::start();
    let tracking = open(&ours.database, peers.folder.path()).await;
    work(&tracking, "new").await;
    let (url, reference) = (sqlalchemy(&ours.url), sqlalchemy(&theirs.url));
    peers.new.ask(&json!(["upgrade", reference, "heads"]));
    assert_eq!(peers.new.ask(&json!(["compare", url, reference])), differences);
    assert_eq!(peers.new.ask(&json!(["read", url])), read(&tracking).await);
    peers.new.ask(&json!(["write", url, "theirs"]));
    assert_eq!(peers.new.ask(&json!(["read", url])), read(&tracking).await);
}

#[tokio::test]
async fn mlflow_opens_a_file_that_was_made_here() {
    check_new(
        [TestDatabase::sqlite().await, TestDatabase::sqlite().await],
        json!({}),
    )
    .await;
}

#[tokio::test]
async fn mlflow_opens_a_postgres_database_that_was_made_here() {
    check_new(
        [TestDatabase::postgres().await, TestDatabase::postgres().await],
        json!({}),
    )
    .await;
}

#[tokio::test]
async fn mlflow_opens_a_mariadb_database_that_was_made_here() {
    // A source may be longer here. MLflow's migration loses that each job has a name, which its model asks for.
    let differences = json!({
        "datasets.dataset_source": [["MEDIUMTEXT", false, "None"], ["TEXT", false, "None"]],
        "jobs.job_name": [["VARCHAR(500)", false, "None"], ["VARCHAR(500)", true, "None"]],
    });
    check_new(
        [TestDatabase::mariadb().await, TestDatabase::mariadb().await],
        differences,
    )
    .await;
}
