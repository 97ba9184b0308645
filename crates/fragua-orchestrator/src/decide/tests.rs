use std::path::Path;
use std::time::Duration;

use super::*;
use crate::NextRun;
use crate::operator::OperatorCatalog;

/// `a` and `b` come before `join`; `always` comes after `a` however it ended; `pause` waits after `join`.
const DIAMOND: &str = "
dag: diamond
default_args: { retries: 1, retry_delay: 10s }
tasks:
  - { id: a, bash: echo }
  - { id: b, bash: echo }
  - { id: join, needs: [a, b], bash: echo }
  - { id: always, needs: [a], trigger_rule: all_done, bash: echo }
  - { id: pause, needs: [join], wait: 5s }
";

fn dag(text: &str) -> Dag {
    crate::dag::parse::parse(Path::new("f.yaml"), text.as_bytes(), &OperatorCatalog::builtin()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

/// Decides with tasks written as `name:state` or `name:state:failures:lost`; those not written are `none`.
fn decide_with(states: &str, event: Event) -> Vec<Action> {
    let dag = dag(DIAMOND);
    let mut tasks: BTreeMap<String, TaskView> = BTreeMap::new();
    for task in &dag.tasks {
        tasks.insert(
            task.task_id.clone(),
            TaskView {
                state: TaskState::None,
                failures: 0,
                lost: 0,
            },
        );
    }
    for written in states.split_whitespace() {
        let parts: Vec<&str> = written.split(':').collect();
        let number = |index: usize| {
            parts
                .get(index)
                .map_or(0, |number: &&str| number.parse().unwrap())
        };
        let state = TaskState::parse(parts[1]).unwrap();
        let view = TaskView {
            state,
            failures: number(2),
            lost: number(3),
        };
        assert!(tasks.insert(parts[0].to_owned(), view).is_some(), "{written}");
    }
    let unfinished = tasks.values().filter(|task| !task.state.is_finished()).count() as u64;
    // Only what the scope names may be looked at.
    if let Scope::These(mut scope) = scope(&dag, &event) {
        if unfinished == 0 {
            scope.extend(dag.leaves().map(|leaf| leaf.task_id.as_str()));
        }
        tasks.retain(|task_id, _| scope.contains(&task_id.as_str()));
    }
    decide(
        &View {
            dag: &dag,
            tasks,
            unfinished,
            lost_attempts: 3,
        },
        &event,
        now(),
    )
}

fn check(states: &str, event: Event, expected: &[&str]) {
    let actions: Vec<String> = decide_with(states, event.clone()).iter().map(words).collect();
    assert_eq!(actions, expected, "{states} {event:?}");
}

fn words(action: &Action) -> String {
    match action {
        Action::Queue { task_id, because } => {
            let because = match because {
                Because::Ready => "ready",
                Because::Retry => "retry",
                Because::Lost { .. } => "lost",
                Because::HandedBack { .. } => "handed back",
            };
            format!("queue {task_id}: {because}")
        }
        Action::BeginWait { task_id } => format!("wait {task_id}"),
        Action::Reset { task_id } => format!("reset {task_id}"),
        Action::RetryAt { task_id, at, message } => {
            format!("retry {task_id} in {:?}: {message}", at.since(now()))
        }
        Action::Finish {
            task_id,
            state,
            message,
            ..
        } => {
            format!("{state} {task_id}: {}", message.as_deref().unwrap_or("-"))
        }
        Action::EndRun { state } => format!("run {state}"),
    }
}

fn finished(task_id: &str) -> Event {
    Event::Finished {
        task_id: task_id.to_owned(),
    }
}

fn ended(task_id: &str, ending: Ending) -> Event {
    Event::AttemptEnded {
        task_id: task_id.to_owned(),
        ending,
    }
}

fn failed() -> Ending {
    Ending::Failed {
        message: "no rows".to_owned(),
    }
}

#[test]
fn a_run_starts_with_the_tasks_that_need_nothing() {
    check("", Event::Started, &["queue a: ready", "queue b: ready"]);
    check(
        "a:success",
        Event::Started,
        &["queue b: ready", "queue always: ready"],
    );
    check(
        "a:success b:success join:success always:success",
        Event::Started,
        &["wait pause"],
    );
    check(
        "a:success b:success join:success always:success pause:success",
        Event::Started,
        &["run success"],
    );
}

#[test]
fn a_task_that_is_over_lets_go_its_direct_successors() {
    check("a:success b:running", finished("a"), &["queue always: ready"]);
    check(
        "a:success b:success always:queued",
        finished("b"),
        &["queue join: ready"],
    );
    check(
        "a:success b:success always:success join:success",
        finished("join"),
        &["wait pause"],
    );
    check(
        "a:success b:success always:success join:success",
        finished("always"),
        &[],
    );
}

#[test]
fn a_failure_goes_down_at_once() {
    check(
        "a:failed b:running",
        finished("a"),
        &[
            "upstream_failed join: a, which it needs, failed",
            "queue always: ready",
        ],
    );
    check(
        "a:failed b:running join:upstream_failed",
        finished("join"),
        &["upstream_failed pause: join, which it needs, failed"],
    );
    check(
        "a:skipped b:running",
        finished("a"),
        &[
            "skipped join: a, which it needs, was skipped",
            "queue always: ready",
        ],
    );
    check(
        "a:failed b:success join:upstream_failed always:running",
        finished("b"),
        &[],
    );
}

#[test]
fn a_run_is_judged_by_its_leaves() {
    check(
        "a:success b:success join:success always:success pause:success",
        finished("pause"),
        &["run success"],
    );
    check(
        "a:success b:success join:success always:skipped pause:success",
        finished("pause"),
        &["run success"],
    );
    check(
        "a:failed b:success join:upstream_failed always:success pause:upstream_failed",
        finished("always"),
        &["run failed"],
    );
    check(
        "a:success b:success join:success always:failed pause:success",
        finished("pause"),
        &["run failed"],
    );
    check(
        "a:success b:success join:success always:running pause:success",
        finished("pause"),
        &[],
    );
}

#[test]
fn a_failed_attempt_is_tried_again_as_often_as_the_task_says() {
    check("a:running", ended("a", failed()), &["retry a in 10s: no rows"]);
    check("a:running:1", ended("a", failed()), &["failed a: no rows"]);
    check(
        "a:running",
        ended(
            "a",
            Ending::FailedForGood {
                message: "wrong".to_owned(),
            },
        ),
        &["failed a: wrong"],
    );
    check(
        "a:running:1",
        ended(
            "a",
            Ending::Skipped {
                message: "nothing".to_owned(),
            },
        ),
        &["skipped a: nothing"],
    );
    check(
        "a:running:1",
        ended("a", Ending::Success { xcom: None }),
        &["success a: -"],
    );
    check(
        "a:up_for_retry:1",
        Event::WaitEnded {
            task_id: "a".to_owned(),
        },
        &["queue a: retry"],
    );
    check(
        "pause:up_for_retry:1",
        Event::WaitEnded {
            task_id: "pause".to_owned(),
        },
        &["wait pause"],
    );
}

#[test]
fn an_attempt_that_was_lost_uses_up_no_retry_but_not_for_ever() {
    let lost = || Ending::Lost {
        message: "worker lost".to_owned(),
    };
    check("a:running:1:0", ended("a", lost()), &["queue a: lost"]);
    check("a:running:1:2", ended("a", lost()), &["queue a: lost"]);
    check(
        "a:running:0:3",
        ended("a", lost()),
        &["failed a: worker lost; 4 attempts in a row were lost with their worker"],
    );
    check(
        "a:running:1:9",
        ended(
            "a",
            Ending::HandedBack {
                message: String::new(),
            },
        ),
        &["queue a: handed back"],
    );
}

#[test]
fn a_task_that_was_cleared_while_it_ran_starts_over_when_it_may() {
    check(
        "a:restarting",
        ended("a", Ending::Success { xcom: None }),
        &["reset a", "queue a: ready"],
    );
    check(
        "a:none b:success join:restarting",
        ended("join", failed()),
        &["reset join"],
    );
}

#[test]
fn what_comes_too_late_changes_nothing() {
    check("a:success", ended("a", failed()), &[]);
    check("a:queued", ended("a", Ending::Success { xcom: None }), &[]);
    check(
        "pause:success",
        Event::WaitEnded {
            task_id: "pause".to_owned(),
        },
        &[],
    );
    check(
        "a:success",
        Event::WaitFailed {
            task_id: "a".to_owned(),
            message: String::new(),
        },
        &[],
    );
    check(
        "",
        Event::WaitEnded {
            task_id: "nothing".to_owned(),
        },
        &[],
    );
}

#[test]
fn a_wait_ends_in_success_or_fails_like_an_attempt() {
    let failed = |message: &str| Event::WaitFailed {
        task_id: "pause".to_owned(),
        message: message.to_owned(),
    };
    check(
        "pause:deferred",
        Event::WaitEnded {
            task_id: "pause".to_owned(),
        },
        &["success pause: -"],
    );
    check(
        "pause:deferred",
        failed("too long"),
        &["retry pause in 10s: too long"],
    );
    check(
        "pause:deferred:1",
        failed("too long"),
        &["failed pause: too long"],
    );
}

fn scheduled(schedule: &str) -> Dag {
    dag(&format!(
        "dag: d\nschedule: '{schedule}'\nstart_date: 2025-04-02\ncatchup: true\nmax_active_runs: 2\ntasks: [{{ id: t, bash: echo }}]\n"
    ))
}

fn day(day: u32) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("2025-04-{day:02}T00:00:00Z")).unwrap()
}

fn daily(day_of_month: u32) -> NextRun {
    NextRun {
        data_interval_start: day(day_of_month),
        data_interval_end: day(day_of_month + 1),
        run_after: day(day_of_month + 1),
    }
}

#[test]
fn runs_are_made_when_due_up_to_the_limit() {
    let dag = scheduled("@daily");
    let view = |running: u64, queued: &[&str], last_end: Option<u32>| PlanView {
        dag: &dag,
        is_paused: false,
        running,
        queued: queued.iter().map(|run_id| (*run_id).to_owned()).collect(),
        last_end: last_end.map(day),
    };
    let check = |view: PlanView<'_>, at: Timestamp, start: &[&str], make: &[u32], look_again: Option<u32>| {
        let plan = plan(&view, at);
        assert_eq!(plan.start, start, "{view:?}");
        assert_eq!(
            plan.make,
            make.iter().map(|day| daily(*day)).collect::<Vec<_>>(),
            "{view:?}"
        );
        assert_eq!(plan.look_again, look_again.map(day), "{view:?}");
    };
    check(view(0, &[], None), day(2), &[], &[], Some(3));
    check(view(0, &[], None), day(3), &[], &[2], Some(4));
    check(view(0, &[], None), day(9), &[], &[2, 3], None);
    check(view(1, &[], Some(3)), day(9), &[], &[3], None);
    check(view(2, &[], Some(3)), day(9), &[], &[], None);
    check(
        view(0, &["m1", "m2", "m3"], Some(3)),
        day(9),
        &["m1", "m2"],
        &[],
        None,
    );
    check(view(1, &["m1"], Some(3)), day(9), &["m1"], &[], None);
    check(view(0, &["m1"], Some(9)), day(9), &["m1"], &[], Some(10));
    let paused = PlanView {
        is_paused: true,
        ..view(0, &["m1"], None)
    };
    check(paused, day(9), &[], &[], None);
}

#[test]
fn catching_up_on_many_intervals_takes_several_turns() {
    let dag = dag(
        "dag: d\nschedule: every 1m\nstart_date: 2025-04-02\ncatchup: true\nmax_active_runs: 1000\ntasks: [{ id: t, bash: echo }]\n",
    );
    let view = PlanView {
        dag: &dag,
        is_paused: false,
        running: 0,
        queued: Vec::new(),
        last_end: None,
    };
    let plan = plan(&view, day(3));
    assert_eq!(plan.make.len(), 50);
    assert_eq!(plan.look_again, Some(day(3)));
}

#[test]
fn a_wait_for_a_dag_is_over_when_it_has_nothing_left_to_do() {
    let dag = scheduled("@daily");
    let view = |running: u64, queued: usize, last_end: u32, succeeded: Option<bool>| WaitView {
        plan: PlanView {
            dag: &dag,
            is_paused: false,
            running,
            queued: vec![String::new(); queued],
            last_end: Some(day(last_end)),
        },
        last_run_succeeded: succeeded,
    };
    let check =
        |view: WaitView<'_>, expected: bool| assert_eq!(wait_is_over(&view, day(9)), expected, "{view:?}");
    check(view(0, 0, 9, Some(true)), true);
    check(view(1, 0, 9, Some(true)), false);
    check(view(0, 1, 9, Some(true)), false);
    check(view(0, 0, 8, Some(true)), false);
    check(view(0, 0, 9, Some(false)), false);
    check(view(0, 0, 9, None), false);
    let mut paused = view(0, 0, 3, Some(true));
    paused.plan.is_paused = true;
    check(paused, true);
}

#[test]
fn a_delay_is_counted_from_the_end_of_the_attempt() {
    let actions = decide_with("a:running", ended("a", failed()));
    let expected = now().plus(Duration::from_secs(10));
    assert!(
        matches!(&actions[..], [Action::RetryAt { at, .. }] if *at == expected),
        "{actions:?}"
    );
}
