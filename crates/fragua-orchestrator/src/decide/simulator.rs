//! Whole runs of made-up DAGs, decided in memory under a manual clock: what must hold whatever happens in which order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fragua_base::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::NextRun;
use crate::dag::{Placement, Schedule, Timetable, TriggerRule};

/// One run, as the store would keep it.
struct Run<'a> {
    dag: &'a Dag,
    logical_date: Timestamp,
    tasks: BTreeMap<InstanceId, TaskView>,
    state: DagRunState,
    /// The instants at which something is looked at again.
    wake_at: BTreeMap<InstanceId, Timestamp>,
    queue: Vec<InstanceId>,
    /// How often each task was started.
    started: BTreeMap<InstanceId, u32>,
}

impl<'a> Run<'a> {
    fn new(dag: &'a Dag, logical_date: Timestamp) -> Self {
        let tasks = dag
            .tasks
            .iter()
            .map(|task| (InstanceId::of(&*task.task_id), TaskView::of(TaskState::None)));
        Self {
            dag,
            logical_date,
            tasks: tasks.collect(),
            state: DagRunState::Running,
            wake_at: BTreeMap::new(),
            queue: Vec::new(),
            started: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event: Event, now: Timestamp) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let unfinished = self
                .tasks
                .values()
                .filter(|task| !task.state.is_finished())
                .count() as u64;
            let mut tasks = self.tasks.clone();
            if let Scope::These(mut scope) = scope(self.dag, &event) {
                if unfinished == 0 {
                    scope.extend(self.dag.judged().map(|leaf| leaf.task_id.as_str()));
                }
                tasks.retain(|id, _| scope.contains(&id.task_id.as_str()));
            }
            let view = View {
                dag: self.dag,
                logical_date: self.logical_date,
                tasks,
                past: BTreeMap::new(),
                unfinished,
                lost_attempts: 3,
            };
            for action in decide(&view, &event, now) {
                events.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        let follows = match &action {
            Action::Finish { id, .. } => Some(Event::Finished { id: id.clone() }),
            Action::Hold { id } => Some(Event::HoldEnded {
                id: id.clone(),
                ending: Ending::success(),
            }),
            _ => None,
        };
        match action {
            Action::Queue { id, .. } => {
                self.check_needs(&id);
                self.set(&id, TaskState::Queued);
                self.queue.push(id);
            }
            Action::Hold { id } => self.set(&id, TaskState::Deferred),
            Action::RetryAt { id, at, .. } => {
                self.set(&id, TaskState::UpForRetry);
                self.tasks.get_mut(&id).unwrap().failures += 1;
                self.wake_at.insert(id, at);
            }
            Action::Finish {
                id, state, success, ..
            } => {
                assert!(!self.tasks[&id].state.is_finished(), "{id} is over twice");
                self.set(&id, state);
                self.tasks.get_mut(&id).unwrap().skips = success.skips;
            }
            Action::EndRun { state } => {
                // Two tasks that are over with one event both say so.
                assert!(
                    [DagRunState::Running, state].contains(&self.state),
                    "the run ends in two ways"
                );
                self.state = state;
            }
            other => panic!("{other:?}"),
        }
        follows
    }

    fn set(&mut self, id: &InstanceId, state: TaskState) {
        self.tasks.get_mut(id).unwrap().state = state;
    }

    /// No task starts before what it needs, unless its rule does not wait.
    fn check_needs(&self, id: &InstanceId) {
        let task = self.dag.task(&id.task_id).unwrap();
        let eager = [
            TriggerRule::Always,
            TriggerRule::OneSuccess,
            TriggerRule::OneFailed,
            TriggerRule::OneDone,
        ];
        if !eager.contains(&task.trigger_rule) {
            for need in &task.needs {
                let state = self.tasks[&InstanceId::of(&**need)].state;
                assert!(state.is_finished(), "{id} starts while {need} is {state}");
            }
        }
    }

    fn start(&mut self, id: &InstanceId) {
        self.set(id, TaskState::Running);
        *self.started.entry(id.clone()).or_default() += 1;
    }

    fn outcome(&self) -> (DagRunState, Vec<(String, TaskState)>) {
        let tasks = self.tasks.iter().map(|(id, view)| (id.to_string(), view.state));
        (self.state, tasks.collect())
    }
}

fn timetable(schedule: &str) -> Timetable {
    Timetable {
        schedule: schedule.parse::<Schedule>().unwrap(),
        timezone: "Europe/Madrid".to_owned(),
        start_date: Some(day(0)),
        end_date: None,
        ticks: crate::dag::Ticks::default(),
    }
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_millis(1_735_689_600_000 + number * 86_400_000)
}

fn dag(tasks: Vec<Task>) -> Dag {
    Dag {
        dag_id: "simulated".to_owned(),
        description: None,
        tags: Vec::new(),
        owner: None,
        timetable: timetable("@daily"),
        catchup: true,
        max_active_runs: 3,
        max_active_tasks: 16,
        dagrun_timeout: None,
        params: Default::default(),
        tasks,
        groups: Vec::new(),
    }
}

fn five_tasks() -> Dag {
    let task = |name: &str, needs: &[&str]| Task {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        retries: 1,
        ..Task::new(name, "bash", Value::Null)
    };
    dag(vec![
        task("a", &[]),
        task("b", &["a"]),
        task("c", &["a"]),
        task("d", &["b", "c"]),
        Task {
            operator: "wait".to_owned(),
            ..task("e", &["d"])
        },
    ])
}

/// A year of daily runs of five tasks, each attempt a minute long and each thirteenth failing once, with at most three
/// runs and four tasks at once.
#[test]
fn a_year_of_daily_runs_takes_a_moment() {
    let began = std::time::Instant::now();
    let dag = five_tasks();
    let mut runs: Vec<Run<'_>> = Vec::new();
    let (mut last_end, mut now, mut attempts) = (None, day(0), 0);
    let mut made: Vec<NextRun> = Vec::new();
    while now < day(367) {
        let running = runs
            .iter()
            .filter(|run| run.state == DagRunState::Running)
            .count() as u64;
        assert!(running <= 3);
        let view = PlanView {
            dag: &dag,
            is_paused: false,
            running,
            queued: Vec::new(),
            last_end,
        };
        let planned = plan(&view, now);
        for next in &planned.make {
            let mut run = Run::new(&dag, next.data_interval_start);
            run.apply(Event::Started, now);
            runs.push(run);
            last_end = Some(next.data_interval_end);
        }
        made.extend(&planned.make);
        // One round of a worker with four slots.
        let mut taken = Vec::new();
        for (number, run) in runs.iter_mut().enumerate() {
            let due: Vec<InstanceId> = run
                .wake_at
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(id, _)| id.clone())
                .collect();
            for id in due {
                run.wake_at.remove(&id);
                run.apply(Event::Due { id }, now);
            }
            while taken.len() < 4 && !run.queue.is_empty() {
                let id = run.queue.remove(0);
                run.start(&id);
                taken.push((number, id));
            }
        }
        if taken.is_empty() {
            let wakes = runs.iter().flat_map(|run| run.wake_at.values().copied());
            now = wakes.chain(planned.look_again).min().unwrap_or(day(367));
            continue;
        }
        now = now.plus(Duration::from_secs(60));
        for (number, id) in taken {
            attempts += 1;
            let fails = attempts % 13 == 0 && runs[number].started[&id] == 1;
            let ending = match fails {
                true => Ending::Failed {
                    message: "no rows".to_owned(),
                },
                false => Ending::success(),
            };
            runs[number].apply(Event::AttemptEnded { id, ending }, now);
        }
        let open = runs
            .iter()
            .position(|run| run.state == DagRunState::Running)
            .unwrap_or(runs.len());
        assert!(runs[..open].iter().all(|run| run.state == DagRunState::Success));
        runs.retain(|run| run.state == DagRunState::Running);
    }
    assert!(made.len() >= 365, "{}", made.len());
    assert!(runs.is_empty());
    assert!(attempts >= 4 * 365);
    let gaps = made
        .windows(2)
        .filter(|pair| pair[0].data_interval_end != pair[1].data_interval_start);
    assert_eq!(
        gaps.count(),
        0,
        "each day once, without a gap, over both changes of the clock"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

const RULES: [TriggerRule; 13] = [
    TriggerRule::AllSuccess,
    TriggerRule::AllFailed,
    TriggerRule::AllDone,
    TriggerRule::AllDoneMinOneSuccess,
    TriggerRule::AllDoneSetupSuccess,
    TriggerRule::OneSuccess,
    TriggerRule::OneFailed,
    TriggerRule::OneDone,
    TriggerRule::NoneFailed,
    TriggerRule::NoneFailedMinOneSuccess,
    TriggerRule::NoneSkipped,
    TriggerRule::AllSkipped,
    TriggerRule::Always,
];

/// Those that skip no task where none was skipped before.
const WITHOUT_SKIPS: [TriggerRule; 9] = [
    TriggerRule::AllSuccess,
    TriggerRule::AllDone,
    TriggerRule::AllDoneMinOneSuccess,
    TriggerRule::AllDoneSetupSuccess,
    TriggerRule::OneSuccess,
    TriggerRule::NoneFailed,
    TriggerRule::NoneFailedMinOneSuccess,
    TriggerRule::NoneSkipped,
    TriggerRule::Always,
];

/// A DAG of up to nine tasks, each needing some of those before it, with how the attempts of each end.
fn any_dag(rules: &'static [TriggerRule]) -> impl Strategy<Value = (Dag, Vec<u8>)> {
    let task = (any::<u16>(), 0..rules.len(), 0_u32..3, any::<bool>(), 0_u8..4);
    proptest::collection::vec(task, 1..10).prop_map(move |written| {
        let tasks = written
            .iter()
            .enumerate()
            .map(|(number, (needs, rule, retries, setup, _))| {
                let needs = (0..number).filter(|need| needs & (1 << need) != 0);
                Task {
                    needs: needs.map(|need| format!("t{need}")).collect(),
                    trigger_rule: rules[*rule],
                    retries: *retries,
                    setup: *setup,
                    placement: Placement::default(),
                    ..Task::new(format!("t{number}"), "bash", Value::Null)
                }
            });
        (
            dag(tasks.collect()),
            written.iter().map(|(.., ends)| *ends).collect(),
        )
    })
}

/// Works until nothing is left to do. `order` picks what ends next.
fn work<'a>(dag: &'a Dag, ends: &[u8], order: &[usize]) -> Run<'a> {
    let mut now = day(0);
    let mut run = Run::new(dag, now);
    run.apply(Event::Started, now);
    let mut running: Vec<InstanceId> = Vec::new();
    for step in 0.. {
        assert!(step < 1000, "the run does not end");
        for id in std::mem::take(&mut run.queue) {
            run.start(&id);
            running.push(id);
        }
        let pick = order.get(step % order.len().max(1)).copied().unwrap_or(0);
        if !running.is_empty() {
            let id = running.remove(pick % running.len());
            let number: usize = id.task_id[1..].parse().unwrap();
            let message = "no rows".to_owned();
            let ending = match ends[number] {
                0 => Ending::success(),
                1 => Ending::Failed { message },
                2 => Ending::Skipped { message },
                _ if run.started[&id] == 1 => Ending::Failed { message },
                _ => Ending::success(),
            };
            run.apply(Event::AttemptEnded { id, ending }, now);
        } else if let Some((id, at)) = run.wake_at.pop_first() {
            now = now.max(at);
            run.apply(Event::Due { id }, now);
        } else {
            break;
        }
    }
    run
}

proptest! {
    #[test]
    fn no_run_is_stuck((dag, ends) in any_dag(&RULES), order in proptest::collection::vec(any::<usize>(), 0..20)) {
        let run = work(&dag, &ends, &order);
        prop_assert!(run.state.is_finished(), "{:?}", run.outcome());
        prop_assert!(run.tasks.values().all(|task| task.state.is_finished()), "{:?}", run.outcome());
        for (id, started) in &run.started {
            let retries = dag.task(&id.task_id).unwrap().retries;
            prop_assert!(*started <= retries + 1, "{id} started {started} times");
        }
    }

    /// Rules that say early that a task is skipped or cannot run say what came first; where nothing is skipped, the
    /// order is of no matter.
    #[test]
    fn the_same_events_in_any_order_reach_the_same_end(
        (dag, ends) in any_dag(&WITHOUT_SKIPS),
        one in proptest::collection::vec(any::<usize>(), 1..20),
        other in proptest::collection::vec(any::<usize>(), 1..20),
    ) {
        let ends: Vec<u8> = ends.into_iter().map(|end| if end == 2 { 0 } else { end }).collect();
        prop_assert_eq!(work(&dag, &ends, &one).outcome(), work(&dag, &ends, &other).outcome());
    }
}
