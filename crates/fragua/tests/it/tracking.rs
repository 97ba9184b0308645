//! `fragua tracking`: what an MLflow kept in folders comes in, what was deleted goes, beside a server and without one.

use reqwest::StatusCode;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::support::{Finished, Project, Server, client};

const RUN: &str = "0123456789abcdef0123456789abcdef";

/// The files of one experiment with one run, as MLflow 2 writes them.
const FILE_STORE: &[(&str, &str)] = &[
    (
        "7/meta.yaml",
        "artifact_location: file:///gone/mlruns/7\ncreation_time: 1000\nexperiment_id: '7'\nlast_update_time: 1000\n\
         lifecycle_stage: active\nname: forests\n",
    ),
    (
        "7/0123456789abcdef0123456789abcdef/meta.yaml",
        "artifact_uri: file:///gone/mlruns/7/0123456789abcdef0123456789abcdef/artifacts\nend_time: 2000\n\
         entry_point_name: ''\nexperiment_id: '7'\nlifecycle_stage: active\n\
         run_id: 0123456789abcdef0123456789abcdef\nrun_name: first\nrun_uuid: 0123456789abcdef0123456789abcdef\n\
         source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1500\nstatus: 3\ntags: []\nuser_id: ana\n",
    ),
    (
        "7/0123456789abcdef0123456789abcdef/metrics/loss",
        "1600 0.5 0\n1700 0.25 1\n",
    ),
    ("7/0123456789abcdef0123456789abcdef/params/depth", "3"),
    ("7/0123456789abcdef0123456789abcdef/tags/team", "soil"),
    (
        "7/0123456789abcdef0123456789abcdef/artifacts/notes/a.txt",
        "hello",
    ),
];

fn write_file_store(project: &Project) {
    for (path, text) in FILE_STORE {
        let path = project.path(&format!("mlruns/{path}"));
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }
}

fn json_of(finished: &Finished) -> Value {
    assert!(finished.ok, "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// Asks the tracking server; a body makes it a POST.
async fn ask(server: &Server, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let address = format!("{}/api/2.0/mlflow/{path}", server.address("tracking"));
    let request = match &body {
        Some(body) => client().post(address).json(body),
        None => client().get(address),
    };
    let response = request.send().await.expect("the server answers");
    (response.status(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_file_store_is_imported_once() {
    let project = Project::empty();
    write_file_store(&project);
    let folder = project.path("mlruns");
    let import = ["tracking", "import", folder.to_str().unwrap()];
    let dry = project
        .run(&[&import[..], &["--dry-run", "--json"]].concat())
        .await;
    let expected = json!({
        "dry_run": true, "experiments": 1, "runs": 1, "metrics": 2, "params": 1, "tags": 2, "logged_models": 0,
        "models": 0, "versions": 0, "aliases": 0, "files": 1, "bytes": 5, "already_there": 0, "skipped": [],
    });
    assert_eq!(json_of(&dry), expected);
    assert!(dry.stderr.contains("importing: 1 of 1"), "{}", dry.stderr);
    let done = project.run(&import).await;
    assert_eq!(
        done.stdout,
        "imported 1 experiment, 1 run (2 metric values, 1 parameter, 2 tags), 0 logged models, \
         0 registered models with 0 versions and 0 aliases, 1 file (5 bytes)\n",
        "{}",
        done.stderr
    );
    let again = json_of(&project.run(&[&import[..], &["--json"]].concat()).await);
    assert_eq!(
        (&again["runs"], &again["files"], &again["already_there"]),
        (&json!(0), &json!(0), &json!(1))
    );

    let server = project.up(&["--roles", "tracking,storage"]).await;
    let (_, told) = ask(&server, &format!("runs/get?run_id={RUN}"), None).await;
    assert_eq!(told["run"]["data"]["metrics"][0]["value"], 0.25, "{told}");
    assert_eq!(told["run"]["info"]["run_name"], "first");
    let artifact = format!(
        "{}/get-artifact?run_id={RUN}&path=notes/a.txt",
        server.address("tracking")
    );
    let note = client().get(artifact).send().await.unwrap();
    assert_eq!(note.text().await.unwrap(), "hello");
    server.stop().await;
}

/// Makes the project's database look as one that an MLflow server made and filled before.
async fn make_as_old_as_mlflow(project: &Project) {
    let url = fragua_database::sqlite_url(&project.path(".fragua/tracking.db"));
    let database = fragua_database::Database::open(&url, "test")
        .await
        .expect("a database");
    database
        .writer()
        .execute_unprepared("UPDATE experiments SET creation_time = 1000")
        .await
        .expect("a database");
    database.close().await;
}

#[tokio::test]
async fn artifacts_of_an_mlflow_server_were_left_behind() {
    const ADVICE: &str = "fragua tracking import --artifacts DIR";
    let roles = ["--roles", "tracking,storage"];
    let project = Project::empty();
    let server = project.up(&roles).await;
    let body = json!({ "experiment_id": "0", "run_name": "forest" });
    let (_, made) = ask(&server, "runs/create", Some(body)).await;
    let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let (_, said) = server.stop().await;
    assert!(!said.contains(ADVICE), "{said}");

    make_as_old_as_mlflow(&project).await;
    let (_, said) = project.up(&roles).await.stop().await;
    assert_eq!(said.matches(ADVICE).count(), 1, "{said}");

    let folder = project.path("mlartifacts");
    let files = folder.join(format!("0/{run}/artifacts"));
    std::fs::create_dir_all(files.join("model")).unwrap();
    std::fs::write(files.join("model/MLmodel"), "flavors: {}\n").unwrap();
    std::fs::write(files.join("año.txt"), "hello").unwrap();
    std::fs::write(files.join("a#b.txt"), "no client can ask for it").unwrap();
    project.write("secret.txt", "outside");
    std::os::unix::fs::symlink(project.path("secret.txt"), files.join("link.txt")).unwrap();
    std::os::unix::fs::symlink(project.path("dags"), files.join("linked")).unwrap();
    let skipped = |name: &str, reason: &str| json!({ "file": format!("0/{run}/artifacts/{name}"), "line": null, "reason": reason });
    let mut expected = json!({
        "dry_run": true, "files": 2, "bytes": 17, "already_there": 0, "skipped": [
            skipped("a#b.txt", "its name cannot be that of an artifact"),
            skipped("link.txt", "it is a link, and links are not followed"),
            skipped("linked", "it is a link, and links are not followed"),
        ],
    });
    let import = ["tracking", "import", "--artifacts", folder.to_str().unwrap()];
    let in_json = [&import[..], &["--json"]].concat();
    let dry = project.run(&[&in_json[..], &["--dry-run"]].concat()).await;
    assert!(dry.stderr.contains("copying: 3 of 3"), "{}", dry.stderr);
    assert_eq!(by_file(json_of(&dry)), expected);
    expected["dry_run"] = json!(false);
    assert_eq!(by_file(json_of(&project.run(&in_json).await)), expected);
    expected["files"] = json!(0);
    expected["bytes"] = json!(0);
    expected["already_there"] = json!(2);
    assert_eq!(by_file(json_of(&project.run(&in_json).await)), expected);

    let server = project.up(&roles).await;
    let (_, listed) = ask(&server, &format!("artifacts/list?run_id={run}"), None).await;
    let expected = json!([
        { "path": "año.txt", "is_dir": false, "file_size": 5 },
        { "path": "model", "is_dir": true },
    ]);
    assert_eq!(listed["files"], expected);
    let file = |path: &str| {
        let root = server.address("tracking");
        format!("{root}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}")
    };
    let downloaded = client().get(file("model/MLmodel")).send().await.unwrap();
    assert_eq!(downloaded.text().await.unwrap(), "flavors: {}\n");

    // What is written since is not replaced by what the folder still has.
    let put = client()
        .put(file("año.txt"))
        .body("good morning")
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    let again = project.run(&import).await;
    assert!(
        again
            .stdout
            .starts_with("copied 0 files (0 bytes), there already: 1\n"),
        "{}",
        again.stdout
    );
    let kept = "año.txt: another file of this name is there, with 12 bytes in place of 5\n";
    assert!(again.stdout.contains(kept), "{}", again.stdout);
    let kept = client().get(file("año.txt")).send().await.unwrap();
    assert_eq!(kept.text().await.unwrap(), "good morning");
    let (_, said) = server.stop().await;
    assert!(!said.contains(ADVICE), "{said}");
}

/// Links are noted with their folder, names with their file: the order is that of the names for a comparison.
fn by_file(mut report: Value) -> Value {
    let skipped = report["skipped"].as_array_mut().expect("a list");
    skipped.sort_by_key(|skipped| skipped["file"].to_string());
    report
}

#[tokio::test]
async fn a_folder_without_artifacts_of_the_experiments_is_refused_with_advice() {
    let project = Project::empty();
    let refused = project
        .run(&["tracking", "import", "--artifacts", project.argument()])
        .await;
    assert!(!refused.ok);
    for part in [
        "has no files of an experiment",
        "--artifacts-destination",
        "MLFLOW_BACKEND_STORE_URI",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_run_whose_file_was_mended_gets_what_it_lacks_and_keeps_what_it_has() {
    let project = Project::empty();
    write_file_store(&project);
    let metric = format!("mlruns/7/{RUN}/metrics/loss");
    project.write(&metric, "1600 0.5 0\n1700 0,25 1\n");
    let folder = project.path("mlruns");
    let import = ["tracking", "import", folder.to_str().unwrap(), "--json"];
    let broken = project.run(&import).await;
    assert!(!broken.ok, "something is missing");
    assert!(broken.stdout.contains("\"skipped\": [\n"), "{}", broken.stdout);

    let server = project.up(&["--roles", "tracking,storage"]).await;
    let mine = json!({ "run_id": RUN, "key": "team", "value": "mine" });
    ask(&server, "runs/set-tag", Some(mine)).await;
    project.write(&metric, "1600 0.5 0\n1700 0.25 1\n1800 nan 2\n1900 -0.0 3\n");
    project.write(&format!("mlruns/7/{RUN}/params/late"), "4");
    let brought = |told: &Value| ["runs", "metrics", "params", "tags"].map(|what| told[what].clone());
    let dry = json_of(&project.run(&[&import[..], &["--dry-run"]].concat()).await);
    assert_eq!(brought(&dry), [0, 3, 1, 0].map(Value::from));
    let mended = json_of(&project.run(&import).await);
    assert_eq!(brought(&mended), [0, 3, 1, 0].map(Value::from));
    let again = json_of(&project.run(&import).await);
    assert_eq!(brought(&again), [0, 0, 0, 0].map(Value::from));
    let (_, told) = ask(&server, &format!("runs/get?run_id={RUN}"), None).await;
    let tags = told["run"]["data"]["tags"].as_array().unwrap();
    assert!(
        tags.contains(&json!({ "key": "team", "value": "mine" })),
        "{told}"
    );
    let history = format!("metrics/get-history?run_id={RUN}&metric_key=loss");
    let (_, told) = ask(&server, &history, None).await;
    assert_eq!(told["metrics"].as_array().unwrap().len(), 4, "{told}");
    server.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_no_file_store_is_refused_with_advice() {
    let project = Project::empty();
    let refused = project.run(&["tracking", "import", project.argument()]).await;
    assert!(!refused.ok);
    for part in ["is no file store of MLflow", "Name the folder `mlruns` itself"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn what_was_deleted_goes_for_good_beside_a_running_server() {
    let project = Project::empty();
    let server = project.up(&["--roles", "tracking,storage"]).await;
    let mut ids = Vec::new();
    for name in ["gone", "kept"] {
        let body = json!({ "experiment_id": "0", "run_name": name });
        let (_, made) = ask(&server, "runs/create", Some(body)).await;
        ids.push(made["run"]["info"]["run_id"].as_str().unwrap().to_owned());
    }
    let file = format!(
        "{}/api/2.0/mlflow-artifacts/artifacts/0/{}/artifacts/a.txt",
        server.address("tracking"),
        ids[0]
    );
    let put = client().put(&file).body("hello").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    ask(&server, "runs/delete", Some(json!({ "run_id": ids[0] }))).await;

    let counts = |did: &str, runs: &str, files: &str| {
        format!("{did} 0 experiments, {runs}, 0 logged models, {files}\n")
    };
    let young = project.run(&["tracking", "purge", "--older-than", "30d"]).await;
    assert_eq!(young.stdout, counts("deleted", "0 runs", "0 files (0 bytes)"));
    let dry = project.run(&["tracking", "purge", "--dry-run"]).await;
    let listed = format!(
        "{}run {} gone\n",
        counts("would delete", "1 run", "1 file (5 bytes)"),
        ids[0]
    );
    assert_eq!(dry.stdout, listed);
    let dry = project.run(&["tracking", "purge", "--dry-run", "--json"]).await;
    let expected = json!([{ "kind": "run", "id": ids[0], "name": "gone" }]);
    assert_eq!(json_of(&dry)["would_delete"], expected);
    let other = project
        .run(&["tracking", "purge", "--run", &ids[1], "--json"])
        .await;
    let other = json_of(&other);
    assert_eq!(
        (&other["runs"], &other["kept"][0]["what"]),
        (&json!(0), &json!(format!("run {}", ids[1])))
    );
    assert_eq!(
        other["kept"][0]["reason"],
        "it is active; only what was deleted is purged"
    );
    let young = ["tracking", "purge", "--older-than", "30d", "--run", &ids[0]];
    let young = project.run(&young).await;
    assert!(
        young.ok && young.stdout.contains("it was not deleted that long ago"),
        "{young:?}"
    );
    let missing = project.run(&["tracking", "purge", "--run", "nothing"]).await;
    assert!(!missing.ok, "{missing:?}");
    assert!(
        missing.stdout.contains("kept run nothing: it is not there"),
        "{missing:?}"
    );
    let done = json_of(&project.run(&["tracking", "purge", "--json"]).await);
    let expected = json!({
        "dry_run": false, "experiments": 0, "runs": 1, "logged_models": 0, "files": 1, "bytes": 5, "kept": [],
    });
    assert_eq!(done, expected);

    let (status, told) = ask(&server, &format!("runs/get?run_id={}", ids[0]), None).await;
    assert_eq!(
        (status, &told["error_code"]),
        (StatusCode::NOT_FOUND, &json!("RESOURCE_DOES_NOT_EXIST"))
    );
    let file = client().get(&file).send().await.unwrap();
    assert_eq!(file.status(), StatusCode::NOT_FOUND);
    let (status, _) = ask(&server, &format!("runs/get?run_id={}", ids[1]), None).await;
    assert_eq!(status, StatusCode::OK);
    server.stop().await;
}

/// Everything that a database file is made of.
async fn schema(database: &fragua_database::Database) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', type, name, sql) FROM sqlite_master ORDER BY 1";
    let rows = database.reader().query_all_raw(sea_orm::Statement::from_string(
        database.reader().get_database_backend(),
        sql,
    ));
    let rows = rows.await.expect("a database");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("a text"))
        .collect()
}

#[tokio::test]
async fn a_dry_run_made_tables_in_a_database_that_only_mlflow_had_opened() {
    let first = Project::empty();
    let server = first.up(&["--roles", "tracking,storage"]).await;
    let body = json!({ "experiment_id": "0", "run_name": "gone" });
    let (_, made) = ask(&server, "runs/create", Some(body)).await;
    let run = made["run"]["info"]["run_id"].clone();
    ask(&server, "runs/delete", Some(json!({ "run_id": run }))).await;
    server.stop().await;

    let project = Project::empty();
    std::fs::copy(first.path(".fragua/tracking.db"), project.path("mlflow.db")).unwrap();
    // All parts share it, so that each could make tables.
    project.write("fragua.toml", "[database]\nurl = \"sqlite:mlflow.db\"\n");
    write_file_store(&project);
    let url = fragua_database::sqlite_url(&project.path("mlflow.db"));
    let database = fragua_database::Database::open(&url, "test").await.unwrap();
    for line in schema(&database).await {
        let words: Vec<&str> = line.split(' ').take(2).collect();
        if words[1].starts_with("fragua_") {
            let drop = format!("DROP {} IF EXISTS {}", words[0], words[1]);
            database.writer().execute_unprepared(&drop).await.unwrap();
        }
    }
    let before = schema(&database).await;
    assert!(before.len() > 50, "{before:?}");
    let purge = project.run(&["tracking", "purge", "--dry-run", "--json"]).await;
    assert_eq!(json_of(&purge)["would_delete"][0]["id"], run);
    let mlruns = project.path("mlruns");
    let import = [
        "tracking",
        "import",
        mlruns.to_str().unwrap(),
        "--dry-run",
        "--json",
    ];
    assert_eq!(json_of(&project.run(&import).await)["runs"], 1);
    assert_eq!(schema(&database).await, before);
    assert!(!project.path(".fragua").exists());
    database.close().await;
}

#[tokio::test]
async fn runs_that_another_server_keeps_are_not_touched() {
    let project = Project::empty();
    project.write("fragua.toml", "[tracking]\nuri = \"http://127.0.0.1:9\"\n");
    let refused = project.run(&["tracking", "purge"]).await;
    assert!(!refused.ok);
    assert!(
        refused.stderr.contains("are kept by another server"),
        "{}",
        refused.stderr
    );
}
