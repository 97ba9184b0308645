//! Takes DAGs and runs out of every table.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query};
use sea_orm::{Condition, DbErr};

use super::{attempts, task_instances};

/// The tables with rows of runs, apart from those of attempts.
const OF_RUNS: [&str; 4] = ["instances", "xcoms", "transitions", "dag_runs"];

/// The tables with rows of DAGs alone.
const OF_DAGS: [&str; 3] = ["backfills", "dag_versions", "dags"];

/// Removes a run, or every run of a DAG.
pub(crate) async fn remove_runs(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: Option<&str>,
) -> Result<(), DbErr> {
    let these = Condition::all()
        .add(task_instances::Column::DagId.eq(dag_id))
        .add_option(run_id.map(|run_id| task_instances::Column::RunId.eq(run_id)));
    let ids = Query::select()
        .column(task_instances::Column::Id)
        .from(task_instances::Entity)
        .cond_where(these)
        .take();
    attempts::Entity::delete_many()
        .filter(attempts::Column::TaskInstance.in_subquery(ids))
        .exec(connection)
        .await?;
    for table in OF_RUNS {
        remove(connection, table, dag_id, run_id).await?;
    }
    Ok(())
}

/// Removes what is left of a DAG without runs.
pub(crate) async fn remove_dag(connection: &impl ConnectionTrait, dag_id: &str) -> Result<(), DbErr> {
    for table in OF_DAGS {
        remove(connection, table, dag_id, None).await?;
    }
    Ok(())
}

async fn remove(
    connection: &impl ConnectionTrait,
    table: &'static str,
    dag_id: &str,
    run_id: Option<&str>,
) -> Result<(), DbErr> {
    let mut delete = Query::delete();
    delete
        .from_table(Alias::new(table))
        .and_where(Expr::col(Alias::new("dag_id")).eq(dag_id));
    if let Some(run_id) = run_id {
        delete.and_where(Expr::col(Alias::new("run_id")).eq(run_id));
    }
    connection.execute(&delete).await?;
    Ok(())
}
