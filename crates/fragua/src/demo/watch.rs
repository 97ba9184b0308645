//! Waits for runs by the orchestrator's events.

use fragua_orchestrator::{Change, DagRun, DagRunState, Orchestrator, TaskInstance, TaskState};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How many of the last lines of a failed task are shown.
const LAST_LINES: usize = 20;

/// A run that failed, with what its task wrote last.
#[derive(Debug, thiserror::Error)]
#[error("run {run_id} of {dag_id} failed{}", shown(.tasks))]
pub(super) struct RunFailed {
    dag_id: String,
    run_id: String,
    tasks: Vec<FailedTask>,
}

#[derive(Debug)]
struct FailedTask {
    task_id: String,
    message: Option<String>,
    last_lines: Vec<String>,
}

fn shown(tasks: &[FailedTask]) -> String {
    let mut text = String::new();
    for task in tasks {
        let message = task.message.as_deref().map(|message| format!(": {message}"));
        text.push_str(&format!(
            "\n  task {}{}",
            task.task_id,
            message.unwrap_or_default()
        ));
        for line in &task.last_lines {
            text.push_str(&format!("\n    {line}"));
        }
    }
    text
}

/// Follows what the orchestrator does.
pub(super) struct Watch {
    orchestrator: Orchestrator,
    changes: Receiver<Change>,
}

impl Watch {
    /// Follows what happens from now on.
    pub(super) fn new(orchestrator: Orchestrator) -> Self {
        let changes = orchestrator.changes();
        Self {
            orchestrator,
            changes,
        }
    }

    /// Waits for the next thing that happens; `None` when some were missed and the state must be read again.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Change>> {
        match self.changes.recv().await {
            Ok(change) => Ok(Some(change)),
            Err(RecvError::Lagged(_)) => Ok(None),
            Err(RecvError::Closed) => anyhow::bail!("the orchestrator has ended"),
        }
    }

    /// Waits until the orchestrator knows the DAGs.
    pub(super) async fn until_dags(&mut self, dag_ids: &[&str]) -> anyhow::Result<()> {
        loop {
            let known = self.orchestrator.list_dags().await?;
            let is_known = |dag_id: &&str| known.iter().any(|summary| summary.dag.dag_id == **dag_id);
            if dag_ids.iter().all(is_known) {
                return Ok(());
            }
            if let Some(error) = self.orchestrator.import_errors().await?.first() {
                anyhow::bail!("{error}");
            }
            while !matches!(self.next().await?, Some(Change::Dags) | None) {}
        }
    }

    /// Waits until the run is over, and tells `seen` of everything that happens meanwhile.
    ///
    /// # Errors
    /// [`RunFailed`] when it failed.
    pub(super) async fn until_finished(
        &mut self,
        run: &DagRun,
        mut seen: impl AsyncFnMut(&Change) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            let now = self.orchestrator.dag_run(&run.dag_id, &run.run_id).await?;
            match now.state {
                DagRunState::Success => return Ok(()),
                DagRunState::Failed => return Err(failure(&self.orchestrator, &now).await?.into()),
                DagRunState::Queued | DagRunState::Running => {}
            }
            // The state is read again after each event of this run, and after events were missed.
            while let Some(change) = self.next().await? {
                seen(&change).await?;
                if matches!(&change, Change::DagRun { run_id, dag_id, .. } if *run_id == run.run_id && *dag_id == run.dag_id)
                {
                    break;
                }
            }
        }
    }
}

/// Gathers what a failed run's tasks wrote last.
pub(super) async fn failure(orchestrator: &Orchestrator, run: &DagRun) -> anyhow::Result<RunFailed> {
    let mut tasks = Vec::new();
    for instance in orchestrator.task_instances(&run.dag_id, &run.run_id).await? {
        if instance.state == TaskState::Failed {
            tasks.push(FailedTask {
                last_lines: last_lines(orchestrator, &instance).await,
                task_id: instance.task_id,
                message: instance.message,
            });
        }
    }
    Ok(RunFailed {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        tasks,
    })
}

/// A log that cannot be read must not hide the failure itself.
async fn last_lines(orchestrator: &Orchestrator, instance: &TaskInstance) -> Vec<String> {
    let mut lines = Vec::new();
    let mut offset = 0;
    loop {
        let chunk = orchestrator
            .read_log(
                &instance.dag_id,
                &instance.run_id,
                &instance.task_id,
                instance.attempt,
                offset,
            )
            .await;
        let Ok(chunk) = chunk else { return lines };
        let text = String::from_utf8_lossy(&chunk.bytes);
        lines.extend(text.lines().map(str::to_owned));
        let surplus = lines.len().saturating_sub(LAST_LINES);
        lines.drain(..surplus);
        if chunk.finished || chunk.bytes.is_empty() {
            return lines;
        }
        offset = chunk.next_offset;
    }
}
