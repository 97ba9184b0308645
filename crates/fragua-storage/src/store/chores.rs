//! Work that one process at a time does for all: who does it, until when, and what it knows.

use std::time::Duration;

use fragua_base::Timestamp;
use fragua_database::{Database, dialect};
use sea_orm::{ActiveValue::Set, Condition, TryIntoModel as _, entity::prelude::*};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_storage_chores")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    /// The process that does it; `None` when nobody does.
    holder: Option<String>,
    /// Until when nobody else may.
    held_until: Option<i64>,
    due_at: i64,
    /// What is known, as JSON.
    state: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Reads what is known of a chore; the default when it was never done.
pub(crate) async fn state<S: DeserializeOwned + Default>(
    database: &Database,
    name: &str,
) -> Result<S, Error> {
    let row = Entity::find_by_id(name).one(database.reader()).await?;
    let Some(row) = row else { return Ok(S::default()) };
    serde_json::from_str(&row.state).map_err(|error| {
        let reason = format!("the state of the chore {name} cannot be read: {error}");
        DbErr::Type(reason).into()
    })
}

/// Writes what is known of something that is no chore, but is asked for.
pub(crate) async fn keep<S: Serialize>(database: &Database, name: &str, state: &S) -> Result<(), Error> {
    add(database, name).await?;
    Entity::update_many()
        .col_expr(Column::State, text_of(state).into())
        .filter(Column::Name.eq(name))
        .exec(database.writer())
        .await?;
    Ok(())
}

/// Makes a chore due, whenever it was done last.
pub(crate) async fn ask(database: &Database, name: &str) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::DueAt, ASKED.into())
        .filter(Column::Name.eq(name))
        .exec(database.writer())
        .await?;
    Ok(())
}

/// When a chore is due that was never done, or that somebody asks for.
const ASKED: i64 = 0;

/// Returns whether somebody asks for a chore, or it was never done.
pub(crate) async fn is_asked(database: &Database, name: &str) -> Result<bool, Error> {
    let row = Entity::find_by_id(name).one(database.reader()).await?;
    Ok(row.is_none_or(|row| row.due_at == ASKED))
}

async fn add(database: &Database, name: &str) -> Result<Model, Error> {
    let never_done = ActiveModel {
        name: Set(name.to_owned()),
        holder: Set(None),
        held_until: Set(None),
        due_at: Set(ASKED),
        state: Set("{}".to_owned()),
    };
    if let Some(row) = Entity::find_by_id(name).one(database.reader()).await? {
        return Ok(row);
    }
    let row = never_done.clone().try_into_model()?;
    Entity::insert(never_done)
        .on_conflict(dialect::insert_if_absent(&["name"]))
        .exec_without_returning(database.writer())
        .await?;
    Ok(row)
}

fn text_of(state: &impl Serialize) -> String {
    serde_json::to_string(state).expect("texts and numbers always serialise")
}

/// A chore that this process does now.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    name: &'static str,
    holder: String,
    lease: Duration,
    /// Whether somebody asked for it, or it was never done.
    pub(crate) is_asked: bool,
}

/// Takes a chore that is due and that nobody does, for the time of `lease`.
pub(crate) async fn claim(
    database: &Database,
    name: &'static str,
    holder: &str,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Held>, Error> {
    let row = add(database, name).await?;
    let is_free = Condition::any()
        .add(Column::Holder.is_null())
        .add(Column::HeldUntil.lte(now.as_millis()));
    let claimed = Entity::update_many()
        .col_expr(Column::Holder, Some(holder).into())
        .col_expr(Column::HeldUntil, now.plus(lease).as_millis().into())
        .filter(Column::Name.eq(name))
        .filter(Column::DueAt.lte(now.as_millis()))
        .filter(is_free)
        .exec(database.writer())
        .await?;
    Ok((claimed.rows_affected == 1).then(|| Held {
        name,
        holder: holder.to_owned(),
        lease,
        is_asked: row.due_at == ASKED,
    }))
}

impl Held {
    /// Goes on for another lease; returns whether this process still may.
    pub(crate) async fn prolong(&self, database: &Database, now: Timestamp) -> Result<bool, Error> {
        let prolonged = self
            .update()
            .col_expr(Column::HeldUntil, now.plus(self.lease).as_millis().into())
            .exec(database.writer())
            .await?;
        Ok(prolonged.rows_affected == 1)
    }

    /// Writes what is known; does nothing when another process has taken over.
    pub(crate) async fn write<S: Serialize>(&self, database: &Database, state: &S) -> Result<(), Error> {
        self.update()
            .col_expr(Column::State, text_of(state).into())
            .exec(database.writer())
            .await?;
        Ok(())
    }

    /// Lets go; the chore is due again at `due_at`.
    pub(crate) async fn release(self, database: &Database, due_at: Timestamp) -> Result<(), Error> {
        self.update()
            .col_expr(Column::Holder, Option::<String>::None.into())
            .col_expr(Column::HeldUntil, Option::<i64>::None.into())
            .col_expr(Column::DueAt, due_at.as_millis().into())
            .exec(database.writer())
            .await?;
        Ok(())
    }

    fn update(&self) -> sea_orm::UpdateMany<Entity> {
        Entity::update_many()
            .filter(Column::Name.eq(self.name))
            .filter(Column::Holder.eq(self.holder.as_str()))
    }
}
