//! Tries a DAG out: one run in the foreground, over a database that is thrown away.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use crate::scheduler::work::{NewRun, Work};
use crate::store::pools;
use crate::{Change, DagRun, Error, Marking, Orchestrator, RunType, Settings, TaskState, TriggerRequest};

impl Orchestrator {
    /// Makes a run that starts at once, also while the DAG is paused: its schedule makes none beside it then. Tasks
    /// for which `passes` says so are not run, and count as done.
    ///
    /// # Errors
    /// As [`Self::trigger`].
    pub async fn rehearse(
        &self,
        dag_id: &str,
        request: TriggerRequest,
        passes: impl Fn(&str) -> bool,
    ) -> Result<DagRun, Error> {
        let summary = self.dag(dag_id).await?;
        let dag = summary.dag;
        let mut work = Work::begin(&self.core).await?;
        // One run alone has no need of limits; a pool that is missing here would be waited for.
        let named: BTreeSet<&String> = dag.tasks.iter().map(|task| &task.placement.pool).collect();
        for pool in named {
            let unlimited = pools::Model {
                name: pool.clone(),
                slots: -1,
                description: String::new(),
                include_deferred: false,
            };
            pools::put(&work.transaction, unlimited).await?;
        }
        let new = NewRun {
            run_type: RunType::Manual,
            run_id: request.run_id,
            logical_date: request.logical_date.unwrap_or(work.now),
            params: request.params,
            note: request.note,
        };
        let run = work.new_run(&dag, &summary.version, new)?;
        work.make_run(&dag, &run).await?;
        work.commit().await?;
        let passed: Vec<String> = dag
            .tasks
            .iter()
            .map(|task| task.task_id.clone())
            .filter(|task_id| passes(task_id))
            .collect();
        if !passed.is_empty() {
            let marking = Marking {
                task_ids: passed,
                state: TaskState::Success,
                upstream: false,
                downstream: false,
                past: false,
                future: false,
                dry_run: false,
            };
            self.mark(dag_id, &run.run_id, &marking).await?;
        }
        let mut work = Work::begin(&self.core).await?;
        let (dag, run) = work.lock_run(dag_id, &run.run_id).await?;
        work.start_run(&dag, run.clone()).await?;
        work.commit().await?;
        self.dag_run(dag_id, &run.run_id).await
    }

    /// Works on a run until it is over, and returns how it ended.
    ///
    /// # Errors
    /// When the scheduler or the worker fails.
    pub async fn work_on(&self, run: &DagRun) -> Result<DagRun, Error> {
        let shutdown = CancellationToken::new();
        let slots = self.settings().parallelism.max(1);
        let over = async {
            let mut changes = self.changes();
            loop {
                let run = self.dag_run(&run.dag_id, &run.run_id).await?;
                if run.state.is_finished() {
                    return Ok(run);
                }
                // A watcher that lags behind looks again as well.
                while let Ok(change) = changes.recv().await {
                    if matches!(change, Change::DagRun { .. }) {
                        break;
                    }
                }
            }
        };
        let (scheduler, worker) = (shutdown.clone(), shutdown.clone());
        tokio::select! {
            run = over => {
                shutdown.cancel();
                run
            }
            failed = self.run_scheduler(scheduler) => Err(ended("scheduler", failed)),
            failed = self.run_worker(worker, slots) => Err(ended("worker", failed)),
        }
    }
}

fn ended(part: &'static str, result: Result<(), Error>) -> Error {
    match result {
        Err(error) => error,
        Ok(()) => Error::corrupt("run", format!("the {part} ended by itself")),
    }
}

impl Settings {
    /// Returns these settings with everything that a run leaves in another folder.
    #[must_use]
    pub fn with_state_in(self, folder: &std::path::Path) -> Self {
        Self {
            dags_folder: folder.join("dags"),
            logs_folder: folder.join("logs"),
            work_folder: folder.join("work"),
            dags_are_paused_at_creation: true,
            ..self
        }
    }
}
