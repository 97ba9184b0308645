//! Prints the logs of attempts, also while they are written.

use std::io::{Write as _, stdout};
use std::time::Duration;

use fragua_orchestrator::{Error, InstanceId, Orchestrator, TaskInstance};

use super::output;

/// How often another process's work is looked at: its events do not reach this one.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The logs of one run.
pub(super) struct Logs<'a> {
    pub(super) orchestrator: &'a Orchestrator,
    pub(super) dag_id: &'a str,
    pub(super) run_id: &'a str,
}

impl Logs<'_> {
    /// Prints the newest log of every task of the run, each under its name.
    ///
    /// # Errors
    /// When there is no such run.
    pub(super) async fn of_run(&self) -> anyhow::Result<()> {
        for instance in self.orchestrator.task_instances(self.dag_id, self.run_id).await? {
            output::line(&format!(
                "== {} ({}, attempt {})",
                instance.instance_id(),
                instance.state,
                instance.attempt
            ))?;
            if instance.attempt > 0 {
                self.attempt(&instance.instance_id(), instance.attempt, false)
                    .await?;
            }
        }
        Ok(())
    }

    /// Prints the log of one attempt.
    ///
    /// # Errors
    /// When there is no such task or attempt.
    pub(super) async fn of_attempt(&self, task_id: &str, attempt: u32, follow: bool) -> anyhow::Result<()> {
        let instance = self.instance(task_id).await?;
        self.attempt(&instance.instance_id(), attempt, follow).await
    }

    /// Prints the log of the newest attempt.
    ///
    /// # Errors
    /// When there is no such task or it has not started.
    pub(super) async fn newest(&self, task_id: &str) -> anyhow::Result<()> {
        let instance = self.instance(task_id).await?;
        if instance.attempt == 0 {
            anyhow::bail!("task {task_id} has not started: it is {}", instance.state);
        }
        self.attempt(&instance.instance_id(), instance.attempt, false)
            .await
    }

    /// Prints what is written until the task is over, from its newest attempt on.
    ///
    /// # Errors
    /// When there is no such task.
    pub(super) async fn follow_task(&self, task_id: &str) -> anyhow::Result<()> {
        let mut printed = 0;
        loop {
            let instance = self.instance(task_id).await?;
            if instance.attempt > printed {
                printed = match printed {
                    0 => instance.attempt,
                    // An attempt that came and went meanwhile is not left out.
                    printed => printed + 1,
                };
                self.attempt(&instance.instance_id(), printed, true).await?;
                continue;
            }
            if instance.state.is_finished() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Prints the log of one attempt; `follow` goes on until the attempt is over.
    ///
    /// # Errors
    /// When there is no such attempt.
    async fn attempt(&self, id: &InstanceId, attempt: u32, follow: bool) -> anyhow::Result<()> {
        let mut offset = 0;
        loop {
            let chunk = self
                .orchestrator
                .read_log(self.dag_id, self.run_id, id.clone(), attempt, offset)
                .await?;
            let mut out = stdout().lock();
            out.write_all(&chunk.bytes)?;
            out.flush()?;
            drop(out);
            offset = chunk.next_offset;
            if chunk.finished {
                return Ok(());
            }
            if !chunk.bytes.is_empty() {
                continue;
            }
            if !follow {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn instance(&self, task_id: &str) -> anyhow::Result<TaskInstance> {
        let instances = self.orchestrator.task_instances(self.dag_id, self.run_id).await?;
        let found = instances
            .into_iter()
            .find(|instance| instance.instance_id().to_string() == task_id);
        let missing = || Error::TaskNotFound {
            dag_id: self.dag_id.to_owned(),
            run_id: self.run_id.to_owned(),
            task_id: task_id.to_owned(),
        };
        Ok(found.ok_or_else(missing)?)
    }
}
