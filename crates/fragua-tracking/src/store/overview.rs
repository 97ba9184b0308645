//! Counts over many runs, and many runs at once.

use std::collections::HashMap;

use fragua_database::{Engine, Statements};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait, DbErr, QuerySelect, QueryTrait, entity::prelude::*};

use super::KEYS_PER_QUERY;
use super::entities::runs::{run, tag};
use super::runs::{info, select};
use crate::experiments::{ExperimentId, LifecycleStage, ViewType};
use crate::runs::{PARENT_RUN_TAG, RunInfo};
use crate::search::{Plan, sql};

pub(crate) async fn count_runs(
    connection: &impl ConnectionTrait,
    engine: Engine,
    experiments: &[ExperimentId],
    plan: &Plan,
    view: ViewType,
) -> Result<u64, DbErr> {
    let mut select = run::Entity::find()
        .filter(run::Column::ExperimentId.is_in(experiments.iter().map(|id| id.0)))
        .filter(run::Column::LifecycleStage.is_in(view.stages().iter().copied()));
    sql::filter(QueryTrait::query(&mut select), plan, engine, &[]);
    let count: Option<i64> = select
        .select_only()
        .column_as(run::Column::RunUuid.count(), "runs")
        .into_tuple()
        .one(connection)
        .await?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

pub(crate) async fn count_children(
    connection: &impl ConnectionTrait,
    run_ids: &[String],
) -> Result<HashMap<String, u64>, DbErr> {
    let mut counts = HashMap::new();
    for some in run_ids.chunks(KEYS_PER_QUERY) {
        let select = Query::select()
            .column((tag::Entity, tag::Column::Value))
            .expr_as(
                Expr::col((tag::Entity, tag::Column::RunUuid)).count(),
                Alias::new("children"),
            )
            .from(tag::Entity)
            .inner_join(
                run::Entity,
                Expr::col((run::Entity, run::Column::RunUuid)).equals((tag::Entity, tag::Column::RunUuid)),
            )
            .and_where(Expr::col((tag::Entity, tag::Column::Key)).eq(PARENT_RUN_TAG))
            .and_where(Expr::col((tag::Entity, tag::Column::Value)).is_in(some.iter().map(String::as_str)))
            .and_where(
                Expr::col((run::Entity, run::Column::LifecycleStage)).eq(LifecycleStage::Active.as_str()),
            )
            .group_by_col((tag::Entity, tag::Column::Value))
            .take();
        for row in connection.query_all(&select).await? {
            let parent: String = row.try_get_by_index(0)?;
            let children: i64 = row.try_get_by_index(1)?;
            counts.insert(parent, u64::try_from(children).unwrap_or(0));
        }
    }
    Ok(counts)
}

pub(crate) async fn find_runs(
    connection: &impl Statements,
    run_ids: &[String],
) -> Result<Vec<RunInfo>, DbErr> {
    let mut infos = Vec::with_capacity(run_ids.len());
    for some in run_ids.chunks(KEYS_PER_QUERY) {
        let select = select().filter(run::Column::RunUuid.is_in(some.iter().map(String::as_str)));
        infos.extend(connection.rows(&select.into_query(), info).await?);
    }
    Ok(infos)
}
