//! Trigger rules: what the tasks directly before one have come to, and what follows for it.

use super::View;
use crate::dag::{Task, TriggerRule};
use crate::{InstanceId, TaskState};

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something it needs is not decided yet.
    Wait,
    Run,
    Skip(String),
    UpstreamFailed(String),
}

/// How many instances of the tasks directly before a task stand where.
#[derive(Debug, Default)]
pub(super) struct Counts<'v> {
    all: usize,
    done: usize,
    success: usize,
    /// Failed, or could not run because another failed.
    failed: usize,
    skipped: usize,
    removed: usize,
    setups: usize,
    setups_success: usize,
    setups_skipped: usize,
    /// The first one that failed, succeeded or was skipped, to say so.
    first_failed: Option<&'v InstanceId>,
    first_success: Option<&'v InstanceId>,
    first_skipped: Option<&'v InstanceId>,
}

impl<'v> Counts<'v> {
    pub(super) fn of(view: &'v View<'_>, task: &Task) -> Self {
        let mut counts = Self::default();
        for need in &task.needs {
            let is_setup = view.dag.task(need).is_some_and(|task| task.setup);
            let mut is_known = false;
            for (id, instance) in view.instances(need) {
                is_known = true;
                counts.add(id, instance.state, is_setup);
            }
            // One that has no instance is not done.
            counts.all += usize::from(!is_known);
        }
        counts
    }

    fn add(&mut self, id: &'v InstanceId, state: TaskState, is_setup: bool) {
        self.all += 1;
        self.done += usize::from(state.is_finished());
        self.setups += usize::from(is_setup);
        match state {
            TaskState::Success => {
                self.success += 1;
                self.setups_success += usize::from(is_setup);
                self.first_success.get_or_insert(id);
            }
            TaskState::Failed | TaskState::UpstreamFailed => {
                self.failed += 1;
                self.first_failed.get_or_insert(id);
            }
            TaskState::Skipped => {
                self.skipped += 1;
                self.setups_skipped += usize::from(is_setup);
                self.first_skipped.get_or_insert(id);
            }
            TaskState::Removed => self.removed += 1,
            _ => {}
        }
    }

    /// Applies a task's rule. What can be said early is: a failure goes down before the others are over.
    pub(super) fn verdict(&self, task: &Task) -> Verdict {
        if task.needs.is_empty() {
            return Verdict::Run;
        }
        let all_done = self.done >= self.all;
        let done = |then: Verdict| if all_done { then } else { Verdict::Wait };
        let one = |id: Option<&InstanceId>, what: &str| {
            let id = id.map_or_else(|| "a task".to_owned(), ToString::to_string);
            format!("{id}, which it needs, {what}")
        };
        let failed = || one(self.first_failed, "failed");
        let skipped = || one(self.first_skipped, "was skipped");
        let none = |what: &str| format!("none of the tasks it needs {what}");
        match task.trigger_rule {
            TriggerRule::AllSuccess if self.failed > 0 => Verdict::UpstreamFailed(failed()),
            TriggerRule::AllSuccess if self.skipped > 0 => Verdict::Skip(skipped()),
            TriggerRule::AllSuccess => done(Verdict::Run),
            TriggerRule::AllFailed if self.success > 0 => Verdict::Skip(one(self.first_success, "succeeded")),
            TriggerRule::AllFailed if self.skipped > 0 => Verdict::Skip(skipped()),
            TriggerRule::AllFailed => done(Verdict::Run),
            TriggerRule::AllDone => done(Verdict::Run),
            TriggerRule::AllDoneMinOneSuccess if self.skipped > 0 => Verdict::Skip(skipped()),
            TriggerRule::AllDoneMinOneSuccess if self.success == 0 => {
                done(Verdict::UpstreamFailed(none("succeeded")))
            }
            TriggerRule::AllDoneMinOneSuccess => done(Verdict::Run),
            TriggerRule::AllDoneSetupSuccess if self.setups == 0 => done(Verdict::Run),
            TriggerRule::AllDoneSetupSuccess if self.setups_skipped == self.setups => {
                done(Verdict::Skip(skipped()))
            }
            TriggerRule::AllDoneSetupSuccess if self.setups_success == 0 => done(Verdict::UpstreamFailed(
                "no setup that it needs succeeded".to_owned(),
            )),
            TriggerRule::AllDoneSetupSuccess => done(Verdict::Run),
            TriggerRule::OneSuccess if self.success > 0 => Verdict::Run,
            TriggerRule::OneSuccess if self.skipped + self.removed == self.all => {
                done(Verdict::Skip(skipped()))
            }
            TriggerRule::OneSuccess => done(Verdict::UpstreamFailed(none("succeeded"))),
            TriggerRule::OneFailed if self.failed > 0 => Verdict::Run,
            TriggerRule::OneFailed => done(Verdict::Skip(none("failed"))),
            TriggerRule::OneDone if self.success + self.failed > 0 => Verdict::Run,
            TriggerRule::OneDone => done(Verdict::Skip(none("succeeded or failed"))),
            TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess if self.failed > 0 => {
                Verdict::UpstreamFailed(failed())
            }
            TriggerRule::NoneFailed => done(Verdict::Run),
            TriggerRule::NoneFailedMinOneSuccess if self.success > 0 => done(Verdict::Run),
            TriggerRule::NoneFailedMinOneSuccess if self.skipped == self.all => {
                done(Verdict::Skip(skipped()))
            }
            TriggerRule::NoneFailedMinOneSuccess => done(Verdict::UpstreamFailed(none("succeeded"))),
            TriggerRule::NoneSkipped if self.skipped > 0 => Verdict::Skip(skipped()),
            TriggerRule::NoneSkipped => done(Verdict::Run),
            TriggerRule::AllSkipped if self.success > 0 => {
                Verdict::Skip(one(self.first_success, "succeeded"))
            }
            TriggerRule::AllSkipped if self.failed > 0 => Verdict::Skip(failed()),
            TriggerRule::AllSkipped => done(Verdict::Run),
            TriggerRule::Always => Verdict::Run,
        }
    }
}
