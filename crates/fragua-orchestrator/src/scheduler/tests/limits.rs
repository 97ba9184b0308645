//! What holds tasks back: pools, limits, the run before.

use std::time::Duration;

use fragua_database::Database;

use super::success;
use crate::decide::Ending;
use crate::scheduler::attempts;
use crate::testing::Bench;
use crate::{DagRunState, Error, InstanceId, TaskState, Waiting};

async fn pools_and_limits_hold_tasks_back_and_say_so(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("p.yaml", "dag: p\nmax_active_tasks: 3\ntasks:\n  - { id: big, bash: echo, pool: small, pool_slots: 2 }\n  - { id: low, bash: echo, pool: small }\n  - { id: high, bash: echo, pool: small, priority_weight: 9 }\n  - { id: huge, bash: echo, pool: small, pool_slots: 3 }\n  - { id: lost, bash: echo, pool: nowhere }\n  - { id: one, bash: echo, max_active_tis_per_dag: 1 }\n  - { id: free, bash: echo }\n").await;
    let orchestrator = bench.orchestrator();
    let pool = crate::Pool {
        name: "small".to_owned(),
        slots: 2,
        description: String::new(),
        include_deferred: false,
    };
    orchestrator.put_pool(pool).await.unwrap();
    let first = bench.trigger("p").await;
    bench.advance(Duration::from_secs(1)).await;
    let second = bench.trigger("p").await;
    let names = |leases: &[attempts::Lease]| -> Vec<String> {
        leases.iter().map(|lease| lease.key.task_id.clone()).collect()
    };
    let leases = bench.claim(3).await;
    assert_eq!(
        names(&leases),
        ["high", "high", "free"],
        "the greatest weight first, then the earliest run"
    );
    let leases = [leases, bench.claim(100).await].concat();
    assert_eq!(names(&leases), ["high", "high", "free", "one", "free"]);
    let waits = async |run_id: &str, task_id: &str| {
        let instance = orchestrator.task_instance("p", run_id, task_id).await.unwrap();
        orchestrator.waiting(&instance).await.unwrap().unwrap()
    };
    let holders = vec![format!("p/{first}/high"), format!("p/{second}/high")];
    let full = Waiting::PoolFull {
        pool: "small".to_owned(),
        slots: 2,
        holders,
    };
    assert_eq!(waits(&first, "low").await, full);
    let small = Waiting::PoolTooSmall {
        pool: "small".to_owned(),
        slots: 2,
        needed: 3,
    };
    assert_eq!(waits(&first, "huge").await, small);
    assert_eq!(
        waits(&first, "lost").await,
        Waiting::NoPool {
            pool: "nowhere".to_owned()
        }
    );
    assert_eq!(waits(&second, "one").await, Waiting::TaskLimit { limit: 1 });
    let used = orchestrator.pool("small").await.unwrap();
    assert_eq!((used.taken, used.queued), (2, 2 * (2 + 1 + 3)));
    // The first run has three tasks under way, which is all it may.
    let lease = leases.iter().find(|lease| lease.key.task_id == "high").unwrap();
    bench.end(lease, success()).await;
    assert_eq!(names(&bench.claim(1).await), ["low"]);
    let pool = crate::Pool {
        slots: -1,
        ..used.pool
    };
    orchestrator.put_pool(pool).await.unwrap();
    assert_eq!(waits(&first, "big").await, Waiting::RunLimit { limit: 3 });
    assert!(matches!(
        orchestrator.delete_pool("default_pool").await,
        Err(Error::InvalidRequest { .. })
    ));
    orchestrator.delete_pool("small").await.unwrap();
    assert!(matches!(
        orchestrator.delete_pool("small").await,
        Err(Error::PoolNotFound { .. })
    ));
}

async fn two_workers_never_exceed_a_pool(database: Database) {
    let mut bench = Bench::new(database).await;
    let tasks: String = (0..20)
        .map(|number| format!("  - {{ id: t{number}, bash: echo, pool: p }}\n"))
        .collect();
    bench
        .write(
            "many.yaml",
            &format!("dag: many\nmax_active_tasks: 20\ntasks:\n{tasks}"),
        )
        .await;
    let pool = crate::Pool {
        name: "p".to_owned(),
        slots: 5,
        description: String::new(),
        include_deferred: false,
    };
    bench.orchestrator().put_pool(pool).await.unwrap();
    bench.trigger("many").await;
    let claims = (0..4).map(|worker| {
        let core = bench.core.clone();
        tokio::spawn(async move {
            attempts::claim(&core, &format!("worker-{worker}"), &[], 4)
                .await
                .unwrap()
                .len()
        })
    });
    let mut taken = 0;
    for claim in claims.collect::<Vec<_>>() {
        taken += claim.await.unwrap();
    }
    assert_eq!(taken, 5);
}

async fn a_task_waits_for_itself_in_the_run_before(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("past.yaml", "dag: past\nschedule: '@daily'\nstart_date: 2025-04-02\ncatchup: true\ntasks:\n  - { id: load, bash: echo, depends_on_past: true }\n  - { id: sum, needs: [load], bash: echo }\n  - { id: last, needs: [sum], bash: echo, wait_for_downstream: true }\n  - { id: mail, needs: [last], bash: echo }\n").await;
    let runs: Vec<String> = bench
        .runs("past")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    assert_eq!(runs.len(), 3);
    let first = |bench: &Bench, run: usize| {
        let (orchestrator, run_id) = (bench.orchestrator(), runs[run].clone());
        async move { orchestrator.task_instance("past", &run_id, "load").await.unwrap() }
    };
    assert_eq!(first(&bench, 0).await.state, TaskState::Queued);
    let waiting = bench
        .orchestrator()
        .waiting(&first(&bench, 1).await)
        .await
        .unwrap();
    let past = |run: usize, task_id: &str, state: TaskState| {
        let tasks = vec![(InstanceId::of(task_id), state)];
        Some(Waiting::Past {
            run_id: runs[run].clone(),
            tasks,
        })
    };
    assert_eq!(waiting, past(0, "load", TaskState::Queued));
    let lease = bench.claim_one("load").await;
    bench
        .end(
            &lease,
            Ending::FailedForGood {
                message: "no rows".to_owned(),
            },
        )
        .await;
    let waiting = bench
        .orchestrator()
        .waiting(&first(&bench, 1).await)
        .await
        .unwrap();
    assert_eq!(
        waiting,
        past(0, "load", TaskState::Failed),
        "until somebody does something about it"
    );
    bench.orchestrator().clear("past", &runs[0], &[]).await.unwrap();
    // Everything but the mails: without the first run's, the second run's last task waits.
    let mut ended: Vec<String> = Vec::new();
    loop {
        let leases = bench.claim(10).await;
        let (mails, others): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.key.task_id == "mail");
        for mail in mails {
            let message = String::new();
            bench.end(mail, Ending::HandedBack { message }).await;
        }
        if others.is_empty() {
            break;
        }
        for lease in others {
            bench.end(lease, success()).await;
            let run = runs.iter().position(|run| *run == lease.key.run_id).unwrap();
            ended.push(format!("{} {run}", lease.key.task_id));
        }
    }
    assert_eq!(
        ended
            .iter()
            .filter(|ended| ended.starts_with("load"))
            .collect::<Vec<_>>(),
        ["load 0", "load 1", "load 2"]
    );
    assert_eq!(
        ended.iter().filter(|ended| ended.starts_with("last")).count(),
        1,
        "{ended:?}"
    );
    let orchestrator = bench.orchestrator();
    let last = orchestrator
        .task_instance("past", &runs[1], "last")
        .await
        .unwrap();
    assert!(matches!(
        orchestrator.waiting(&last).await.unwrap(),
        Some(Waiting::Past { .. })
    ));
    assert!(bench.run_queued().await > 0);
    let states: Vec<DagRunState> = bench
        .runs("past")
        .await
        .into_iter()
        .map(|(_, state)| state)
        .collect();
    assert_eq!(states, [DagRunState::Success; 3]);
}

async fn no_more_tasks_run_than_the_parallelism_of_all_workers(database: Database) {
    let mut bench = Bench::with(database, |settings| settings.max_running = Some(2)).await;
    bench
        .write(
            "d.yaml",
            "dag: d\ntasks: [{ id: a, bash: echo }, { id: b, bash: echo }, { id: c, bash: echo }]\n",
        )
        .await;
    let run_id = bench.trigger("d").await;
    let leases = bench.claim(10).await;
    assert_eq!(leases.len(), 2);
    assert_eq!(bench.claim(10).await.len(), 0);
    let orchestrator = bench.orchestrator();
    let waiting = orchestrator.task_instance("d", &run_id, "c").await.unwrap();
    let why = orchestrator.waiting(&waiting).await.unwrap();
    assert_eq!(why, Some(Waiting::NoFreeSlot { running: 2 }));
    bench.end(&leases[0], success()).await;
    assert_eq!(bench.claim(10).await.len(), 1);
}

fragua_database::each_engine!(engines:
    no_more_tasks_run_than_the_parallelism_of_all_workers,
    pools_and_limits_hold_tasks_back_and_say_so,
    two_workers_never_exceed_a_pool,
    a_task_waits_for_itself_in_the_run_before,
);
