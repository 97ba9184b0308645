//! The commands on DAGs, their runs and tasks, and on what tasks are given, from outside.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use serde_json::{Value, json};

use crate::support::{Finished, Project, finish, fragua, run};

const CHAIN: &str = "
dag: chain
schedule: '@daily'
start_date: 2025-04-02
params: { word: { type: string, default: hello } }
tasks:
  - { id: first, bash: 'echo said {{ params.word }} on {{ ds }}; echo 7 > $FRAGUA_XCOM_FILE' }
  - { id: second, needs: [first], bash: 'echo got {{ xcom.first }}' }
";

const FAILS: &str = "
dag: fails
schedule: none
tasks:
  - { id: good, bash: 'true' }
  - { id: bad, needs: [good], bash: 'echo oh; exit 3' }
";

fn value(finished: &Finished) -> Value {
    assert!(finished.ok, "{}{}", finished.stdout, finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// What is in a folder, with all folders below it.
fn content(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(content(&path));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_dag_file_is_tried_in_the_foreground_and_leaves_nothing() {
    let folder = Project::without_file();
    folder.write("chain.yaml", CHAIN);
    let temporary = Project::without_file();
    let file = folder.path("chain.yaml");
    let test = async |more: &[&str]| {
        let mut arguments = vec![
            "dags",
            "test",
            file.to_str().unwrap(),
            "--project",
            folder.argument(),
        ];
        arguments.extend(more);
        let mut command = fragua(&arguments);
        command.env("TMPDIR", temporary.argument());
        finish(command).await
    };
    let said = test(&["--date", "2025-04-02", "--param", "word=world"]).await;
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("said world on 2025-04-02"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("got 7"), "{}", said.stdout);
    assert!(
        said.stdout
            .ends_with("chain of 2025-04-02T00:00:00Z ended as success\n"),
        "{}",
        said.stdout
    );
    let shown = test(&["--json", "--mark-success", "first"]).await;
    assert!(!shown.ok, "{}", shown.stdout);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["state"], "failed", "the value of first is missing: {shown}");
    assert_eq!(content(&folder.path("")), [file.display().to_string()]);
    assert_eq!(content(&temporary.path("")), Vec::<String>::new());
}

#[tokio::test]
async fn a_trial_waited_for_ever_for_a_pool_that_is_missing() {
    let project = Project::with_dag(
        "pooled",
        "dag: pooled\ntasks: [{ id: t, pool: nowhere, bash: echo }]\n",
    );
    let file = project.path("dags/pooled.yaml");
    let said = project.run(&["dags", "test", file.to_str().unwrap()]).await;
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
}

#[tokio::test]
async fn a_trial_that_fails_says_why_with_its_status() {
    let project = Project::with_dag("fails", FAILS);
    let file = project.path("dags/fails.yaml");
    let said = project.run(&["dags", "test", file.to_str().unwrap()]).await;
    assert!(!said.ok);
    for part in ["oh", "== good success", "== bad failed: ", "ended as failed"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    project.write(
        "dags/broken.yaml",
        "dag: broken\nschedule: none\ntasks:\n  - { id: a, bsh: b }\n",
    );
    let file = project.path("dags/broken.yaml");
    let said = project.run(&["dags", "test", file.to_str().unwrap()]).await;
    assert!(
        !said.ok && said.stderr.contains("broken.yaml:4"),
        "{}",
        said.stderr
    );
    let one = project.run(&["tasks", "test", "fails", "good"]).await;
    assert!(one.ok, "{}{}", one.stdout, one.stderr);
    let unknown = project.run(&["tasks", "test", "fails", "god"]).await;
    assert!(
        unknown.stderr.contains("its tasks are good, bad"),
        "{}",
        unknown.stderr
    );
}

#[tokio::test]
async fn a_trial_is_given_what_the_project_keeps() {
    let project = Project::with_dag(
        "keeps",
        "
dag: keeps
schedule: none
tasks:
  - { id: say, bash: 'echo {{ var.value.word }}' }
",
    );
    assert!(project.run(&["variables", "set", "word", "kept"]).await.ok);
    let file = project.path("dags/keeps.yaml");
    let said = project.run(&["dags", "test", file.to_str().unwrap()]).await;
    assert!(
        said.ok && said.stdout.contains("kept"),
        "{}{}",
        said.stdout,
        said.stderr
    );
    let runs = value(&project.run(&["dag-runs", "list", "--json"]).await);
    assert_eq!(runs, json!([]), "no run was recorded");
}

#[tokio::test]
async fn tasks_of_a_run_are_looked_at_marked_and_cleared() {
    let project = Project::with_dag("chain", CHAIN);
    project.write(
        "dags/blocked.yaml",
        "dag: blocked\nschedule: none\ntasks:\n  - { id: stuck, pool: nowhere, bash: 'true' }\n",
    );
    assert!(project.run(&["dags", "unpause", "blocked", "--json"]).await.ok);
    let run = project.trigger("blocked").await;
    let why = project
        .run(&["tasks", "failed-deps", "blocked", "stuck", &run])
        .await;
    assert!(
        why.stdout.contains("there is no pool nowhere"),
        "{}{}",
        why.stdout,
        why.stderr
    );
    let why = value(
        &project
            .run(&["tasks", "failed-deps", "blocked", "stuck", &run, "--json"])
            .await,
    );
    assert_eq!(
        (&why["state"], &why["dependencies"][0]["name"]),
        (&json!("queued"), &json!("Pool Slots Available"))
    );
    let state = project.run(&["tasks", "state", "blocked", "stuck", &run]).await;
    assert_eq!(state.stdout, "queued\n");
    let marked = value(
        &project
            .run(&["tasks", "mark", "blocked", "stuck", &run, "success", "--json"])
            .await,
    );
    assert_eq!(marked["marked"][0]["task_id"], "stuck");
    let runs = value(&project.run(&["dag-runs", "list", "blocked", "--json"]).await);
    assert_eq!(runs[0]["state"], "success");
    let would = value(
        &project
            .run(&["tasks", "clear", "blocked", &run, "--dry-run", "--json"])
            .await,
    );
    assert_eq!(would["would_clear"].as_array().unwrap().len(), 1);
    let cleared = project
        .run(&["tasks", "clear", "blocked", &run, "--task", "stuck"])
        .await;
    assert!(
        cleared.stdout.starts_with("cleared: stuck of "),
        "{}",
        cleared.stdout
    );
    let refused = project.run(&["dag-runs", "delete", "blocked", &run]).await;
    assert!(refused.stderr.contains("still running"), "{}", refused.stderr);
    assert!(
        project
            .run(&["dag-runs", "mark", "blocked", &run, "failed", "--json"])
            .await
            .ok
    );
    let states = value(
        &project
            .run(&["tasks", "states-for-dag-run", "blocked", &run, "--json"])
            .await,
    );
    assert_eq!(states[0]["state"], "skipped");

    let rendered = project.run(&["tasks", "list", "chain", "--tree"]).await;
    assert_eq!(rendered.stdout, "first\nsecond <- first\n");
    let run = project.trigger("chain").await;
    let rendered = project.run(&["tasks", "render", "chain", "first", &run]).await;
    assert!(
        rendered.stdout.contains("echo said hello on 20"),
        "{}{}",
        rendered.stdout,
        rendered.stderr
    );
    let set = project
        .run(&["xcom", "set", "chain", &run, "first", "[1, 2]", "--key", "rows"])
        .await;
    assert!(set.ok, "{}", set.stderr);
    assert_eq!(
        value(
            &project
                .run(&["xcom", "get", "chain", &run, "first", "--key", "rows"])
                .await
        ),
        json!([1, 2])
    );
    let listed = value(&project.run(&["xcom", "list", "chain", &run, "--json"]).await);
    assert_eq!(listed[0]["key"], "rows");
    assert!(
        project
            .run(&[
                "xcom", "delete", "chain", &run, "first", "--key", "rows", "--json"
            ])
            .await
            .ok
    );
    let gone = project
        .run(&["xcom", "get", "chain", &run, "first", "--key", "rows"])
        .await;
    assert!(
        !gone.ok && gone.stderr.contains("handed on nothing"),
        "{}",
        gone.stderr
    );
    assert!(
        project
            .run(&["dag-runs", "mark", "chain", &run, "success"])
            .await
            .ok
    );
    assert!(project.run(&["dag-runs", "delete", "chain", &run]).await.ok);
}

#[tokio::test]
async fn dags_are_foretold_read_again_reported_and_deleted() {
    let project = Project::with_dag("chain", CHAIN);
    let next = value(
        &project
            .run(&["dags", "next-execution", "chain", "-n", "2", "--json"])
            .await,
    );
    assert_eq!(next.as_array().unwrap().len(), 2);
    assert_eq!(next[0]["data_interval_end"], next[1]["data_interval_start"]);
    project.write("dags/broken.yaml", "dag: broken\n");
    let read = value(&project.run(&["dags", "reload", "--json"]).await);
    assert_eq!(
        (&read["dags"], &read["import_errors"][0]["path"]),
        (&json!(1), &json!("broken.yaml"))
    );
    let errors = project.run(&["dags", "list-import-errors"]).await;
    assert!(errors.stdout.contains("broken.yaml"), "{}", errors.stdout);
    let report = value(&project.run(&["dags", "report", "--json"]).await);
    let chain = report
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["file"] == "chain.yaml")
        .unwrap();
    assert_eq!((&chain["tasks"], &chain["dags"]), (&json!(2), &json!(["chain"])));
    let asked = project.run(&["dags", "delete", "chain"]).await;
    assert!(!asked.ok && asked.stderr.contains("--yes"), "{}", asked.stderr);
    std::fs::remove_file(project.path("dags/chain.yaml")).unwrap();
    assert!(
        project
            .run(&["dags", "delete", "chain", "--yes", "--json"])
            .await
            .ok
    );
    assert!(!project.run(&["dags", "details", "chain"]).await.ok);
}

#[tokio::test]
async fn variables_connections_and_pools_go_to_files_and_come_back() {
    let project = Project::empty();
    let other = Project::empty();
    let file = project.path("kept.json");
    let file = file.to_str().unwrap();
    assert!(project.run(&["variables", "set", "rows", "{\"a\": 1}"]).await.ok);
    let add = [
        "connections",
        "add",
        "db",
        "--conn-type",
        "postgres",
        "--conn-host",
        "host",
        "--conn-login",
        "me",
        "--conn-password",
        "hunter2",
        "--conn-port",
        "5432",
        "--conn-schema",
        "rows",
        "--json",
    ];
    assert!(project.run(&add).await.ok);
    let again = project.run(&add).await;
    assert!(again.stderr.contains("connections set"), "{}", again.stderr);
    let shown = value(&project.run(&["connections", "get", "db", "--json"]).await);
    assert_eq!(
        (&shown["login"], &shown["password"], &shown["port"]),
        (&json!("me"), &json!("***"), &json!(5432))
    );
    assert!(project.run(&["pools", "set", "few", "2", "not many"]).await.ok);
    for kind in ["variables", "connections", "pools"] {
        let wrote = project.run(&[kind, "export", file]).await;
        assert!(wrote.ok, "{}", wrote.stderr);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file).unwrap());
        assert_eq!(mode & 0o077, 0, "others must not read it");
        let read = other.run(&[kind, "import", file]).await;
        assert!(read.ok, "{}", read.stderr);
        let (from, to) = (
            project.run(&[kind, "export", "-"]).await,
            other.run(&[kind, "export", "-"]).await,
        );
        assert_eq!(value(&from), value(&to), "{kind}");
    }
    assert_eq!(
        other.run(&["variables", "get", "rows"]).await.stdout,
        "{\"a\": 1}\n"
    );
    assert_eq!(
        other
            .run(&["variables", "get", "none", "--default", "x"])
            .await
            .stdout,
        "x\n"
    );
    project.write("wrong.json", "{\"db\": {\"host\": \"hunter2\"}}");
    let wrong = project
        .run(&[
            "connections",
            "import",
            project.path("wrong.json").to_str().unwrap(),
        ])
        .await;
    assert!(
        !wrong.ok && wrong.stderr.contains("db") && !wrong.stderr.contains("hunter2"),
        "{}",
        wrong.stderr
    );
    let tested = project.run(&["connections", "test", "db", "--json"]).await;
    assert!(
        !tested.ok && !tested.stdout.contains("hunter2"),
        "{}",
        tested.stdout
    );
    project.write("rows.db", "");
    let url = format!("sqlite:{}", project.path("rows.db").display());
    assert!(
        project
            .run(&["connections", "add", "file", "--conn-uri", &url])
            .await
            .ok
    );
    let tested = project.run(&["connections", "test", "file"]).await;
    assert!(
        tested.ok && tested.stdout.starts_with("ok: "),
        "{}{}",
        tested.stdout,
        tested.stderr
    );
}

#[tokio::test]
async fn a_new_key_opens_what_the_old_one_kept() {
    let project = Project::empty();
    assert!(project.run(&["variables", "set", "secret", "hunter2"]).await.ok);
    let key = || std::fs::read_to_string(project.path(".fragua/orchestrator.key")).unwrap();
    let before = key();
    let rotated = value(&project.run(&["rotate-fernet-key", "--json"]).await);
    assert_eq!(rotated["rotated"], 1);
    assert_ne!(key(), before);
    assert!(!key().contains(','), "the old key is gone");
    assert_eq!(
        project.run(&["variables", "get", "secret"]).await.stdout,
        "hunter2\n"
    );
    // Keys of a setting are given there, the new one first.
    let next = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    let alone = format!("orchestrator.secret_key={next}");
    let asked = project.run(&["rotate-fernet-key", "--set", &alone]).await;
    assert!(!asked.ok && asked.stderr.contains("NEW,OLD"), "{}", asked.stderr);
    let both = format!("{alone},{}", key().trim());
    let rotated = project.run(&["rotate-fernet-key", "--set", &both]).await;
    assert!(rotated.ok, "{}", rotated.stderr);
    let shown = project
        .run(&["variables", "get", "secret", "--set", &alone])
        .await;
    assert_eq!(shown.stdout, "hunter2\n");
    let server = project.up(&["--roles", "orchestrator"]).await;
    let refused = project.run(&["rotate-fernet-key"]).await;
    assert!(
        !refused.ok && refused.stderr.contains("end it first"),
        "{}",
        refused.stderr
    );
    server.stop().await;
}

#[tokio::test]
async fn an_asset_that_was_updated_starts_what_waits_for_it() {
    let project = Project::with_dag(
        "waits",
        "dag: waits\nschedule: { assets: [sales] }\ntasks:\n  - { id: a, bash: 'true' }\n",
    );
    let event = value(
        &project
            .run(&[
                "assets",
                "create-event",
                "sales",
                "--extra",
                "{\"rows\": 3}",
                "--json",
            ])
            .await,
    );
    assert_eq!(
        (&event["asset"], &event["extra"]["rows"]),
        (&json!("sales"), &json!(3))
    );
    let assets = value(&project.run(&["assets", "list", "--json"]).await);
    assert_eq!(
        (&assets[0]["name"], &assets[0]["consumers"]),
        (&json!("sales"), &json!(["waits"]))
    );
    let events = value(&project.run(&["assets", "events", "sales", "--json"]).await);
    assert_eq!(events[0]["id"], event["id"]);
}

#[tokio::test]
async fn help_tells_of_each_command() {
    let help = run(&["--help"]).await.stdout;
    for command in [
        "tasks",
        "xcom",
        "backfill",
        "pools",
        "variables",
        "connections",
        "rotate-fernet-key",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
    }
    let help = run(&["dags", "--help"]).await.stdout;
    for command in [
        "test",
        "next-execution",
        "reload",
        "report",
        "delete",
        "list-import-errors",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
    }
}
