//! Which of the queued tasks may be leased: none may take more of what is shared than there is.

use std::collections::BTreeMap;

/// A pool, as far as leases go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolSize {
    /// A negative number is no limit.
    pub(crate) slots: i64,
}

/// A task that is queued or under way, with what it takes and the limits it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    pub(crate) task_id: String,
    pub(crate) pool: String,
    pub(crate) pool_slots: i64,
    /// How many tasks of its run may be under way.
    pub(crate) max_active_tasks: i64,
    pub(crate) max_active_tis_per_dag: Option<i64>,
    pub(crate) max_active_tis_per_dagrun: Option<i64>,
}

/// Why a task may not be leased now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no pool of its name.
    NoPool,
    /// It needs more slots than its pool has.
    PoolTooSmall,
    /// Its pool has not as many free slots.
    PoolFull,
    /// As many tasks of its run are under way as may be.
    DagRun,
    /// As many attempts of this task are under way as may be.
    Task,
    /// As many attempts of this task are under way in its run as may be.
    TaskInDagRun,
}

/// What is under way, counted the way the limits are.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    pools: BTreeMap<String, i64>,
    runs: BTreeMap<(String, String), i64>,
    tasks: BTreeMap<(String, String), i64>,
    tasks_in_runs: BTreeMap<(String, String, String), i64>,
}

impl Busy {
    /// Counts a task that is under way.
    pub(crate) fn add(&mut self, task: &Candidate) {
        self.add_to_pool(&task.pool, task.pool_slots);
        let (dag_id, run_id, task_id) = (task.dag_id.clone(), task.run_id.clone(), task.task_id.clone());
        *self.runs.entry((dag_id.clone(), run_id.clone())).or_default() += 1;
        *self.tasks.entry((dag_id.clone(), task_id.clone())).or_default() += 1;
        *self.tasks_in_runs.entry((dag_id, run_id, task_id)).or_default() += 1;
    }

    /// Counts slots that something else takes.
    pub(crate) fn add_to_pool(&mut self, pool: &str, slots: i64) {
        *self.pools.entry(pool.to_owned()).or_default() += slots;
    }

    /// Returns how many slots of a pool are taken.
    pub(crate) fn taken(&self, pool: &str) -> i64 {
        self.pools.get(pool).copied().unwrap_or(0)
    }

    /// Says whether a task may be leased beside all that is counted.
    pub(crate) fn admit(&self, task: &Candidate, pools: &BTreeMap<String, PoolSize>) -> Result<(), Refusal> {
        let slots = pools.get(&task.pool).ok_or(Refusal::NoPool)?.slots;
        if slots >= 0 && task.pool_slots > slots {
            return Err(Refusal::PoolTooSmall);
        }
        if slots >= 0 && self.taken(&task.pool) + task.pool_slots > slots {
            return Err(Refusal::PoolFull);
        }
        let (dag_id, run_id, task_id) = (task.dag_id.clone(), task.run_id.clone(), task.task_id.clone());
        let in_run = self
            .runs
            .get(&(dag_id.clone(), run_id.clone()))
            .copied()
            .unwrap_or(0);
        if in_run >= task.max_active_tasks {
            return Err(Refusal::DagRun);
        }
        let of_task = self
            .tasks
            .get(&(dag_id.clone(), task_id.clone()))
            .copied()
            .unwrap_or(0);
        if task.max_active_tis_per_dag.is_some_and(|most| of_task >= most) {
            return Err(Refusal::Task);
        }
        let of_task_in_run = self
            .tasks_in_runs
            .get(&(dag_id, run_id, task_id))
            .copied()
            .unwrap_or(0);
        if task
            .max_active_tis_per_dagrun
            .is_some_and(|most| of_task_in_run >= most)
        {
            return Err(Refusal::TaskInDagRun);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(name: &str) -> Candidate {
        let parts: Vec<&str> = name.split('/').collect();
        Candidate {
            dag_id: "d".to_owned(),
            run_id: parts[0].to_owned(),
            task_id: parts[1].to_owned(),
            pool: parts.get(2).unwrap_or(&"p").to_string(),
            pool_slots: 1,
            max_active_tasks: 16,
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
        }
    }

    fn pools() -> BTreeMap<String, PoolSize> {
        [("p", 2), ("none", 0), ("open", -1)]
            .map(|(name, slots)| (name.to_owned(), PoolSize { slots }))
            .into()
    }

    #[test]
    fn each_limit_is_kept() {
        let check = |running: &[&str], next: Candidate, expected: Result<(), Refusal>| {
            let mut busy = Busy::default();
            running.iter().for_each(|name| busy.add(&candidate(name)));
            assert_eq!(busy.admit(&next, &pools()), expected, "{next:?}");
        };
        let with = |change: fn(&mut Candidate)| {
            let mut next = candidate("r1/a");
            change(&mut next);
            next
        };
        check(&["r1/b"], candidate("r1/a"), Ok(()));
        check(&["r1/b", "r2/b"], candidate("r1/a"), Err(Refusal::PoolFull));
        check(
            &["r1/b"],
            with(|next| next.pool_slots = 2),
            Err(Refusal::PoolFull),
        );
        check(&[], with(|next| next.pool_slots = 3), Err(Refusal::PoolTooSmall));
        check(&[], candidate("r1/a/none"), Err(Refusal::PoolTooSmall));
        check(&[], candidate("r1/a/unknown"), Err(Refusal::NoPool));
        check(&["r1/b/open"; 15], candidate("r1/a/open"), Ok(()));
        check(&["r1/b/open"; 16], candidate("r1/a/open"), Err(Refusal::DagRun));
        check(&["r2/b/open"; 16], candidate("r1/a/open"), Ok(()));
        check(
            &["r2/a"],
            with(|next| next.max_active_tis_per_dag = Some(1)),
            Err(Refusal::Task),
        );
        check(
            &["r2/b"],
            with(|next| next.max_active_tis_per_dag = Some(1)),
            Ok(()),
        );
        check(
            &["r2/a"],
            with(|next| next.max_active_tis_per_dagrun = Some(1)),
            Ok(()),
        );
        check(
            &["r1/a"],
            with(|next| next.max_active_tis_per_dagrun = Some(1)),
            Err(Refusal::TaskInDagRun),
        );
    }

    proptest! {
        #[test]
        fn no_limit_is_ever_exceeded(
            tasks in proptest::collection::vec((0_u8..3, 0_u8..3, 1_i64..4, 1_i64..4, 1_i64..3, 1_i64..3), 0..60),
            slots in 0_i64..8,
        ) {
            let pools = [("p".to_owned(), PoolSize { slots })].into();
            let mut busy = Busy::default();
            let mut taken: Vec<Candidate> = Vec::new();
            for (run, task, pool_slots, in_run, per_dag, per_run) in tasks {
                let next = Candidate {
                    pool_slots,
                    max_active_tasks: in_run,
                    max_active_tis_per_dag: Some(per_dag),
                    max_active_tis_per_dagrun: Some(per_run),
                    ..candidate(&format!("r{run}/t{task}"))
                };
                if busy.admit(&next, &pools).is_ok() {
                    busy.add(&next);
                    taken.push(next);
                    let last = &taken[taken.len() - 1];
                    let count = |same: &dyn Fn(&Candidate) -> bool| taken.iter().filter(|task| same(task)).count() as i64;
                    prop_assert!(taken.iter().map(|task| task.pool_slots).sum::<i64>() <= slots);
                    prop_assert!(count(&|task| task.run_id == last.run_id) <= in_run);
                    prop_assert!(count(&|task| task.task_id == last.task_id) <= per_dag);
                    prop_assert!(count(&|task| task.task_id == last.task_id && task.run_id == last.run_id) <= per_run);
                }
            }
        }
    }
}
