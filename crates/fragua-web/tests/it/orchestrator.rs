//! The pages of DAGs and their runs.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use fragua_base::{SharedClock, SystemClock};
use fragua_database::testing::TestDatabase;
use fragua_orchestrator::{OperatorCatalog, Orchestrator, Settings, TriggerRequest};
use tokio_util::sync::CancellationToken;

use super::browser::{assert_pages, get, post};
use super::house::site;

const HELLO: &str = "\
dag: hello
description: Greets <everybody>
schedule: \"@daily\"
start_date: 2025-04-02
catchup: false
tags: [first, second]
default_args: { owner: ada }
tasks:
  - id: greet
    bash: { command: \"echo hello\" }
  - id: rest
    needs: [greet]
    wait: 6m
  - id: leave
    needs: [greet, rest]
    bash: { command: \"echo bye\" }
";

const ASKS: &str = "\
dag: asks
params:
  rows: { type: integer, default: 5, minimum: 1, maximum: 9, description: How many }
  sure: { type: boolean, default: false, title: Really }
tasks:
  - id: work
    bash: { command: \"echo {{ params.rows }}\" }
";

const BROKEN: &str = "\
dag: broken
shedule: \"@daily\"
tasks: []
";

/// An orchestrator whose scheduler runs and whose worker does not: nothing starts a process.
struct Forge {
    orchestrator: Orchestrator,
    pages: Router,
    shutdown: CancellationToken,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Forge {
    async fn open(files: &[(&str, &str)]) -> Self {
        let database = TestDatabase::sqlite().await;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("dags")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join("dags").join(name), text).unwrap();
        }
        let clock: SharedClock = Arc::new(SystemClock);
        let settings = Settings::for_project(folder.path());
        let catalog = OperatorCatalog::builtin();
        let orchestrator = Orchestrator::open(database.database.clone(), settings, catalog, clock.clone())
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        let mut changes = orchestrator.changes();
        let (scheduled, stop) = (orchestrator.clone(), shutdown.clone());
        tokio::spawn(async move { Box::pin(scheduled.run_scheduler(stop)).await });
        let read = async {
            loop {
                let dags = orchestrator.list_dags().await.unwrap().len();
                let errors = orchestrator.import_errors().await.unwrap().len();
                if dags + errors >= files.len() {
                    return;
                }
                // Lagging behind is as good a reason to look again as a change.
                let _ = changes.recv().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .expect("the scheduler reads the files");
        let pages = fragua_web::orchestrator_pages(orchestrator.clone(), site(&clock));
        Self {
            orchestrator,
            pages,
            shutdown,
            _database: database,
            _folder: folder,
        }
    }

    async fn trigger(&self, dag_id: &str) -> String {
        self.orchestrator.set_paused(dag_id, false).await.unwrap();
        let run = self
            .orchestrator
            .trigger(dag_id, TriggerRequest::default())
            .await
            .unwrap();
        let run_id: String = run.run_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("/dags/{dag_id}/runs/{run_id}")
    }
}

#[tokio::test]
async fn a_project_without_dags_says_how_to_begin() {
    let forge = Forge::open(&[]).await;
    assert_pages(&forge.pages, &["/", "/dags"]).await;
    get(&forge.pages, "/")
        .await
        .has(&["No DAG yet", "dags/hello.yaml"]);
}

#[tokio::test]
async fn the_list_shows_each_dag_and_each_broken_file() {
    let files = [
        ("hello.yaml", HELLO),
        ("asks.yaml", ASKS),
        ("broken.yaml", BROKEN),
    ];
    let forge = Forge::open(&files).await;
    let list = get(&forge.pages, "/").await;
    list.has(&[
        "href=\"/dags/hello\"",
        "Greets &#60;everybody&#62;",
        "Daily at 00:00",
        "On demand",
        ">ada<",
        "No runs yet",
        "aria-checked=\"false\"",
        "broken.yaml:2:1",
        "schedule",
    ]);
    assert_pages(
        &forge.pages,
        &["/", "/?search=hel", "/?state=paused", "/?tag=first"],
    )
    .await;
    for (address, shown) in [
        ("/?search=HEL", true),
        ("/?search=ada", true),
        ("/?search=nothing", false),
        ("/?tag=second", true),
        ("/?tag=other", false),
        ("/?state=active", false),
        ("/?state=paused", true),
    ] {
        let list = get(&forge.pages, address).await;
        assert_eq!(list.body.contains("href=\"/dags/hello\""), shown, "{address}");
    }
}

#[tokio::test]
async fn the_pause_switch_leads_back_to_where_it_was() {
    let forge = Forge::open(&[("hello.yaml", HELLO)]).await;
    let switched = post(
        &forge.pages,
        "/dags/hello/pause",
        "paused=false&back=%2F%3Fsearch%3Dhel",
    )
    .await;
    assert_eq!(
        (switched.status, switched.header("location")),
        (StatusCode::SEE_OTHER, "/?search=hel")
    );
    assert!(!forge.orchestrator.dag("hello").await.unwrap().is_paused);
    let elsewhere = post(
        &forge.pages,
        "/dags/hello/pause",
        "paused=true&back=%2F%2Fevil.example",
    )
    .await;
    assert_eq!(elsewhere.header("location"), "/dags/hello");
    assert!(forge.orchestrator.dag("hello").await.unwrap().is_paused);
}

#[tokio::test]
async fn a_dag_shows_its_graph_runs_details_and_code() {
    let forge = Forge::open(&[("hello.yaml", HELLO)]).await;
    let tabs = [
        "/dags/hello",
        "/dags/hello?tab=runs",
        "/dags/hello?tab=details",
        "/dags/hello?tab=code",
    ];
    assert_pages(&forge.pages, &tabs).await;
    let graph = get(&forge.pages, "/dags/hello").await;
    assert_eq!(graph.body.matches("class=\"graph-edge\"").count(), 3);
    graph.has(&[
        "leave needs greet, rest.",
        "<title id=\"dag-graph-title\">",
        "No runs yet",
    ]);
    get(&forge.pages, tabs[2])
        .await
        .has(&["hello.yaml", "@daily", "greet, rest"]);
    get(&forge.pages, tabs[3])
        .await
        .has(&["description: Greets &#60;everybody&#62;"]);

    forge.trigger("hello").await;
    assert_pages(&forge.pages, &tabs).await;
    let grid = get(&forge.pages, tabs[0]).await;
    grid.has(&["class=\"grid-run", "?task=greet"]);
    get(&forge.pages, tabs[1]).await.has(&["By hand", "manual__"]);
}

#[tokio::test]
async fn a_run_says_why_its_tasks_wait() {
    let forge = Forge::open(&[("hello.yaml", HELLO)]).await;
    let run = forge.trigger("hello").await;
    assert_pages(&forge.pages, &[&run, &format!("{run}?task=leave")]).await;
    let page = get(&forge.pages, &run).await;
    page.has(&[
        "manual__",
        "No worker runs",
        "Waits for greet (queued)",
        "No task has started yet",
        "0 of 3 done",
        "popovertarget=\"clear-run\"",
        "http://127.0.0.1:8084/dag-runs?dag=hello&#38;run=manual__",
    ]);
    get(&forge.pages, &format!("{run}?lang=es"))
        .await
        .has(&["No hay ningún worker en marcha", "Espera a greet (en cola)"]);
    let cleared = post(&forge.pages, &format!("{run}/clear"), "task=greet").await;
    assert_eq!(cleared.status, StatusCode::SEE_OTHER, "{}", cleared.body);
    assert!(cleared.header("location").ends_with("?task=greet"));
    let missing = post(&forge.pages, &format!("{run}/clear"), "task=ghost").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let log = get(&forge.pages, &format!("{run}/log?task=greet&attempt=1")).await;
    assert_eq!(log.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trigger_checks_its_parameters() {
    let forge = Forge::open(&[("asks.yaml", ASKS)]).await;
    get(&forge.pages, "/").await.has(&["href=\"/dags/asks/trigger\""]);
    assert_pages(&forge.pages, &["/dags/asks/trigger"]).await;
    let form = get(&forge.pages, "/dags/asks/trigger").await;
    form.has(&[
        "value=\"5\"",
        "How many · Between 1 and 9",
        "type=\"checkbox\"",
        ">Really<",
    ]);
    for (sent, expected) in [
        ("form=1&rows=x", "Enter a whole number"),
        ("form=1&rows=12", "must be at most 9"),
    ] {
        let refused = post(&forge.pages, "/dags/asks/trigger", sent).await;
        assert_eq!(refused.status, StatusCode::OK);
        refused.has(&[expected, "aria-invalid=\"true\""]);
    }
    let started = post(
        &forge.pages,
        "/dags/asks/trigger",
        "form=1&rows=7&sure=true&note=why+not",
    )
    .await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.body);
    let run = get(&forge.pages, started.header("location")).await;
    run.has(&["rows = 7, sure = true", "why not"]);
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_page() {
    let forge = Forge::open(&[("hello.yaml", HELLO)]).await;
    for address in ["/dags/ghost", "/dags/hello/runs/ghost", "/dags/ghost/trigger"] {
        let answer = get(&forge.pages, address).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{address}");
        answer.has(&["class=\"error-page\"", "ghost"]);
    }
}

#[tokio::test]
async fn the_pages_merge_with_the_api() {
    let forge = Forge::open(&[]).await;
    let both = fragua_orchestrator::api::router(forge.orchestrator.clone()).merge(forge.pages.clone());
    get(&both, "/").await.has(&["No DAG yet"]);
    get(&both, "/nowhere").await.has(&["class=\"error-page\""]);
}
