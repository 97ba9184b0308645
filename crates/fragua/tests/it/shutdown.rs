//! The end of the program.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Follower, Project, Server, client, fragua};

const LIMIT: Duration = Duration::from_secs(5);

async fn ends_in_time(server: Server, signal: Signal) {
    let asked = Instant::now();
    server.signal(signal);
    let (ok, said) = server.ended().await;
    let took = asked.elapsed();
    assert!(ok, "{said}");
    assert!(took < LIMIT, "{took:?}\n{said}");
}

#[tokio::test]
async fn ctrl_c_and_sigterm_end_it() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let project = Project::empty();
        let server = project.up(&[]).await;
        ends_in_time(server, signal).await;
        assert!(!project.path(".fragua/endpoints.json").exists());
    }
}

#[tokio::test]
async fn an_open_event_stream_does_not_hold_it() {
    let project = Project::with_dag(
        "one",
        "dag: one\nschedule: none\ntasks:\n  - id: only\n    bash: \"true\"\n",
    );
    let server = project.up(&[]).await;
    let url = format!("{}/events", server.address("orchestrator"));
    let mut stream = client().get(url).send().await.unwrap();
    assert!(stream.status().is_success(), "{}", stream.status());
    let kind = stream.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    ends_in_time(server, Signal::SIGTERM).await;
    // Whatever came before, the stream has an end now.
    while let Ok(Some(_)) = stream.chunk().await {}
}

/// Starts a task that runs until it is killed, and ends the program under it.
async fn ends_under_a_task(commands: &str) {
    let dag = format!("dag: slow\nschedule: none\ntasks:\n  - id: sleep\n    bash: {commands:?}\n");
    let project = Project::with_dag("slow", &dag);
    let server = project
        .up(&["--set", "orchestrator.dags_are_paused_at_creation=false"])
        .await;
    let run_id = project.trigger("slow").await;
    let arguments = [
        "dag-runs",
        "logs",
        "slow",
        &run_id,
        "sleep",
        "--follow",
        "--project",
        project.argument(),
    ];
    let mut follower = Follower::start(fragua(&arguments));
    follower.until_said("started").await;
    ends_in_time(server, Signal::SIGTERM).await;
}

#[tokio::test]
async fn a_running_task_does_not_hold_it() {
    ends_under_a_task("echo started; exec sleep 600").await;
}

#[tokio::test]
async fn a_task_that_ignores_the_signal_does_not_hold_it() {
    ends_under_a_task("trap '' TERM INT HUP; echo started; while true; do sleep 1; done").await;
}
