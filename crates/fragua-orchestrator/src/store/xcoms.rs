//! The values that tasks hand on.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder};
use serde_json::Value;

use super::{map_column, map_index};
use crate::{Error, InstanceId, Xcom};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "xcoms")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) dag_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) task_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) map_index: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) xcom_key: String,
    pub(crate) value: String,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Xcom {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            task_id: row.task_id,
            map_index: map_index(row.map_index),
            key: row.xcom_key,
            value: serde_json::from_str(&row.value).map_err(|error| Error::corrupt("XCom", error))?,
            at: Timestamp::from_millis(row.created_at),
        })
    }
}

fn of_run(dag_id: &str, run_id: &str) -> Condition {
    Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id))
}

fn of_instance(dag_id: &str, run_id: &str, id: &InstanceId) -> Condition {
    of_run(dag_id, run_id)
        .add(Column::TaskId.eq(&id.task_id))
        .add(Column::MapIndex.eq(map_column(id.map_index)))
}

/// Writes values in place of all that an instance handed on before.
pub(crate) async fn replace(
    connection: &impl ConnectionTrait,
    (dag_id, run_id): (&str, &str),
    id: &InstanceId,
    values: &BTreeMap<String, Value>,
    now: i64,
) -> Result<(), DbErr> {
    remove(connection, (dag_id, run_id), id).await?;
    if values.is_empty() {
        return Ok(());
    }
    let rows = values.iter().map(|(key, value)| {
        let row = Model {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            task_id: id.task_id.clone(),
            map_index: map_column(id.map_index),
            xcom_key: key.clone(),
            value: value.to_string(),
            created_at: now,
        };
        ActiveModel::from(row).reset_all()
    });
    Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn remove(
    connection: &impl ConnectionTrait,
    (dag_id, run_id): (&str, &str),
    id: &InstanceId,
) -> Result<(), DbErr> {
    let these = Entity::delete_many().filter(of_instance(dag_id, run_id, id));
    these.exec(connection).await?;
    Ok(())
}

/// Returns what the tasks of a run handed on, by task, instance and key.
pub(crate) async fn of_dag_run(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<Xcom>, Error> {
    list(connection, of_run(dag_id, run_id)).await
}

/// Returns what one instance handed on, by key.
pub(crate) async fn of_task_instance(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    id: &InstanceId,
) -> Result<Vec<Xcom>, Error> {
    list(connection, of_instance(dag_id, run_id, id)).await
}

async fn list(connection: &impl ConnectionTrait, these: Condition) -> Result<Vec<Xcom>, Error> {
    let rows = Entity::find()
        .filter(these)
        .order_by_asc(Column::TaskId)
        .order_by_asc(Column::MapIndex)
        .order_by_asc(Column::XcomKey)
        .all(connection)
        .await?;
    rows.into_iter().map(Xcom::try_from).collect()
}
