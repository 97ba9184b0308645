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
    decide_on(&dag(DIAMOND), states, event)
}

/// As [`decide_with`] for another DAG. An instance is written as `name[0]:state`, a task that skips others as
/// `name:state!other,other`.
fn decide_on(dag: &Dag, states: &str, event: Event) -> Vec<Action> {
    let mut tasks: BTreeMap<InstanceId, TaskView> = BTreeMap::new();
    for task in &dag.tasks {
        tasks.insert(InstanceId::of(&*task.task_id), TaskView::of(TaskState::None));
    }
    for written in states.split_whitespace() {
        let (written, skips) = written.split_once('!').unwrap_or((written, ""));
        let parts: Vec<&str> = written.split(':').collect();
        let number = |index: usize| {
            parts
                .get(index)
                .map_or(0, |number: &&str| number.parse().unwrap())
        };
        let view = TaskView {
            state: TaskState::parse(parts[1]).unwrap(),
            failures: number(2),
            lost: number(3),
            requeues: number(4),
            skips: skips
                .split(',')
                .filter(|skip| !skip.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        let id = id(parts[0]);
        assert!(dag.task(&id.task_id).is_some(), "{written}");
        if id.map_index.is_some() {
            tasks.remove(&InstanceId::of(&*id.task_id));
        }
        tasks.insert(id, view);
    }
    let is_over = tasks.values().all(|task| task.state.is_finished());
    // Only what the scope names may be looked at.
    if let Scope::These(mut scope) = scope(dag, &event) {
        if is_over {
            scope.extend(dag.judged().map(|leaf| leaf.task_id.as_str()));
        }
        tasks.retain(|id, _| scope.contains(&id.task_id.as_str()));
    }
    decide(
        &View {
            dag,
            logical_date: now(),
            tasks,
            past: BTreeMap::new(),
            is_over,
            lost_attempts: 3,
        },
        &event,
        now(),
    )
}

fn id(written: &str) -> InstanceId {
    match written.split_once('[') {
        None => InstanceId::of(written),
        Some((task_id, index)) => InstanceId::mapped(task_id, index.trim_end_matches(']').parse().unwrap()),
    }
}

fn check_on(dag: &Dag, states: &str, event: Event, expected: &[&str]) {
    let actions: Vec<String> = decide_on(dag, states, event.clone()).iter().map(words).collect();
    assert_eq!(actions, expected, "{states} {event:?}");
}

fn check(states: &str, event: Event, expected: &[&str]) {
    let actions: Vec<String> = decide_with(states, event.clone()).iter().map(words).collect();
    assert_eq!(actions, expected, "{states} {event:?}");
}

fn words(action: &Action) -> String {
    match action {
        Action::Queue { id, because } => {
            let because = match because {
                Because::Ready => "ready",
                Because::NotTaken { .. } => "not taken",
                Because::Retry => "retry",
                Because::Lost { .. } => "lost",
                Because::HandedBack { .. } => "handed back",
            };
            format!("queue {id}: {because}")
        }
        Action::Hold { id } => format!("hold {id}"),
        Action::Expand { task_id } => format!("expand {task_id}"),
        Action::RescheduleAt { id, at, .. } => format!("reschedule {id} in {:?}", at.since(now())),
        Action::Reset { id } => format!("reset {id}"),
        Action::RetryAt { id, at, message } => {
            format!("retry {id} in {:?}: {message}", at.since(now()))
        }
        Action::Finish {
            id, state, message, ..
        } => {
            format!("{state} {id}: {}", message.as_deref().unwrap_or("-"))
        }
        Action::EndRun { state } => format!("run {state}"),
    }
}

fn finished(task_id: &str) -> Event {
    Event::Finished { id: id(task_id) }
}

fn ended(task_id: &str, ending: Ending) -> Event {
    Event::AttemptEnded {
        id: id(task_id),
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
        &["hold pause"],
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
        &["hold pause"],
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
    check("a:running:1", ended("a", Ending::success()), &["success a: -"]);
    check(
        "a:up_for_retry:1",
        Event::Due { id: id("a") },
        &["queue a: retry"],
    );
    check(
        "pause:up_for_retry:1",
        Event::Due { id: id("pause") },
        &["hold pause"],
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
        ended("a", Ending::success()),
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
    check("a:queued", ended("a", Ending::success()), &[]);
    check("pause:success", Event::Due { id: id("pause") }, &[]);
    check(
        "a:success",
        Event::HoldEnded {
            id: id("a"),
            ending: failed(),
        },
        &[],
    );
    check("", Event::Due { id: id("nothing") }, &[]);
}

#[test]
fn what_is_held_ends_in_success_or_fails_like_an_attempt() {
    let held = |ending: Ending| Event::HoldEnded {
        id: id("pause"),
        ending,
    };
    check("pause:deferred", held(Ending::success()), &["success pause: -"]);
    check("pause:deferred", held(failed()), &["retry pause in 10s: no rows"]);
    check("pause:deferred:1", held(failed()), &["failed pause: no rows"]);
    check("pause:success", held(Ending::success()), &[]);
    check("pause:deferred", ended("pause", Ending::success()), &[]);
}

#[test]
fn a_sensor_looks_again_with_the_same_attempt() {
    let at = now().plus(Duration::from_secs(60));
    check(
        "a:running",
        ended("a", Ending::Reschedule { at, object: None }),
        &["reschedule a in 60s"],
    );
    check(
        "a:up_for_reschedule",
        Event::Due { id: id("a") },
        &["queue a: retry"],
    );
}

#[test]
fn a_task_that_no_worker_takes_is_queued_twice_again_and_fails() {
    let timed_out = || Event::QueueTimedOut {
        id: id("a"),
        message: "nobody".to_owned(),
    };
    check("a:queued:0:0:0", timed_out(), &["queue a: not taken"]);
    check("a:queued:0:0:1", timed_out(), &["queue a: not taken"]);
    check(
        "a:queued:0:0:2",
        timed_out(),
        &["retry a in 10s: nobody, 3 times in a row"],
    );
    check(
        "a:queued:1:0:2",
        timed_out(),
        &["failed a: nobody, 3 times in a row"],
    );
    check("a:running:0:0:2", timed_out(), &[]);
}

/// `t` needs `a`, `b` and `s`, of which the last sets something up.
fn with_rule(rule: &str) -> Dag {
    dag(&format!(
        "dag: d\ntasks:\n  - {{ id: a, bash: echo }}\n  - {{ id: b, bash: echo }}\n  - {{ id: s, setup: true, bash: echo }}\n  - {{ id: t, needs: [a, b, s], trigger_rule: {rule}, bash: echo }}\n"
    ))
}

#[test]
fn each_trigger_rule_is_applied_to_the_tasks_directly_before() {
    // States of a, b and s: (s)uccess, (f)ailed, (u)pstream failed, s(k)ipped, (r)unning; what becomes of t:
    // runs, skipped, upstream_failed, or waits.
    let table = [
        (
            "all_success",
            "sss run|srs wait|fss up|frr up|urr up|krr skip|sks skip|fkr up",
        ),
        (
            "all_failed",
            "fff run|fuf run|frf wait|srr skip|krr skip|ffk skip",
        ),
        ("all_done", "sfk run|sss run|sfr wait|fff run|kkk run"),
        (
            "all_done_min_one_success",
            "sss run|sfs run|fff up|kss skip|krr skip|frr wait|ffu up",
        ),
        (
            "all_done_setup_success",
            "ffs run|sss run|kks run|ssf up|ssk skip|ssr wait|rrs wait|ssu up",
        ),
        (
            "one_success",
            "srr run|frr wait|fff up|kkk skip|kkf up|sff run|fkr wait|uuu up",
        ),
        ("one_failed", "frr run|urr run|sss skip|ssr wait|kkk skip|kkf run"),
        ("one_done", "srr run|frr run|krr wait|kkk skip|kks run|urr run"),
        ("none_failed", "sss run|kkk run|sks run|frr up|urr up|skr wait"),
        (
            "none_failed_min_one_success",
            "sss run|sks run|kkk skip|frr up|kkr wait|kkf up",
        ),
        ("none_failed_or_skipped", "sks run|kkk skip"),
        ("none_skipped", "sff run|sss run|krr skip|sfr wait"),
        ("all_skipped", "kkk run|srr skip|frr skip|urr skip|kkr wait"),
        ("always", "rrr run|fff run|nnn run"),
        ("dummy", "rrr run"),
    ];
    for (rule, cases) in table {
        let dag = with_rule(rule);
        for case in cases.split('|') {
            let (states, expected) = case.split_once(' ').unwrap();
            let state = |letter: char| match letter {
                's' => TaskState::Success,
                'f' => TaskState::Failed,
                'u' => TaskState::UpstreamFailed,
                'k' => TaskState::Skipped,
                'r' => TaskState::Running,
                _ => TaskState::None,
            };
            let letters = ["a", "b", "s"].into_iter().zip(states.chars());
            let written: Vec<String> = letters
                .map(|(name, letter)| format!("{name}:{}", state(letter)))
                .collect();
            let actions = decide_on(&dag, &written.join(" "), finished("a"));
            let became = match actions.as_slice() {
                [] => "wait",
                [Action::Queue { .. }] => "run",
                [
                    Action::Finish {
                        state: TaskState::Skipped,
                        ..
                    },
                ] => "skip",
                [
                    Action::Finish {
                        state: TaskState::UpstreamFailed,
                        ..
                    },
                ] => "up",
                other => panic!("{rule} {case}: {other:?}"),
            };
            assert_eq!(became, expected, "{rule} {case}");
        }
    }
}

#[test]
fn a_task_that_needs_nothing_starts_by_every_rule() {
    for rule in [
        "all_success",
        "all_failed",
        "one_success",
        "all_skipped",
        "none_failed_min_one_success",
    ] {
        let dag = dag(&format!(
            "dag: d\ntasks: [{{ id: t, trigger_rule: {rule}, bash: echo }}]\n"
        ));
        check_on(&dag, "", Event::Started, &["queue t: ready"]);
    }
}

const BRANCHED: &str = "
dag: branched
tasks:
  - { id: choose, branch: left }
  - { id: left, needs: [choose], bash: echo }
  - { id: right, needs: [choose], bash: echo }
  - { id: join, needs: [left, right], trigger_rule: none_failed_min_one_success, empty: {} }
";

#[test]
fn a_branch_skips_what_it_did_not_choose_whatever_the_rules_say() {
    let dag = dag(BRANCHED);
    let chosen = Ending::Success(Success {
        skips: vec!["right".to_owned()],
        ..Success::default()
    });
    let event = Event::HoldEnded {
        id: id("choose"),
        ending: chosen,
    };
    check_on(
        &dag,
        "choose:deferred",
        event,
        &["success choose: -", "skipped right: choose decided to skip it"],
    );
    check_on(
        &dag,
        "choose:success!right right:skipped",
        finished("choose"),
        &["queue left: ready"],
    );
    check_on(
        &dag,
        "choose:success!right left:success right:skipped",
        finished("left"),
        &["success join: -"],
    );
    // A task that was cleared is skipped again.
    check_on(
        &dag,
        "choose:success!right left:success right:none join:success",
        Event::Started,
        &["skipped right: choose decided to skip it"],
    );
}

#[test]
fn a_task_is_expanded_when_it_may_start_and_its_instances_count_singly() {
    let dag = dag(
        "dag: d\ntasks:\n  - { id: list, bash: echo }\n  - { id: each, needs: [list], expand: '{{ xcom.list }}', bash: echo }\n  - { id: sum, needs: [each], bash: echo }\n",
    );
    check_on(&dag, "list:success", finished("list"), &["expand each"]);
    let expanded = || Event::Expanded {
        task_id: "each".to_owned(),
    };
    check_on(
        &dag,
        "list:success each[0]:none each[1]:none",
        expanded(),
        &["queue each[0]: ready", "queue each[1]: ready"],
    );
    check_on(
        &dag,
        "list:success each:none",
        expanded(),
        &["skipped each: expand gave no item"],
    );
    check_on(
        &dag,
        "list:success each[0]:success each[1]:running",
        finished("each[0]"),
        &[],
    );
    check_on(
        &dag,
        "list:success each[0]:success each[1]:success each[2]:removed",
        finished("each[1]"),
        &["queue sum: ready"],
    );
    check_on(
        &dag,
        "list:success each[0]:running each[1]:failed",
        finished("each[1]"),
        &["upstream_failed sum: each[1], which it needs, failed"],
    );
    let failed = Event::ExpandFailed {
        task_id: "each".to_owned(),
        message: "no list".to_owned(),
    };
    check_on(&dag, "list:success", failed, &["failed each: no list"]);
    // One instance was cleared.
    check_on(
        &dag,
        "list:success each[0]:none each[1]:success sum:none",
        Event::Started,
        &["expand each"],
    );
}

#[test]
fn the_instances_of_a_mapped_group_go_on_by_number() {
    let dag = dag(
        "dag: d\ntasks:\n  - { id: list, bash: echo }\n  - group: g\n    needs: [list]\n    expand: '{{ xcom.list }}'\n    tasks:\n      \
         - { id: a, bash: echo }\n      - { id: b, needs: [a], bash: echo }\n  - { id: sum, needs: [g], bash: echo }\n",
    );
    check_on(&dag, "list:success", finished("list"), &["expand g.a"]);
    let two = "list:success g.a[0]:success g.a[1]:running";
    check_on(&dag, two, finished("g.a[0]"), &["expand g.b"]);
    let expanded = Event::Expanded {
        task_id: "g.b".to_owned(),
    };
    let four = format!("{two} g.b[0]:none g.b[1]:none");
    check_on(&dag, &four, expanded, &["queue g.b[0]: ready"]);
    check_on(
        &dag,
        "g.a[0]:success g.a[1]:failed g.b[0]:running g.b[1]:none",
        finished("g.a[1]"),
        &["upstream_failed g.b[1]: g.a[1], which it needs, failed"],
    );
    check_on(
        &dag,
        "g.a[0]:success g.a[1]:success g.b[0]:success g.b[1]:running",
        finished("g.b[0]"),
        &[],
    );
    check_on(
        &dag,
        "g.a[0]:success g.a[1]:success g.b[0]:success g.b[1]:success",
        finished("g.b[1]"),
        &["queue sum: ready"],
    );
    // Nothing to expand: the group is skipped as a whole.
    check_on(
        &dag,
        "list:success g.a:skipped",
        finished("g.a"),
        &["skipped g.b: g.a, which it needs, was skipped"],
    );
}

#[test]
fn a_run_is_not_judged_by_its_teardown() {
    let dag = dag(
        "dag: d\ntasks:\n  - { id: up, setup: true, bash: echo }\n  - { id: work, needs: [up], bash: echo }\n  - { id: down, needs: [up, work], teardown: true, bash: echo }\n",
    );
    check_on(
        &dag,
        "up:success work:failed",
        finished("work"),
        &["queue down: ready"],
    );
    check_on(
        &dag,
        "up:success work:failed down:success",
        finished("down"),
        &["run failed"],
    );
    check_on(
        &dag,
        "up:success work:success down:failed",
        finished("down"),
        &["run success"],
    );
}

#[test]
fn what_waits_for_the_run_before_starts_when_that_has_changed() {
    let dag = dag("dag: d\ntasks: [{ id: t, depends_on_past: true, bash: echo }]\n");
    let actions = |blocks: Vec<(InstanceId, TaskState)>| {
        let view = View {
            dag: &dag,
            logical_date: now(),
            tasks: [(id("t"), TaskView::of(TaskState::None))].into(),
            past: [("t".to_owned(), blocks)].into(),
            is_over: false,
            lost_attempts: 3,
        };
        let event = Event::PastChanged {
            task_ids: ["t".to_owned()].into(),
        };
        decide(&view, &event, now())
    };
    assert_eq!(actions(vec![(id("t"), TaskState::Failed)]), []);
    assert_eq!(
        actions(Vec::new()),
        [Action::Queue {
            id: id("t"),
            because: Because::Ready
        }]
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
        covered: BTreeSet::new(),
        updated_assets: BTreeSet::new(),
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
fn a_dag_that_fails_fast_stops_all_but_its_teardowns() {
    let dag = dag(
        "dag: d\nfail_fast: true\ntasks:\n  - { id: up, setup: true, bash: echo }\n  - { id: a, needs: [up], bash: echo }\n  \
         - { id: b, needs: [up], bash: echo }\n  - { id: c, needs: [a], bash: echo }\n  \
         - { id: down, needs: [up, a, b], teardown: true, bash: echo }\n",
    );
    check_on(
        &dag,
        "up:success a:failed b:running",
        finished("a"),
        &[
            "failed b: a failed, and the DAG fails fast",
            "skipped c: a failed, and the DAG fails fast",
        ],
    );
    check_on(
        &dag,
        "up:success a:failed b:failed c:skipped",
        finished("b"),
        &["queue down: ready"],
    );
    // Skipped leaves do not make a success of it.
    check_on(
        &dag,
        "up:success a:failed b:success c:skipped down:success",
        finished("down"),
        &["run failed"],
    );
    check_on(
        &dag,
        "up:success a:success b:success c:success down:failed",
        finished("down"),
        &["run success"],
    );
}

#[test]
fn what_a_backfill_covered_is_passed_over() {
    let dag = scheduled("@daily");
    let view = PlanView {
        dag: &dag,
        is_paused: false,
        running: 0,
        queued: Vec::new(),
        last_end: Some(day(3)),
        covered: [day(3), day(4), day(6), day(8)].into(),
        updated_assets: BTreeSet::new(),
    };
    let plan = plan(&view, day(9));
    assert_eq!(plan.make, [daily(5), daily(7)]);
    // The last day is covered too: nothing is due.
    let waits = WaitView {
        plan: PlanView {
            last_end: Some(day(8)),
            ..view
        },
        last_run_succeeded: Some(true),
    };
    assert!(wait_is_over(&waits, day(9)));
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
        covered: BTreeSet::new(),
        updated_assets: BTreeSet::new(),
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
            covered: BTreeSet::new(),
            updated_assets: BTreeSet::new(),
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
