//! Events that are still to be sent.
//!
//! A row is written in the transaction of the change that it tells, one for each webhook, and goes once the webhook has
//! taken it.

use std::time::Duration;

use fragua_base::{Timestamp, random_hex};
use fragua_database::{Database, Statements};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ExprTrait as _, QueryOrder, QuerySelect, QueryTrait as _,
    entity::prelude::*,
};

use super::garbage::BATCH;
use crate::Error;
use crate::events::{ObjectEvent, Telling, record};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_object_events")]
pub(crate) struct Model {
    /// Counts up: of two events of one key the later one has the greater.
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// Names the message to its receiver, however often it is sent.
    pub(crate) delivery_id: String,
    /// The name of the webhook.
    pub(crate) webhook: String,
    /// The event as JSON.
    pub(crate) record: String,
    pub(crate) created_at: i64,
    /// How often it was sent.
    pub(crate) tries: i32,
    /// When it may be sent next.
    pub(crate) due_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Notes events for those who are told of them.
pub(crate) async fn add(
    connection: &impl Statements,
    telling: &Telling,
    events: &[ObjectEvent],
) -> Result<(), Error> {
    let row = |event: &ObjectEvent, webhook: &str, configuration: &str| ActiveModel {
        id: NotSet,
        delivery_id: Set(random_hex(16)),
        webhook: Set(webhook.to_owned()),
        record: Set(record(event, configuration).to_string()),
        created_at: Set(event.at.as_millis()),
        tries: Set(0),
        due_at: Set(event.at.as_millis()),
    };
    let rows: Vec<ActiveModel> = events
        .iter()
        .flat_map(|event| {
            let receivers = telling.receivers(event);
            receivers.map(move |(webhook, target)| row(event, webhook, &target.id))
        })
        .collect();
    for batch in rows.chunks(BATCH) {
        let insert = Entity::insert_many(batch.iter().cloned());
        connection.execute(&insert.into_query()).await?;
    }
    Ok(())
}

/// Returns the events that may be sent to a webhook for the longest time, in the order of the index.
pub(crate) async fn due(
    database: &Database,
    webhook: &str,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Model>, Error> {
    let rows = Entity::find()
        .filter(Column::Webhook.eq(webhook))
        .filter(Column::DueAt.lte(now.as_millis()))
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .limit(limit)
        .all(database.reader())
        .await?;
    Ok(rows)
}

/// Returns when something may be sent to a webhook next.
pub(crate) async fn next_due(database: &Database, webhook: &str) -> Result<Option<Timestamp>, Error> {
    let next: Option<Option<i64>> = Entity::find()
        .select_only()
        .column_as(Column::DueAt.min(), "next")
        .filter(Column::Webhook.eq(webhook))
        .into_tuple()
        .one(database.reader())
        .await?;
    Ok(next.flatten().map(Timestamp::from_millis))
}

/// Takes an event to send it once more. Nobody else sends it until `until`. Returns whether it is still to be sent and
/// nobody else took it.
pub(crate) async fn claim(database: &Database, row: &Model, until: Timestamp) -> Result<bool, Error> {
    let claimed = Entity::update_many()
        .col_expr(Column::DueAt, until.as_millis().into())
        .col_expr(Column::Tries, (row.tries + 1).into())
        .filter(Column::Id.eq(row.id))
        .filter(Column::Tries.eq(row.tries))
        .exec(database.writer())
        .await?;
    Ok(claimed.rows_affected == 1)
}

/// Puts an event off that was claimed, unless it was claimed once more since, and later ones that were not.
pub(crate) async fn put_off(
    database: &Database,
    claimed: &Model,
    later: &[Model],
    until: Timestamp,
) -> Result<(), Error> {
    let until = until.as_millis();
    let is_claimed = Column::Id.eq(claimed.id).and(Column::Tries.eq(claimed.tries + 1));
    let is_later = Column::Id
        .is_in(later.iter().map(|row| row.id))
        .and(Column::DueAt.lt(until));
    Entity::update_many()
        .col_expr(Column::DueAt, until.into())
        .filter(is_claimed.or(is_later))
        .exec(database.writer())
        .await?;
    Ok(())
}

/// Forgets an event that was taken.
pub(crate) async fn remove(database: &Database, id: i64) -> Result<(), Error> {
    Entity::delete_by_id(id).exec(database.writer()).await?;
    Ok(())
}

/// Forgets events that nobody took for `lifetime`, whoever they are for. Returns how many.
pub(crate) async fn give_up_old(
    database: &Database,
    now: Timestamp,
    lifetime: Duration,
) -> Result<u64, Error> {
    let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    let old = Entity::delete_many()
        .filter(Column::CreatedAt.lt(now.as_millis().saturating_sub(lifetime)))
        .exec(database.writer())
        .await?;
    Ok(old.rows_affected)
}

/// Forgets the oldest events for a webhook beyond `most`. Returns how many.
pub(crate) async fn give_up_beyond(database: &Database, webhook: &str, most: u64) -> Result<u64, Error> {
    let beyond: Option<i64> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Webhook.eq(webhook))
        .order_by_desc(Column::Id)
        .offset(most)
        .limit(1)
        .into_tuple()
        .one(database.reader())
        .await?;
    let Some(beyond) = beyond else {
        return Ok(0);
    };
    let too_many = Entity::delete_many()
        .filter(Column::Webhook.eq(webhook))
        .filter(Column::Id.lte(beyond))
        .exec(database.writer())
        .await?;
    Ok(too_many.rows_affected)
}
