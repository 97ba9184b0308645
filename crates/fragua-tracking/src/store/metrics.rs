//! Metrics in the database: every value, and the latest of each key.

use std::cmp::Ordering;
use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::{insert_if_absent, upsert_when};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait as _, Func, Order, Query, SimpleExpr, WindowStatement};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, FromQueryResult, QueryOrder, QuerySelect, entity::prelude::*,
};

use super::entities::runs::{latest_metric, metric};
use super::{ROWS_PER_INSERT, page_at};
use crate::metrics::Metric;

const IDENTITY: &[&str] = &["key", "timestamp", "step", "run_uuid", "value", "is_nan"];

/// A value that is none is kept as 0 with a mark.
fn stored(value: f64) -> (f64, bool) {
    if value.is_nan() {
        (0.0, true)
    } else {
        (value, false)
    }
}

fn read(value: f64, is_nan: bool) -> f64 {
    if is_nan { f64::NAN } else { value }
}

/// Which of two values of one key is the later: by step, time, value; one that is none counts as 0.
fn later(one: &Metric, other: &Metric) -> Ordering {
    let by_place = (one.step, one.timestamp).cmp(&(other.step, other.timestamp));
    by_place.then_with(|| stored(one.value).0.total_cmp(&stored(other.value).0))
}

/// Returns the latest values of some runs, each with its run, in no order.
pub(super) async fn latest_of_runs(
    connection: &impl ConnectionTrait,
    run_ids: &[&str],
) -> Result<Vec<(String, Metric)>, DbErr> {
    use latest_metric::Column;

    type Row = (String, String, f64, Option<i64>, i64, bool);
    let rows: Vec<Row> = latest_metric::Entity::find()
        .select_only()
        .columns([
            Column::RunUuid,
            Column::Key,
            Column::Value,
            Column::Timestamp,
            Column::Step,
            Column::IsNan,
        ])
        .filter(Column::RunUuid.is_in(run_ids.iter().copied()))
        .into_tuple()
        .all(connection)
        .await?;
    let value = |(run_id, key, value, timestamp, step, is_nan): Row| {
        let timestamp = Timestamp::from_millis(timestamp.unwrap_or(0));
        (run_id, Metric::new(key, read(value, is_nan), timestamp, step))
    };
    Ok(rows.into_iter().map(value).collect())
}

/// Inserts values, each with its run, dropping exact repeats, and brings the latest of each key up to date.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    values: &[(&str, &Metric)],
) -> Result<(), DbErr> {
    for some in values.chunks(ROWS_PER_INSERT) {
        let rows = some.iter().map(|(run_id, metric)| {
            let (value, is_nan) = stored(metric.value);
            metric::ActiveModel {
                key: Set(metric.key.clone()),
                value: Set(value),
                timestamp: Set(metric.timestamp.as_millis()),
                run_uuid: Set((*run_id).to_owned()),
                step: Set(metric.step),
                is_nan: Set(is_nan),
            }
        });
        metric::Entity::insert_many(rows)
            .on_conflict(insert_if_absent(IDENTITY))
            .exec_without_returning(connection)
            .await?;
    }
    update_latest(connection, values).await
}

/// Brings the latest value of each key up to date, in one statement for each [`ROWS_PER_INSERT`] keys.
async fn update_latest(connection: &impl ConnectionTrait, values: &[(&str, &Metric)]) -> Result<(), DbErr> {
    let mut newest: HashMap<(&str, &str), &Metric> = HashMap::new();
    for (run_id, metric) in values {
        let kept = newest.entry((run_id, &metric.key)).or_insert(metric);
        if later(metric, kept) == Ordering::Greater {
            *kept = metric;
        }
    }
    let rows = newest.into_iter().map(|((run_id, _), metric)| {
        let (value, is_nan) = stored(metric.value);
        latest_metric::ActiveModel {
            key: Set(metric.key.clone()),
            value: Set(value),
            timestamp: Set(Some(metric.timestamp.as_millis())),
            step: Set(metric.step),
            is_nan: Set(is_nan),
            run_uuid: Set(run_id.to_owned()),
        }
    });
    let mut rows = rows.collect::<Vec<_>>().into_iter().peekable();
    while rows.peek().is_some() {
        let replace_if_later = upsert_when(
            connection.get_database_backend(),
            "latest_metrics",
            &["key", "run_uuid"],
            &["value", "timestamp", "step", "is_nan"],
            |stored, coming| {
                let place = |of: &dyn Fn(&str) -> SimpleExpr| {
                    // The column may be empty in MLflow's schema, though MLflow always fills it.
                    let time = Func::coalesce([of("timestamp"), Expr::val(0)]);
                    Expr::tuple([of("step"), time.into(), of("value")])
                };
                place(coming).gt(place(stored))
            },
        );
        latest_metric::Entity::insert_many(rows.by_ref().take(ROWS_PER_INSERT))
            .on_conflict(replace_if_later)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Reads what differs from point to point: a text for each row would cost more than the row.
pub(crate) async fn history(
    connection: &impl ConnectionTrait,
    run_id: &str,
    key: &str,
    limit: u64,
    offset: u64,
) -> Result<Page<Metric>, DbErr> {
    let rows: Vec<(i64, i64, f64, bool)> = metric::Entity::find()
        .select_only()
        .columns([
            metric::Column::Timestamp,
            metric::Column::Step,
            metric::Column::Value,
            metric::Column::IsNan,
        ])
        .filter(metric::Column::RunUuid.eq(run_id))
        .filter(metric::Column::Key.eq(key))
        .order_by_asc(metric::Column::Timestamp)
        .order_by_asc(metric::Column::Step)
        .order_by_asc(metric::Column::Value)
        .order_by_asc(metric::Column::IsNan)
        .limit(limit + 1)
        .offset(offset)
        .into_tuple()
        .all(connection)
        .await?;
    let point = |(timestamp, step, value, is_nan)| {
        Metric::new(key, read(value, is_nan), Timestamp::from_millis(timestamp), step)
    };
    Ok(page_at(offset, limit, rows).map(point))
}

/// Returns at most `max_points` values of each run by step and time, evenly chosen, the first and the last among
/// them, in one query.
pub(crate) async fn sample(
    connection: &impl ConnectionTrait,
    run_ids: &[String],
    key: &str,
    max_points: u64,
    steps: Option<(i64, i64)>,
) -> Result<Vec<(String, Metric)>, DbErr> {
    #[derive(FromQueryResult)]
    struct Point {
        key: String,
        value: f64,
        timestamp: i64,
        run_uuid: String,
        step: i64,
        is_nan: bool,
    }

    if run_ids.is_empty() {
        return Ok(Vec::new());
    }
    let by_run = WindowStatement::partition_by("run_uuid");
    let in_order = WindowStatement::partition_by("run_uuid")
        .order_by("step", Order::Asc)
        .order_by("timestamp", Order::Asc)
        .order_by("value", Order::Asc)
        .order_by("is_nan", Order::Asc)
        .take();
    let mut numbered = Query::select();
    numbered
        .columns(["key", "value", "timestamp", "run_uuid", "step", "is_nan"])
        .expr_window_as(Func::cust("ROW_NUMBER"), in_order, "place")
        .expr_window_as(Expr::col(Asterisk).count(), by_run, "total")
        .from(metric::Entity)
        .and_where(Expr::col("key").eq(key))
        .and_where(Expr::col("run_uuid").is_in(run_ids.iter().map(String::as_str)));
    if let Some((first, last)) = steps {
        numbered.and_where(Expr::col("step").between(first, last));
    }
    // Over all rows `place - 1` runs from 0 to `total - 1`; the rows at which it enters another of the intervals
    // between the points wanted are the ones taken. Only `%` is the same in every engine.
    let intervals = i64::try_from(max_points).map_or(i64::MAX, |points| Ord::max(points, 2)) - 1;
    let last_place = "(CASE WHEN total > 1 THEN total - 1 ELSE 1 END)";
    let select = Query::select()
        .columns(["key", "value", "timestamp", "run_uuid", "step", "is_nan"])
        .from_subquery(numbered, "numbered")
        .and_where(Expr::cust(format!(
            "((place - 1) * {intervals}) % {last_place} < {intervals}"
        )))
        .order_by("run_uuid", Order::Asc)
        .order_by("place", Order::Asc)
        .take();
    let points = connection.query_all(&select).await?;
    points
        .iter()
        .map(|row| {
            let point = Point::from_query_result(row, "")?;
            let timestamp = Timestamp::from_millis(point.timestamp);
            Ok((
                point.run_uuid,
                Metric::new(point.key, read(point.value, point.is_nan), timestamp, point.step),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_the_one_with_the_highest_step_then_time_then_value() {
        let metric = |step, millis, value| Metric::new("m", value, Timestamp::from_millis(millis), step);
        for (one, other, expected) in [
            (metric(2, 1, 0.0), metric(1, 9, 9.0), Ordering::Greater),
            (metric(1, 2, 0.0), metric(1, 1, 9.0), Ordering::Greater),
            (metric(1, 1, 2.0), metric(1, 1, 1.0), Ordering::Greater),
            (metric(1, 1, f64::NAN), metric(1, 1, -1.0), Ordering::Greater),
            (metric(1, 1, f64::NAN), metric(1, 1, 1.0), Ordering::Less),
            (metric(1, 1, f64::NAN), metric(1, 1, 0.0), Ordering::Equal),
            (metric(-1, 1, 0.0), metric(0, 0, 0.0), Ordering::Less),
        ] {
            assert_eq!(later(&one, &other), expected, "{one:?} {other:?}");
        }
    }
}
