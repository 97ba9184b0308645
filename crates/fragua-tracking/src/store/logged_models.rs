//! Logged models in the database. Every connection comes from [`Family::on`](super::Family::on).

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::{insert_if_absent, upsert};
use fragua_database::{Engine, Statements};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*,
};

use super::entities::logged_models::{metric, model, param, tag};
use super::{KEYS_PER_QUERY, page, text};
use crate::Error;
use crate::experiments::{ExperimentId, LifecycleStage};
use crate::logged_models::{LoggedModel, LoggedModelQuery, LoggedModelStatus};
use crate::metrics::Metric;
use crate::runs::{Param, RunInfo, Tag};
use crate::search::{Plan, sql};

fn convert(row: model::Model) -> LoggedModel {
    LoggedModel {
        model_id: row.model_id,
        experiment_id: ExperimentId(row.experiment_id),
        name: row.name,
        artifact_uri: row.artifact_location,
        created_at: Timestamp::from_millis(row.creation_timestamp_ms),
        updated_at: Timestamp::from_millis(row.last_updated_timestamp_ms),
        status: LoggedModelStatus::from_number(row.status),
        status_message: row.status_message,
        model_type: row.model_type.unwrap_or_default(),
        source_run_id: row.source_run_id,
        tags: Vec::new(),
        params: Vec::new(),
        metrics: Vec::new(),
    }
}

fn visible() -> Select<model::Entity> {
    model::Entity::find().filter(model::Column::LifecycleStage.ne(LifecycleStage::Deleted.as_str()))
}

/// Inserts a model with its parameters and tags.
pub(crate) async fn insert(connection: &impl ConnectionTrait, new: &LoggedModel) -> Result<(), Error> {
    let row = model::ActiveModel {
        model_id: Set(new.model_id.clone()),
        experiment_id: Set(new.experiment_id.0),
        name: Set(new.name.clone()),
        artifact_location: Set(new.artifact_uri.clone()),
        creation_timestamp_ms: Set(new.created_at.as_millis()),
        last_updated_timestamp_ms: Set(new.updated_at.as_millis()),
        status: Set(new.status.number()),
        lifecycle_stage: Set(Some(LifecycleStage::Active.as_str().to_owned())),
        model_type: Set(Some(new.model_type.clone())),
        source_run_id: Set(new.source_run_id.clone()),
        status_message: Set(new.status_message.clone()),
    };
    model::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    insert_params(connection, new, &new.params).await?;
    upsert_tags(connection, new, &new.tags).await?;
    Ok(())
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    model_id: &str,
) -> Result<Option<LoggedModel>, DbErr> {
    let row = visible()
        .filter(model::Column::ModelId.eq(model_id))
        .one(connection)
        .await?;
    Ok(row.map(convert))
}

/// Finds a model that was marked deleted too.
pub(crate) async fn find_even_deleted(
    connection: &impl ConnectionTrait,
    model_id: &str,
) -> Result<Option<LoggedModel>, DbErr> {
    let row = model::Entity::find_by_id(model_id).one(connection).await?;
    Ok(row.map(convert))
}

pub(crate) async fn search(
    connection: &impl ConnectionTrait,
    engine: Engine,
    query: &LoggedModelQuery,
    plan: &Plan,
) -> Result<Page<LoggedModel>, DbErr> {
    let mut select =
        visible().filter(model::Column::ExperimentId.is_in(query.experiment_ids.iter().map(|id| id.0)));
    let statement = QueryTrait::query(&mut select);
    sql::filter(statement, plan, engine, &query.datasets);
    sql::order(statement, plan, engine);
    statement.limit(plan.limit + 1).offset(plan.offset);
    Ok(page(plan, select.all(connection).await?).map(convert))
}

/// Adds parameters, tags and metrics: a fixed number of queries for a page of models.
pub(crate) async fn with_data(
    connection: &impl ConnectionTrait,
    mut models: Vec<LoggedModel>,
) -> Result<Vec<LoggedModel>, DbErr> {
    for some in models.chunks_mut(KEYS_PER_QUERY) {
        let places: HashMap<String, usize> = some
            .iter()
            .enumerate()
            .map(|(at, model)| (model.model_id.clone(), at))
            .collect();
        let ids = || places.keys().map(String::as_str);
        let rows = param::Entity::find()
            .filter(param::Column::ModelId.is_in(ids()))
            .order_by_asc(param::Column::ParamKey)
            .all(connection)
            .await?;
        for row in rows {
            if let Some(at) = places.get(&row.model_id) {
                some[*at].params.push(Param {
                    key: row.param_key,
                    value: row.param_value,
                });
            }
        }
        let rows = tag::Entity::find()
            .filter(tag::Column::ModelId.is_in(ids()))
            .order_by_asc(tag::Column::TagKey)
            .all(connection)
            .await?;
        for row in rows {
            if let Some(at) = places.get(&row.model_id) {
                some[*at].tags.push(Tag {
                    key: row.tag_key,
                    value: row.tag_value,
                });
            }
        }
        let rows = metric::Entity::find()
            .filter(metric::Column::ModelId.is_in(ids()))
            .order_by_asc(metric::Column::MetricName)
            .order_by_asc(metric::Column::MetricTimestampMs)
            .order_by_asc(metric::Column::MetricStep)
            .all(connection)
            .await?;
        for row in rows {
            let Some(at) = places.get(&row.model_id) else {
                continue;
            };
            some[*at].metrics.push(Metric {
                key: row.metric_name,
                value: row.metric_value.unwrap_or(f64::NAN),
                timestamp: Timestamp::from_millis(row.metric_timestamp_ms),
                step: row.metric_step,
                model_id: Some(row.model_id),
                dataset_name: row.dataset_name,
                dataset_digest: row.dataset_digest,
            });
        }
    }
    Ok(models)
}

pub(crate) async fn set_status(
    connection: &impl ConnectionTrait,
    model_id: &str,
    status: LoggedModelStatus,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let updated = update(model_id, now)
        .col_expr(model::Column::Status, Expr::val(status.number()))
        .exec(connection)
        .await?;
    Ok(updated.rows_affected > 0)
}

pub(crate) async fn mark_deleted(
    connection: &impl ConnectionTrait,
    model_id: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let updated = update(model_id, now)
        .col_expr(
            model::Column::LifecycleStage,
            Expr::val(LifecycleStage::Deleted.as_str()),
        )
        .exec(connection)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Tells whether there was a deleted model to restore.
pub(crate) async fn restore(
    connection: &impl ConnectionTrait,
    model_id: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let restored = model::Entity::update_many()
        .col_expr(
            model::Column::LifecycleStage,
            Expr::val(LifecycleStage::Active.as_str()),
        )
        .col_expr(model::Column::LastUpdatedTimestampMs, Expr::val(now.as_millis()))
        .filter(model::Column::ModelId.eq(model_id))
        .filter(model::Column::LifecycleStage.eq(LifecycleStage::Deleted.as_str()))
        .exec(connection)
        .await?;
    Ok(restored.rows_affected > 0)
}

fn update(model_id: &str, now: Timestamp) -> sea_orm::UpdateMany<model::Entity> {
    model::Entity::update_many()
        .col_expr(model::Column::LastUpdatedTimestampMs, Expr::val(now.as_millis()))
        .filter(model::Column::ModelId.eq(model_id))
        .filter(model::Column::LifecycleStage.ne(LifecycleStage::Deleted.as_str()))
}

pub(crate) async fn upsert_tags(
    connection: &impl ConnectionTrait,
    model: &LoggedModel,
    tags: &[Tag],
) -> Result<(), DbErr> {
    let tags = super::last_of_each(tags, |tag| &tag.key);
    if tags.is_empty() {
        return Ok(());
    }
    let rows = tags.into_iter().map(|tag| tag::ActiveModel {
        model_id: Set(model.model_id.clone()),
        experiment_id: Set(model.experiment_id.0),
        tag_key: Set(tag.key.clone()),
        tag_value: Set(tag.value.clone()),
    });
    tag::Entity::insert_many(rows)
        .on_conflict(upsert(&["model_id", "tag_key"], &["tag_value"]))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_tag(
    connection: &impl ConnectionTrait,
    model_id: &str,
    key: &str,
) -> Result<bool, DbErr> {
    let id = (model_id.to_owned(), key.to_owned());
    Ok(tag::Entity::delete_by_id(id)
        .exec(connection)
        .await?
        .rows_affected
        > 0)
}

pub(crate) async fn insert_params(
    connection: &impl ConnectionTrait,
    model: &LoggedModel,
    params: &[Param],
) -> Result<(), Error> {
    if params.is_empty() {
        return Ok(());
    }
    let rows = params.iter().map(|param| param::ActiveModel {
        model_id: Set(model.model_id.clone()),
        experiment_id: Set(model.experiment_id.0),
        param_key: Set(param.key.clone()),
        param_value: Set(param.value.clone()),
    });
    let inserted = param::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await;
    match inserted.map_err(Error::from) {
        Err(Error::Database(fragua_database::Error::Unique { .. })) => Err(Error::invalid(format!(
            "A parameter of the logged model {} exists already and parameters never change",
            model.model_id
        ))),
        inserted => inserted.map(drop),
    }
}

/// Records those of the metrics that were measured on a logged model with the model too. A model that does not exist
/// is passed over: the run keeps the value.
pub(crate) async fn insert_metrics(
    connection: &impl Statements,
    run: &RunInfo,
    metrics: &[Metric],
) -> Result<(), DbErr> {
    let mut ids: Vec<&str> = metrics
        .iter()
        .filter_map(|metric| metric.model_id.as_deref())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    ids.sort_unstable();
    ids.dedup();
    let known = model::Entity::find()
        .select_only()
        .column(model::Column::ModelId)
        .filter(model::Column::ModelId.is_in(ids));
    let known = connection.rows(&known.into_query(), |row| text(row, 0)).await?;
    let rows: Vec<metric::ActiveModel> = metrics
        .iter()
        .filter(|metric| {
            known
                .iter()
                .any(|model_id| Some(model_id) == metric.model_id.as_ref())
        })
        .map(|metric| metric::ActiveModel {
            model_id: Set(metric.model_id.clone().unwrap_or_default()),
            metric_name: Set(metric.key.clone()),
            metric_timestamp_ms: Set(metric.timestamp.as_millis()),
            metric_step: Set(metric.step),
            // The table has no mark for a value that is none; MLflow writes 0 there, we write nothing.
            metric_value: Set(Some(metric.value).filter(|value| !value.is_nan())),
            experiment_id: Set(run.experiment_id.0),
            run_id: Set(run.run_id.clone()),
            dataset_uuid: Set(None),
            dataset_name: Set(metric.dataset_name.clone()),
            dataset_digest: Set(metric.dataset_digest.clone()),
        })
        .collect();
    for some in rows.chunks(super::ROWS_PER_INSERT) {
        let insert = metric::Entity::insert_many(some.to_vec()).on_conflict(insert_if_absent(&[
            "model_id",
            "metric_name",
            "metric_timestamp_ms",
            "metric_step",
            "run_id",
        ]));
        connection.execute(&insert.into_query()).await?;
    }
    Ok(())
}
