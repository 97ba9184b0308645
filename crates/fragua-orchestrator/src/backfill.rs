//! Backfills: the runs of a range of dates, made or done again on demand.

use std::fmt;

use fragua_base::Timestamp;
use serde_json::{Map, Value};

use crate::scheduler::backfill;
use crate::store::backfills;
use crate::{Error, NextRun, Orchestrator};

/// Which of the runs that exist already are done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reprocess {
    /// None.
    #[default]
    None,
    /// Those that failed.
    Failed,
    /// Those that are over, however they ended.
    Completed,
}

impl Reprocess {
    /// Each choice.
    pub const ALL: [Self; 3] = [Self::None, Self::Failed, Self::Completed];

    /// Returns the name that the database, the API and the command line use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }

    /// Returns the choice of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == name)
    }
}

/// Where a backfill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillState {
    /// Its runs are started, as many at once as it may have.
    Running,
    /// Those under way go on, no other is started.
    Paused,
    /// All its runs are over.
    Completed,
    /// Those that had not started never will.
    Cancelled,
}

impl BackfillState {
    /// Each state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Completed, Self::Cancelled];

    /// Returns the name that the database, the API and the command line use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether nothing more happens.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl fmt::Display for BackfillState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A backfill.
#[derive(Debug, Clone, PartialEq)]
pub struct Backfill {
    /// A UUID.
    pub id: String,
    /// The DAG.
    pub dag_id: String,
    /// The first logical date.
    pub from: Timestamp,
    /// The last logical date.
    pub to: Timestamp,
    /// How many of its runs may be under way at once, beside those of the schedule.
    pub max_active_runs: u32,
    /// Which of the runs that existed already are done again.
    pub reprocess: Reprocess,
    /// Whether the last date comes first.
    pub is_reversed: bool,
    /// The parameters of its runs, over the defaults.
    pub params: Map<String, Value>,
    /// Where it stands.
    pub state: BackfillState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// What a backfill is asked for with.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillRequest {
    /// The first logical date.
    pub from: Timestamp,
    /// The last logical date.
    pub to: Timestamp,
    /// How many of its runs may be under way at once.
    pub max_active_runs: u32,
    /// Which of the runs that exist already are done again.
    pub reprocess: Reprocess,
    /// Whether the last date comes first.
    pub is_reversed: bool,
    /// The parameters of its runs, over the defaults.
    pub params: Map<String, Value>,
    /// Say what would become of each date, and change nothing.
    pub dry_run: bool,
}

/// What a backfill does about one date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRun {
    /// The interval.
    pub interval: NextRun,
    /// The run: made, done again, or left alone.
    pub run_id: String,
    /// What is done about it.
    pub fate: Fate,
}

/// What is done about one date of a backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A run is made.
    Made,
    /// The run there is starts over.
    Again,
    /// The run there is stays as it is.
    Exists,
    /// The run there is has not ended.
    UnderWay,
}

impl Fate {
    /// Returns the name that the command line uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Again => "again",
            Self::Exists => "exists",
            Self::UnderWay => "under way",
        }
    }
}

impl Orchestrator {
    /// Makes a backfill, and returns it with what it does about each date. Its runs wait while the DAG is paused.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], [`Error::InvalidParam`], [`Error::InvalidRequest`] for a range that is none and for a
    /// DAG whose schedule has no ticks, and when the database fails.
    pub async fn backfill(
        &self,
        dag_id: &str,
        request: &BackfillRequest,
    ) -> Result<(Backfill, Vec<BackfillRun>), Error> {
        backfill::create(&self.core, &self.actor, dag_id, request).await
    }

    /// Returns backfills, newest first: of one DAG, or of all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn backfills(&self, dag_id: Option<&str>) -> Result<Vec<Backfill>, Error> {
        let rows = backfills::list(self.core.database.reader(), dag_id).await?;
        rows.into_iter().map(Backfill::try_from).collect()
    }

    /// Returns one backfill.
    ///
    /// # Errors
    /// [`Error::BackfillNotFound`], and when the database fails.
    pub async fn find_backfill(&self, id: &str) -> Result<Backfill, Error> {
        let row = backfills::find(self.core.database.reader(), id).await?;
        row.ok_or_else(|| Error::BackfillNotFound { id: id.to_owned() })?
            .try_into()
    }

    /// Starts no more runs of a backfill, or goes on with it.
    ///
    /// # Errors
    /// [`Error::BackfillNotFound`], [`Error::InvalidRequest`] for one that is over, and when the database fails.
    pub async fn set_backfill_paused(&self, id: &str, is_paused: bool) -> Result<Backfill, Error> {
        let state = match is_paused {
            true => BackfillState::Paused,
            false => BackfillState::Running,
        };
        backfill::set_state(&self.core, &self.actor, id, state).await?;
        self.find_backfill(id).await
    }

    /// Ends a backfill: what runs goes on, what has not started fails.
    ///
    /// # Errors
    /// As [`Self::set_backfill_paused`].
    pub async fn cancel_backfill(&self, id: &str) -> Result<Backfill, Error> {
        backfill::set_state(&self.core, &self.actor, id, BackfillState::Cancelled).await?;
        self.find_backfill(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for state in BackfillState::ALL {
            assert_eq!(BackfillState::parse(state.as_str()), Some(state));
        }
        for choice in Reprocess::ALL {
            assert_eq!(Reprocess::parse(choice.as_str()), Some(choice));
        }
    }
}
