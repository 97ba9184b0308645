//! The keys of metrics, parameters and tags in use.

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};

use crate::experiments::{ExperimentId, LifecycleStage};

/// Returns the keys in `table` of the newest active runs of some experiments, by bytes. The runs are found by one
/// index and their rows by another, so the cost has a bound that does not grow with the experiment.
pub(crate) async fn of_newest_runs(
    connection: &impl ConnectionTrait,
    table: &'static str,
    experiments: &[ExperimentId],
    (runs, keys): (u64, u64),
) -> Result<Vec<String>, DbErr> {
    // A table of its own around the limit: MySQL has no limit in a subquery of `IN`.
    let newest = Query::select()
        .column(Alias::new("run_uuid"))
        .from_subquery(newest_runs(experiments, runs), "newest")
        .take();
    let select = Query::select()
        .distinct()
        .column("key")
        .from(table)
        .and_where(Expr::col("run_uuid").in_subquery(newest))
        .order_by("key", Order::Asc)
        .limit(keys)
        .take();
    let rows = connection.query_all(&select).await?;
    let mut found = rows
        .iter()
        .map(|row| row.try_get("", "key"))
        .collect::<Result<Vec<String>, _>>()?;
    found.sort_unstable();
    Ok(found)
}

fn newest_runs(experiments: &[ExperimentId], limit: u64) -> SelectStatement {
    Query::select()
        .column("run_uuid")
        .from("runs")
        .and_where(Expr::col("experiment_id").is_in(experiments.iter().map(|id| id.0)))
        .and_where(Expr::col("lifecycle_stage").eq(LifecycleStage::Active.as_str()))
        .order_by("start_time", Order::Desc)
        .limit(limit)
        .take()
}
