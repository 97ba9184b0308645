//! Metrics in the database: every value, and the latest of each key.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::{insert_if_absent, upsert_when};
use fragua_database::{Ready, Row, Statements};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait as _, Func, Order, Query, SimpleExpr, WindowStatement};
use sea_orm::{DbErr, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*};

use super::entities::runs::metric;
use super::{ROWS_PER_INSERT, page_at};
use crate::metrics::Metric;

const IDENTITY: &[&str] = &["key", "timestamp", "step", "run_uuid", "value", "is_nan"];

static INSERT: Ready = Ready::new(|backend| {
    let insert = Query::insert()
        .into_table("metrics")
        .columns(["key", "value", "timestamp", "run_uuid", "step", "is_nan"])
        .values_panic([0; 6].map(Expr::val))
        .on_conflict(insert_if_absent(IDENTITY))
        .take();
    backend.build(&insert)
});

static REPLACE_IF_LATER: Ready = Ready::new(|backend| {
    let replaced = ["value", "timestamp", "step", "is_nan"];
    let is_later = |stored: &dyn Fn(&str) -> SimpleExpr, coming: &dyn Fn(&str) -> SimpleExpr| {
        let place = |of: &dyn Fn(&str) -> SimpleExpr| {
            // The column may be empty in MLflow's schema, though MLflow always fills it.
            let time = Func::coalesce([of("timestamp"), Expr::cust("0")]);
            Expr::tuple([of("step"), time.into(), of("value")])
        };
        place(coming).gt(place(stored))
    };
    let insert = Query::insert()
        .into_table("latest_metrics")
        .columns(["key", "value", "timestamp", "step", "is_nan", "run_uuid"])
        .values_panic([0; 6].map(Expr::val))
        .on_conflict(upsert_when(
            backend,
            "latest_metrics",
            &["key", "run_uuid"],
            &replaced,
            is_later,
        ))
        .take();
    backend.build(&insert)
});

/// A value that is none is kept as 0 with a mark.
fn stored(value: f64) -> (f64, bool) {
    if value.is_nan() {
        (0.0, true)
    } else {
        (value, false)
    }
}

/// Reads a value, and from another column whether it is none.
pub(super) fn read(row: &Row<'_>, value: usize, is_nan: usize) -> Result<f64, DbErr> {
    if row.boolean(is_nan)?.unwrap_or(false) {
        return Ok(f64::NAN);
    }
    Ok(row.float(value)?.unwrap_or_default())
}

/// Which of two values of one key is the later: by step, time, value; one that is none counts as 0.
fn later(one: &Metric, other: &Metric) -> Ordering {
    let by_place = (one.step, one.timestamp).cmp(&(other.step, other.timestamp));
    by_place.then_with(|| stored(one.value).0.total_cmp(&stored(other.value).0))
}

/// Inserts values, each with its run, dropping exact repeats, and brings the latest of each key up to date.
pub(crate) async fn insert(connection: &impl Statements, values: &[(&str, &Metric)]) -> Result<(), DbErr> {
    // In the order of the primary key, so that neighbours are written together.
    let mut in_order = values.to_vec();
    in_order.sort_by(|(run_id, one), (other_id, other)| {
        let by_key = one
            .key
            .cmp(&other.key)
            .then_with(|| one.timestamp.cmp(&other.timestamp));
        by_key
            .then_with(|| one.step.cmp(&other.step))
            .then_with(|| run_id.cmp(other_id))
    });
    let backend = connection.backend();
    for some in in_order.chunks(ROWS_PER_INSERT) {
        let rows = some.iter().map(|(run_id, metric)| {
            let (value, is_nan) = stored(metric.value);
            [
                metric.key.as_str().into(),
                value.into(),
                metric.timestamp.as_millis().into(),
                (*run_id).into(),
                metric.step.into(),
                is_nan.into(),
            ]
        });
        connection.run(INSERT.with_rows(backend, rows)).await?;
    }
    update_latest(connection, values).await
}

/// Brings the latest value of each key up to date, in one statement for each [`ROWS_PER_INSERT`] keys.
async fn update_latest(connection: &impl Statements, values: &[(&str, &Metric)]) -> Result<(), DbErr> {
    let mut newest: BTreeMap<(&str, &str), &Metric> = BTreeMap::new();
    for (run_id, metric) in values {
        let kept = newest.entry((&metric.key, run_id)).or_insert(metric);
        if later(metric, kept) == Ordering::Greater {
            *kept = metric;
        }
    }
    let newest: Vec<_> = newest.into_iter().collect();
    let backend = connection.backend();
    for some in newest.chunks(ROWS_PER_INSERT) {
        let rows = some.iter().map(|((key, run_id), metric)| {
            let (value, is_nan) = stored(metric.value);
            [
                (*key).into(),
                value.into(),
                metric.timestamp.as_millis().into(),
                metric.step.into(),
                is_nan.into(),
                (*run_id).into(),
            ]
        });
        connection.run(REPLACE_IF_LATER.with_rows(backend, rows)).await?;
    }
    Ok(())
}

/// Reads what differs from point to point: a text for each row would cost more than the row.
pub(crate) async fn history(
    connection: &impl Statements,
    run_id: &str,
    key: &str,
    limit: u64,
    offset: u64,
) -> Result<Page<Metric>, DbErr> {
    let select = metric::Entity::find()
        .select_only()
        .columns([
            metric::Column::Timestamp,
            metric::Column::Step,
            metric::Column::Value,
            metric::Column::IsNan,
        ])
        .filter(metric::Column::RunUuid.eq(run_id))
        .filter(metric::Column::Key.eq(key))
        // Says nothing, and leads SQLite to the index that begins with the run: the one of the primary key begins
        // with the metric, which other runs have as well.
        .filter(metric::Column::Step.gte(i64::MIN))
        .order_by_asc(metric::Column::Timestamp)
        .order_by_asc(metric::Column::Step)
        .order_by_asc(metric::Column::Value)
        .order_by_asc(metric::Column::IsNan)
        .limit(limit + 1)
        .offset(offset);
    let point = |row: &Row<'_>| {
        let timestamp = Timestamp::from_millis(row.integer(0)?.unwrap_or_default());
        let step = row.integer(1)?.unwrap_or_default();
        Ok(Metric::new(key, read(row, 2, 3)?, timestamp, step))
    };
    let points = connection.rows(&select.into_query(), point).await?;
    Ok(page_at(offset, limit, points))
}

/// Returns at most `max_points` values of each run by step and time, evenly chosen, the first and the last among
/// them, in one query.
pub(crate) async fn sample(
    connection: &impl Statements,
    run_ids: &[String],
    key: &str,
    max_points: u64,
    steps: Option<(i64, i64)>,
) -> Result<Vec<(String, Metric)>, DbErr> {
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
        .columns(["run_uuid", "timestamp", "step", "value", "is_nan"])
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
        .columns(["run_uuid", "timestamp", "step", "value", "is_nan"])
        .from_subquery(numbered, "numbered")
        .and_where(Expr::cust(format!(
            "((place - 1) * {intervals}) % {last_place} < {intervals}"
        )))
        .order_by("run_uuid", Order::Asc)
        .order_by("place", Order::Asc)
        .take();
    let point = |row: &Row<'_>| {
        let run_id = row.text(0)?.unwrap_or_default().into_owned();
        let timestamp = Timestamp::from_millis(row.integer(1)?.unwrap_or_default());
        let step = row.integer(2)?.unwrap_or_default();
        Ok((run_id, Metric::new(key, read(row, 3, 4)?, timestamp, step)))
    };
    connection.rows(&select, point).await
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
