//! Finds what nothing else will: what a process that ended between two transactions left undone.

use std::collections::BTreeSet;

use super::settle;
use crate::Error;
use crate::core::Core;
use crate::decide::{PlanView, plan};
use crate::store::{backfills, dag_runs, dags, millis, task_instances};

/// Plans every DAG that has something to do. The others are only read, in a few queries for all of them.
pub(crate) async fn plan_everything_active(core: &Core) -> Result<(), Error> {
    let reader = core.database.reader();
    let mut to_plan: BTreeSet<String> = dag_runs::dags_with_queued(reader).await?.into_iter().collect();
    to_plan.extend(backfills::dags_with_open(reader).await?);
    to_plan.extend(task_instances::dags_waited_for(reader).await?);
    let running = dag_runs::running_by_dag(reader).await?;
    let last_ends = dag_runs::last_ends(reader, None).await?;
    for row in dags::active(reader).await? {
        let dag = core.dag_version(reader, &row.dag_id, &row.version).await?;
        let view = PlanView {
            dag: &dag,
            is_paused: row.is_paused,
            running: running.get(&row.dag_id).copied().unwrap_or(0),
            queued: Vec::new(),
            last_end: last_ends.get(&row.dag_id).copied(),
            covered: BTreeSet::new(),
            updated_assets: BTreeSet::new(),
        };
        let plan = plan(&view, core.now());
        // What these wait for takes more than this to find.
        let waits = dag.assets.is_some() || (view.running > 0 && dag.looks_at_past());
        if !plan.make.is_empty() || plan.look_again.map(millis) != row.look_again_at || waits {
            to_plan.insert(row.dag_id);
        }
    }
    settle(core, to_plan).await
}

#[cfg(test)]
mod tests {
    use fragua_database::Database;

    use super::*;
    use crate::scheduler::work::Work;
    use crate::testing::{Bench, at};
    use crate::{DagRunState, RunType};

    const DAILY: &str =
        "dag: d\nschedule: '@daily'\nstart_date: 2025-04-05\ntasks: [{ id: t, bash: echo }]\n";

    async fn a_run_whose_maker_ended_before_it_was_planned_starts(database: Database) {
        let mut bench = Bench::new(database).await;
        bench.write("d.yaml", DAILY).await;
        let row = dags::find(bench.core.database.reader(), "d")
            .await
            .unwrap()
            .unwrap();
        let mut work = Work::begin(&bench.core).await.unwrap();
        let dag = bench
            .core
            .dag_version(&work.transaction, "d", &row.version)
            .await
            .unwrap();
        let new = crate::scheduler::work::NewRun {
            run_type: RunType::Manual,
            run_id: Some("one".to_owned()),
            logical_date: work.now,
            params: serde_json::Map::new(),
            note: None,
        };
        let run = work.new_run(&dag, &row.version, new).unwrap();
        work.make_run(&dag, &run).await.unwrap();
        work.commit().await.unwrap();
        bench.tick().await;
        assert_eq!(
            bench.runs("d").await,
            [("one".to_owned(), DagRunState::Queued)],
            "nothing is due"
        );
        plan_everything_active(&bench.core).await.unwrap();
        assert_eq!(bench.runs("d").await, [("one".to_owned(), DagRunState::Running)]);
    }

    async fn a_schedule_that_nobody_waits_for_goes_on(database: Database) {
        let mut bench = Bench::new(database).await;
        bench.write("d.yaml", DAILY).await;
        dags::set_look_again_at(bench.core.database.writer(), "d", None)
            .await
            .unwrap();
        bench.clock.set(at("2025-04-06T00:00:00Z"));
        assert_eq!(bench.tick().await, None);
        plan_everything_active(&bench.core).await.unwrap();
        assert_eq!(bench.runs("d").await.len(), 1);
        bench.run_queued().await;
        assert_eq!(bench.tick().await, Some(at("2025-04-07")));
    }

    fragua_database::each_engine!(engines:
        a_run_whose_maker_ended_before_it_was_planned_starts,
        a_schedule_that_nobody_waits_for_goes_on,
    );
}
