//! What a schedule makes, and when.

use std::time::Duration;

use fragua_database::Database;

use super::{CATCH_UP, failed, success};
use crate::decide::Ending;
use crate::scheduler::plan_everything_active;
use crate::testing::{Bench, at, count};
use crate::{DagRunState, Waiting};

async fn catch_up_runs_each_missed_day_in_turn(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("load.yaml", CATCH_UP).await;
    let mut made = Vec::new();
    for day in ["2025-04-02", "2025-04-03", "2025-04-04"] {
        let run_id = format!("scheduled__{day}T00:00:00Z");
        let runs = bench.runs("load").await;
        assert_eq!(
            runs.last(),
            Some(&(run_id.clone(), DagRunState::Running)),
            "one run at a time"
        );
        assert_eq!(
            bench.states("load", &run_id).await,
            ["pause:deferred", "rows:none"]
        );
        assert_eq!(bench.run_queued().await, 0, "a wait needs no worker");
        bench.advance(Duration::from_secs(6)).await;
        assert_eq!(
            bench.states("load", &run_id).await,
            ["pause:success", "rows:queued"]
        );
        assert_eq!(bench.run_queued().await, 1);
        made.push((run_id, DagRunState::Success));
    }
    assert_eq!(bench.runs("load").await, made, "the fifth is not over");
    let next = bench.tick().await;
    assert_eq!(next, Some(at("2025-04-06")), "sleeps until the next day is over");
    bench.clock.set(at("2025-04-20"));
    bench.tick().await;
    while bench
        .runs("load")
        .await
        .last()
        .is_some_and(|(_, state)| !state.is_finished())
    {
        bench.advance(Duration::from_secs(6)).await;
        bench.run_queued().await;
    }
    let runs = bench.runs("load").await;
    assert_eq!(
        count(runs.iter().map(|(_, state)| state.as_str())),
        [("success", 10)].into()
    );
    assert_eq!(runs.last().unwrap().0, "scheduled__2025-04-11T00:00:00Z");
    assert_eq!(bench.tick().await, None, "nothing is left to do by the clock");
}

async fn a_paused_dag_rests(database: Database) {
    let mut bench = Bench::new(database).await;
    let orchestrator = bench.orchestrator();
    bench
        .write(
            "load.yaml",
            &CATCH_UP.replace("max_active_runs: 1", "max_active_runs: 3"),
        )
        .await;
    assert_eq!(bench.runs("load").await.len(), 3);
    orchestrator.set_paused("load", true).await.unwrap();
    bench.advance(Duration::from_secs(6)).await;
    bench.run_queued().await;
    bench.clock.set(at("2025-04-20"));
    bench.tick().await;
    let runs = bench.runs("load").await;
    assert_eq!(
        count(runs.iter().map(|(_, state)| state.as_str())),
        [("success", 3)].into(),
        "what ran went on"
    );
    let run_id = bench.trigger("load").await;
    assert_eq!(
        orchestrator.dag_run("load", &run_id).await.unwrap().state,
        DagRunState::Queued
    );
    let instance = orchestrator
        .task_instance("load", &run_id, "pause")
        .await
        .unwrap();
    let reason = orchestrator.waiting(&instance).await.unwrap();
    assert_eq!(reason, Some(Waiting::PausedDag));
    orchestrator.set_paused("load", false).await.unwrap();
    assert_eq!(
        orchestrator.dag_run("load", &run_id).await.unwrap().state,
        DagRunState::Running
    );
    assert_eq!(bench.runs("load").await.len(), 6);
}

async fn a_continuous_dag_runs_one_run_after_another(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "c.yaml",
            "dag: c\nschedule: '@continuous'\nmax_active_runs: 1\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    for number in 1..=3 {
        let runs = bench.runs("c").await;
        assert_eq!(
            (runs.len(), runs.last().unwrap().1),
            (number, DagRunState::Running)
        );
        bench.advance(Duration::from_secs(60)).await;
        assert_eq!(bench.runs("c").await.len(), number, "one at a time");
        let lease = bench.claim_one("t").await;
        bench.end(&lease, success()).await;
    }
    let query = crate::DagRunQuery {
        dag_id: Some("c".to_owned()),
        ..Default::default()
    };
    let runs = bench.orchestrator().dag_runs(query).await.unwrap();
    assert!(
        runs.windows(2)
            .all(|pair| pair[0].data_interval_start == pair[1].data_interval_end)
    );
}

async fn a_run_of_a_trigger_timetable_stands_for_its_tick(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("t.yaml", "dag: t\nschedule: '@daily'\ntimetable: trigger\nstart_date: 2025-04-03\ncatchup: true\ntasks: [{ id: t, empty: {} }]\n").await;
    let names: Vec<String> = bench
        .runs("t")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    assert_eq!(
        names,
        [
            "scheduled__2025-04-03T00:00:00Z",
            "scheduled__2025-04-04T00:00:00Z",
            "scheduled__2025-04-05T00:00:00Z"
        ]
    );
    let next = bench.orchestrator().next_runs("t", 1).await.unwrap()[0];
    assert_eq!(
        next.to_string(),
        "stands at 2025-04-06 00:00, runs 2025-04-06 00:00 UTC"
    );
    assert_eq!(bench.tick().await, Some(at("2025-04-06")));
}

async fn a_clock_that_jumps_back_starts_nothing_twice(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "load.yaml",
            &CATCH_UP.replace("max_active_runs: 1", "max_active_runs: 9"),
        )
        .await;
    let before = bench.runs("load").await;
    assert_eq!(before.len(), 3);
    bench.clock.set(at("2025-04-03T12:00:00Z"));
    bench.tick().await;
    plan_everything_active(&bench.core).await.unwrap();
    assert_eq!(bench.runs("load").await, before);
    bench.clock.set(at("2025-04-06T00:00:00Z"));
    bench.tick().await;
    plan_everything_active(&bench.core).await.unwrap();
    assert_eq!(
        bench.runs("load").await.len(),
        4,
        "the next day comes when it is over"
    );
    assert_eq!(
        bench.states("load", &before[0].0).await,
        ["pause:success", "rows:queued"]
    );
}

async fn only_the_newest_interval_goes_on(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("latest.yaml", "dag: latest\nschedule: '@daily'\nstart_date: 2025-04-02\ncatchup: true\ntasks: [{ id: only, latest_only: true }, { id: t, needs: [only], empty: {} }]\n").await;
    let mut states = Vec::new();
    for (run_id, state) in bench.runs("latest").await {
        assert_eq!(state, DagRunState::Success);
        states.push(bench.states("latest", &run_id).await[1].clone());
    }
    assert_eq!(states, ["t:skipped", "t:skipped", "t:success"]);
    let by_hand = bench.trigger("latest").await;
    assert_eq!(bench.states("latest", &by_hand).await[1], "t:success");
}

async fn a_task_knows_the_run_before_that_succeeded(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: d\nschedule: '@daily'\nstart_date: 2025-04-02\ncatchup: true\nmax_active_runs: 1\n\
         tasks: [{ id: t, bash: 'echo {{ prev_ds }} {{ prev_data_interval_start_success }}' }]\n";
    bench.write("d.yaml", dag).await;
    let names = async |bench: &Bench, ending: Ending| {
        let lease = bench.claim_one("t").await;
        let run = bench
            .orchestrator()
            .dag_run("d", &lease.key.run_id)
            .await
            .unwrap();
        let reader = bench.core.database.reader();
        let context = bench
            .core
            .task_context(reader, &run, &lease.key, &lease.token)
            .await
            .unwrap();
        bench.end(&lease, ending).await;
        context.run_names
    };
    let first = names(&bench, success()).await;
    assert_eq!(
        (first.previous_date, first.previous_success),
        (Some(at("2025-04-01")), None)
    );
    let second = names(&bench, failed()).await.previous_success.unwrap();
    assert_eq!(second.data_interval_start, at("2025-04-02"));
    assert_eq!(second.ended_at, Some(at("2025-04-05T12:00:00Z")));
    // The one that failed in between is passed over.
    let third = names(&bench, success()).await;
    assert_eq!(third.previous_date, Some(at("2025-04-03")));
    assert_eq!(
        third.previous_success.unwrap().data_interval_start,
        at("2025-04-02")
    );
}

fragua_database::each_engine!(engines:
    a_task_knows_the_run_before_that_succeeded,
    catch_up_runs_each_missed_day_in_turn,
    a_paused_dag_rests,
    a_continuous_dag_runs_one_run_after_another,
    a_run_of_a_trigger_timetable_stands_for_its_tick,
    a_clock_that_jumps_back_starts_nothing_twice,
    only_the_newest_interval_goes_on,
);
