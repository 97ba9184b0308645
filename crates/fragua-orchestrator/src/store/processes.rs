//! Schedulers and workers.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryOrder, QuerySelect};

/// The kind of a worker.
pub(crate) const WORKER: &str = "worker";

/// The kind of a scheduler.
pub(crate) const SCHEDULER: &str = "scheduler";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "processes")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) kind: String,
    /// Names the work folder that a worker holds the lock of.
    pub(crate) home: String,
    pub(crate) process_id: i64,
    pub(crate) started_at: i64,
    pub(crate) heartbeat_at: i64,
    pub(crate) ended_at: Option<i64>,
    /// The queues that a worker listens to, as JSON; all where there is nothing.
    pub(crate) queues: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) slots: Option<i64>,
    /// Whether it is a worker that came over HTTP: one or nothing.
    pub(crate) remote: Option<i64>,
}

impl Model {
    /// Returns a process of this kind that begins now, here.
    pub(crate) fn beginning(kind: &str, now: i64) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            kind: kind.to_owned(),
            home: String::new(),
            process_id: i64::from(std::process::id()),
            started_at: now,
            heartbeat_at: now,
            ended_at: None,
            queues: None,
            name: None,
            host: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            slots: None,
            remote: None,
        }
    }

    /// Returns the queues that a worker listens to; all when empty.
    pub(crate) fn queues(&self) -> Vec<String> {
        let queues = self.queues.as_deref().unwrap_or("[]");
        serde_json::from_str(queues).unwrap_or_default()
    }

    pub(crate) fn listens_to(&self, queue: &str) -> bool {
        let queues = self.queues();
        queues.is_empty() || queues.iter().any(|listened| listened == queue)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn insert(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(ActiveModel::from(row).reset_all())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.to_owned()).one(connection).await
}

/// Notes that a process was heard of. Returns whether it is known and has not ended.
pub(crate) async fn heartbeat(connection: &impl ConnectionTrait, id: &str, at: i64) -> Result<bool, DbErr> {
    let change = ActiveModel {
        heartbeat_at: Set(at),
        ..Default::default()
    };
    let written = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(id))
        .filter(Column::EndedAt.is_null())
        .exec(connection)
        .await?;
    Ok(written.rows_affected > 0)
}

pub(crate) async fn end(connection: &impl ConnectionTrait, ids: &[String], at: i64) -> Result<(), DbErr> {
    let change = ActiveModel {
        ended_at: Set(Some(at)),
        ..Default::default()
    };
    Entity::update_many()
        .set(change)
        .filter(Column::Id.is_in(ids.iter().map(String::as_str)))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the workers of a home that have not said that they ended.
pub(crate) async fn unended_workers(
    connection: &impl ConnectionTrait,
    home: &str,
) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Kind.eq(WORKER))
        .filter(Column::Home.eq(home))
        .filter(Column::EndedAt.is_null())
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the workers that were heard of since an instant.
pub(crate) async fn live_workers(connection: &impl ConnectionTrait, since: i64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Kind.eq(WORKER))
        .filter(Column::EndedAt.is_null())
        .filter(Column::HeartbeatAt.gte(since))
        .all(connection)
        .await
}

/// Returns the process of a kind that was heard of last.
pub(crate) async fn newest(connection: &impl ConnectionTrait, kind: &str) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::Kind.eq(kind))
        .filter(Column::EndedAt.is_null())
        .order_by_desc(Column::HeartbeatAt)
        .one(connection)
        .await
}
