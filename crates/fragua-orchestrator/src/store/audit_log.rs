//! Who changed what.

use fragua_base::Timestamp;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

use super::millis;
use crate::{AuditEntry, AuditQuery, Error};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) happened_at: i64,
    pub(crate) event: String,
    pub(crate) dag_id: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) owner: String,
    pub(crate) extra: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for AuditEntry {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            at: Timestamp::from_millis(row.happened_at),
            event: row.event,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            owner: row.owner,
            extra: serde_json::from_str(&row.extra).map_err(|error| Error::corrupt("audit entry", error))?,
        })
    }
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, entry: AuditEntry) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: NotSet,
        happened_at: Set(millis(entry.at)),
        event: Set(entry.event),
        dag_id: Set(entry.dag_id),
        run_id: Set(entry.run_id),
        task_id: Set(entry.task_id),
        owner: Set(entry.owner),
        extra: Set(entry.extra.to_string()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Returns when an event of a DAG happened last.
pub(crate) async fn newest(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    event: &str,
) -> Result<Option<i64>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::HappenedAt)
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::Event.eq(event))
        .order_by_desc(Column::Id)
        .into_tuple()
        .one(connection)
        .await
}

/// Returns the entries that a query asks for, newest first.
pub(crate) async fn list(connection: &impl ConnectionTrait, query: &AuditQuery) -> Result<Vec<Model>, DbErr> {
    let equal =
        |column: Column, value: &Option<String>| value.as_ref().map(|value| column.eq(value.as_str()));
    let event = query.event.as_ref();
    Entity::find()
        .filter(
            Condition::all()
                .add_option(equal(Column::DagId, &query.dag_id))
                .add_option(equal(Column::RunId, &query.run_id))
                .add_option(equal(Column::Owner, &query.owner))
                .add_option(event.map(|event| Column::Event.starts_with(event.as_str()))),
        )
        .order_by_desc(Column::Id)
        .limit(query.limit.min(1000))
        .offset(query.offset)
        .all(connection)
        .await
}
