//! Workers in processes of their own, and what befalls them: each test breaks what a promise of the pool protects against.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::time::Duration;

use fragua_database::testing::TestDatabase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::proxy::{Mode, Proxy};
use crate::support::{PATIENCE, Project, Server, client, fragua};

/// A project whose tasks run on workers alone.
struct Pool {
    project: Project,
    server: Server,
    port: u16,
    token: String,
}

/// What every orchestrator here is told.
const ON_WORKERS: [&str; 4] = [
    "--roles",
    "orchestrator",
    "--set",
    "orchestrator.executor=workers",
];

impl Pool {
    async fn start(dag: &str, lease_seconds: u32) -> Self {
        let project = Project::empty();
        let shared = project.argument().to_owned();
        project.write("dags/d.yaml", &dag.replace("SHARED", &shared));
        // A server that is started again must be found where it was.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Self::serve(&project, port, lease_seconds).await;
        let made = project.run(&["worker", "token", "create", "test"]).await;
        assert!(made.ok, "{}", made.stderr);
        let pool = Self {
            token: made.stdout.trim().to_owned(),
            project,
            server,
            port,
        };
        pool.until("the DAG is known", async || {
            let dag = pool.get("/api/v2/dags/d").await?;
            dag.get("dag_id").cloned()
        })
        .await;
        pool
    }

    async fn serve(project: &Project, port: u16, lease_seconds: u32) -> Server {
        let port = format!("orchestrator.port={port}");
        let lease = format!("orchestrator.lease_seconds={lease_seconds}");
        let mut arguments = vec!["up", "--project", project.argument()];
        arguments.extend(ON_WORKERS);
        arguments.extend(["--set", &port, "--set", &lease]);
        arguments.extend(["--set", "orchestrator.dags_are_paused_at_creation=false"]);
        Server::start(fragua(&arguments), project).await
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts a worker in a folder of its own.
    async fn worker(&self, name: &str, address: &str) -> (Server, Project) {
        let folder = Project::without_file();
        let server = format!("http://{address}");
        let arguments = [
            "worker",
            "--project",
            folder.argument(),
            "--server",
            &server,
            "--token",
            &self.token,
            "--name",
            name,
            "--slots",
            "2",
            "--drain",
            "30",
        ];
        let worker = Server::start_until(fragua(&arguments), "known to the orchestrator").await;
        (worker, folder)
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = client()
            .get(format!("http://{}{path}", self.address()))
            .send()
            .await
            .ok()?;
        answer.json().await.ok()
    }

    async fn trigger(&self) -> String {
        trigger(&format!("http://{}/api/v2/dags/d", self.address())).await
    }

    async fn task(&self, run: &str, task: &str) -> Option<Value> {
        self.get(&format!("/api/v2/dags/d/dagRuns/{run}/taskInstances/{task}"))
            .await
    }

    async fn until_state(&self, run: &str, task: &str, state: &str) -> Value {
        self.until(state, async || {
            let instance = self.task(run, task).await?;
            (instance["state"] == state).then_some(instance)
        })
        .await
    }

    async fn until<T>(&self, what: &str, found: impl AsyncFn() -> Option<T>) -> T {
        until(what, found).await
    }

    async fn until_file(&self, name: &str) -> String {
        let path = self.project.path(name);
        until(name, async || {
            let text = std::fs::read_to_string(&path).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await
    }

    /// The whole log of an attempt, without times: `out line 1`.
    async fn log(&self, run: &str, task: &str, attempt: u32) -> Vec<String> {
        let folder = self.project.path(".fragua/logs/dag_id=d");
        let mut found = std::fs::read_dir(folder).unwrap().flatten();
        let run = run.split("__").next().unwrap();
        let of_run = found
            .find(|entry| entry.file_name().to_string_lossy().contains(run))
            .unwrap();
        let path = of_run
            .path()
            .join(format!("task_id={task}/attempt={attempt}.log"));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned())
            .collect()
    }
}

/// Starts a run of the DAG at an address and returns its name.
async fn trigger(dag: &str) -> String {
    let answer = client()
        .post(format!("{dag}/dagRuns"))
        .json(&json!({ "logical_date": null }))
        .send()
        .await
        .unwrap();
    let run: Value = answer.json().await.unwrap();
    run["dag_run_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{run}"))
        .to_owned()
}

async fn until_known(dag: &str) {
    until("the DAG is known", async || {
        let answer = client().get(dag).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

/// Asks again and again: what is looked at is in other processes, which tell nobody here.
pub(crate) async fn until<T>(what: &str, found: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        loop {
            turns.tick().await;
            if let Some(found) = found().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("it never became so: {what}"))
}

async fn until_gone(process_id: &str) {
    let stat = format!("/proc/{}/stat", process_id.trim());
    until("the process is gone", async || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    })
    .await;
}

/// Says that it runs, and holds a lock that two at once cannot have; ends when it may.
const HELD: &str = "dag: d\ntasks:\n  - id: t\n    bash: |\n      exec 9>SHARED/lock; flock -n 9 || echo overlap >> SHARED/overlaps\n      echo $$ >> SHARED/began\n      until [ -e SHARED/go ]; do sleep 0.02; done\n      echo done\n";

fn last(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[tokio::test]
async fn a_worker_elsewhere_needs_nothing_but_address_and_token() {
    let dag = "dag: d\ntasks:\n  - { id: one, bash: 'echo 42 > $FRAGUA_XCOM_FILE; echo to $MLFLOW_TRACKING_URI' }\n  - { id: two, needs: [one], bash: 'echo got {{ xcom.one }}; pwd' }\n";
    let pool = Pool::start(dag, 30).await;
    let (worker, folder) = pool.worker("elsewhere", &pool.address()).await;
    let run = pool.trigger().await;
    pool.until_state(&run, "two", "success").await;
    let log = pool.log(&run, "two", 1).await;
    assert!(log.contains(&"out got 42".to_owned()), "{log:?}");
    let own = std::fs::canonicalize(folder.path("")).unwrap();
    assert!(
        log.contains(&format!("out {}", own.display())),
        "it runs in the worker's folder: {log:?}"
    );
    assert!(
        log.iter()
            .any(|line| line.starts_with("fragua succeeded, peak memory ")),
        "{log:?}"
    );
    let log = pool.log(&run, "one", 1).await;
    assert!(
        log.iter()
            .any(|line| line.starts_with("out to http://127.0.0.1:")),
        "{log:?}"
    );
    let (ok, said) = worker.stop().await;
    assert!(ok, "{said}");
    let workers = pool.get("/api/v2/workers").await.unwrap();
    assert_eq!(workers["total_entries"], 0, "one that ended is not listed");
}

#[tokio::test]
async fn a_worker_without_a_good_token_is_refused() {
    let mut pool = Pool::start(HELD, 30).await;
    let answer = client()
        .post(format!("http://{}/worker/v1/lease", pool.address()))
        .json(&json!({ "worker": "w", "free": 1, "holding": [], "wait_millis": 0 }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let revoked = pool.project.run(&["worker", "token", "revoke", "test"]).await;
    assert!(revoked.ok, "{}", revoked.stderr);
    pool.token = format!("{}\n", pool.token);
    let file = pool.project.path("token");
    std::fs::write(&file, &pool.token).unwrap();
    let server = format!("http://{}", pool.address());
    let file = file.to_str().unwrap();
    let refused = pool
        .project
        .run(&["worker", "--server", &server, "--token-file", file])
        .await;
    assert!(!refused.ok);
    assert!(
        refused
            .stderr
            .contains("refuses this worker: a worker token is needed"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_finishes_what_runs() {
    let pool = Pool::start(HELD, 30).await;
    let (mut worker, _folder) = pool.worker("leaving", &pool.address()).await;
    let run = pool.trigger().await;
    pool.until_file("began").await;
    worker.signal(Signal::SIGTERM);
    worker.until_said("takes no more tasks").await;
    // What comes now is for another.
    let later = pool.trigger().await;
    pool.until_state(&later, "t", "queued").await;
    pool.project.write("go", "");
    let (ok, said) = worker.ended().await;
    assert!(ok, "{said}");
    assert_eq!(pool.until_state(&run, "t", "success").await["try_number"], 1);
    assert_eq!(pool.task(&later, "t").await.unwrap()["state"], "queued");
}

#[tokio::test]
async fn a_killed_worker_takes_its_attempts_along_and_loses_no_task() {
    let pool = Pool::start(HELD, 3).await;
    let (worker, _folder) = pool.worker("doomed", &pool.address()).await;
    let run = pool.trigger().await;
    let shell = pool.until_file("began").await;
    worker.signal(Signal::SIGKILL);
    until_gone(&shell).await;
    let (_second, _other) = pool.worker("second", &pool.address()).await;
    until("a second attempt", async || {
        (std::fs::read_to_string(pool.project.path("began"))
            .ok()?
            .lines()
            .count()
            == 2)
            .then_some(())
    })
    .await;
    pool.project.write("go", "");
    assert_eq!(pool.until_state(&run, "t", "success").await["try_number"], 2);
    assert!(!pool.project.path("overlaps").exists());
}

#[tokio::test]
async fn a_frozen_worker_loses_its_attempt_before_another_begins() {
    let pool = Pool::start(HELD, 3).await;
    let (mut worker, _folder) = pool.worker("frozen", &pool.address()).await;
    let run = pool.trigger().await;
    let shell = pool.until_file("began").await;
    worker.signal(Signal::SIGSTOP);
    // Nobody but the attempt itself can end it now.
    until_gone(&shell).await;
    let (_second, _other) = pool.worker("second", &pool.address()).await;
    until("a second attempt", async || {
        (std::fs::read_to_string(pool.project.path("began"))
            .ok()?
            .lines()
            .count()
            == 2)
            .then_some(())
    })
    .await;
    worker.signal(Signal::SIGCONT);
    worker.until_said("was lost: the attempt is ended").await;
    assert_eq!(
        pool.task(&run, "t").await.unwrap()["state"],
        "running",
        "what is late changes nothing"
    );
    pool.project.write("go", "");
    assert_eq!(pool.until_state(&run, "t", "success").await["try_number"], 2);
    assert!(!pool.project.path("overlaps").exists());
}

#[tokio::test]
async fn tasks_go_on_while_the_server_is_started_again() {
    let mut pool = Pool::start(HELD, 30).await;
    let (mut worker, _folder) = pool.worker("patient", &pool.address()).await;
    let run = pool.trigger().await;
    let shell = pool.until_file("began").await;
    pool.server.signal(Signal::SIGKILL);
    worker.until_said("trying again").await;
    pool.project.write("go", "");
    until_gone(last(&shell)).await;
    worker.until_said("a log is sent on later").await;
    pool.server = Pool::serve(&pool.project, pool.port, 30).await;
    assert_eq!(pool.until_state(&run, "t", "success").await["try_number"], 1);
    let log = pool.log(&run, "t", 1).await;
    assert!(log.contains(&"out done".to_owned()), "{log:?}");
    assert!(!pool.project.path("overlaps").exists());
}

#[tokio::test]
async fn a_network_that_loses_answers_loses_and_doubles_nothing() {
    let dag = "dag: d\ntasks:\n  - id: t\n    bash: |\n      echo $$ >> SHARED/began\n      for number in $(seq 1 100000); do echo line $number; sleep 0.005; [ -e SHARED/go ] && break; done\n      echo last\n";
    let pool = Pool::start(dag, 30).await;
    let proxy = Proxy::to(pool.address()).await;
    let (mut worker, _folder) = pool.worker("far", &proxy.address.to_string()).await;
    // The task is given to the worker, and the worker does not hear of it.
    proxy.set(Mode::Deaf);
    let run = pool.trigger().await;
    until("an answer is lost", async || {
        (proxy.swallowed() > 0).then_some(())
    })
    .await;
    pool.until_state(&run, "t", "running").await;
    proxy.set(Mode::Open);
    pool.until_file("began").await;
    proxy.set(Mode::Deaf);
    let before = proxy.swallowed();
    until("answers are lost", async || {
        (proxy.swallowed() >= before + 3).then_some(())
    })
    .await;
    proxy.set(Mode::Cut);
    worker.until_said("a log is sent on later").await;
    proxy.set(Mode::Open);
    pool.project.write("go", "");
    assert_eq!(pool.until_state(&run, "t", "success").await["try_number"], 1);
    let log = pool.log(&run, "t", 1).await;
    let lines: Vec<&String> = log.iter().filter(|line| line.starts_with("out line ")).collect();
    assert!(lines.len() > 3, "{log:?}");
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(**line, format!("out line {}", index + 1));
    }
    assert_eq!(pool.until_file("began").await.lines().count(), 1);
}

/// A database on PostgreSQL behind a line that can be cut.
async fn cuttable_postgres() -> (TestDatabase, Proxy, String) {
    let database = TestDatabase::postgres().await;
    let mut url: url::Url = database.url.parse().unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let proxy = Proxy::to(target).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    (database, proxy, format!("orchestrator.database_url={url}"))
}

#[tokio::test]
async fn a_database_that_is_away_for_twenty_seconds_costs_no_attempt() {
    let (_database, proxy, database_url) = cuttable_postgres().await;
    let project = Project::empty();
    project.write("dags/d.yaml", &HELD.replace("SHARED", project.argument()));
    let mut server = project
        .up(&[
            "--roles",
            "orchestrator",
            "--set",
            &database_url,
            "--set",
            "orchestrator.dags_are_paused_at_creation=false",
        ])
        .await;
    let api = format!("{}/api/v2/dags/d", server.address("orchestrator"));
    until_known(&api).await;
    let run = trigger(&api).await;
    let began = project.path("began");
    until("it runs", async || began.exists().then_some(())).await;
    proxy.set(Mode::Cut);
    // The outage itself.
    let outage = tokio::time::sleep(Duration::from_secs(20));
    project.write("go", "");
    server.until_said("could not be recorded, trying again").await;
    outage.await;
    proxy.set(Mode::Open);
    let task = until("success", async || {
        let path = format!("{api}/dagRuns/{run}/taskInstances/t");
        let task: Value = client().get(path).send().await.ok()?.json().await.ok()?;
        (task["state"] == "success").then_some(task)
    })
    .await;
    assert_eq!(task["try_number"], 1);
    assert_eq!(std::fs::read_to_string(began).unwrap().lines().count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn two_orchestrators_on_one_database_run_each_task_once() {
    let database = TestDatabase::postgres().await;
    let database_url = format!("orchestrator.database_url={}", database.url);
    let redis = std::env::var("FRAGUA_TEST_REDIS_URL").expect("FRAGUA_TEST_REDIS_URL names a Redis");
    let redis = format!("orchestrator.redis_url={redis}");
    let (one, other) = (Project::empty(), Project::empty());
    let tasks: String = (0..20)
        .map(|number| {
            format!(
                "  - {{ id: t{number}, bash: 'echo {{{{ run_id }}}} t{number} $PWD >> {}/ran' }}\n",
                one.argument()
            )
        })
        .collect();
    let dag = format!("dag: d\ntasks:\n{tasks}");
    let mut servers = Vec::new();
    for project in [&one, &other] {
        project.write("dags/d.yaml", &dag);
        servers.push(
            project
                .up(&[
                    "--roles",
                    "orchestrator",
                    "--set",
                    &database_url,
                    "--set",
                    &redis,
                    "--set",
                    "worker.slots=2",
                    "--set",
                    "orchestrator.dags_are_paused_at_creation=false",
                ])
                .await,
        );
    }
    let api = format!("{}/api/v2/dags/d", servers[0].address("orchestrator"));
    until_known(&api).await;
    for _ in 0..3 {
        trigger(&api).await;
    }
    until("all runs are over", async || {
        let runs: Value = client()
            .get(format!("{api}/dagRuns"))
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        let runs = runs["dag_runs"].as_array()?;
        runs.iter().all(|run| run["state"] == "success").then_some(())
    })
    .await;
    let ran = std::fs::read_to_string(one.path("ran")).unwrap();
    let mut tasks: Vec<&str> = ran
        .lines()
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    assert_eq!(tasks.len(), 60, "{ran}");
    tasks.sort_unstable();
    tasks.dedup();
    assert_eq!(tasks.len(), 60, "each once: {ran}");
    for project in [&one, &other] {
        let folder = std::fs::canonicalize(project.path("")).unwrap();
        let folder = folder.to_str().unwrap();
        assert!(ran.contains(folder), "both work: {ran}");
    }
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_redis_that_stops_only_slows() {
    let database = TestDatabase::postgres().await;
    let database_url = format!("orchestrator.database_url={}", database.url);
    let redis: url::Url = std::env::var("FRAGUA_TEST_REDIS_URL")
        .expect("FRAGUA_TEST_REDIS_URL names a Redis")
        .parse()
        .unwrap();
    let proxy = Proxy::to(format!("127.0.0.1:{}", redis.port().unwrap())).await;
    let redis = format!("orchestrator.redis_url=redis://{}", proxy.address);
    let (project, elsewhere) = (Project::empty(), Project::empty());
    project.write("dags/d.yaml", "dag: d\ntasks:\n  - { id: t, bash: 'true' }\n");
    let mut arguments = ON_WORKERS.to_vec();
    arguments.extend(["--set", &database_url, "--set", &redis]);
    arguments.extend(["--set", "orchestrator.dags_are_paused_at_creation=false"]);
    let server = project.up(&arguments).await;
    let worker = [
        "worker",
        "--project",
        elsewhere.argument(),
        "--set",
        &database_url,
        "--set",
        &redis,
    ];
    let mut worker = Server::start_until(fragua(&worker), "all roles answer").await;
    let api = format!("{}/api/v2/dags/d", server.address("orchestrator"));
    until_known(&api).await;
    let run = async || {
        let began = std::time::Instant::now();
        let run = trigger(&api).await;
        until("success", async || {
            let run: Value = client()
                .get(format!("{api}/dagRuns/{run}"))
                .send()
                .await
                .ok()?
                .json()
                .await
                .ok()?;
            (run["state"] == "success").then_some(())
        })
        .await;
        began.elapsed()
    };
    // Neither looks by itself more often than this.
    let soon = Duration::from_secs(15);
    assert!(run().await < soon, "it is woken");
    assert!(run().await < soon, "it is woken each time");
    proxy.set(Mode::Cut);
    worker.until_said("Redis does not answer").await;
    run().await;
    proxy.set(Mode::Open);
    worker.until_said("Redis answers again").await;
    assert!(run().await < soon, "it is woken again");
    let (ok, said) = worker.stop().await;
    assert!(ok, "{said}");
    server.stop().await;
}

/// A worker whose child is told to end is not left with one: a process that was started before its attempt ends with it.
#[tokio::test]
async fn no_process_outlives_its_worker() {
    let pool = Pool::start(
        "dag: d\ntasks:\n  - { id: t, bash: 'echo $PPID > SHARED/began' }\n",
        30,
    )
    .await;
    let (worker, folder) = pool.worker("short", &pool.address()).await;
    let run = pool.trigger().await;
    pool.until_state(&run, "t", "success").await;
    let folder = std::fs::canonicalize(folder.path("")).unwrap();
    worker.signal(Signal::SIGKILL);
    until("no process is left in its folder", async || {
        let mut processes = std::fs::read_dir("/proc").ok()?.flatten();
        let is_left = processes.any(|entry| {
            let number = entry.file_name().to_string_lossy().parse::<i32>();
            let is_there = number.is_ok_and(|number| kill(Pid::from_raw(number), None).is_ok());
            is_there && std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder)
        });
        (!is_left).then_some(())
    })
    .await;
}
