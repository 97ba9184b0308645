//! The tests.

use std::fs;
use std::pin::Pin;
use std::time::Duration;

use fragua_orchestrator::{AttemptState, DagRunState, Error, TaskState};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, is_alive, start_server};

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const ALL: &[(&str, Test)] = &[$((stringify!($name), || Box::pin($name()))),+];
    };
}

tests!(
    values_and_templates_pass_between_tasks,
    a_log_can_be_read_while_the_task_runs,
    an_attempt_knows_where_it_belongs_and_tells_no_secret,
    a_failure_is_told_and_tried_again,
    a_template_that_fails_names_its_place,
    a_task_that_takes_too_long_is_stopped_with_all_its_processes,
    a_killed_process_is_told_in_words,
    a_shutdown_gives_running_tasks_back,
    a_killed_server_goes_on_where_it_was,
    a_running_task_that_is_cleared_starts_over,
    a_second_worker_of_a_project_is_refused,
    a_changed_file_is_seen_within_a_second,
    a_task_that_ignores_the_polite_signal_is_killed,
    a_process_alone_ends_when_its_worker_is_gone,
    a_line_of_ten_megabytes_is_kept_in_pieces,
    a_value_of_fifty_megabytes_fails_the_task_and_says_so,
    a_task_that_forks_and_leaves_is_ended_with_what_it_left,
    a_function_finds_nothing_of_the_one_before_it,
    what_an_attempt_took_is_recorded,
    a_process_that_waits_for_an_attempt_and_is_killed_is_replaced,
);

/// A task's script that says it runs, and then waits for a file.
fn until_file(name: &str) -> String {
    format!("echo running $$; until [ -e {name} ]; do sleep 0.02; done; echo done")
}

async fn values_and_templates_pass_between_tasks() {
    let mut bench = Bench::start().await;
    let tasks = "  - { id: one, bash: 'echo 42 > $FRAGUA_XCOM_FILE' }\n  - { id: two, needs: [one], bash: { command: 'echo $VALUE > result', env: { VALUE: '{{ xcom.one }} of {{ run_id }}' } } }\n";
    bench.write("values", tasks).await;
    let run = bench.run("values").await;
    assert_eq!(run.state, DagRunState::Success);
    assert_eq!(
        fs::read_to_string(bench.path("result")).unwrap(),
        format!("42 of {}\n", run.run_id)
    );
    let one = bench.task(&run, "one").await;
    let handed_on = bench.orchestrator.xcoms(&one).await.unwrap();
    assert_eq!(handed_on[0].value, json!(42));
    let attempts = bench.attempts(&run, "one").await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].state, AttemptState::Success);
    assert!(
        attempts[0].peak_memory_bytes.is_some_and(|peak| peak > 100_000),
        "{attempts:?}"
    );
}

async fn a_log_can_be_read_while_the_task_runs() {
    let mut bench = Bench::start().await;
    bench
        .write(
            "live",
            &format!("  - {{ id: talk, bash: '{}' }}\n", until_file("go")),
        )
        .await;
    let run = bench.trigger("live").await;
    let text = bench.until_said(&run, "talk", "running").await;
    assert!(text.contains(" fragua attempt 1 of talk begins\n"), "{text}");
    assert_eq!(bench.task(&run, "talk").await.state, TaskState::Running);
    fs::write(bench.path("go"), "").unwrap();
    bench.until_over(&run).await;
    let rest = bench
        .orchestrator
        .read_log("live", &run.run_id, "talk", 1, text.len() as u64)
        .await
        .unwrap();
    let rest_text = String::from_utf8_lossy(&rest.bytes);
    assert!(rest.finished && rest_text.contains(" out done\n"), "{rest_text}");
    assert!(
        rest_text.contains(" fragua succeeded, peak memory "),
        "{rest_text}"
    );
    let missing = bench
        .orchestrator
        .read_log("live", &run.run_id, "talk", 2, 0)
        .await;
    assert!(matches!(missing, Err(Error::LogNotFound { .. })));
}

async fn an_attempt_knows_where_it_belongs_and_tells_no_secret() {
    let mut bench = Bench::start().await;
    let script = "  - id: show\n    bash: |\n      echo $FRAGUA_DAG_ID/$FRAGUA_TASK_ID/$MLFLOW_TRACKING_URI\n      [ $FRAGUA_DAG_RUN_ID = {{ run_id | shquote }} ] || exit 1\n      echo $MLFLOW_TRACKING_TOKEN {{ conn.web.url }} >&2\n      [ $MLFLOW_TRACKING_TOKEN = token-of-show ] || exit 2\n      env | grep -c ^FRAGUA_ > count\n";
    bench.write("show", script).await;
    let run = bench.run("show").await;
    assert_eq!(
        run.state,
        DagRunState::Success,
        "{}",
        bench.log(&run, "show", 1).await
    );
    let log = bench.log(&run, "show", 1).await;
    assert!(log.contains(" out show/show/http://tracking\n"), "{log}");
    assert!(log.contains(" err *** http://me:***@host\n"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("token-of"), "{log}");
    assert_eq!(
        fs::read_to_string(bench.path("count")).unwrap().trim(),
        "6",
        "no setting of the server is handed on"
    );
}

async fn a_failure_is_told_and_tried_again() {
    let mut bench = Bench::start().await;
    let tasks = "  - { id: flaky, retries: 1, retry_delay: 0.01, bash: '[ -e tried ] || { touch tried; exit 7; }' }\n  - { id: broken, bash: 'echo oh no >&2; exit 3' }\n";
    bench.write("retry", tasks).await;
    let run = bench.run("retry").await;
    assert_eq!(run.state, DagRunState::Failed);
    let flaky = bench.attempts(&run, "flaky").await;
    assert_eq!(
        flaky.iter().map(|attempt| attempt.state).collect::<Vec<_>>(),
        [AttemptState::Failed, AttemptState::Success]
    );
    assert_eq!(flaky[0].message.as_deref(), Some("bash ended with status 7"));
    assert_eq!(
        bench.task(&run, "broken").await.message.as_deref(),
        Some("bash ended with status 3")
    );
    let log = bench.log(&run, "broken", 1).await;
    assert!(
        log.contains(" err oh no\n") && log.contains(" fragua failed: bash ended with status 3\n"),
        "{log}"
    );
    assert_eq!(log.matches("failed: ").count(), 1, "{log}");
}

async fn a_template_that_fails_names_its_place() {
    let mut bench = Bench::start().await;
    bench
        .write(
            "wrong",
            "  - id: t\n    retries: 3\n    bash: echo {{ params.nothing }}\n",
        )
        .await;
    let run = bench.run("wrong").await;
    let task = bench.task(&run, "t").await;
    assert_eq!(
        (task.state, task.attempt),
        (TaskState::Failed, 1),
        "trying again is no use"
    );
    let message = task.message.unwrap();
    assert!(
        message.starts_with("task t, argument bash (line 5 of the DAG file): undefined value"),
        "{message}"
    );
}

async fn a_task_that_takes_too_long_is_stopped_with_all_its_processes() {
    let mut bench = Bench::start().await;
    let script = "sleep 600 & echo $! > sleeper; setsid sh -c \"echo \\$\\$ > stray; sleep 600\" & sleep 600";
    bench
        .write(
            "slow",
            &format!("  - {{ id: t, execution_timeout: 0.5, bash: '{script}' }}\n"),
        )
        .await;
    let run = bench.run("slow").await;
    let message = bench.task(&run, "t").await.message.unwrap();
    assert_eq!(message, "was stopped after 500ms, the task's execution_timeout");
    let sleeper: u32 = fs::read_to_string(bench.path("sleeper"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!is_alive(sleeper));
    let stray: u32 = fs::read_to_string(bench.path("stray"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!is_alive(stray), "one that left the group is found too");
    assert!(!is_alive(bench.attempts(&run, "t").await[0].process_id.unwrap()));
}

async fn a_killed_process_is_told_in_words() {
    let mut bench = Bench::start().await;
    bench
        .write("killed", "  - { id: t, bash: 'kill -9 $PPID; sleep 600' }\n")
        .await;
    let run = bench.run("killed").await;
    let message = bench.task(&run, "t").await.message.unwrap();
    assert!(
        message.starts_with("the task's process was killed by signal 9 (SIGKILL)"),
        "{message}"
    );
}

async fn a_shutdown_gives_running_tasks_back() {
    let mut bench = Bench::start().await;
    bench
        .write(
            "long",
            &format!("  - {{ id: t, bash: '{}' }}\n", until_file("go")),
        )
        .await;
    let run = bench.trigger("long").await;
    bench.until_said(&run, "t", "running").await;
    let process_id = bench.attempts(&run, "t").await[0].process_id.unwrap();
    let folder = bench.folder().clone();
    let took = bench.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!is_alive(process_id));

    fs::write(folder.path().join("go"), "").unwrap();
    let mut bench = Bench::start_in(folder).await;
    let run = bench.until_over(&run).await;
    assert_eq!(run.state, DagRunState::Success);
    let task = bench.task(&run, "t").await;
    assert_eq!((task.attempt, task.failures, task.lost), (2, 0, 0));
    let attempts = bench.attempts(&run, "t").await;
    assert_eq!(attempts[0].state, AttemptState::Stopped);
    assert_eq!(
        attempts[0].message.as_deref(),
        Some("stopped: the program that ran it was ended")
    );
}

async fn a_killed_server_goes_on_where_it_was() {
    let bench = Bench::start().await;
    let folder = bench.folder().clone();
    bench.stop().await;
    let tasks = format!(
        "  - {{ id: before, bash: 'true' }}\n  - {{ id: during, needs: [before], bash: '{}' }}\n  - {{ id: pause, needs: [during], wait: 0.01 }}\n  - {{ id: after, needs: [pause], bash: 'echo x >> after' }}\n",
        until_file("go")
    );
    let mut bench = Bench::start_in(folder.clone()).await;
    bench.write("chain", &tasks).await;
    bench.stop().await;

    let mut server = start_server(folder.path()).await;
    // An orchestrator that runs nothing: it triggers, and watches what the server does.
    let watcher = Watcher::open(&folder).await;
    let run = watcher.trigger().await;
    server = watcher.restart_if_unaware(server, &folder).await;
    let process_id = watcher.until_running(&run.run_id, 1).await;
    server.kill().await.unwrap();

    fs::write(folder.path().join("go"), "").unwrap();
    let began = tokio::time::Instant::now();
    let mut bench = Bench::start_in(folder).await;
    let run = bench.until_over(&run).await;
    assert_eq!(run.state, DagRunState::Success);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "it does not wait for the lease to run out"
    );
    assert!(!is_alive(process_id));
    let task = bench.task(&run, "during").await;
    assert_eq!((task.attempt, task.failures, task.lost), (2, 0, 1));
    assert_eq!(bench.attempts(&run, "during").await[0].state, AttemptState::Lost);
    assert_eq!(
        bench.attempts(&run, "before").await.len(),
        1,
        "what was done is not done again"
    );
    assert_eq!(fs::read_to_string(bench.path("after")).unwrap(), "x\n");
}

async fn a_running_task_that_is_cleared_starts_over() {
    let mut bench = Bench::start().await;
    bench
        .write(
            "again",
            &format!("  - {{ id: t, bash: '{}' }}\n", until_file("go")),
        )
        .await;
    let run = bench.trigger("again").await;
    bench.until_said(&run, "t", "running").await;
    let process_id = bench.attempts(&run, "t").await[0].process_id.unwrap();
    bench.orchestrator.clear("again", &run.run_id, &[]).await.unwrap();
    bench
        .until(async |orchestrator| {
            let task = orchestrator
                .task_instance("again", &run.run_id, "t")
                .await
                .unwrap();
            (task.attempt == 2).then_some(())
        })
        .await;
    assert!(
        !is_alive(process_id),
        "the first attempt is gone before the second begins"
    );
    fs::write(bench.path("go"), "").unwrap();
    assert_eq!(bench.until_over(&run).await.state, DagRunState::Success);
}

async fn a_second_worker_of_a_project_is_refused() {
    let mut bench = Bench::start().await;
    bench.write("any", "  - { id: t, bash: 'true' }\n").await;
    bench.run("any").await;
    let second = bench.orchestrator.run_worker(CancellationToken::new(), 1).await;
    assert!(matches!(second, Err(Error::WorkerRunning { .. })), "{second:?}");
}

async fn a_changed_file_is_seen_within_a_second() {
    let mut bench = Bench::start().await;
    bench.write("changing", "  - { id: one, bash: 'true' }\n").await;
    let began = tokio::time::Instant::now();
    bench.write("changing", "  - { id: two, bash: 'true' }\n").await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let began = tokio::time::Instant::now();
    fs::write(bench.path("dags/changing.yaml"), "dag: changing\ntasks: [").unwrap();
    bench
        .until(async |orchestrator| orchestrator.import_errors().await.unwrap().into_iter().next())
        .await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(
        bench.run("changing").await.state,
        DagRunState::Success,
        "the last good version runs"
    );
}

async fn a_task_that_ignores_the_polite_signal_is_killed() {
    let mut bench = Bench::start().await;
    let script = "trap \"\" TERM; echo running; while true; do sleep 0.02; done";
    bench
        .write(
            "stubborn",
            &format!("  - {{ id: t, execution_timeout: 0.3, bash: '{script}' }}\n"),
        )
        .await;
    let run = bench.run("stubborn").await;
    assert_eq!(bench.task(&run, "t").await.state, TaskState::Failed);
    assert!(!is_alive(bench.attempts(&run, "t").await[0].process_id.unwrap()));
}

async fn a_process_alone_ends_when_its_worker_is_gone() {
    let bench = Bench::start().await;
    let folder = bench.folder().clone();
    bench.stop().await;
    let mut bench = Bench::start_in(folder.clone()).await;
    bench
        .write(
            "chain",
            "  - { id: during, bash: 'echo $$ > shell; sleep 600' }\n",
        )
        .await;
    bench.stop().await;
    let server = start_server(folder.path()).await;
    let watcher = Watcher::open(&folder).await;
    let run = watcher.trigger().await;
    let mut server = watcher.restart_if_unaware(server, &folder).await;
    let process_id = watcher.until_running(&run.run_id, 1).await;
    let shell: u32 = watcher.until_file("shell").await.trim().parse().unwrap();
    server.kill().await.unwrap();
    watcher.until_gone(&[process_id, shell]).await;
}

async fn a_line_of_ten_megabytes_is_kept_in_pieces() {
    let mut bench = Bench::start().await;
    let script = "head -c 7500000 /dev/zero | base64 -w 0; echo; echo after";
    bench
        .write("long", &format!("  - {{ id: t, bash: \"{script}\" }}\n"))
        .await;
    let run = bench.run("long").await;
    assert_eq!(run.state, DagRunState::Success);
    let (mut text, mut offset) = (Vec::new(), 0);
    loop {
        let chunk = bench
            .orchestrator
            .read_log("long", &run.run_id, "t", 1, offset)
            .await
            .unwrap();
        text.extend_from_slice(&chunk.bytes);
        offset = chunk.next_offset;
        if chunk.finished {
            break;
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches('A').count(), 10_000_000);
    assert!(
        text.lines().all(|line| line.len() < 17_000),
        "no line is longer than a piece"
    );
    assert!(text.contains(" out after\n"));
}

async fn a_value_of_fifty_megabytes_fails_the_task_and_says_so() {
    let mut bench = Bench::start().await;
    let script = "head -c 50000000 /dev/zero > $FRAGUA_XCOM_FILE";
    bench
        .write("big", &format!("  - {{ id: t, retries: 3, bash: '{script}' }}\n"))
        .await;
    let run = bench.run("big").await;
    let task = bench.task(&run, "t").await;
    assert_eq!(
        (task.state, task.attempt),
        (TaskState::Failed, 1),
        "trying again is no use"
    );
    let message = task.message.unwrap();
    assert!(
        message.contains("has 50000000 bytes, more than 1048576"),
        "{message}"
    );
}

async fn a_task_that_forks_and_leaves_is_ended_with_what_it_left() {
    let mut bench = Bench::start().await;
    let script = "env -i setsid sh -c 'echo $$ > stray; exec sleep 600' </dev/null >/dev/null 2>&1 & until [ -s stray ]; do sleep 0.01; done";
    bench
        .write("leaves", &format!("  - id: t\n    bash: {script}\n"))
        .await;
    let run = bench.run("leaves").await;
    assert_eq!(run.state, DagRunState::Success);
    let stray = fs::read_to_string(bench.path("stray"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(
        !is_alive(stray),
        "another session and no variable of ours do not save it"
    );
    let log = bench.log(&run, "t", 1).await;
    assert!(
        log.contains(" fragua what the task left behind was ended (processes: 1)\n"),
        "{log}"
    );
}

async fn a_function_finds_nothing_of_the_one_before_it() {
    let mut bench = Bench::start().await;
    let module = |value: u8| {
        format!(
            "import os, sys\nleft = []\ndef see():\n    left.append(1)\n    seen = [{value}, len(left), os.environ.get('ONLY'), os.path.basename(os.getcwd()) != '']\n    os.environ['LEFT'] = 'x'\n    sys.path.append('/left')\n    return seen + [os.environ['FRAGUA_TASK_ID'], sys.stdin.read()]\n"
        )
    };
    fs::write(bench.path("seen.py"), module(1)).unwrap();
    let tasks = "  - { id: a, python: { function: 'seen:see', env: { ONLY: a } } }\n  - { id: b, needs: [a], python: { function: 'seen:see' } }\n  - { id: c, needs: [b], bash: 'echo ${LEFT-none} ${ONLY-none}' }\n  - { id: d, needs: [c], python: { function: 'seen:see' } }\n";
    bench.write("functions", tasks).await;
    let run = bench.run("functions").await;
    assert_eq!(
        run.state,
        DagRunState::Success,
        "{}",
        bench.log(&run, "a", 1).await
    );
    for (task, only) in [("a", json!("a")), ("b", json!(null)), ("d", json!(null))] {
        let instance = bench.task(&run, task).await;
        let handed_on = bench.orchestrator.xcoms(&instance).await.unwrap();
        assert_eq!(handed_on[0].value, json!([1, 1, only, true, task, ""]));
    }
    assert!(bench.log(&run, "c", 1).await.contains(" out none none\n"));
    // A process may wait already for the next task; it has read nothing of the project.
    let _ = fs::remove_dir_all(bench.path("__pycache__"));
    fs::write(bench.path("seen.py"), module(2)).unwrap();
    let run = bench.run("functions").await;
    let instance = bench.task(&run, "a").await;
    assert_eq!(
        bench.orchestrator.xcoms(&instance).await.unwrap()[0].value[0],
        json!(2)
    );
}

async fn what_an_attempt_took_is_recorded() {
    let mut bench = Bench::start().await;
    let tasks = "  - { id: busy, bash: 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3' }\n  - { id: shot, bash: 'kill -9 $$' }\n";
    bench.write("took", tasks).await;
    let run = bench.run("took").await;
    let busy = bench.attempts(&run, "busy").await.remove(0);
    assert_eq!((busy.exit_status, busy.exit_signal), (Some(3), None));
    assert!(
        busy.cpu_time
            .is_some_and(|time| time >= Duration::from_millis(10)),
        "{busy:?}"
    );
    assert!(
        busy.peak_memory_bytes.is_some_and(|peak| peak > 1_000_000),
        "{busy:?}"
    );
    let shot = bench.attempts(&run, "shot").await.remove(0);
    assert_eq!((shot.exit_status, shot.exit_signal), (None, Some(9)));
    let message = shot.message.unwrap();
    assert!(
        message.starts_with("bash was killed by signal 9 (SIGKILL) after "),
        "{message}"
    );
}

async fn a_process_that_waits_for_an_attempt_and_is_killed_is_replaced() {
    let mut bench = Bench::start().await;
    bench.write("again", "  - { id: t, bash: 'echo $PPID' }\n").await;
    for _ in 0..3 {
        let run = bench.run("again").await;
        assert_eq!(
            run.state,
            DagRunState::Success,
            "{}",
            bench.log(&run, "t", 1).await
        );
        for waiting in children_that_wait() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(waiting),
                nix::sys::signal::Signal::SIGKILL,
            );
            // Told to end is not ended: what still looks alive would be given the next attempt.
            while stat_of(waiting).is_some_and(|(state, _)| state != "Z") {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The state of a process and the number of its parent.
fn stat_of(process_id: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

/// The processes of this program that were started to run an attempt.
fn children_that_wait() -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id().to_string();
    let is_ours = |number: &i32| {
        let command = fs::read_to_string(format!("/proc/{number}/cmdline")).unwrap_or_default();
        stat_of(*number).is_some_and(|(_, parent)| parent == own) && command.contains("exec-task")
    };
    numbers.filter(is_ours).collect()
}

use watcher::Watcher;

mod watcher {
    //! Looks at a server in another process, which tells nobody here what it does: so this one asks again and again.

    use std::sync::Arc;
    use std::time::Duration;

    use fragua_orchestrator::{DagRun, TriggerRequest};
    use tempfile::TempDir;
    use tokio::process::Child;

    use crate::bench::{is_alive, open, start_server};

    pub(super) struct Watcher {
        orchestrator: fragua_orchestrator::Orchestrator,
        folder: Arc<TempDir>,
    }

    impl Watcher {
        pub(super) async fn open(folder: &Arc<TempDir>) -> Self {
            Self {
                orchestrator: open(folder.path()).await,
                folder: folder.clone(),
            }
        }

        pub(super) async fn trigger(&self) -> DagRun {
            self.orchestrator
                .trigger("chain", TriggerRequest::default())
                .await
                .unwrap()
        }

        /// The server was not told of the run. Another start finds it at once.
        pub(super) async fn restart_if_unaware(&self, mut server: Child, folder: &Arc<TempDir>) -> Child {
            server.kill().await.unwrap();
            start_server(folder.path()).await
        }

        /// Waits until the task `during` has a process, and returns its number.
        pub(super) async fn until_running(&self, run_id: &str, least: u32) -> u32 {
            self.ask(async || {
                let task = self
                    .orchestrator
                    .task_instance("chain", run_id, "during")
                    .await
                    .unwrap();
                let attempts = self.orchestrator.attempts(&task).await.unwrap();
                attempts
                    .last()
                    .filter(|attempt| attempt.number >= least)?
                    .process_id
            })
            .await
        }

        pub(super) async fn until_file(&self, name: &str) -> String {
            let path = self.folder.path().join(name);
            self.ask(async || {
                std::fs::read_to_string(&path)
                    .ok()
                    .filter(|text| text.ends_with('\n'))
            })
            .await
        }

        pub(super) async fn until_gone(&self, process_ids: &[u32]) {
            self.ask(async || {
                process_ids
                    .iter()
                    .all(|process_id| !is_alive(*process_id))
                    .then_some(())
            })
            .await;
        }

        async fn ask<T>(&self, question: impl AsyncFn() -> Option<T>) -> T {
            let asking = async {
                let mut turns = tokio::time::interval(Duration::from_millis(10));
                loop {
                    turns.tick().await;
                    if let Some(answer) = question().await {
                        return answer;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(60), asking)
                .await
                .expect("it never became so")
        }
    }
}
