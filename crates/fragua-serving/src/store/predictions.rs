//! Predictions in the database, what turned out to be true of them, and alarms of drift.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fragua_base::{Page, Timestamp};
use fragua_database::{Database, Error};
use fragua_learn::Label;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, ActiveValue::Set, Condition, QueryOrder as _, QuerySelect as _, entity::prelude::*,
};
use serde_json::{Map, Value};

use crate::log::{DriftAlarm, Feedback, Judged, LogQuery, LoggedPrediction};
use crate::model::ServedModel;
use crate::role::Role;

/// Rows of one statement of a purge.
const PURGED_AT_ONCE: u64 = 5_000;
/// The rows that accuracy is reckoned from.
const JUDGED_ROWS: u64 = 10_000;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_serving_predictions")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) request_id: String,
    pub(crate) row_index: i32,
    pub(crate) role: String,
    pub(crate) source: String,
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) run_id: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) took_microseconds: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) inputs: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) label: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) probabilities: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

mod feedback {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "fragua_serving_feedback")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) request_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) row_index: i32,
        #[sea_orm(column_type = "Text")]
        pub(crate) label: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub(crate) note: Option<String>,
        pub(crate) created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod alarms {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "fragua_serving_drift_alarms")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) model: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) version: String,
        pub(crate) raised_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Queries over predictions and what was told of them.
mod joined {
    use sea_orm::Order;
    use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};

    use super::{Column, Entity, feedback};
    use crate::role::Role;

    fn same_row() -> Expr {
        let request =
            Expr::col((feedback::Entity, feedback::Column::RequestId)).equals((Entity, Column::RequestId));
        let row =
            Expr::col((feedback::Entity, feedback::Column::RowIndex)).equals((Entity, Column::RowIndex));
        request.and(row)
    }

    /// Whether the truth of a row was told, or was not.
    pub(super) fn truth_is_told(is_told: bool) -> Expr {
        let told = Query::select()
            .expr(Expr::val(1))
            .from(feedback::Entity)
            .and_where(same_row())
            .to_owned();
        match is_told {
            true => Expr::exists(told),
            false => Expr::exists(told).not(),
        }
    }

    /// When, the answer and the truth of the newest rows of a version.
    pub(super) fn judged(model: &str, version: &str, limit: u64) -> SelectStatement {
        Query::select()
            .column((Entity, Column::CreatedAt))
            .column((Entity, Column::Label))
            .expr_as(Expr::col((feedback::Entity, feedback::Column::Label)), "truth")
            .from(Entity)
            .inner_join(feedback::Entity, same_row())
            .and_where(Expr::col((Entity, Column::Model)).eq(model))
            .and_where(Expr::col((Entity, Column::Version)).eq(version))
            .and_where(Expr::col((Entity, Column::Role)).ne(Role::Shadow.name()))
            .order_by((Entity, Column::Id), Order::Desc)
            .limit(limit)
            .to_owned()
    }
}

/// A prediction to keep.
pub(crate) struct NewRow<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) row: u32,
    pub(crate) role: Role,
    pub(crate) source: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) model: &'a Arc<ServedModel>,
    pub(crate) inputs: String,
    pub(crate) label: &'a Label,
    pub(crate) probabilities: &'a [f32],
}

pub(crate) fn row(new: NewRow<'_>) -> ActiveModel {
    ActiveModel {
        id: ActiveValue::NotSet,
        request_id: Set(new.request_id.to_owned()),
        row_index: Set(i32::try_from(new.row).unwrap_or(i32::MAX)),
        role: Set(new.role.name().to_owned()),
        source: Set(new.source.to_owned()),
        model: Set(new.model.name.clone()),
        version: Set(new.model.version.clone()),
        run_id: Set(new.model.run_id.clone()),
        created_at: Set(new.at.as_millis()),
        took_microseconds: Set(i64::try_from(new.took.as_micros()).unwrap_or(i64::MAX)),
        inputs: Set(new.inputs),
        label: Set(serde_json::json!(new.label).to_string()),
        probabilities: Set(
            (!new.probabilities.is_empty()).then(|| serde_json::json!(new.probabilities).to_string())
        ),
    }
}

/// Adds rows. Those of a request whose rows are there already are left out: a client that sends an id twice repeats itself.
pub(crate) async fn insert(database: &Database, rows: Vec<ActiveModel>) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let known = OnConflict::columns([Column::RequestId, Column::RowIndex, Column::Role])
        .do_nothing_on([Column::Id])
        .to_owned();
    let transaction = database.begin().await?;
    // Few enough for the limits of every engine on values of a statement.
    for chunk in rows.chunks(500) {
        let inserted = Entity::insert_many(chunk.to_vec())
            .on_conflict(known.clone())
            .exec_without_returning(&transaction)
            .await;
        inserted.map_err(|error| database.error(error))?;
    }
    transaction.commit().await.map_err(|error| database.error(error))
}

pub(crate) async fn search(
    database: &Database,
    query: &LogQuery,
    before: Option<i64>,
    limit: u64,
) -> Result<Page<LoggedPrediction>, Error> {
    let mut select = Entity::find();
    if let Some(model) = &query.model {
        select = select.filter(Column::Model.eq(model));
    }
    if let Some(models) = &query.models {
        select = select.filter(Column::Model.is_in(models));
    }
    if let Some(version) = &query.version {
        select = select.filter(Column::Version.eq(version));
    }
    if let Some(source) = &query.source {
        select = select.filter(Column::Source.eq(source));
    }
    if !query.request_ids.is_empty() {
        select = select.filter(Column::RequestId.is_in(&query.request_ids));
    }
    if let Some(has_feedback) = query.has_feedback {
        select = select.filter(joined::truth_is_told(has_feedback));
    }
    if let Some(before) = before {
        select = select.filter(Column::Id.lt(before));
    }
    let mut rows = select
        .order_by_desc(Column::Id)
        .limit(limit + 1)
        .all(database.reader())
        .await?;
    let has_more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = rows.last().filter(|_| has_more).map(|row| row.id.to_string());
    let told = feedback_of(database, &rows).await?;
    let items = rows.into_iter().map(|row| {
        let feedback = told.get(&(row.request_id.clone(), row.row_index)).cloned();
        LoggedPrediction {
            row: u32::try_from(row.row_index).unwrap_or_default(),
            model: row.model,
            version: row.version,
            run_id: row.run_id,
            role: row.role,
            source: row.source,
            at: Timestamp::from_millis(row.created_at),
            took_microseconds: row.took_microseconds,
            inputs: serde_json::from_str(&row.inputs).unwrap_or_default(),
            prediction: parsed(&row.label),
            probabilities: row
                .probabilities
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            request_id: row.request_id,
            feedback,
        }
    });
    Ok(Page {
        items: items.collect(),
        next,
    })
}

type FeedbackByRow = HashMap<(String, i32), Feedback>;

async fn feedback_of(database: &Database, rows: &[Model]) -> Result<FeedbackByRow, Error> {
    let requests: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
    if requests.is_empty() {
        return Ok(HashMap::new());
    }
    let told = feedback::Entity::find()
        .filter(feedback::Column::RequestId.is_in(requests))
        .all(database.reader())
        .await?;
    let told = told.into_iter().map(|row| {
        let feedback = Feedback {
            label: parsed(&row.label),
            note: row.note,
            at: Timestamp::from_millis(row.created_at),
        };
        ((row.request_id, row.row_index), feedback)
    });
    Ok(told.collect())
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}

pub(crate) async fn put_feedback(
    database: &Database,
    request_id: &str,
    row: u32,
    told: &Feedback,
) -> Result<(), Error> {
    let row = feedback::ActiveModel {
        request_id: Set(request_id.to_owned()),
        row_index: Set(i32::try_from(row).unwrap_or(i32::MAX)),
        label: Set(told.label.to_string()),
        note: Set(told.note.clone()),
        created_at: Set(told.at.as_millis()),
    };
    let replaced = OnConflict::columns([feedback::Column::RequestId, feedback::Column::RowIndex])
        .update_columns([
            feedback::Column::Label,
            feedback::Column::Note,
            feedback::Column::CreatedAt,
        ])
        .to_owned();
    feedback::Entity::insert(row)
        .on_conflict(replaced)
        .exec_without_returning(database.writer())
        .await?;
    Ok(())
}

/// The newest answers of a version whose truth was told.
pub(crate) async fn judged(database: &Database, model: &str, version: &str) -> Result<Vec<Judged>, Error> {
    let query = joined::judged(model, version, JUDGED_ROWS);
    let rows = database.reader().query_all(&query).await?;
    let judged = rows.iter().map(|row| {
        Ok(Judged {
            at: Timestamp::from_millis(row.try_get_by_index(0)?),
            prediction: parsed(&row.try_get_by_index::<String>(1)?),
            truth: parsed(&row.try_get_by_index::<String>(2)?),
        })
    });
    Ok(judged.collect::<Result<_, sea_orm::DbErr>>()?)
}

/// The newest rows that a version answered: when, what was asked, what was answered.
pub(crate) async fn last_rows(
    database: &Database,
    model: &str,
    version: &str,
    limit: u64,
) -> Result<Vec<(Timestamp, Map<String, Value>, Value)>, Error> {
    let rows: Vec<(i64, String, String)> = Entity::find()
        .select_only()
        .columns([Column::CreatedAt, Column::Inputs, Column::Label])
        .filter(Column::Model.eq(model))
        .filter(Column::Version.eq(version))
        .filter(Column::Role.ne(Role::Shadow.name()))
        .order_by_desc(Column::Id)
        .limit(limit)
        .into_tuple()
        .all(database.reader())
        .await?;
    let rows = rows.into_iter().map(|(at, inputs, label)| {
        let inputs = serde_json::from_str(&inputs).unwrap_or_default();
        (Timestamp::from_millis(at), inputs, parsed(&label))
    });
    Ok(rows.collect())
}

pub(crate) async fn count_by_version(
    database: &Database,
    model: &str,
) -> Result<BTreeMap<String, u64>, Error> {
    let counts: Vec<(String, i64)> = Entity::find()
        .select_only()
        .column(Column::Version)
        .column_as(Column::Id.count(), "rows")
        .filter(Column::Model.eq(model))
        .group_by(Column::Version)
        .into_tuple()
        .all(database.reader())
        .await?;
    let counts = counts.into_iter();
    Ok(counts
        .map(|(version, rows)| (version, u64::try_from(rows).unwrap_or_default()))
        .collect())
}

/// Removes rows from before an instant, and the oldest above a number. Returns how many.
pub(crate) async fn purge(database: &Database, before: i64, keep: u64) -> Result<u64, Error> {
    let newest: Option<i64> = Entity::find()
        .select_only()
        .column_as(Column::Id.max(), "newest")
        .into_tuple::<Option<i64>>()
        .one(database.reader())
        .await?
        .flatten();
    let Some(newest) = newest else { return Ok(0) };
    // Ids have gaps where rows were repeated, so this keeps no more than `keep`.
    let oldest_kept = newest.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
    let mut removed = 0;
    loop {
        let old: Vec<(i64, String)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::RequestId])
            .filter(
                Condition::any()
                    .add(Column::CreatedAt.lt(before))
                    .add(Column::Id.lte(oldest_kept)),
            )
            .limit(PURGED_AT_ONCE)
            .into_tuple()
            .all(database.reader())
            .await?;
        if old.is_empty() {
            return Ok(removed);
        }
        for chunk in old.chunks(500) {
            let requests = chunk.iter().map(|(_, request)| request.as_str());
            feedback::Entity::delete_many()
                .filter(feedback::Column::RequestId.is_in(requests))
                .exec(database.writer())
                .await?;
            let ids = chunk.iter().map(|(id, _)| *id);
            let deleted = Entity::delete_many()
                .filter(Column::Id.is_in(ids))
                .exec(database.writer())
                .await?;
            removed += deleted.rows_affected;
        }
    }
}

/// Notes an alarm. Returns when it was first raised, and whether that was now.
pub(crate) async fn begin_alarm(database: &Database, alarm: &DriftAlarm) -> Result<(Timestamp, bool), Error> {
    let row = alarms::ActiveModel {
        model: Set(alarm.model.clone()),
        version: Set(alarm.version.clone()),
        raised_at: Set(alarm.at.as_millis()),
    };
    let inserted = alarms::Entity::insert(row)
        .exec_without_returning(database.writer())
        .await;
    match inserted.map_err(|error| database.error(error)) {
        Ok(_) => Ok((alarm.at, true)),
        Err(Error::Unique { .. }) => {
            let key = (alarm.model.clone(), alarm.version.clone());
            let raised = alarms::Entity::find_by_id(key).one(database.reader()).await?;
            let at = raised.map_or(alarm.at, |row| Timestamp::from_millis(row.raised_at));
            Ok((at, false))
        }
        Err(error) => Err(error),
    }
}

/// Forgets an alarm that is over.
pub(crate) async fn end_alarm(database: &Database, model: &str, version: &str) -> Result<(), Error> {
    alarms::Entity::delete_by_id((model.to_owned(), version.to_owned()))
        .exec(database.writer())
        .await?;
    Ok(())
}
