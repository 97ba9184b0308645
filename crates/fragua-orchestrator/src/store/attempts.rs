//! Attempts.

use std::time::Duration;

use fragua_base::Timestamp;
use fragua_database::dialect;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder};

use super::{count, instant};
use crate::exec::spec::Usage;
use crate::{Attempt, AttemptState, Error};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) task_instance: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i64,
    pub(crate) token: String,
    pub(crate) process: String,
    pub(crate) state: String,
    pub(crate) started_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) process_id: Option<i64>,
    pub(crate) process_start: Option<i64>,
    pub(crate) peak_memory_bytes: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) exit_status: Option<i64>,
    pub(crate) exit_signal: Option<i64>,
    pub(crate) cpu_millis: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Attempt {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            state: AttemptState::parse(&row.state).ok_or_else(|| Error::corrupt("attempt", &row.state))?,
            number: count(row.number),
            started_at: Timestamp::from_millis(row.started_at),
            ended_at: instant(row.ended_at),
            process_id: row
                .process_id
                .and_then(|process_id| u32::try_from(process_id).ok()),
            peak_memory_bytes: row.peak_memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            message: row.message,
            exit_status: row.exit_status.and_then(|status| i32::try_from(status).ok()),
            exit_signal: row.exit_signal.and_then(|signal| i32::try_from(signal).ok()),
            cpu_time: row
                .cpu_millis
                .and_then(|millis| Some(Duration::from_millis(u64::try_from(millis).ok()?))),
        })
    }
}

/// Writes an attempt; one that a sensor goes on with takes the place of itself.
pub(crate) async fn put(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    let columns = [
        "token",
        "process",
        "state",
        "ended_at",
        "process_id",
        "process_start",
        "message",
    ];
    Entity::insert(ActiveModel::from(row).reset_all())
        .on_conflict(dialect::upsert(&["task_instance", "number"], &columns))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn of_task(
    connection: &impl ConnectionTrait,
    task_instance: &str,
) -> Result<Vec<Model>, DbErr> {
    let of_task = Entity::find().filter(Column::TaskInstance.eq(task_instance));
    of_task.order_by_asc(Column::Number).all(connection).await
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    task_instance: &str,
    number: u32,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((task_instance.to_owned(), i64::from(number)))
        .one(connection)
        .await
}

/// Returns the attempt that a token was made for.
pub(crate) async fn find_by_token(
    connection: &impl ConnectionTrait,
    task_instance: &str,
    token: &str,
) -> Result<Option<Model>, DbErr> {
    let of_task = Entity::find().filter(Column::TaskInstance.eq(task_instance));
    of_task.filter(Column::Token.eq(token)).one(connection).await
}

/// Notes which process an attempt is, with the instant it started in the kernel's count.
pub(crate) async fn set_process(
    connection: &impl ConnectionTrait,
    task_instance: &str,
    token: &str,
    process_id: u32,
    process_start: Option<i64>,
) -> Result<(), DbErr> {
    let change = ActiveModel {
        process_id: Set(Some(i64::from(process_id))),
        process_start: Set(process_start),
        ..Default::default()
    };
    let this = Condition::all()
        .add(Column::TaskInstance.eq(task_instance))
        .add(Column::Token.eq(token));
    Entity::update_many()
        .set(change)
        .filter(this)
        .exec(connection)
        .await?;
    Ok(())
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) state: AttemptState,
    pub(crate) at: i64,
    pub(crate) usage: Usage,
    pub(crate) message: Option<String>,
}

pub(crate) async fn end(
    connection: &impl ConnectionTrait,
    task_instance: &str,
    token: &str,
    ended: Ended,
) -> Result<(), DbErr> {
    let usage = ended.usage;
    let number = |measured: Option<u64>| measured.and_then(|measured| i64::try_from(measured).ok());
    let change = ActiveModel {
        state: Set(ended.state.as_str().to_owned()),
        ended_at: Set(Some(ended.at)),
        peak_memory_bytes: Set(number(usage.peak_memory_bytes)),
        cpu_millis: Set(number(usage.cpu_millis)),
        exit_status: Set(usage.exit_status.map(i64::from)),
        exit_signal: Set(usage.exit_signal.map(i64::from)),
        message: Set(ended.message),
        ..Default::default()
    };
    let this = Condition::all()
        .add(Column::TaskInstance.eq(task_instance))
        .add(Column::Token.eq(token))
        .add(Column::State.eq(AttemptState::Running.as_str()));
    Entity::update_many()
        .set(change)
        .filter(this)
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the attempts that these workers left unfinished.
pub(crate) async fn running_of(
    connection: &impl ConnectionTrait,
    processes: &[String],
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Process.is_in(processes.iter().map(String::as_str)))
        .filter(Column::State.eq(AttemptState::Running.as_str()))
        .all(connection)
        .await
}
