//! What was marked deleted, and how it goes for good.

use fragua_base::Timestamp;
use fragua_database::dialect::{insert_if_absent, lock_for_update};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, QueryOrder,
    QuerySelect, QueryTrait, entity::prelude::*,
};
use sea_orm_migration::SchemaManager;

use super::Family;
use super::entities::experiments::{experiment, tag as experiment_tag};
use super::entities::inputs::{dataset, input, input_tag};
use super::entities::logged_models::{metric as model_metric, model, param as model_param, tag as model_tag};
use super::entities::purged_files;
use super::entities::registry::version;
use super::entities::runs::{latest_metric, metric, param, run, tag};
use super::versions::DELETED;
use crate::experiments::{ExperimentId, LifecycleStage};
use crate::purge::{Deleted, DeletedExperiment, DeletedKind};

const DELETED_STAGE: &str = LifecycleStage::Deleted.as_str();

fn experiment_is_deleted(until: Timestamp) -> Expr {
    let time = experiment::Column::LastUpdateTime;
    let long_ago = time.lte(until.as_millis()).or(time.is_null());
    experiment::Column::LifecycleStage.eq(DELETED_STAGE).and(long_ago)
}

/// The numbers of the deleted experiments: what is in them is deleted too, whatever it says itself.
fn deleted_experiments(until: Timestamp) -> SelectStatement {
    Query::select()
        .column(experiment::Column::ExperimentId)
        .from(experiment::Entity)
        .and_where(experiment_is_deleted(until))
        .take()
}

fn run_is_deleted(until: Timestamp) -> Expr {
    let time = run::Column::DeletedTime;
    let long_ago = time.lte(until.as_millis()).or(time.is_null());
    let is_marked = run::Column::LifecycleStage.eq(DELETED_STAGE).and(long_ago);
    is_marked.or(run::Column::ExperimentId.in_subquery(deleted_experiments(until)))
}

fn model_is_deleted(until: Timestamp) -> Expr {
    let long_ago = model::Column::LastUpdatedTimestampMs.lte(until.as_millis());
    let is_marked = model::Column::LifecycleStage.eq(DELETED_STAGE).and(long_ago);
    is_marked.or(model::Column::ExperimentId.in_subquery(deleted_experiments(until)))
}

/// Returns the experiments that were deleted until then.
pub(crate) async fn experiments(
    connection: &impl ConnectionTrait,
    until: Timestamp,
) -> Result<Vec<DeletedExperiment>, DbErr> {
    let rows = experiment::Entity::find()
        .filter(experiment_is_deleted(until))
        .order_by_asc(experiment::Column::ExperimentId)
        .all(connection)
        .await?;
    let deleted = |row: experiment::Model| DeletedExperiment {
        id: ExperimentId(row.experiment_id),
        name: row.name,
        deleted_at: row.last_update_time.map(Timestamp::from_millis),
    };
    Ok(rows.into_iter().map(deleted).collect())
}

/// Returns the runs that were deleted until then, and those of experiments that were.
pub(crate) async fn runs(connection: &impl ConnectionTrait, until: Timestamp) -> Result<Vec<Deleted>, DbErr> {
    let rows = run::Entity::find()
        .filter(run_is_deleted(until))
        .order_by_asc(run::Column::RunUuid)
        .all(connection)
        .await?;
    let deleted = |row: run::Model| Deleted {
        id: row.run_uuid,
        name: row.name.unwrap_or_default(),
        experiment_id: ExperimentId(row.experiment_id.unwrap_or(0)),
        artifact_uri: row.artifact_uri.unwrap_or_default(),
        deleted_at: row.deleted_time.map(Timestamp::from_millis),
    };
    Ok(rows.into_iter().map(deleted).collect())
}

/// Returns the logged models that were deleted until then, and those of experiments that were. The connection comes
/// from [`Family::on`].
pub(crate) async fn logged_models(
    connection: &impl ConnectionTrait,
    until: Timestamp,
) -> Result<Vec<Deleted>, DbErr> {
    let rows = model::Entity::find()
        .filter(model_is_deleted(until))
        .order_by_asc(model::Column::ModelId)
        .all(connection)
        .await?;
    let deleted = |row: model::Model| Deleted {
        id: row.model_id,
        name: row.name,
        experiment_id: ExperimentId(row.experiment_id),
        artifact_uri: row.artifact_location,
        deleted_at: Some(Timestamp::from_millis(row.last_updated_timestamp_ms)),
    };
    Ok(rows.into_iter().map(deleted).collect())
}

/// Returns the versions of registered models that are there: name, number, run, source, storage location.
pub(crate) async fn versions(connection: &impl ConnectionTrait) -> Result<Vec<version::Model>, DbErr> {
    version::Entity::find()
        .filter(version::Column::CurrentStage.ne(DELETED))
        .all(connection)
        .await
}

/// Returns those that are deleted still, in the order of their ids, and keeps others from restoring them until the
/// transaction ends.
pub(crate) async fn lock_deleted(
    transaction: &DatabaseTransaction,
    family: Family,
    kind: DeletedKind,
    ids: &[&str],
) -> Result<Vec<String>, DbErr> {
    let ever = Timestamp::from_millis(i64::MAX);
    let backend = transaction.get_database_backend();
    match kind {
        DeletedKind::Experiment => Ok(Vec::new()),
        DeletedKind::Run => {
            let mut select = run::Entity::find()
                .select_only()
                .column(run::Column::RunUuid)
                .filter(run::Column::RunUuid.is_in(ids.iter().copied()))
                .filter(run_is_deleted(ever))
                .order_by_asc(run::Column::RunUuid);
            lock_for_update(backend, QueryTrait::query(&mut select));
            select.into_tuple().all(transaction).await
        }
        DeletedKind::LoggedModel => {
            let mut select = model::Entity::find()
                .select_only()
                .column(model::Column::ModelId)
                .filter(model::Column::ModelId.is_in(ids.iter().copied()))
                .filter(model_is_deleted(ever))
                .order_by_asc(model::Column::ModelId);
            lock_for_update(backend, QueryTrait::query(&mut select));
            select.into_tuple().all(&family.on(transaction)).await
        }
    }
}

/// Deletes runs or logged models with all that belongs to them. The caller holds them.
pub(crate) async fn delete(
    transaction: &DatabaseTransaction,
    family: Family,
    kind: DeletedKind,
    ids: &[String],
) -> Result<(), DbErr> {
    match kind {
        DeletedKind::Experiment => Ok(()),
        DeletedKind::Run => delete_runs(transaction, family, ids).await,
        DeletedKind::LoggedModel => delete_logged_models(&family.on(transaction), ids).await,
    }
}

async fn delete_runs(
    transaction: &DatabaseTransaction,
    family: Family,
    run_ids: &[String],
) -> Result<(), DbErr> {
    let beside = family.on(transaction);
    model_metric::Entity::delete_many()
        .filter(model_metric::Column::RunId.is_in(run_ids))
        .exec(&beside)
        .await?;
    input::Entity::delete_many()
        .filter(input::Column::SourceType.is_in(["RUN_INPUT", "RUN_OUTPUT"]))
        .filter(input::Column::SourceId.is_in(run_ids))
        .exec(&beside)
        .await?;
    let of_runs = input::Column::DestinationType
        .eq("RUN")
        .and(input::Column::DestinationId.is_in(run_ids));
    delete_links(transaction, of_runs).await?;
    metric::Entity::delete_many()
        .filter(metric::Column::RunUuid.is_in(run_ids))
        .exec(transaction)
        .await?;
    latest_metric::Entity::delete_many()
        .filter(latest_metric::Column::RunUuid.is_in(run_ids))
        .exec(transaction)
        .await?;
    param::Entity::delete_many()
        .filter(param::Column::RunUuid.is_in(run_ids))
        .exec(transaction)
        .await?;
    tag::Entity::delete_many()
        .filter(tag::Column::RunUuid.is_in(run_ids))
        .exec(transaction)
        .await?;
    run::Entity::delete_many()
        .filter(run::Column::RunUuid.is_in(run_ids))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Deletes links from data sets with their tags, which have no foreign key to them.
async fn delete_links(connection: &impl ConnectionTrait, condition: Expr) -> Result<(), DbErr> {
    let links = Query::select()
        .column(input::Column::InputUuid)
        .from(input::Entity)
        .and_where(condition.clone())
        .take();
    input_tag::Entity::delete_many()
        .filter(input_tag::Column::InputUuid.in_subquery(links))
        .exec(connection)
        .await?;
    input::Entity::delete_many()
        .filter(condition)
        .exec(connection)
        .await?;
    Ok(())
}

/// The connection comes from [`Family::on`].
async fn delete_logged_models(connection: &impl ConnectionTrait, model_ids: &[String]) -> Result<(), DbErr> {
    model_metric::Entity::delete_many()
        .filter(model_metric::Column::ModelId.is_in(model_ids))
        .exec(connection)
        .await?;
    model_param::Entity::delete_many()
        .filter(model_param::Column::ModelId.is_in(model_ids))
        .exec(connection)
        .await?;
    model_tag::Entity::delete_many()
        .filter(model_tag::Column::ModelId.is_in(model_ids))
        .exec(connection)
        .await?;
    input::Entity::delete_many()
        .filter(input::Column::DestinationType.is_in(["MODEL_INPUT", "MODEL_OUTPUT"]))
        .filter(input::Column::DestinationId.is_in(model_ids))
        .exec(connection)
        .await?;
    model::Entity::delete_many()
        .filter(model::Column::ModelId.is_in(model_ids))
        .exec(connection)
        .await?;
    Ok(())
}

/// Tells whether an experiment has no runs and no logged models.
pub(crate) async fn is_experiment_empty(
    connection: &impl ConnectionTrait,
    family: Family,
    id: ExperimentId,
) -> Result<bool, DbErr> {
    let a_run = run::Entity::find()
        .filter(run::Column::ExperimentId.eq(id.0))
        .one(connection)
        .await?;
    let a_model = model::Entity::find()
        .filter(model::Column::ExperimentId.eq(id.0))
        .one(&family.on(connection))
        .await?;
    Ok(a_run.is_none() && a_model.is_none())
}

/// Deletes an experiment without runs and logged models, with its tags, data sets and traces.
pub(crate) async fn delete_experiment(
    transaction: &DatabaseTransaction,
    id: ExperimentId,
) -> Result<(), DbErr> {
    let datasets = Query::select()
        .column(dataset::Column::DatasetUuid)
        .from(dataset::Entity)
        .and_where(dataset::Column::ExperimentId.eq(id.0))
        .take();
    let of_datasets = input::Column::SourceType
        .eq("DATASET")
        .and(input::Column::SourceId.in_subquery(datasets));
    delete_links(transaction, of_datasets).await?;
    dataset::Entity::delete_many()
        .filter(dataset::Column::ExperimentId.eq(id.0))
        .exec(transaction)
        .await?;
    experiment_tag::Entity::delete_many()
        .filter(experiment_tag::Column::ExperimentId.eq(id.0))
        .exec(transaction)
        .await?;
    // Tables of MLflow's own that hold an experiment back; what belongs to them follows by its foreign keys.
    for table in ["online_scoring_configs", "trace_info"] {
        if SchemaManager::new(transaction).has_table(table).await? {
            let rows = Query::delete()
                .from_table(table)
                .and_where(Expr::col("experiment_id").eq(id.0))
                .take();
            transaction.execute(&rows).await?;
        }
    }
    experiment::Entity::delete_by_id(id.0).exec(transaction).await?;
    Ok(())
}

/// Notes folders to be deleted, each with its owner, whose rows go in the same transaction.
pub(crate) async fn note_files(
    transaction: &DatabaseTransaction,
    folders: &[(String, String)],
) -> Result<(), DbErr> {
    if folders.is_empty() {
        return Ok(());
    }
    let rows = folders.iter().map(|(owner, place)| purged_files::ActiveModel {
        owner: Set(owner.clone()),
        place: Set(place.clone()),
    });
    purged_files::Entity::insert_many(rows)
        .on_conflict(insert_if_absent(&["owner"]))
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Returns the folders that are to be deleted still, each with its owner; none where a database that is read as it is has
/// no notes yet.
pub(crate) async fn noted_files(connection: &DatabaseConnection) -> Result<Vec<(String, String)>, DbErr> {
    if !SchemaManager::new(connection)
        .has_table(purged_files::Entity.table_name())
        .await?
    {
        return Ok(Vec::new());
    }
    let rows = purged_files::Entity::find().all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.owner, row.place)).collect())
}

/// Forgets folders that are deleted.
pub(crate) async fn forget_files(
    connection: &impl ConnectionTrait,
    owners: impl IntoIterator<Item = String>,
) -> Result<(), DbErr> {
    for some in owners
        .into_iter()
        .collect::<Vec<_>>()
        .chunks(super::KEYS_PER_QUERY)
    {
        purged_files::Entity::delete_many()
            .filter(purged_files::Column::Owner.is_in(some))
            .exec(connection)
            .await?;
    }
    Ok(())
}
