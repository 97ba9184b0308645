//! The audit log: who changed what, and when.

use fragua_base::Timestamp;
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::store::audit_log;
use crate::{Error, Orchestrator};

/// A change that somebody made.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// What was done, such as `trigger_dag_run`.
    pub event: String,
    /// The DAG it concerned.
    pub dag_id: Option<String>,
    /// The run it concerned.
    pub run_id: Option<String>,
    /// The task it concerned.
    pub task_id: Option<String>,
    /// Who did it.
    pub owner: String,
    /// What else is worth knowing.
    pub extra: Value,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) dag_id: Option<&'a str>,
    pub(crate) run_id: Option<&'a str>,
    pub(crate) task_id: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(crate) fn dag(dag_id: &'a str) -> Self {
        Self {
            dag_id: Some(dag_id),
            ..Self::default()
        }
    }

    pub(crate) fn run(dag_id: &'a str, run_id: &'a str) -> Self {
        Self {
            run_id: Some(run_id),
            ..Self::dag(dag_id)
        }
    }
}

/// Notes a change, in the transaction that makes it where there is one.
pub(crate) async fn note(
    connection: &impl ConnectionTrait,
    (at, owner): (Timestamp, &str),
    event: &str,
    about: About<'_>,
    extra: Value,
) -> Result<(), Error> {
    let entry = AuditEntry {
        at,
        event: event.to_owned(),
        dag_id: about.dag_id.map(str::to_owned),
        run_id: about.run_id.map(str::to_owned),
        task_id: about.task_id.map(str::to_owned),
        owner: owner.to_owned(),
        extra,
    };
    Ok(audit_log::insert(connection, entry).await?)
}

impl Orchestrator {
    /// Returns what was changed, newest first: about one DAG, or all of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_log(
        &self,
        dag_id: Option<&str>,
        limit: u64,
        offset: u64,
    ) -> Result<Vec<AuditEntry>, Error> {
        let rows = audit_log::list(self.core.database.reader(), dag_id, limit.min(1000), offset).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}
