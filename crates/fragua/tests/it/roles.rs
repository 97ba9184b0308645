//! What starts, where it answers, and what keeps it from starting.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::{Project, client, finish, fragua, run};

const ALL: [&str; 7] = [
    "orchestrator",
    "tracking",
    "storage",
    "console",
    "serving",
    "app",
    "source",
];

fn health(role: &str) -> &'static str {
    match role {
        "storage" => "/minio/health/live",
        _ => "/health",
    }
}

#[tokio::test]
async fn every_role_answers_where_endpoints_json_says() {
    let project = Project::empty();
    let server = project.up(&["--set", "source.enabled=true"]).await;
    let keys: Vec<&str> = server.endpoints.keys().map(String::as_str).collect();
    let mut expected = ALL.to_vec();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let client = client();
    for role in ALL {
        let url = format!("{}{}", server.address(role), health(role));
        let response = client.get(&url).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{role}: GET {url} answers {}",
            response.status()
        );
    }
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    assert!(!project.path(".fragua/endpoints.json").exists());
}

#[tokio::test]
async fn only_the_roles_asked_for_start() {
    let project = Project::empty();
    let server = project.up(&["--roles", "tracking,storage"]).await;
    let keys: Vec<&str> = server.endpoints.keys().map(String::as_str).collect();
    assert_eq!(keys, ["console", "storage", "tracking"]);
    server.stop().await;
}

#[tokio::test]
async fn roles_of_one_project_run_in_two_processes() {
    let project = Project::empty();
    let tracking = project.up(&["--roles", "tracking,storage"]).await;
    let rest = project.up(&["--roles", "orchestrator,worker,serving,app"]).await;
    assert_eq!(rest.endpoints.len(), 6);
    assert_eq!(rest.address("tracking"), tracking.address("tracking"));
    rest.stop().await;
    assert_eq!(project.endpoints().len(), 3, "the other process still answers");
    tracking.stop().await;
}

#[tokio::test]
async fn a_second_instance_of_a_project_is_refused() {
    let project = Project::empty();
    let server = project.up(&[]).await;
    let second = project.run(&["up", "--ports", "auto"]).await;
    assert!(!second.ok);
    assert!(
        second
            .stderr
            .contains("the role orchestrator already runs for the project"),
        "{}",
        second.stderr
    );
    let health = format!("{}/health", server.address("orchestrator"));
    assert!(client().get(health).send().await.unwrap().status().is_success());
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_names_port_role_and_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = Project::empty();
    project.write("fragua.toml", &format!("[serving]\nport = {port}\n"));
    let finished = project.run(&["up", "--roles", "serving"]).await;
    assert!(!finished.ok);
    let expected =
        format!("error: port {port} is in use, so the role serving cannot listen on 127.0.0.1:{port}");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert!(finished.stderr.contains("serving.port"), "{}", finished.stderr);
    assert!(finished.stderr.contains("fragua.toml:2"), "{}", finished.stderr);
    assert!(!project.path(".fragua/endpoints.json").exists());
}

#[tokio::test]
async fn free_ports_are_not_taken_in_the_place_of_one_that_a_setting_gives() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = Project::empty();
    let up = ["up", "--project", project.argument(), "--ports", "auto"];
    let mut by_variable = fragua(&up);
    by_variable.env("FRAGUA__TRACKING__PORT", port.to_string());
    let option = format!("tracking.port={port}");
    let by_option = fragua(&[&up[..], &["--set", &option]].concat());
    for command in [by_variable, by_option] {
        let refused = finish(command).await;
        assert!(!refused.ok);
        let expected = format!("port {port} is in use, so the role tracking");
        assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
        assert!(
            refused
                .stderr
                .contains("or leave it out and start with --ports auto"),
            "{}",
            refused.stderr
        );
    }
}

#[tokio::test]
async fn a_folder_that_is_no_project_is_refused_and_not_written_to() {
    let folder = Project::without_file();
    for command in [
        &["dags", "list"][..],
        &["doctor"],
        &["keys"],
        &["tracking", "purge"],
        &["up", "--ports", "auto"],
    ] {
        let refused = folder.run(command).await;
        assert!(!refused.ok, "{command:?}");
        let expected = format!(
            "no fragua.toml in {}: is this the project's folder? `fragua init` makes one",
            folder.path("").canonicalize().unwrap().display()
        );
        assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    }
    let settings = folder.run(&["settings"]).await;
    assert!(
        settings.ok && settings.stderr.contains("note: no fragua.toml in"),
        "{}",
        settings.stderr
    );
    assert_eq!(folder.path("").read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn reading_commands_left_files_in_a_project_that_was_never_started() {
    let project = Project::with_dag(
        "daily",
        "dag: daily\nschedule: none\ntasks:\n  - id: hello\n    bash: echo\n",
    );
    let there = || {
        let entries = project.path("").read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = there();
    let runs = project.path("mlruns");
    for (command, expected) in [
        (&["dags", "list"][..], Ok("daily")),
        (&["dag-runs", "list", "--json"], Ok("[]")),
        (&["backfill", "list", "--json"], Ok("[]")),
        (&["pools", "list"], Ok("default_pool")),
        (&["variables", "list", "--json"], Ok("[]")),
        (&["connections", "list"], Ok("")),
        (
            &["tracking", "purge", "--dry-run"],
            Ok("would delete 0 experiments"),
        ),
        (
            &["tracking", "import", runs.to_str().unwrap(), "--dry-run"],
            Err("is no file store"),
        ),
        (
            &["keys"],
            Err("was never started, so it has no keys yet: start it with `fragua up`"),
        ),
    ] {
        let finished = project.run(command).await;
        let said = match expected {
            Ok(_) => &finished.stdout,
            Err(_) => &finished.stderr,
        };
        let part = expected.unwrap_or_else(|part| part);
        assert_eq!(finished.ok, expected.is_ok(), "{command:?}: {finished:?}");
        assert!(said.contains(part), "{command:?}: {finished:?}");
        assert_eq!(there(), before, "{command:?}");
    }
    let doctor = project.run(&["doctor"]).await;
    assert!(!doctor.ok, "no role runs");
    for name in ["database of tracking", "connection warehouse", "object store"] {
        let line = doctor.stdout.lines().find(|line| line.contains(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {}", doctor.stdout));
        assert!(
            line.starts_with("ok") && line.ends_with("is made at the first start"),
            "{line}"
        );
    }
    assert_eq!(there(), before);
}

#[tokio::test]
async fn a_server_that_names_its_roles_needs_no_project_file() {
    let folder = Project::without_file();
    let server = folder.up(&["--roles", "tracking,storage"]).await;
    assert!(
        server.said.iter().any(|line| line.contains("no fragua.toml in")),
        "{:?}",
        server.said
    );
    let purged = folder.run(&["tracking", "purge"]).await;
    assert!(purged.ok, "{}", purged.stderr);
    server.stop().await;
}

#[tokio::test]
async fn a_database_file_made_for_a_path_that_a_setting_names_is_told() {
    let project = Project::empty();
    let file = project.path("nope.db");
    let url = format!("tracking.database_url=sqlite:///{}", file.display());
    let options = ["--roles", "tracking,storage", "--set", &url];
    let told = format!("made a new database at sqlite:{}", file.display());
    for is_new in [true, false] {
        let server = project.up(&options).await;
        let (_, said) = server.stop().await;
        assert_eq!(said.contains(&told), is_new, "{said}");
        assert!(
            !said.contains("auth.db"),
            "those of the project itself are no news: {said}"
        );
    }
}

#[tokio::test]
async fn an_address_for_others_is_refused_while_nobody_must_log_in() {
    let project = Project::empty();
    let finished = project
        .run(&["up", "--ports", "auto", "--set", "server.bind=0.0.0.0"])
        .await;
    assert!(!finished.ok);
    assert!(finished.stderr.contains("server.bind"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_project_that_was_killed_starts_again() {
    let project = Project::empty();
    let first = project.up(&[]).await;
    let old = first.endpoints.clone();
    first.signal(Signal::SIGKILL);
    first.ended().await;
    assert_eq!(project.endpoints(), old, "nobody was there to take it away");
    let second = project.up(&[]).await;
    let health = format!("{}/health", second.address("tracking"));
    assert!(client().get(health).send().await.unwrap().status().is_success());
    second.stop().await;
}

#[tokio::test]
async fn a_log_line_about_a_failed_request_names_it() {
    let project = Project::empty();
    let server = project.up(&[]).await;
    let url = format!("{}/predict", server.address("serving"));
    let response = client()
        .post(&url)
        .json(&serde_json::json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 503, "there is no model yet");
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    for part in ["WARN", "surface=\"serving\"", "http.path=\"/predict\""] {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused() {
    let project = Project::empty();
    let server = project.up(&["--roles", "tracking"]).await;
    let response = client()
        .get(format!("{}/health", server.address("tracking")))
        .header("host", "rebound.example")
        .send()
        .await
        .unwrap();
    assert!(response.status().is_client_error(), "{}", response.status());
    server.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let finished = run(&["up", "--project", "/does/not/exist"]).await;
    assert!(!finished.ok);
    assert!(finished.stderr.contains("/does/not/exist"), "{}", finished.stderr);
}

#[tokio::test]
async fn another_mlflow_server_takes_the_place_of_tracking() {
    let others = Project::empty();
    let other = others.up(&["--roles", "tracking,storage"]).await;
    let project = Project::empty();
    project.write(
        ".env",
        &format!("MLFLOW_TRACKING_URI={}\n", other.address("tracking")),
    );
    let server = project.up(&[]).await;
    let told = format!("tracking: uses {}, role not started", other.address("tracking"));
    let told = server.said.iter().find(|line| line.contains(&told));
    assert!(
        told.is_some_and(|line| line.contains("MLFLOW_TRACKING_URI")),
        "{:?}",
        server.said
    );
    assert!(
        !server.endpoints.contains_key("tracking"),
        "{:?}",
        server.endpoints
    );
    let refused = project
        .run(&["up", "--ports", "auto", "--roles", "tracking"])
        .await;
    assert!(!refused.ok);
    assert!(
        refused.stderr.contains("MLFLOW_TRACKING_URI in"),
        "{}",
        refused.stderr
    );
    server.stop().await;
    other.stop().await;
}
