//! Why a task that is not over does not run.

use fragua_base::Timestamp;

use crate::store::{dag_runs, dags, processes, task_instances};
use crate::{DagRunQuery, DagRunState, Error, NextRun, Orchestrator, TaskInstance, TaskState};

/// What a task that is not over waits for. The pages say it in the reader's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Its run starts when somebody activates the DAG.
    PausedDag,
    /// Its run starts when one of those under way is over.
    ActiveRuns {
        /// Runs of the DAG under way.
        running: u64,
        /// How many may be.
        limit: u32,
    },
    /// These tasks of its run are not over.
    Tasks(Vec<(String, TaskState)>),
    /// No worker was ever started.
    NoWorker,
    /// The last worker gave no sign of life for some time.
    SilentWorker {
        /// How long.
        seconds: u64,
    },
    /// Every slot of the workers is taken.
    NoFreeSlot {
        /// Tasks that run, of all DAGs.
        running: u64,
    },
    /// An instant.
    Instant(Timestamp),
    /// Another DAG, which has something left to do.
    Dag {
        /// Its name.
        dag_id: String,
        /// What it has left to do; empty for a moment after it did the last of it.
        reasons: Vec<DagIsOpen>,
    },
    /// The next attempt, after one that failed.
    Retry {
        /// When it begins.
        at: Option<Timestamp>,
        /// Why the last one failed.
        message: Option<String>,
    },
    /// It was cleared and starts over when its attempt has been stopped.
    Stop,
}

/// Why the wait for a DAG is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DagIsOpen {
    /// There is no DAG of this name.
    Unknown,
    /// So many of its runs are under way.
    Running(u64),
    /// So many of its runs wait to start.
    Queued(u64),
    /// Its schedule rests.
    Paused,
    /// The schedule will make this run at once.
    Due(NextRun),
    /// It has no run yet.
    NeverRan,
    /// Its newest run, of this name, failed.
    Failed(String),
}

impl Orchestrator {
    /// Returns what a task that is not over waits for; nothing when it runs or is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, instance: &TaskInstance) -> Result<Option<Waiting>, Error> {
        Ok(match instance.state {
            TaskState::None => self.why_not_started(instance).await?,
            TaskState::Queued => Some(self.why_queued().await?),
            TaskState::Deferred => match &instance.waits_for_dag {
                Some(dag_id) => Some(self.why_dag_is_open(dag_id).await?),
                None => instance.wake_at.map(Waiting::Instant),
            },
            TaskState::UpForRetry => Some(Waiting::Retry {
                at: instance.wake_at,
                message: instance.message.clone(),
            }),
            TaskState::Restarting => Some(Waiting::Stop),
            _ => None,
        })
    }

    async fn why_not_started(&self, instance: &TaskInstance) -> Result<Option<Waiting>, Error> {
        let run = self.dag_run(&instance.dag_id, &instance.run_id).await?;
        let reader = self.core.database.reader();
        let dag = self.dag_of_run(&run).await?;
        if run.state == DagRunState::Queued {
            let is_paused = dags::find(reader, &run.dag_id)
                .await?
                .is_some_and(|row| row.is_paused);
            return Ok(Some(match is_paused {
                true => Waiting::PausedDag,
                false => Waiting::ActiveRuns {
                    running: dag_runs::count_running(reader, &run.dag_id).await?,
                    limit: dag.max_active_runs,
                },
            }));
        }
        let Some(task) = dag.task(&instance.task_id) else {
            return Ok(None);
        };
        let needs = task.needs.iter().map(String::as_str).collect();
        let views = task_instances::views(reader, &run.dag_id, &run.run_id, Some(needs)).await?;
        let open: Vec<_> = views
            .into_iter()
            .map(|(task_id, view)| (task_id, view.state))
            .filter(|(_, state)| !state.is_finished())
            .collect();
        Ok((!open.is_empty()).then_some(Waiting::Tasks(open)))
    }

    async fn why_queued(&self) -> Result<Waiting, Error> {
        let reader = self.core.database.reader();
        let Some(worker) = processes::newest(reader, processes::WORKER).await? else {
            return Ok(Waiting::NoWorker);
        };
        let silent = self.core.now().since(Timestamp::from_millis(worker.heartbeat_at));
        if silent > self.core.settings.lease * 3 {
            return Ok(Waiting::SilentWorker {
                seconds: silent.as_secs(),
            });
        }
        let running = task_instances::count_in_state(reader, TaskState::Running).await?;
        Ok(Waiting::NoFreeSlot { running })
    }

    async fn why_dag_is_open(&self, dag_id: &str) -> Result<Waiting, Error> {
        let reader = self.core.database.reader();
        let mut reasons = Vec::new();
        match dags::find(reader, dag_id).await? {
            None => reasons.push(DagIsOpen::Unknown),
            Some(row) => {
                let running = dag_runs::count_running(reader, dag_id).await?;
                let queued = dag_runs::queued(reader, dag_id).await?.len() as u64;
                reasons.extend((running > 0).then_some(DagIsOpen::Running(running)));
                reasons.extend((queued > 0).then_some(DagIsOpen::Queued(queued)));
                reasons.extend(match row.is_paused {
                    true => Some(DagIsOpen::Paused),
                    false => self.due_run(dag_id).await?.map(DagIsOpen::Due),
                });
                let newest = DagRunQuery {
                    dag_id: Some(dag_id.to_owned()),
                    limit: 1,
                    ..DagRunQuery::default()
                };
                reasons.extend(match self.dag_runs(newest).await?.into_iter().next() {
                    None => Some(DagIsOpen::NeverRan),
                    Some(run) if run.state == DagRunState::Failed => Some(DagIsOpen::Failed(run.run_id)),
                    Some(_) => None,
                });
            }
        }
        Ok(Waiting::Dag {
            dag_id: dag_id.to_owned(),
            reasons,
        })
    }

    async fn due_run(&self, dag_id: &str) -> Result<Option<NextRun>, Error> {
        let now = self.core.now();
        let next = self.next_runs(dag_id, 1).await?.into_iter().next();
        Ok(next.filter(|next| next.run_after <= now))
    }
}
