//! Which runs a DAG makes and starts now, and when to look again.

use fragua_base::Timestamp;

use crate::NextRun;
use crate::dag::Dag;

/// How many runs are made in one transaction at most.
const MOST_AT_ONCE: usize = 50;

/// What is known of a DAG's runs.
#[derive(Debug, Clone)]
pub(crate) struct PlanView<'a> {
    pub(crate) dag: &'a Dag,
    pub(crate) is_paused: bool,
    /// How many runs are under way.
    pub(crate) running: u64,
    /// The runs that wait to start, oldest first.
    pub(crate) queued: Vec<String>,
    /// The end of the newest interval that has a run.
    pub(crate) last_end: Option<Timestamp>,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Runs to let go.
    pub(crate) start: Vec<String>,
    /// Runs to make and let go.
    pub(crate) make: Vec<NextRun>,
    /// When to plan again by the clock. Nothing while a run that ends will be the reason.
    pub(crate) look_again: Option<Timestamp>,
}

/// Plans the runs of one DAG. A run that is due while `max_active_runs` are under way is made when one of these ends.
pub(crate) fn plan(view: &PlanView<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if view.is_paused {
        return plan;
    }
    let free = u64::from(view.dag.max_active_runs).saturating_sub(view.running);
    let free = usize::try_from(free).unwrap_or(usize::MAX);
    plan.start = view.queued.iter().take(free.min(MOST_AT_ONCE)).cloned().collect();
    let mut last_end = view.last_end;
    while let Some(next) = view.dag.timetable.next(last_end, view.dag.catchup, now) {
        if next.run_after > now {
            plan.look_again = Some(next.run_after);
            break;
        }
        if view.queued.len() + plan.make.len() >= free {
            break;
        }
        if plan.make.len() == MOST_AT_ONCE {
            plan.look_again = Some(now);
            break;
        }
        last_end = Some(next.data_interval_end);
        plan.make.push(next);
    }
    plan
}

/// What is known of a DAG that a task waits for.
#[derive(Debug, Clone)]
pub(crate) struct WaitView<'a> {
    pub(crate) plan: PlanView<'a>,
    /// Whether its newest run succeeded; nothing while it has none.
    pub(crate) last_run_succeeded: Option<bool>,
}

/// Says whether a task that waits for a DAG may go on: no run is under way or waits to start, none is due, and the
/// newest one succeeded. A DAG that is paused has nothing due.
pub(crate) fn wait_is_over(view: &WaitView<'_>, now: Timestamp) -> bool {
    let plan = &view.plan;
    let idle = plan.running == 0 && plan.queued.is_empty();
    let due = || {
        let next = plan.dag.timetable.next(plan.last_end, plan.dag.catchup, now);
        !plan.is_paused && next.is_some_and(|next| next.run_after <= now)
    };
    idle && view.last_run_succeeded == Some(true) && !due()
}
