//! What was marked deleted, and how it goes for good.

use fragua_base::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryOrder, entity::prelude::*};

use super::Family;
use super::entities::experiments::{experiment, tag as experiment_tag};
use super::entities::inputs::{dataset, input, input_tag, model_link};
use super::entities::registry::version;
use super::entities::runs::{latest_metric, metric, param, run, tag};
use super::entities::{logged_models, runs};
use super::versions::DELETED;
use crate::experiments::{ExperimentId, LifecycleStage};
use crate::purge::{DeletedExperiment, DeletedModel, DeletedRun};

/// Which of what is deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// What was deleted later stays.
    pub(crate) deleted_until: Timestamp,
    pub(crate) experiment: Option<ExperimentId>,
}

const DELETED_STAGE: &str = LifecycleStage::Deleted.as_str();

/// Returns the deleted experiments.
pub(crate) async fn experiments(
    connection: &impl ConnectionTrait,
    scope: Scope,
) -> Result<Vec<DeletedExperiment>, DbErr> {
    let until = scope.deleted_until.as_millis();
    let mut select = experiment::Entity::find()
        .filter(experiment::Column::LifecycleStage.eq(DELETED_STAGE))
        .filter(
            experiment::Column::LastUpdateTime
                .lte(until)
                .or(experiment::Column::LastUpdateTime.is_null()),
        )
        .order_by_asc(experiment::Column::ExperimentId);
    if let Some(id) = scope.experiment {
        select = select.filter(experiment::Column::ExperimentId.eq(id.0));
    }
    let rows = select.all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| DeletedExperiment {
            id: ExperimentId(row.experiment_id),
            name: row.name,
        })
        .collect())
}

/// Returns the deleted runs, and all runs of the experiments that go.
pub(crate) async fn runs(
    connection: &impl ConnectionTrait,
    scope: Scope,
    gone: &[ExperimentId],
) -> Result<Vec<DeletedRun>, DbErr> {
    let until = scope.deleted_until.as_millis();
    let deleted = run::Column::LifecycleStage.eq(DELETED_STAGE).and(
        run::Column::DeletedTime
            .lte(until)
            .or(run::Column::DeletedTime.is_null()),
    );
    let mut select = run::Entity::find()
        .filter(deleted.or(run::Column::ExperimentId.is_in(gone.iter().map(|id| id.0))))
        .order_by_asc(run::Column::RunUuid);
    if let Some(id) = scope.experiment {
        select = select.filter(run::Column::ExperimentId.eq(id.0));
    }
    let rows = select.all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| DeletedRun {
            run_id: row.run_uuid,
            name: row.name.unwrap_or_default(),
            experiment_id: ExperimentId(row.experiment_id.unwrap_or(0)),
            artifact_uri: row.artifact_uri.unwrap_or_default(),
        })
        .collect())
}

/// Returns the deleted logged models, and all of the experiments that go. The connection comes from [`Family::on`].
pub(crate) async fn logged_models(
    connection: &impl ConnectionTrait,
    scope: Scope,
    gone: &[ExperimentId],
) -> Result<Vec<DeletedModel>, DbErr> {
    use logged_models::model::{Column, Entity};
    let deleted = Column::LifecycleStage
        .eq(DELETED_STAGE)
        .and(Column::LastUpdatedTimestampMs.lte(scope.deleted_until.as_millis()));
    let mut select = Entity::find()
        .filter(deleted.or(Column::ExperimentId.is_in(gone.iter().map(|id| id.0))))
        .order_by_asc(Column::ModelId);
    if let Some(id) = scope.experiment {
        select = select.filter(Column::ExperimentId.eq(id.0));
    }
    let rows = select.all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| DeletedModel {
            model_id: row.model_id,
            name: row.name,
            experiment_id: ExperimentId(row.experiment_id),
            artifact_uri: row.artifact_location,
        })
        .collect())
}

/// Returns the versions of registered models that are there: name, number, run, source, storage location.
pub(crate) async fn versions(connection: &impl ConnectionTrait) -> Result<Vec<version::Model>, DbErr> {
    version::Entity::find()
        .filter(version::Column::CurrentStage.ne(DELETED))
        .order_by_asc(version::Column::Name)
        .order_by_asc(version::Column::Version)
        .all(connection)
        .await
}

/// Deletes a run with all that belongs to it. The caller holds it.
pub(crate) async fn delete_run(
    connection: &impl ConnectionTrait,
    family: Family,
    run_id: &str,
) -> Result<(), DbErr> {
    let beside = family.on(connection);
    logged_models::metric::Entity::delete_many()
        .filter(logged_models::metric::Column::RunId.eq(run_id))
        .exec(&beside)
        .await?;
    model_link::Entity::delete_many()
        .filter(model_link::Column::SourceType.is_in(["RUN_INPUT", "RUN_OUTPUT"]))
        .filter(model_link::Column::SourceId.eq(run_id))
        .exec(&beside)
        .await?;
    let of_run = || {
        input::Column::DestinationType
            .eq("RUN")
            .and(input::Column::DestinationId.eq(run_id))
    };
    let links = links_where(of_run());
    delete_links(connection, links, of_run()).await?;
    metric::Entity::delete_many()
        .filter(metric::Column::RunUuid.eq(run_id))
        .exec(connection)
        .await?;
    latest_metric::Entity::delete_many()
        .filter(latest_metric::Column::RunUuid.eq(run_id))
        .exec(connection)
        .await?;
    param::Entity::delete_many()
        .filter(param::Column::RunUuid.eq(run_id))
        .exec(connection)
        .await?;
    tag::Entity::delete_many()
        .filter(tag::Column::RunUuid.eq(run_id))
        .exec(connection)
        .await?;
    runs::run::Entity::delete_by_id(run_id).exec(connection).await?;
    Ok(())
}

fn links_where(condition: Expr) -> SelectStatement {
    Query::select()
        .column(input::Column::InputUuid)
        .from(input::Entity)
        .and_where(condition)
        .take()
}

/// The tags of a link have no foreign key to it.
async fn delete_links(
    connection: &impl ConnectionTrait,
    links: SelectStatement,
    condition: Expr,
) -> Result<(), DbErr> {
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

/// Deletes a logged model with all that belongs to it. The connection comes from
/// [`Family::on`].
pub(crate) async fn delete_logged_model(
    connection: &impl ConnectionTrait,
    model_id: &str,
) -> Result<(), DbErr> {
    use logged_models::{metric, model, param, tag};
    metric::Entity::delete_many()
        .filter(metric::Column::ModelId.eq(model_id))
        .exec(connection)
        .await?;
    param::Entity::delete_many()
        .filter(param::Column::ModelId.eq(model_id))
        .exec(connection)
        .await?;
    tag::Entity::delete_many()
        .filter(tag::Column::ModelId.eq(model_id))
        .exec(connection)
        .await?;
    model_link::Entity::delete_many()
        .filter(model_link::Column::DestinationType.is_in(["MODEL_INPUT", "MODEL_OUTPUT"]))
        .filter(model_link::Column::DestinationId.eq(model_id))
        .exec(connection)
        .await?;
    model::Entity::delete_by_id(model_id).exec(connection).await?;
    Ok(())
}

/// Tells whether a logged model is deleted. The connection comes from [`Family::on`].
pub(crate) async fn is_model_deleted(
    connection: &impl ConnectionTrait,
    model_id: &str,
) -> Result<bool, DbErr> {
    use logged_models::model;
    let found = model::Entity::find_by_id(model_id).one(connection).await?;
    Ok(found.is_some_and(|row| row.lifecycle_stage.as_deref() == Some(DELETED_STAGE)))
}

/// Tells whether an experiment has runs or logged models.
pub(crate) async fn is_experiment_empty(
    connection: &impl ConnectionTrait,
    family: Family,
    id: ExperimentId,
) -> Result<bool, DbErr> {
    use logged_models::model;
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
    connection: &impl ConnectionTrait,
    id: ExperimentId,
) -> Result<(), DbErr> {
    let datasets = || {
        Query::select()
            .column(dataset::Column::DatasetUuid)
            .from(dataset::Entity)
            .and_where(dataset::Column::ExperimentId.eq(id.0))
            .take()
    };
    let of_datasets = || {
        input::Column::SourceType
            .eq("DATASET")
            .and(Expr::col(input::Column::SourceId).in_subquery(datasets()))
    };
    delete_links(connection, links_where(of_datasets()), of_datasets()).await?;
    dataset::Entity::delete_many()
        .filter(dataset::Column::ExperimentId.eq(id.0))
        .exec(connection)
        .await?;
    experiment_tag::Entity::delete_many()
        .filter(experiment_tag::Column::ExperimentId.eq(id.0))
        .exec(connection)
        .await?;
    // MLflow's traces; what belongs to them follows by its foreign keys.
    let traces = Query::delete()
        .from_table("trace_info")
        .and_where(Expr::col("experiment_id").eq(id.0))
        .take();
    connection.execute(&traces).await?;
    experiment::Entity::delete_by_id(id.0).exec(connection).await?;
    Ok(())
}
