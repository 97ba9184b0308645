//! Who changed what.

use fragua_base::Timestamp;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

use super::millis;
use crate::{AuditEntry, Error};

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

/// Returns entries, newest first: of one DAG, or of all.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    dag_id: Option<&str>,
    limit: u64,
    offset: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Condition::all().add_option(dag_id.map(|dag_id| Column::DagId.eq(dag_id))))
        .order_by_desc(Column::Id)
        .limit(limit)
        .offset(offset)
        .all(connection)
        .await
}
