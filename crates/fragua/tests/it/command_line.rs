//! The commands, from outside.

use serde_json::Value;

use crate::support::{Follower, Project, finish, fragua, run};

const ECHO: &str = "dag: echo\nschedule: none\nparams:\n  word: { type: string, default: hello }\ntasks:\n  - id: say\n    bash: \"echo said {{ params.word }}\"\n";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn help_and_version() {
    let version = run(&["--version"]).await;
    assert_eq!(version.stdout, format!("fragua {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"]).await;
    for command in [
        "demo",
        "init",
        "up",
        "doctor",
        "settings",
        "keys",
        "serving-keys",
        "storage-keys",
        "dags",
        "dag-runs",
        "tracking",
        "schema",
    ] {
        assert!(help.stdout.contains(command), "{command}: {}", help.stdout);
    }
    assert!(!help.stdout.contains("exec-task"), "{}", help.stdout);
}

#[tokio::test]
async fn a_bad_setting_stops_the_start_and_says_where_it_is() {
    let project = Project::empty();
    project.write("fragua.toml", "[serving]\n\nport = 123456\n");
    project.write(".env", "AIRFLOW__CORE__EXECUTOR=KubernetesExecutor\n");
    let mut command = fragua(&["up", "--project", project.argument(), "--set", "trackng.port=1"]);
    command.env("FRAGUA__STORAGE__ENDPOINT", "ftp://user:hunter2@host");
    let finished = finish(command).await;
    assert!(!finished.ok);
    for part in [
        "serving.port (",
        "fragua.toml:3): 123456 is not a port",
        "orchestrator.executor (AIRFLOW__CORE__EXECUTOR in ",
        ".env:1): the executor \"KubernetesExecutor\" is not offered",
        "trackng.port (command line, --set): there is no such setting; did you mean tracking.port?",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part} is not in {}",
            finished.stderr
        );
    }
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    assert!(!project.path(".fragua").exists(), "nothing was started");
}

#[tokio::test]
async fn the_log_is_json_on_demand() {
    let project = Project::empty();
    let server = project.up(&["--roles", "app", "--log-format", "json"]).await;
    let (_, said) = server.stop().await;
    for line in said.lines() {
        assert!(json(line)["message"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn settings_lists_where_each_value_comes_from_and_no_secret() {
    let project = Project::empty();
    project.write("fragua.toml", "[serving]\nport = 1234\n");
    let mut command = fragua(&["settings", "--json", "--project", project.argument()]);
    command.env("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2");
    let finished = finish(command).await;
    assert!(finished.ok, "{}", finished.stderr);
    assert!(!finished.stdout.contains("hunter2"), "{}", finished.stdout);
    let rows = json(&finished.stdout);
    let find = |key: &str| {
        rows.as_array()
            .and_then(|rows| rows.iter().find(|row| row["key"] == key))
            .cloned()
            .unwrap_or_else(|| panic!("{key} is not in {rows}"))
    };
    assert_eq!(find("serving.port")["value"], "1234");
    assert!(
        find("serving.port")["origin"]
            .as_str()
            .unwrap()
            .ends_with("fragua.toml:2")
    );
    assert_eq!(find("app.port")["origin"], "default");
    assert_eq!(find("storage.secret_access_key")["value"], "***");
    assert_eq!(
        find("storage.secret_access_key")["origin"],
        "environment variable AWS_SECRET_ACCESS_KEY"
    );
}

#[tokio::test]
async fn init_makes_a_project_whose_dags_are_right_and_refuses_to_overwrite() {
    let place = Project::empty();
    let folder = place.path("new");
    let folder = folder.to_str().unwrap();
    let made = run(&["init", folder, "--example", "covertype"]).await;
    assert!(made.ok, "{}", made.stderr);
    assert!(place.path("new/fragua.toml").exists());
    assert!(place.path("new/.fragua/schemas/dag.json").exists());
    let checked = run(&["dags", "check", "--project", folder]).await;
    assert!(checked.ok, "{}{}", checked.stdout, checked.stderr);
    let empty = place.path("empty");
    let made = run(&["init", empty.to_str().unwrap()]).await;
    assert!(made.ok, "{}", made.stderr);
    let dags: Vec<_> = std::fs::read_dir(empty.join("dags")).unwrap().collect();
    assert_eq!(dags.len(), 1, "{dags:?}");
    let checked = run(&["dags", "check", "--project", empty.to_str().unwrap()]).await;
    assert!(checked.ok, "{}{}", checked.stdout, checked.stderr);
    let again = run(&["init", folder]).await;
    assert!(!again.ok);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    place.write("new/fragua.toml", "broken");
    let forced = run(&["init", folder, "--force"]).await;
    assert!(forced.ok, "{}", forced.stderr);
    assert_ne!(
        std::fs::read_to_string(place.path("new/fragua.toml")).unwrap(),
        "broken"
    );
}

#[tokio::test]
async fn a_broken_dag_file_is_shown_with_line_and_column() {
    let project = Project::with_dag("fine", ECHO);
    project.write(
        "dags/broken.yaml",
        "dag: broken\nschedule: none\ntasks:\n  - id: one\n    bsh: echo\n",
    );
    let finished = project.run(&["dags", "check"]).await;
    assert!(!finished.ok);
    assert!(finished.stdout.contains("broken.yaml:5:"), "{}", finished.stdout);
    assert!(finished.stdout.contains("bsh"), "{}", finished.stdout);
    let listed = project.run(&["dags", "check", "--json"]).await;
    let listed = json(&listed.stdout);
    let errors: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["ok"] == false)
        .collect();
    assert_eq!(errors.len(), 1, "{listed}");
    assert_eq!(errors[0]["errors"][0]["line"], 5, "{listed}");
}

#[tokio::test]
async fn a_run_asked_for_on_the_command_line_is_done_by_a_running_server() {
    let project = Project::with_dag("echo", ECHO);
    let server = project
        .up(&["--set", "orchestrator.dags_are_paused_at_creation=false"])
        .await;
    let finished = project
        .run(&["dags", "trigger", "echo", "--param", "word=world", "--json"])
        .await;
    assert!(finished.ok, "{}", finished.stderr);
    assert_eq!(finished.stderr, "", "the server was woken");
    let run = json(&finished.stdout);
    let run_id = run["dag_run_id"].as_str().unwrap();
    assert_eq!(run["params"]["word"], "world");
    // The log ends with the attempt, so following it waits for the server's work.
    let logs = project
        .run(&["dag-runs", "logs", "echo", run_id, "say", "--follow"])
        .await;
    assert!(logs.ok, "{}", logs.stderr);
    assert!(logs.stdout.contains("said world"), "{}", logs.stdout);
    server.stop().await;
    let listed = project.run(&["dag-runs", "list", "echo", "--json"]).await;
    let listed = json(&listed.stdout);
    assert_eq!(listed[0]["dag_run_id"], run_id);
    assert_eq!(listed[0]["state"], "success");
    let shown = project.run(&["dag-runs", "show", "echo", run_id, "--json"]).await;
    assert_eq!(
        json(&shown.stdout)["tasks"][0]["state"],
        "success",
        "{}",
        shown.stdout
    );
}

#[tokio::test]
async fn pausing_is_kept_without_a_server() {
    let project = Project::with_dag("echo", ECHO);
    project.up(&[]).await.stop().await;
    let state = async || {
        let listed = project.run(&["dags", "list", "--json"]).await;
        assert!(listed.ok, "{}", listed.stderr);
        json(&listed.stdout)[0]["is_paused"].clone()
    };
    assert_eq!(state().await, true);
    assert!(project.run(&["dags", "unpause", "echo"]).await.ok);
    assert_eq!(state().await, false);
    assert!(project.run(&["dags", "pause", "echo"]).await.ok);
    assert_eq!(state().await, true);
}

#[tokio::test]
async fn an_unknown_dag_is_named() {
    let project = Project::with_dag("echo", ECHO);
    let finished = project.run(&["dags", "trigger", "ecko"]).await;
    assert!(!finished.ok);
    assert!(
        finished.stderr.contains("there is no DAG \"ecko\""),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("fragua up"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_named() {
    let project = Project::with_dag("echo", ECHO);
    project.up(&[]).await.stop().await;
    let finished = project
        .run(&["dags", "trigger", "echo", "--param", "word=7"])
        .await;
    assert!(!finished.ok);
    assert!(finished.stderr.contains("word"), "{}", finished.stderr);
}

#[tokio::test]
async fn the_schema_names_every_operator() {
    let finished = run(&["schema", "dag"]).await;
    let schema = json(&finished.stdout).to_string();
    for operator in [
        "bash",
        "python",
        "wait",
        "http_to_table",
        "sql",
        "train",
        "promote",
    ] {
        assert!(schema.contains(&format!("\"{operator}\"")), "{operator}");
    }
}

#[tokio::test]
async fn doctor_is_content_with_a_running_project() {
    let project = Project::empty();
    let server = project.up(&[]).await;
    let finished = project.run(&["doctor"]).await;
    assert!(finished.ok, "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.lines().count() >= 12, "{}", finished.stdout);
    assert!(
        finished.stdout.lines().all(|line| line.starts_with("ok ")),
        "{}",
        finished.stdout
    );
    server.stop().await;
}

#[tokio::test]
async fn doctor_names_what_is_broken_and_the_fix() {
    let project = Project::empty();
    // A port where nobody listens, and a store whose folder cannot be made.
    project.write("store", "a file where a folder should be");
    project.write("fragua.toml", "[storage]\nroot = \"store/objects\"\n");
    let finished = project.run(&["doctor", "--json"]).await;
    assert!(!finished.ok);
    let checks = json(&finished.stdout);
    let find = |name: &str| {
        checks
            .as_array()
            .and_then(|checks| checks.iter().find(|check| check["name"] == name))
            .cloned()
            .unwrap_or_else(|| panic!("{name} is not in {checks}"))
    };
    let tracking = find("tracking");
    assert_eq!(tracking["ok"], false);
    assert!(
        tracking["fix"].as_str().unwrap().contains("fragua up"),
        "{tracking}"
    );
    let objects = find("object store");
    assert_eq!(objects["ok"], false);
    assert!(
        objects["tried"].as_str().unwrap().contains("fragua.toml:2"),
        "{objects}"
    );
    assert_eq!(find("database of tracking")["ok"], true);
}

#[tokio::test]
async fn doctor_advises_what_mends_the_database_and_the_port() {
    // Port 9000 of the one is that of the other, and the file of a database is a folder.
    let other = Project::empty();
    let server = other.up(&["--roles", "storage"]).await;
    let port = server.address("storage").rsplit(':').next().unwrap();
    let project = Project::empty();
    std::fs::create_dir(project.path("a.db")).unwrap();
    project.write(
        "fragua.toml",
        &format!("[storage]\nport = {port}\n[tracking]\ndatabase_url = \"sqlite:a.db\"\n"),
    );
    let finished = project.run(&["doctor"]).await;
    assert!(!finished.ok);
    let line = |name: &str| {
        let found = finished.stdout.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("{name} is not in {}", finished.stdout))
    };
    let storage = line("another project's role answers there");
    assert!(storage.ends_with("--ports auto beside the other"), "{storage}");
    let database = line("database of tracking");
    let file = project.path("a.db").canonicalize().unwrap();
    let advice = format!("write the file {} and its folder", file.display());
    assert!(database.contains(&advice), "{database}");
    server.stop().await;
}

#[tokio::test]
async fn keys_are_those_of_the_running_store() {
    let project = Project::empty();
    let server = project.up(&["--roles", "storage"]).await;
    let keys = project.run(&["keys", "--json"]).await;
    assert!(keys.ok, "{}", keys.stderr);
    let keys = json(&keys.stdout);
    assert_eq!(keys["AWS_ENDPOINT_URL_S3"], server.address("storage"));
    let exported = project.run(&["keys"]).await.stdout;
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"] {
        let value = keys[name].as_str().unwrap();
        assert!(!value.is_empty());
        assert!(
            exported.contains(&format!("export {name}='{value}'\n")),
            "{exported}"
        );
    }
    server.stop().await;
    let again = project.run(&["keys", "--json"]).await;
    assert_eq!(
        json(&again.stdout)["AWS_SECRET_ACCESS_KEY"],
        keys["AWS_SECRET_ACCESS_KEY"]
    );
    let mut given = fragua(&["keys", "--project", project.argument()]);
    given
        .env("MINIO_ROOT_USER", "someone")
        .env("MINIO_ROOT_PASSWORD", "something");
    let given = finish(given).await;
    assert!(
        given.stdout.contains("AWS_SECRET_ACCESS_KEY='something'"),
        "{}",
        given.stdout
    );
    let kept = project.run(&["keys", "--json"]).await;
    assert_eq!(
        json(&kept.stdout),
        json(&again.stdout),
        "reading has replaced nothing"
    );
}

#[tokio::test]
async fn a_log_is_followed_while_it_is_written() {
    let dag = "dag: slow\nschedule: none\ntasks:\n  - id: talk\n    bash: \"echo first; exec sleep 600\"\n";
    let project = Project::with_dag("slow", dag);
    let server = project
        .up(&["--set", "orchestrator.dags_are_paused_at_creation=false"])
        .await;
    let run_id = project.trigger("slow").await;
    let arguments = [
        "dag-runs",
        "logs",
        "slow",
        &run_id,
        "talk",
        "--follow",
        "--project",
        project.argument(),
    ];
    let mut follower = Follower::start(fragua(&arguments));
    follower.until_said("first").await;
    server.stop().await;
}
