//! One execution of a DAG.

use std::fmt;

use fragua_base::Timestamp;
use serde_json::{Map, Value};

/// Where a DAG run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DagRunState {
    /// Made, waits because the DAG has `max_active_runs` running, or is paused.
    Queued,
    /// Its tasks are being worked on.
    Running,
    /// Every leaf succeeded or was skipped.
    Success,
    /// A leaf failed, or the run took longer than it may.
    Failed,
}

impl DagRunState {
    /// Each state, in the order of a run's life.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Success, Self::Failed];

    /// Returns the name that the database, the API and the pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether the run is over.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

impl fmt::Display for DagRunState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Why a DAG run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunType {
    /// The schedule asked for it.
    Scheduled,
    /// Somebody asked for it.
    Manual,
    /// Somebody asked for a range of dates again.
    Backfill,
    /// A task of another DAG asked for it.
    OperatorTriggered,
}

impl RunType {
    /// Each type.
    pub const ALL: [Self; 4] = [
        Self::Scheduled,
        Self::Manual,
        Self::Backfill,
        Self::OperatorTriggered,
    ];

    /// Returns the name that the database, the API and run ids use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::OperatorTriggered => "operator_triggered",
        }
    }

    /// Returns the type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|run_type| run_type.as_str() == name)
    }
}

/// One execution of a DAG for one logical date.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRun {
    /// The DAG.
    pub dag_id: String,
    /// The run's name, unique within its DAG, such as `scheduled__2025-04-02T00:00:00Z`.
    pub run_id: String,
    /// Why it exists.
    pub run_type: RunType,
    /// Where it stands.
    pub state: DagRunState,
    /// The start of the interval it covers; for a manual run the instant it was asked for.
    pub logical_date: Option<Timestamp>,
    /// The first instant it covers.
    pub data_interval_start: Timestamp,
    /// The first instant after what it covers.
    pub data_interval_end: Timestamp,
    /// The instant from which it may start.
    pub run_after: Timestamp,
    /// When it was made.
    pub queued_at: Timestamp,
    /// When its first task could start.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// The parameters in force: those given, over the defaults.
    pub params: Map<String, Value>,
    /// What the one who triggered it wrote.
    pub note: Option<String>,
    /// The version of the DAG it runs with, a hash of the definition.
    pub version: String,
    /// The backfill it belongs to.
    pub backfill_id: Option<String>,
}

/// What a manual run is asked for with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TriggerRequest {
    /// Parameters, over the defaults.
    pub params: Map<String, Value>,
    /// The logical date; now when absent.
    pub logical_date: Option<Timestamp>,
    /// The run's name; made from the logical date when absent.
    pub run_id: Option<String>,
    /// Free text to remember why.
    pub note: Option<String>,
}

/// Which runs to list, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DagRunQuery {
    /// Only those of this DAG.
    pub dag_id: Option<String>,
    /// Only those in this state.
    pub state: Option<DagRunState>,
    /// How many at most; zero means 50, and 1,000 is the most.
    pub limit: u64,
    /// How many to pass over.
    pub offset: u64,
}

/// A run as the list of DAGs shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentDagRun {
    /// The run.
    pub run_id: String,
    /// Where it stands.
    pub state: DagRunState,
    /// Its logical date.
    pub logical_date: Option<Timestamp>,
}

/// A run that the schedule will make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    /// The first instant it covers: its logical date.
    pub data_interval_start: Timestamp,
    /// The first instant after what it covers.
    pub data_interval_end: Timestamp,
    /// The instant at which it is due.
    pub run_after: Timestamp,
}

impl fmt::Display for NextRun {
    /// Says it in words: `covers 2025-04-02, runs 2025-04-03 00:00 UTC`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (Words(self.data_interval_start), Words(self.data_interval_end));
        let covers_a_day = start.is_midnight()
            && self.data_interval_end.since(self.data_interval_start).as_secs() == 24 * 60 * 60;
        if covers_a_day {
            write!(formatter, "covers {}", start.day())?;
        } else if self.data_interval_start == self.data_interval_end {
            write!(formatter, "stands at {start}")?;
        } else {
            write!(formatter, "covers {start} to {end}")?;
        }
        write!(formatter, ", runs {} UTC", Words(self.run_after))
    }
}

/// An instant as people write it, in UTC to the minute, with seconds where they are not zero.
struct Words(Timestamp);

impl Words {
    fn instant(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0.as_millis()).unwrap_or_default()
    }

    fn is_midnight(&self) -> bool {
        self.0.as_millis().rem_euclid(24 * 60 * 60 * 1000) == 0
    }

    fn day(&self) -> impl fmt::Display {
        self.instant().strftime("%Y-%m-%d").to_string()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_millis().rem_euclid(60_000) != 0;
        let pattern = if seconds {
            "%Y-%m-%d %H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M"
        };
        write!(formatter, "{}", self.instant().strftime(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_run_says_what_it_covers_and_when_it_runs() {
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let check = |start, end, expected: &str| {
            let run = NextRun {
                data_interval_start: at(start),
                data_interval_end: at(end),
                run_after: at(end),
            };
            assert_eq!(run.to_string(), expected);
        };
        check(
            "2025-04-02T00:00:00Z",
            "2025-04-03T00:00:00Z",
            "covers 2025-04-02, runs 2025-04-03 00:00 UTC",
        );
        check(
            "2025-04-02T06:00:00Z",
            "2025-04-02T06:05:00Z",
            "covers 2025-04-02 06:00 to 2025-04-02 06:05, runs 2025-04-02 06:05 UTC",
        );
        check(
            "2025-04-02T06:00:00Z",
            "2025-04-02T06:00:06Z",
            "covers 2025-04-02 06:00 to 2025-04-02 06:00:06, runs 2025-04-02 06:00:06 UTC",
        );
        check(
            "2025-04-02T06:00:00Z",
            "2025-04-02T06:00:00Z",
            "stands at 2025-04-02 06:00, runs 2025-04-02 06:00 UTC",
        );
    }

    #[test]
    fn names_go_both_ways() {
        for state in DagRunState::ALL {
            assert_eq!(DagRunState::parse(state.as_str()), Some(state));
        }
        for run_type in RunType::ALL {
            assert_eq!(RunType::parse(run_type.as_str()), Some(run_type));
        }
        assert_eq!(RunType::parse("by hand"), None);
    }
}
