//! What happened to assets, which DAGs it concerns, and which of their runs it started.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

use super::dag_runs;
use crate::AssetEventQuery;
use crate::dag::Dag;

pub(crate) mod event {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "asset_events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) asset: String,
        pub(crate) extra: String,
        pub(crate) source_dag_id: Option<String>,
        pub(crate) source_run_id: Option<String>,
        pub(crate) source_task_id: Option<String>,
        pub(crate) source_map_index: i64,
        pub(crate) happened_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod schedule {
    use sea_orm::entity::prelude::*;

    /// A DAG whose schedule names an asset.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "asset_schedules")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) dag_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) asset: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod outlet {
    use sea_orm::entity::prelude::*;

    /// A task that updates an asset.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "asset_outlets")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) dag_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) task_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) asset: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod delivery {
    use sea_orm::entity::prelude::*;

    /// An event that a DAG is to learn of, with the run that it started.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "asset_deliveries")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) dag_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) event_id: i64,
        pub(crate) run_id: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Keeps which assets a DAG waits for and updates, in place of what it did before; none where it is gone.
pub(crate) async fn put_dag(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    dag: Option<&Dag>,
) -> Result<(), DbErr> {
    schedule::Entity::delete_many()
        .filter(schedule::Column::DagId.eq(dag_id))
        .exec(connection)
        .await?;
    outlet::Entity::delete_many()
        .filter(outlet::Column::DagId.eq(dag_id))
        .exec(connection)
        .await?;
    let Some(dag) = dag else { return Ok(()) };
    let watched = dag
        .assets
        .as_ref()
        .map(|assets| assets.assets())
        .unwrap_or_default();
    let watched: Vec<_> = watched
        .into_iter()
        .map(|asset| schedule::ActiveModel {
            dag_id: Set(dag_id.to_owned()),
            asset: Set(asset.to_owned()),
        })
        .collect();
    let outlets: BTreeSet<(&str, &str)> = dag
        .tasks
        .iter()
        .flat_map(|task| {
            task.outlets
                .iter()
                .map(|asset| (task.task_id.as_str(), asset.as_str()))
        })
        .collect();
    let outlets: Vec<_> = outlets
        .into_iter()
        .map(|(task_id, asset)| outlet::ActiveModel {
            dag_id: Set(dag_id.to_owned()),
            task_id: Set(task_id.to_owned()),
            asset: Set(asset.to_owned()),
        })
        .collect();
    if !watched.is_empty() {
        schedule::Entity::insert_many(watched)
            .exec_without_returning(connection)
            .await?;
    }
    if !outlets.is_empty() {
        outlet::Entity::insert_many(outlets)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Returns the DAGs that wait for an asset and are not paused.
pub(crate) async fn consumers(connection: &impl ConnectionTrait, asset: &str) -> Result<Vec<String>, DbErr> {
    use super::dags::row;
    let joined = schedule::Entity::belongs_to(row::Entity)
        .from(schedule::Column::DagId)
        .to(row::Column::DagId)
        .into();
    schedule::Entity::find()
        .select_only()
        .column(schedule::Column::DagId)
        .join(sea_orm::JoinType::InnerJoin, joined)
        .filter(schedule::Column::Asset.eq(asset))
        .filter(Expr::col((row::Entity, row::Column::IsPaused)).eq(false))
        .filter(Expr::col((row::Entity, row::Column::IsActive)).eq(true))
        .order_by_asc(schedule::Column::DagId)
        .into_tuple()
        .all(connection)
        .await
}

/// Keeps an event. Returns its number.
pub(crate) async fn insert_event(
    connection: &impl ConnectionTrait,
    event: event::Model,
) -> Result<i64, DbErr> {
    let row = event::ActiveModel {
        id: NotSet,
        ..event::ActiveModel::from(event).reset_all()
    };
    Ok(event::Entity::insert(row).exec(connection).await?.last_insert_id)
}

/// Notes that some DAGs are to learn of an event.
pub(crate) async fn deliver(
    connection: &impl ConnectionTrait,
    dag_ids: &[String],
    event_id: i64,
) -> Result<(), DbErr> {
    if dag_ids.is_empty() {
        return Ok(());
    }
    let rows = dag_ids.iter().map(|dag_id| delivery::ActiveModel {
        dag_id: Set(dag_id.clone()),
        event_id: Set(event_id),
        run_id: Set(None),
    });
    delivery::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

async fn events_of(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run: Condition,
) -> Result<Vec<event::Model>, DbErr> {
    let joined = event::Entity::belongs_to(delivery::Entity)
        .from(event::Column::Id)
        .to(delivery::Column::EventId)
        .into();
    event::Entity::find()
        .join(sea_orm::JoinType::InnerJoin, joined)
        .filter(Expr::col((delivery::Entity, delivery::Column::DagId)).eq(dag_id))
        .filter(run)
        .order_by_asc(event::Column::Id)
        .all(connection)
        .await
}

/// Returns the events that started no run of a DAG yet, oldest first.
pub(crate) async fn pending(
    connection: &impl ConnectionTrait,
    dag_id: &str,
) -> Result<Vec<event::Model>, DbErr> {
    let run = Expr::col((delivery::Entity, delivery::Column::RunId)).is_null();
    events_of(connection, dag_id, Condition::all().add(run)).await
}

/// Returns the events that started a run, oldest first.
pub(crate) async fn of_run(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<event::Model>, DbErr> {
    let run = Expr::col((delivery::Entity, delivery::Column::RunId)).eq(run_id);
    events_of(connection, dag_id, Condition::all().add(run)).await
}

/// Notes which run some events started.
pub(crate) async fn consume(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    event_ids: Vec<i64>,
    run_id: &str,
) -> Result<(), DbErr> {
    for event_ids in event_ids.chunks(500) {
        delivery::Entity::update_many()
            .col_expr(delivery::Column::RunId, Expr::value(run_id))
            .filter(delivery::Column::DagId.eq(dag_id))
            .filter(delivery::Column::EventId.is_in(event_ids.iter().copied()))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// Forgets the events that started no run of a DAG yet: of one asset, or of all. Returns how many there were.
pub(crate) async fn forget_pending(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    asset: Option<&str>,
) -> Result<u64, DbErr> {
    let events = pending(connection, dag_id).await?;
    let ids = events
        .into_iter()
        .filter(|event| asset.is_none_or(|asset| event.asset == asset))
        .map(|event| event.id);
    let deleted = delivery::Entity::delete_many()
        .filter(delivery::Column::DagId.eq(dag_id))
        .filter(delivery::Column::RunId.is_null())
        .filter(delivery::Column::EventId.is_in(ids))
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected)
}

/// Returns events, newest first.
pub(crate) async fn events(
    connection: &impl ConnectionTrait,
    query: &AssetEventQuery,
) -> Result<Vec<event::Model>, DbErr> {
    let limit = if query.limit == 0 { 50 } else { query.limit };
    let equals = |column: event::Column, value: &Option<String>| value.as_ref().map(|value| column.eq(value));
    let these = Condition::all()
        .add_option(equals(event::Column::Asset, &query.asset))
        .add_option(equals(event::Column::SourceDagId, &query.source_dag_id))
        .add_option(equals(event::Column::SourceTaskId, &query.source_task_id));
    event::Entity::find()
        .filter(these)
        .order_by_desc(event::Column::Id)
        .limit(Ord::min(limit, 1000))
        .offset(query.offset)
        .all(connection)
        .await
}

/// Returns the runs that some events started, each with the number of the event, oldest first.
pub(crate) async fn runs_of_events(
    connection: &impl ConnectionTrait,
    event_ids: &[i64],
) -> Result<Vec<(i64, dag_runs::Model)>, DbErr> {
    let joined = dag_runs::Entity::belongs_to(delivery::Entity)
        .from((dag_runs::Column::DagId, dag_runs::Column::RunId))
        .to((delivery::Column::DagId, delivery::Column::RunId))
        .into();
    let rows = dag_runs::Entity::find()
        .join(sea_orm::JoinType::InnerJoin, joined)
        .select_also(delivery::Entity)
        .filter(delivery::Column::EventId.is_in(event_ids.iter().copied()))
        .order_by_asc(dag_runs::Column::RunAfter)
        .order_by_asc(dag_runs::Column::DagId)
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(run, delivery)| Some((delivery?.event_id, run)))
        .collect())
}

/// What is known of an asset: (DAG, task) pairs that update it, DAGs that wait for it, and its newest event.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) producers: Vec<(String, String)>,
    pub(crate) consumers: Vec<String>,
    pub(crate) last_event_at: Option<i64>,
}

/// Returns every asset that a DAG names or that something happened to, by name.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<BTreeMap<String, Known>, DbErr> {
    let mut all: BTreeMap<String, Known> = BTreeMap::new();
    for row in outlet::Entity::find().all(connection).await? {
        let known = all.entry(row.asset).or_default();
        known.producers.push((row.dag_id, row.task_id));
    }
    for row in schedule::Entity::find().all(connection).await? {
        all.entry(row.asset).or_default().consumers.push(row.dag_id);
    }
    let newest: Vec<(String, Option<i64>)> = event::Entity::find()
        .select_only()
        .column(event::Column::Asset)
        .column_as(event::Column::HappenedAt.max(), "newest")
        .group_by(event::Column::Asset)
        .into_tuple()
        .all(connection)
        .await?;
    for (asset, at) in newest {
        all.entry(asset).or_default().last_event_at = at;
    }
    Ok(all)
}
