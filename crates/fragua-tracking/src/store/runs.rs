//! Runs in the database, with what was logged to them.

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::{lock_for_update, upsert};
use fragua_database::{Engine, Ready, Row, Statements};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryOrder, QuerySelect, QueryTrait, Select, entity::prelude::*,
};

use super::entities::runs::{run, tag};
use super::{Family, KEYS_PER_QUERY, ROWS_PER_INSERT, id, inputs, page, run_data, text};
use crate::experiments::{ExperimentId, LifecycleStage, ViewType};
use crate::runs::{PARENT_RUN_TAG, Run, RunInfo, RunStatus, Tag};
use crate::search::{Plan, sql};

/// A selection of what [`info`] reads.
pub(super) fn select() -> Select<run::Entity> {
    run::Entity::find().select_only().columns([
        run::Column::RunUuid,
        run::Column::Name,
        run::Column::ExperimentId,
        run::Column::UserId,
        run::Column::Status,
        run::Column::StartTime,
        run::Column::EndTime,
        run::Column::LifecycleStage,
        run::Column::ArtifactUri,
    ])
}

pub(super) fn info(row: &Row<'_>) -> Result<RunInfo, DbErr> {
    let status = row.text(4)?.and_then(|status| RunStatus::from_name(&status));
    Ok(RunInfo {
        run_id: text(row, 0)?,
        run_name: text(row, 1)?,
        experiment_id: id(row, 2)?,
        user_id: text(row, 3)?,
        status: status.unwrap_or(RunStatus::Running),
        start_time: row.integer(5)?.map(Timestamp::from_millis),
        end_time: row.integer(6)?.map(Timestamp::from_millis),
        lifecycle_stage: LifecycleStage::from_stored(row.text(7)?.as_deref()),
        artifact_uri: text(row, 8)?,
    })
}

static INSERT: Ready = Ready::new(|backend| {
    let columns = [
        "run_uuid",
        "name",
        "source_type",
        "source_name",
        "entry_point_name",
        "source_version",
        "user_id",
        "status",
        "start_time",
        "end_time",
        "lifecycle_stage",
        "artifact_uri",
        "experiment_id",
    ];
    let row = columns.map(|_| Expr::val(0));
    backend.build(
        Query::insert()
            .into_table("runs")
            .columns(columns)
            .values_panic(row),
    )
});

pub(crate) async fn insert(connection: &impl Statements, info: &RunInfo) -> Result<(), DbErr> {
    let row = [
        info.run_id.as_str().into(),
        info.run_name.as_str().into(),
        // MLflow keeps these in tags today and writes the columns so.
        "UNKNOWN".into(),
        "".into(),
        "".into(),
        "".into(),
        info.user_id.as_str().into(),
        info.status.as_str().into(),
        info.start_time.map(Timestamp::as_millis).into(),
        info.end_time.map(Timestamp::as_millis).into(),
        info.lifecycle_stage.as_str().into(),
        info.artifact_uri.as_str().into(),
        info.experiment_id.0.into(),
    ];
    connection.run(INSERT.with(connection.backend(), row)).await?;
    Ok(())
}

pub(crate) async fn update(connection: &impl Statements, info: &RunInfo) -> Result<(), DbErr> {
    let update = run::Entity::update_many()
        .col_expr(run::Column::Name, Expr::val(info.run_name.as_str()))
        .col_expr(run::Column::Status, Expr::val(info.status.as_str()))
        .col_expr(
            run::Column::EndTime,
            Expr::val(info.end_time.map(Timestamp::as_millis)),
        )
        .filter(run::Column::RunUuid.eq(info.run_id.as_str()));
    connection.execute(&update.into_query()).await?;
    Ok(())
}

pub(crate) async fn set_lifecycle(
    connection: &impl Statements,
    run_ids: &[&str],
    to: LifecycleStage,
    now: Timestamp,
) -> Result<(), DbErr> {
    for some in run_ids.chunks(KEYS_PER_QUERY) {
        let update = lifecycle_update(to, now).filter(run::Column::RunUuid.is_in(some.iter().copied()));
        connection.execute(&update.into_query()).await?;
    }
    Ok(())
}

pub(crate) async fn set_lifecycle_of_experiment(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    to: LifecycleStage,
    now: Timestamp,
) -> Result<(), DbErr> {
    lifecycle_update(to, now)
        .filter(run::Column::ExperimentId.eq(id.0))
        .filter(run::Column::LifecycleStage.ne(to.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

fn lifecycle_update(to: LifecycleStage, now: Timestamp) -> sea_orm::UpdateMany<run::Entity> {
    let deleted_at = (to == LifecycleStage::Deleted).then_some(now.as_millis());
    run::Entity::update_many()
        .col_expr(run::Column::LifecycleStage, Expr::val(to.as_str()))
        .col_expr(run::Column::DeletedTime, Expr::val(deleted_at))
}

static FIND: Ready = Ready::new(|backend| {
    let select = select().filter(run::Column::RunUuid.eq(""));
    backend.build(&select.into_query())
});

pub(crate) async fn find(connection: &impl Statements, run_id: &str) -> Result<Option<RunInfo>, DbErr> {
    let find = FIND.with(connection.backend(), [run_id.into()]);
    Ok(connection.rows_of(find, info).await?.pop())
}

static LOCK: Ready = Ready::new(|backend| {
    let mut select = select().filter(run::Column::RunUuid.eq(""));
    lock_for_update(backend, QueryTrait::query(&mut select));
    backend.build(&select.into_query())
});

/// Finds a run and keeps others from changing it until the transaction ends.
pub(crate) async fn lock(connection: &impl Statements, run_id: &str) -> Result<Option<RunInfo>, DbErr> {
    let lock = LOCK.with(connection.backend(), [run_id.into()]);
    Ok(connection.rows_of(lock, info).await?.pop())
}

static LOCK_STAGE: Ready = Ready::new(|backend| backend.build(&select_stages(backend, [""])));

/// Selects the stages of runs, in one order everywhere.
fn select_stages<'id>(backend: DbBackend, run_ids: impl IntoIterator<Item = &'id str>) -> SelectStatement {
    let mut select = run::Entity::find()
        .select_only()
        .columns([run::Column::RunUuid, run::Column::LifecycleStage])
        .filter(run::Column::RunUuid.is_in(run_ids))
        .order_by_asc(run::Column::RunUuid);
    lock_for_update(backend, QueryTrait::query(&mut select));
    select.into_query()
}

/// Finds the stage of each run that exists and keeps others from changing them until the transaction ends.
pub(crate) async fn lock_stages(
    connection: &impl Statements,
    run_ids: &[&str],
) -> Result<HashMap<String, LifecycleStage>, DbErr> {
    let mut stages = HashMap::with_capacity(run_ids.len());
    let backend = connection.backend();
    for some in run_ids.chunks(KEYS_PER_QUERY) {
        let select = match some {
            [one] => LOCK_STAGE.with(backend, [(*one).into()]),
            some => backend.build(&select_stages(backend, some.iter().copied())),
        };
        let keep = |row: &Row<'_>| {
            let stage = LifecycleStage::from_stored(row.text(1)?.as_deref());
            stages.insert(text(row, 0)?, stage);
            Ok(())
        };
        connection.read(select, keep).await?;
    }
    Ok(stages)
}

pub(crate) async fn search(
    connection: &impl Statements,
    engine: Engine,
    experiments: &[ExperimentId],
    plan: &Plan,
    view: ViewType,
) -> Result<Page<RunInfo>, DbErr> {
    let mut select = select()
        .filter(run::Column::ExperimentId.is_in(experiments.iter().map(|id| id.0)))
        .filter(run::Column::LifecycleStage.is_in(view.stages().iter().copied()));
    sql::apply(QueryTrait::query(&mut select), plan, engine);
    Ok(page(plan, connection.rows(&select.into_query(), info).await?))
}

pub(crate) async fn find_children(
    connection: &impl Statements,
    run_id: &str,
    limit: u64,
) -> Result<Vec<RunInfo>, DbErr> {
    let children = Query::select()
        .column(tag::Column::RunUuid)
        .from(tag::Entity)
        .and_where(Expr::col(tag::Column::Key).eq(PARENT_RUN_TAG))
        .and_where(Expr::col(tag::Column::Value).eq(run_id))
        .take();
    let select = select()
        .filter(run::Column::RunUuid.in_subquery(children))
        .filter(run::Column::LifecycleStage.eq(LifecycleStage::Active.as_str()))
        .order_by_asc(run::Column::StartTime)
        .order_by_asc(run::Column::RunUuid)
        .limit(limit);
    connection.rows(&select.into_query(), info).await
}

pub(crate) async fn count_by_experiment(
    connection: &impl ConnectionTrait,
    ids: &[ExperimentId],
) -> Result<HashMap<ExperimentId, u64>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let counts: Vec<(i32, i64)> = run::Entity::find()
        .select_only()
        .column(run::Column::ExperimentId)
        .column_as(run::Column::RunUuid.count(), "runs")
        .filter(run::Column::ExperimentId.is_in(ids.iter().map(|id| id.0)))
        .filter(run::Column::LifecycleStage.eq(LifecycleStage::Active.as_str()))
        .group_by(run::Column::ExperimentId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(counts
        .into_iter()
        .map(|(id, count)| (ExperimentId(id), u64::try_from(count).unwrap_or(0)))
        .collect())
}

/// Adds to each run what was logged to it: a fixed number of queries for a page of runs.
pub(crate) async fn with_data(
    connection: &impl Statements,
    family: Family,
    infos: Vec<RunInfo>,
) -> Result<Vec<Run>, DbErr> {
    let mut runs = Vec::with_capacity(infos.len());
    let mut infos = infos.into_iter().peekable();
    while infos.peek().is_some() {
        let some: Vec<RunInfo> = infos.by_ref().take(KEYS_PER_QUERY).collect();
        runs.extend(with_data_of_some(connection, family, some).await?);
    }
    Ok(runs)
}

/// The tables are read side by side, each by its index on the run.
async fn with_data_of_some(
    connection: &impl Statements,
    family: Family,
    infos: Vec<RunInfo>,
) -> Result<Vec<Run>, DbErr> {
    let ids: Vec<&str> = infos.iter().map(|info| info.run_id.as_str()).collect();
    let (metrics, params, tags, mut inputs_of) = tokio::try_join!(
        run_data::metrics_of(connection, &ids),
        run_data::params_of(connection, &ids),
        run_data::tags_of(connection, &ids),
        inputs::of_runs(connection, family, &ids),
    )?;
    let data = metrics.into_iter().zip(params).zip(tags);
    let join = |(info, ((metrics, params), tags)): (RunInfo, _)| {
        let inputs = inputs_of.remove(&info.run_id).unwrap_or_default();
        Run {
            info,
            metrics,
            params,
            tags,
            dataset_inputs: inputs.datasets,
            model_inputs: inputs.models,
            model_outputs: inputs.outputs,
        }
    };
    Ok(infos.into_iter().zip(data).map(join).collect())
}

pub(crate) async fn upsert_tags(
    connection: &impl Statements,
    run_id: &str,
    tags: &[Tag],
) -> Result<(), DbErr> {
    let tags = super::last_of_each(tags, |tag| &tag.key);
    upsert_tag_rows(connection, tags.into_iter().map(|tag| (run_id, tag)).collect()).await
}

/// Sets one tag of several runs.
pub(crate) async fn tag_all(connection: &impl Statements, run_ids: &[&str], tag: &Tag) -> Result<(), DbErr> {
    for some in run_ids.chunks(ROWS_PER_INSERT) {
        upsert_tag_rows(connection, some.iter().map(|run_id| (*run_id, tag)).collect()).await?;
    }
    Ok(())
}

static UPSERT_TAGS: Ready = Ready::new(|backend| {
    let insert = Query::insert()
        .into_table("tags")
        .columns(["key", "value", "run_uuid"])
        .values_panic([0, 0, 0].map(Expr::val))
        .on_conflict(upsert(&["key", "run_uuid"], &["value"]))
        .take();
    backend.build(&insert)
});

async fn upsert_tag_rows(connection: &impl Statements, rows: Vec<(&str, &Tag)>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = rows.into_iter();
    let rows = rows.map(|(run_id, tag)| [tag.key.as_str().into(), tag.value.as_str().into(), run_id.into()]);
    connection
        .run(UPSERT_TAGS.with_rows(connection.backend(), rows))
        .await?;
    Ok(())
}

pub(crate) async fn tag_value(
    connection: &impl Statements,
    run_id: &str,
    key: &str,
) -> Result<Option<String>, DbErr> {
    let select = tag::Entity::find_by_id((key.to_owned(), run_id.to_owned()))
        .select_only()
        .column(tag::Column::Value);
    Ok(connection
        .rows(&select.into_query(), |row| text(row, 0))
        .await?
        .pop())
}

pub(crate) async fn delete_tag(connection: &impl Statements, run_id: &str, key: &str) -> Result<bool, DbErr> {
    let id = (key.to_owned(), run_id.to_owned());
    let delete = tag::Entity::delete_by_id(id).into_query();
    Ok(connection.execute(&delete).await? > 0)
}
