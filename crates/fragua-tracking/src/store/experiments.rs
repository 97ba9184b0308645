//! Experiments in the database.

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::upsert;
use fragua_database::{Database, Engine, Ready, Row, Statements};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, QuerySelect, QueryTrait, Select, entity::prelude::*,
};

use super::entities::experiments::{experiment, tag};
use super::{id, page, text, time};
use crate::Error;
use crate::experiments::{Experiment, ExperimentId, LifecycleStage, ViewType};
use crate::runs::Tag;
use crate::search::{Plan, sql};

const DEFAULT_NAME: &str = "Default";

/// Makes the experiment 0 in a database without experiments.
pub(crate) async fn ensure_default(database: &Database, now: Timestamp) -> Result<(), Error> {
    if experiment::Entity::find().one(database.reader()).await?.is_some() {
        return Ok(());
    }
    let transaction = database.begin().await?;
    let row = experiment::ActiveModel {
        experiment_id: if database.engine() == Engine::MySql {
            sea_orm::ActiveValue::NotSet
        } else {
            Set(0)
        },
        artifact_location: Set(Some("mlflow-artifacts:/0".to_owned())),
        ..new(DEFAULT_NAME, now)
    };
    let inserted = experiment::Entity::insert(row)
        .exec_without_returning(&transaction)
        .await;
    match inserted.map_err(Error::from) {
        // Another process that starts made it.
        Err(Error::Database(fragua_database::Error::Unique { .. })) => return Ok(()),
        inserted => inserted?,
    };
    if database.engine() == Engine::MySql {
        // There an inserted 0 means "the next number".
        experiment::Entity::update_many()
            .col_expr(experiment::Column::ExperimentId, Expr::val(0))
            .filter(experiment::Column::Name.eq(DEFAULT_NAME))
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await?;
    if database.engine() == Engine::MySql {
        // The number given up goes to the next experiment: the counter falls back to what the table holds.
        database
            .writer()
            .execute_unprepared("ALTER TABLE experiments AUTO_INCREMENT = 1")
            .await?;
    }
    Ok(())
}

fn new(name: &str, now: Timestamp) -> experiment::ActiveModel {
    experiment::ActiveModel {
        name: Set(name.to_owned()),
        lifecycle_stage: Set(Some(LifecycleStage::Active.as_str().to_owned())),
        creation_time: Set(Some(now.as_millis())),
        last_update_time: Set(Some(now.as_millis())),
        ..Default::default()
    }
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    name: &str,
    now: Timestamp,
) -> Result<ExperimentId, Error> {
    let inserted = experiment::Entity::insert(new(name, now)).exec(connection).await;
    match inserted.map_err(Error::from) {
        // Another process took the name since it was looked for.
        Err(Error::Database(fragua_database::Error::Unique { .. })) => Err(Error::AlreadyExists(format!(
            "Experiment(name={name}) already exists."
        ))),
        inserted => Ok(ExperimentId(inserted?.last_insert_id)),
    }
}

pub(crate) async fn set_location(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    location: &str,
) -> Result<(), DbErr> {
    experiment::Entity::update_many()
        .col_expr(experiment::Column::ArtifactLocation, Expr::val(location))
        .filter(experiment::Column::ExperimentId.eq(id.0))
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn rename(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    name: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    experiment::Entity::update_many()
        .col_expr(experiment::Column::Name, Expr::val(name))
        .col_expr(experiment::Column::LastUpdateTime, Expr::val(now.as_millis()))
        .filter(experiment::Column::ExperimentId.eq(id.0))
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_lifecycle(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    stage: LifecycleStage,
    now: Timestamp,
) -> Result<(), DbErr> {
    experiment::Entity::update_many()
        .col_expr(experiment::Column::LifecycleStage, Expr::val(stage.as_str()))
        .col_expr(experiment::Column::LastUpdateTime, Expr::val(now.as_millis()))
        .filter(experiment::Column::ExperimentId.eq(id.0))
        .exec(connection)
        .await?;
    Ok(())
}

/// A selection of what [`read`] reads.
fn select() -> Select<experiment::Entity> {
    experiment::Entity::find().select_only().columns([
        experiment::Column::ExperimentId,
        experiment::Column::Name,
        experiment::Column::ArtifactLocation,
        experiment::Column::LifecycleStage,
        experiment::Column::CreationTime,
        experiment::Column::LastUpdateTime,
    ])
}

fn read(row: &Row<'_>) -> Result<Experiment, DbErr> {
    Ok(Experiment {
        id: id(row, 0)?,
        name: text(row, 1)?,
        artifact_location: text(row, 2)?,
        lifecycle_stage: LifecycleStage::from_stored(row.text(3)?.as_deref()),
        created_at: time(row.integer(4)?),
        updated_at: time(row.integer(5)?),
        tags: Vec::new(),
    })
}

pub(crate) async fn find(
    connection: &impl Statements,
    id: ExperimentId,
) -> Result<Option<Experiment>, DbErr> {
    let found = find_without_tags(connection, id).await?;
    Ok(with_tags(connection, found.into_iter().collect()).await?.pop())
}

pub(crate) async fn find_without_tags(
    connection: &impl Statements,
    id: ExperimentId,
) -> Result<Option<Experiment>, DbErr> {
    static FIND: Ready = Ready::new(|backend| {
        let select = select().filter(experiment::Column::ExperimentId.eq(0));
        backend.build(&select.into_query())
    });
    let find = FIND.with(connection.backend(), [id.0.into()]);
    Ok(connection.rows_of(find, read).await?.pop())
}

pub(crate) async fn find_by_name(
    connection: &impl Statements,
    name: &str,
) -> Result<Option<Experiment>, DbErr> {
    let select = select().filter(experiment::Column::Name.eq(name));
    let found = connection.rows(&select.into_query(), read).await?;
    Ok(with_tags(connection, found).await?.pop())
}

pub(crate) async fn search(
    connection: &impl Statements,
    engine: Engine,
    plan: &Plan,
    view: ViewType,
) -> Result<Page<Experiment>, DbErr> {
    let mut select = select().filter(experiment::Column::LifecycleStage.is_in(view.stages().iter().copied()));
    sql::apply(QueryTrait::query(&mut select), plan, engine);
    let found = page(plan, connection.rows(&select.into_query(), read).await?);
    Ok(Page {
        items: with_tags(connection, found.items).await?,
        next: found.next,
    })
}

/// Returns where the experiments keep their artifacts.
pub(crate) async fn locations(connection: &impl Statements) -> Result<Vec<String>, DbErr> {
    let select = experiment::Entity::find()
        .select_only()
        .column(experiment::Column::ArtifactLocation);
    connection.rows(&select.into_query(), |row| text(row, 0)).await
}

/// Returns whether an MLflow server that kept artifacts made an experiment, or the one that is meant: it is older than
/// our first migration.
pub(crate) async fn has_artifacts_of_mlflow(
    connection: &impl Statements,
    meant: Option<ExperimentId>,
) -> Result<bool, DbErr> {
    let first = Query::select()
        .expr(Expr::col("applied_at").min())
        .from("fragua_tracking_migrations")
        .take();
    let first = connection.rows(&first, |row| row.integer(0)).await?;
    let Some(first) = first.into_iter().flatten().next() else {
        return Ok(false);
    };
    let made = experiment::Column::CreationTime;
    let select = experiment::Entity::find()
        .select_only()
        .column(experiment::Column::ExperimentId)
        .filter(experiment::Column::ArtifactLocation.starts_with("mlflow-artifacts:"))
        .filter(made.lt(first).or(made.is_null()))
        .apply_if(meant, |select, meant| {
            select.filter(experiment::Column::ExperimentId.eq(meant.0))
        })
        .limit(1);
    let found = connection.rows(&select.into_query(), |row| id(row, 0)).await?;
    Ok(!found.is_empty())
}

async fn with_tags(
    connection: &impl Statements,
    mut experiments: Vec<Experiment>,
) -> Result<Vec<Experiment>, DbErr> {
    for some in experiments.chunks_mut(super::KEYS_PER_QUERY) {
        let mut tags: HashMap<ExperimentId, Vec<Tag>> = HashMap::new();
        let select = tag::Entity::find()
            .select_only()
            .columns([tag::Column::ExperimentId, tag::Column::Key, tag::Column::Value])
            .filter(tag::Column::ExperimentId.is_in(some.iter().map(|experiment| experiment.id.0)));
        let keep = |row: &Row<'_>| {
            let tag = Tag::new(text(row, 1)?, text(row, 2)?);
            tags.entry(id(row, 0)?).or_default().push(tag);
            Ok(())
        };
        connection.each_row(&select.into_query(), keep).await?;
        for experiment in some {
            experiment.tags = tags.remove(&experiment.id).unwrap_or_default();
            experiment.tags.sort_by(|one, other| one.key.cmp(&other.key));
        }
    }
    Ok(experiments)
}

pub(crate) async fn upsert_tags(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    tags: &[Tag],
) -> Result<(), DbErr> {
    let tags = super::last_of_each(tags, |tag| &tag.key);
    if tags.is_empty() {
        return Ok(());
    }
    let rows = tags.into_iter().map(|tag| tag::ActiveModel {
        key: Set(tag.key.clone()),
        value: Set(Some(tag.value.clone())),
        experiment_id: Set(id.0),
    });
    tag::Entity::insert_many(rows)
        .on_conflict(upsert(&["key", "experiment_id"], &["value"]))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_tag(
    connection: &impl ConnectionTrait,
    id: ExperimentId,
    key: &str,
) -> Result<bool, DbErr> {
    let deleted = tag::Entity::delete_by_id((key.to_owned(), id.0))
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected > 0)
}
