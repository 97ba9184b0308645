use crate::Error;
use crate::config::Task;
use crate::report::CandidateResult;
use crate::table::Table;

/// What happens during a training, in the order it happens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It is settled whether classes or numbers are predicted.
    TaskSettled {
        /// What is predicted.
        task: Task,
        /// What that was found from.
        reason: &'a str,
    },
    /// It is settled what is learned from.
    FeaturesSettled {
        /// The columns, numbers and texts.
        features: &'a Table,
    },
    /// The search begins.
    SearchStarted {
        /// Most parameter sets to compare.
        candidates: usize,
        /// Folds of each.
        folds: usize,
    },
    /// One fold of one candidate has been scored, with successive halving in any round; folds end in any order.
    FoldFinished {
        /// Index of the candidate.
        candidate: usize,
        /// Index of the fold.
        fold: usize,
        /// Its score.
        score: f64,
    },
    /// All folds of a candidate have been scored, or it was given up; candidates end in any order.
    CandidateFinished(&'a CandidateResult),
    /// The best candidate is fitted on all training rows.
    FitStarted {
        /// Index of the candidate.
        candidate: usize,
    },
    /// The model is judged, see [`crate::judge()`].
    JudgingStarted,
}

/// Watches a training and can stop it. Called from several threads at once.
pub trait Progress: Sync {
    /// Takes note of an event.
    fn event(&self, event: Event<'_>) {
        let _ = event;
    }

    /// Tells whether the search should end with what is known so far; asked before each fold of a candidate. Candidates that
    /// were not scored to the end are reported as stopped; the best of the others is taken, and if there is none the search
    /// fails as cancelled.
    fn is_enough(&self) -> bool {
        false
    }

    /// Tells whether the training should stop; asked at least once a tree or iteration.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

pub(crate) fn check_cancelled(progress: &dyn Progress) -> Result<(), Error> {
    if progress.is_cancelled() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}
