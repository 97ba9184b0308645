//! What the pages ask, on each engine.

use fragua_database::Database;

use super::*;
use crate::decide::Ending;
use crate::testing::{Bench, at};
use crate::{AuditQuery, BackfillRequest, Reprocess};

const DAILY: &str = "\
dag: daily
description: Loads a day
schedule: \"@daily\"
start_date: 2025-04-01
catchup: true
max_active_runs: 10
tags: [load]
default_args: { owner: ada }
tasks:
  - id: list
    bash: { command: \"echo '[1, 2, 3]'\" }
  - id: each
    needs: [list]
    expand: { item: [1, 2, 3] }
    bash: { command: \"echo {{ map.item }}\" }
";

const IDLE: &str = "\
dag: idle
params: { rows: { type: integer, default: 1 } }
tasks:
  - id: only
    bash: { command: \"echo {{ params.rows }}\" }
";

async fn dags_are_listed_with_how_they_stand(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("daily.yaml", DAILY).await;
    bench.write("idle.yaml", IDLE).await;
    bench.tick().await;
    let orchestrator = bench.orchestrator();
    let standing = |overviews: &[DagOverview]| -> Vec<String> {
        overviews
            .iter()
            .map(|dag| {
                let next = dag.next_run(bench.core.now()).map(|next| next.to_string());
                format!(
                    "{} {:?} {} {next:?}",
                    dag.header.dag_id, dag.last_state, dag.is_busy
                )
            })
            .collect()
    };
    let next = "Some(\"covers 2025-04-05, runs 2025-04-06 00:00 UTC\")";
    assert_eq!(
        standing(&orchestrator.dag_overviews().await.unwrap()),
        [
            format!("daily None true {next}"),
            "idle None false None".to_owned()
        ]
    );
    while bench.run_queued().await > 0 {
        bench.tick().await;
    }
    let all = orchestrator.dag_overviews().await.unwrap();
    assert_eq!(standing(&all)[0], format!("daily Some(Success) false {next}"));
    assert_eq!(
        (
            all[0].header.tags.as_slice(),
            all[0].header.owner.as_deref(),
            all[1].header.has_params
        ),
        (&["load".to_owned()][..], Some("ada"), true)
    );

    let both = ["daily".to_owned(), "idle".to_owned()];
    let recent = orchestrator.recent_runs(&both, 3).await.unwrap();
    let dates: Vec<_> = recent["daily"].iter().map(|run| run.logical_date).collect();
    assert_eq!(
        dates,
        ["2025-04-04", "2025-04-03", "2025-04-02"].map(|day| Some(at(day)))
    );
    assert!(!recent.contains_key("idle"));
    let all = orchestrator.recent_runs(&both, 14).await.unwrap();
    assert_eq!(all["daily"].len(), 4);

    // The file changes, and the list with it.
    bench
        .write("idle.yaml", &IDLE.replace("dag: idle", "dag: idle\ntags: [new]"))
        .await;
    let all = orchestrator.dag_overviews().await.unwrap();
    assert_eq!(all[1].header.tags, ["new"]);
    let versions = orchestrator.dag_versions("idle").await.unwrap();
    assert_eq!(versions.len(), 2);
    let texts: Vec<bool> = {
        let mut texts = Vec::new();
        for version in &versions {
            let source = orchestrator.dag_version_source("idle", &version.version).await;
            texts.push(source.unwrap().unwrap().contains("tags: [new]"));
        }
        texts.sort_unstable();
        texts
    };
    assert_eq!(texts, [false, true]);
    assert_eq!(
        orchestrator.dag_version_source("idle", "ghost").await.unwrap(),
        None
    );
}

async fn tasks_and_days_are_counted(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("daily.yaml", DAILY).await;
    bench.tick().await;
    let run_ids: Vec<String> = bench
        .runs("daily")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    // Each `list` succeeds, and the first `each` of the first run fails.
    for lease in bench.claim(4).await {
        bench.end(&lease, Ending::success()).await;
    }
    let lease = bench.claim(1).await.remove(0);
    let message = "no".to_owned();
    bench.end(&lease, Ending::Failed { message }).await;
    let orchestrator = bench.orchestrator();
    let tallies = orchestrator.task_tallies("daily", &run_ids).await.unwrap();
    let mut first: Vec<String> = tallies
        .iter()
        .filter(|tally| tally.run_id == lease.key.run_id)
        .map(|tally| {
            format!(
                "{} {} {} {} {}",
                tally.task_id, tally.state, tally.instances, tally.is_mapped, tally.attempts
            )
        })
        .collect();
    first.sort();
    assert_eq!(
        first,
        [
            "each failed 1 true 1",
            "each queued 2 true 0",
            "list success 1 false 1"
        ]
    );
    let days = orchestrator
        .run_days("daily", at("2025-04-02"), at("2025-04-05"))
        .await;
    let mut days: Vec<_> = days
        .unwrap()
        .into_iter()
        .map(|day| (day.day, day.state, day.runs))
        .collect();
    days.sort_by_key(|(day, _, _)| *day);
    assert_eq!(
        days,
        ["2025-04-02", "2025-04-03", "2025-04-04"].map(|day| (at(day), DagRunState::Running, 1))
    );
    let runs = orchestrator.runs_between("daily", at("2025-04-02"), at("2025-04-04"));
    let dates: Vec<_> = runs
        .await
        .unwrap()
        .into_iter()
        .map(|run| run.logical_date)
        .collect();
    assert_eq!(dates, ["2025-04-03", "2025-04-02"].map(|day| Some(at(day))));
    let (taking, waiting) = orchestrator.pool_tasks("default_pool", 100).await.unwrap();
    assert_eq!((taking.len(), waiting.len()), (0, 11));
    let held = bench.claim(2).await;
    let (taking, waiting) = orchestrator.pool_tasks("default_pool", 5).await.unwrap();
    assert_eq!((taking.len(), waiting.len()), (held.len(), 5));
    let ghost = orchestrator.pool_tasks("ghost", 5).await;
    assert!(matches!(ghost, Err(Error::PoolNotFound { .. })));
}

async fn backfills_and_changes_are_counted(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("daily.yaml", DAILY).await;
    bench.tick().await;
    let orchestrator = bench.orchestrator().acting_as("ada");
    let request = BackfillRequest {
        from: at("2025-03-01"),
        to: at("2025-03-03"),
        max_active_runs: 1,
        reprocess: Reprocess::None,
        is_reversed: false,
        params: serde_json::Map::new(),
        dry_run: false,
    };
    let (backfill, _) = orchestrator.backfill("daily", &request).await.unwrap();
    bench.tick().await;
    let progress = orchestrator
        .backfill_progress(std::slice::from_ref(&backfill.id))
        .await;
    let mut progress = progress.unwrap().remove(&backfill.id).unwrap();
    progress.sort_by_key(|(state, _)| state.as_str());
    assert_eq!(progress, [(DagRunState::Queued, 2), (DagRunState::Running, 1)]);
    let run_id = bench.runs("daily").await.remove(0).0;
    orchestrator
        .set_note("daily", &run_id, Some("looks odd"))
        .await
        .unwrap();
    let note = orchestrator.dag_run("daily", &run_id).await.unwrap().note;
    assert_eq!(note.as_deref(), Some("looks odd"));
    let ghost = orchestrator.set_note("daily", "ghost", None).await;
    assert!(matches!(ghost, Err(Error::DagRunNotFound { .. })));
    let query = |query: AuditQuery| {
        let orchestrator = orchestrator.clone();
        let query = AuditQuery { limit: 10, ..query };
        async move {
            let entries = orchestrator.audit_entries(&query).await.unwrap();
            entries.into_iter().map(|entry| entry.event).collect::<Vec<_>>()
        }
    };
    let some = |text: &str| Some(text.to_owned());
    let of_ada = AuditQuery {
        owner: some("ada"),
        ..AuditQuery::default()
    };
    assert_eq!(query(of_ada).await.len(), 2);
    let notes = AuditQuery {
        event: some("set_dag"),
        run_id: Some(run_id),
        ..AuditQuery::default()
    };
    assert_eq!(query(notes).await, ["set_dag_run_note"]);
    let nobody = AuditQuery {
        owner: some("nobody"),
        ..AuditQuery::default()
    };
    assert!(query(nobody).await.is_empty());
}

fragua_database::each_engine!(engines:
    dags_are_listed_with_how_they_stand,
    tasks_and_days_are_counted,
    backfills_and_changes_are_counted,
);

#[tokio::test]
async fn arguments_are_rendered_without_secrets() {
    let test = fragua_database::testing::TestDatabase::sqlite().await;
    let mut bench = Bench::new(test.database.clone()).await;
    let orchestrator = bench.orchestrator();
    let url = fragua_base::Secret::new("postgres://user:hunter2-secret@host/db".to_owned());
    orchestrator.put_connection("house", &url, "").await.unwrap();
    let text = "dag: d\nparams: { rows: { type: integer, default: 7 } }\ntasks:\n  - id: a\n    bash: { command: \"load {{ params.rows }} {{ conn.house.url }}\" }\n  - id: b\n    bash: { command: \"{{ conn.ghost.url }}\" }\n";
    bench.write("d.yaml", text).await;
    let run_id = bench.trigger("d").await;
    let a = orchestrator.task_instance("d", &run_id, "a").await.unwrap();
    let rendered = orchestrator.rendered(&a).await.unwrap().unwrap();
    assert_eq!(rendered, json!({"command": "load 7 postgres://user:***@host/db"}));
    let b = orchestrator.task_instance("d", &run_id, "b").await.unwrap();
    let fault = orchestrator.rendered(&b).await.unwrap().unwrap_err();
    assert!(fault.contains("ghost"), "{fault}");
}

#[tokio::test]
async fn lists_of_many_dags_take_no_more_statements_than_lists_of_few() {
    let mut test = fragua_database::testing::TestDatabase::sqlite().await;
    let count = test.count_statements();
    let mut bench = Bench::new(test.database.clone()).await;
    let text = |index: usize| format!("dag: d{index:04}\ntasks: [{{ id: t, bash: echo }}]\n");
    let folder = bench.core.settings.dags_folder.clone();
    let mut taken = Vec::new();
    // More than one query can name, and more than a first read and one that knows them.
    for many in [3, 300] {
        for index in 0..many {
            std::fs::write(folder.join(format!("d{index:04}.yaml")), text(index)).unwrap();
        }
        bench.write("d0000.yaml", &text(0)).await;
        let fresh = crate::Orchestrator::over(bench.core_like().into());
        for orchestrator in [&fresh, &fresh] {
            let before = count.load(std::sync::atomic::Ordering::Relaxed);
            let overviews = orchestrator.dag_overviews().await.unwrap();
            let between = count.load(std::sync::atomic::Ordering::Relaxed);
            let summaries = orchestrator.list_dags().await.unwrap();
            let after = count.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!((overviews.len(), summaries.len()), (many, many));
            taken.push((between - before, after - between));
        }
    }
    let (cold, warm) = (taken[0], taken[1]);
    assert_eq!(taken, [cold, warm, cold, warm]);
    assert!(warm.0 < cold.0 && cold.0 < 10 && cold.1 < 10, "{taken:?}");
}

#[tokio::test]
async fn an_error_is_shown_with_the_lines_around_it() {
    let test = fragua_database::testing::TestDatabase::sqlite().await;
    let mut bench = Bench::new(test.database.clone()).await;
    bench
        .write(
            "bad.yaml",
            "dag: bad\nshedule: \"@daily\"\ntasks:\n  - id: a\n    bash: { command: x }\n",
        )
        .await;
    let orchestrator = bench.orchestrator();
    let error = orchestrator.import_errors().await.unwrap().remove(0);
    let excerpt = orchestrator.excerpt(&error);
    assert_eq!(
        excerpt.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(excerpt[1].1, "shedule: \"@daily\"");
}
