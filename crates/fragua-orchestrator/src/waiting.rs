//! Why a task that is not over does not run.

use fragua_base::Timestamp;

use crate::decide::Refusal;
use crate::scheduler::attempts::count_busy;
use crate::scheduler::hold::{Target, held_for};
use crate::scheduler::millis_of;
use crate::scheduler::work::past;
use crate::store::{dag_runs, dags, millis, processes, task_instances};
use crate::{DagRunQuery, DagRunState, Error, InstanceId, NextRun, Orchestrator, TaskInstance, TaskState};

/// How many of those that hold a pool are named.
const MOST_HOLDERS: usize = 5;

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
    Tasks(Vec<(InstanceId, TaskState)>),
    /// This task of the run before is not done, or one directly after it.
    Past {
        /// The run before.
        run_id: String,
        /// What is not done there.
        tasks: Vec<(InstanceId, TaskState)>,
    },
    /// There is no pool of this name.
    NoPool {
        /// The pool.
        pool: String,
    },
    /// Its pool has not as many slots as it needs, free or not.
    PoolTooSmall {
        /// The pool.
        pool: String,
        /// How many slots the pool has.
        slots: i64,
        /// How many the task needs.
        needed: i64,
    },
    /// Its pool has not enough free slots.
    PoolFull {
        /// The pool.
        pool: String,
        /// How many slots the pool has.
        slots: i64,
        /// Who takes them, as `DAG/RUN/TASK`, the longest under way first.
        holders: Vec<String>,
    },
    /// As many tasks of its run are under way as may be.
    RunLimit {
        /// How many.
        limit: i64,
    },
    /// As many attempts of this task are under way as may be, in all runs or in this one.
    TaskLimit {
        /// How many.
        limit: i64,
    },
    /// No worker was ever started.
    NoWorker,
    /// No worker listens to its queue.
    NoWorkerForQueue {
        /// The queue.
        queue: String,
    },
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
    /// A run of another DAG, or tasks of it.
    Other {
        /// The DAG.
        dag_id: String,
        /// The run, where it is known by name.
        run_id: Option<String>,
        /// The run's logical date, where it is known by that.
        logical_date: Option<Timestamp>,
        /// The tasks; the run as a whole when there is none.
        task_ids: Vec<String>,
    },
    /// The next look of a sensor.
    NextLook(Timestamp),
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
            TaskState::Queued => Some(self.why_queued(instance).await?),
            TaskState::Deferred => match &instance.waits_for_dag {
                Some(dag_id) => Some(self.why_held(instance, dag_id).await?),
                None => instance.wake_at.map(Waiting::Instant),
            },
            TaskState::UpForReschedule => instance.wake_at.map(Waiting::NextLook),
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
                    running: dag_runs::count_running(reader, &run.dag_id, &[]).await?,
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
            .map(|(id, view)| (id, view.state))
            .filter(|(_, state)| !state.is_finished())
            .collect();
        if !open.is_empty() || !task.depends_on_past {
            return Ok((!open.is_empty()).then_some(Waiting::Tasks(open)));
        }
        let this = [task.task_id.as_str()].into();
        let past = past(reader, &dag, &run, &this).await?;
        Ok(past.and_then(|(run_id, mut blocks)| {
            let tasks = blocks.remove(&task.task_id).filter(|tasks| !tasks.is_empty())?;
            Some(Waiting::Past { run_id, tasks })
        }))
    }

    async fn why_held(&self, instance: &TaskInstance, dag_id: &str) -> Result<Waiting, Error> {
        let reader = self.core.database.reader();
        let (of_dag, run_id, id) = (&instance.dag_id, &instance.run_id, instance.instance_id());
        let row = task_instances::find(reader, of_dag, run_id, &id).await?;
        let target = row
            .as_ref()
            .map(held_for)
            .transpose()?
            .map(|held_for| held_for.target);
        let other =
            |run_id: Option<String>, logical_date: Option<Timestamp>, task_ids: Vec<String>| Waiting::Other {
                dag_id: dag_id.to_owned(),
                run_id,
                logical_date,
                task_ids,
            };
        Ok(match target {
            Some(Target::Run { run_id, .. }) => other(Some(run_id), None, Vec::new()),
            Some(Target::Tasks {
                logical_date,
                task_ids,
                ..
            }) => other(None, Some(Timestamp::from_millis(logical_date)), task_ids),
            _ => self.why_dag_is_open(dag_id).await?,
        })
    }

    async fn why_queued(&self, instance: &TaskInstance) -> Result<Waiting, Error> {
        let reader = self.core.database.reader();
        let (pools, busy) = count_busy(reader, false).await?;
        let id = instance.instance_id();
        let row = task_instances::find(reader, &instance.dag_id, &instance.run_id, &id).await?;
        let candidate = row.map(|row| row.candidate());
        let refused =
            candidate.and_then(|candidate| Some((busy.admit(&candidate, &pools).err()?, candidate)));
        if let Some((refusal, candidate)) = refused {
            let pool = candidate.pool;
            let slots = pools.get(&pool).map_or(0, |pool| pool.slots);
            return Ok(match refusal {
                Refusal::NoPool => Waiting::NoPool { pool },
                Refusal::PoolTooSmall => Waiting::PoolTooSmall {
                    pool,
                    slots,
                    needed: candidate.pool_slots,
                },
                Refusal::PoolFull => Waiting::PoolFull {
                    holders: self.pool_holders(&pool).await?,
                    pool,
                    slots,
                },
                Refusal::DagRun => Waiting::RunLimit {
                    limit: candidate.max_active_tasks,
                },
                Refusal::Task | Refusal::TaskInDagRun => {
                    let limits = [
                        candidate.max_active_tis_per_dag,
                        candidate.max_active_tis_per_dagrun,
                    ];
                    let limit = limits.into_iter().flatten().min().unwrap_or(0);
                    Waiting::TaskLimit { limit }
                }
            });
        }
        let Some(worker) = processes::newest(reader, processes::WORKER).await? else {
            return Ok(Waiting::NoWorker);
        };
        let silent = self.core.now().since(Timestamp::from_millis(worker.heartbeat_at));
        if silent > self.core.settings.lease * 3 {
            return Ok(Waiting::SilentWorker {
                seconds: silent.as_secs(),
            });
        }
        let since = millis(self.core.now()) - millis_of(self.core.settings.lease * 3);
        let workers = processes::live_workers(reader, since).await?;
        if !workers.iter().any(|worker| worker.listens_to(&instance.queue)) {
            let queue = instance.queue.clone();
            return Ok(Waiting::NoWorkerForQueue { queue });
        }
        let running = task_instances::count_in_state(reader, TaskState::Running).await?;
        Ok(Waiting::NoFreeSlot { running })
    }

    async fn pool_holders(&self, pool: &str) -> Result<Vec<String>, Error> {
        let leased = [TaskState::Running, TaskState::Restarting];
        let rows = task_instances::in_states(self.core.database.reader(), &leased).await?;
        let holders = rows.iter().filter(|row| row.pool == pool).take(MOST_HOLDERS);
        Ok(holders
            .map(|row| format!("{}/{}/{}", row.dag_id, row.run_id, row.instance_id()))
            .collect())
    }

    async fn why_dag_is_open(&self, dag_id: &str) -> Result<Waiting, Error> {
        let reader = self.core.database.reader();
        let mut reasons = Vec::new();
        match dags::find(reader, dag_id).await? {
            None => reasons.push(DagIsOpen::Unknown),
            Some(row) => {
                let running = dag_runs::count_running(reader, dag_id, &[]).await?;
                let queued = dag_runs::queued(reader, dag_id, &[]).await?.len() as u64;
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
