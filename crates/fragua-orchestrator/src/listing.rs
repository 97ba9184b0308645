//! Lists that a caller narrows, orders and pages, by one table of what may be named: over SQL and over JSON alike.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Func, LikeExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, Order, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _, Select,
};
use serde_json::Value;

use crate::dag_run::DagRun;
use crate::store::{audit_log, dag_runs, dags, instant, task_instances, xcoms};
use crate::{AuditEntry, Error, Orchestrator, TaskInstance, TaskState, Xcom};

/// What a list may be narrowed and ordered by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// The name that requests use.
    pub(crate) name: &'static str,
    /// Its table and column; for a list that is made in memory the key in its items.
    place: &'static str,
    pub(crate) kind: Kind,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A text that is one of some.
    Choice(fn(&str) -> bool),
    Number,
    Truth,
    Instant,
    /// The seconds from a start to an end.
    Seconds,
}

impl Column {
    const fn new(name: &'static str, place: &'static str, kind: Kind) -> Self {
        Self { name, place, kind }
    }

    pub(crate) const fn text(name: &'static str, place: &'static str) -> Self {
        Self::new(name, place, Kind::Text)
    }

    pub(crate) const fn choice(name: &'static str, place: &'static str, known: fn(&str) -> bool) -> Self {
        Self::new(name, place, Kind::Choice(known))
    }

    pub(crate) const fn number(name: &'static str, place: &'static str) -> Self {
        Self::new(name, place, Kind::Number)
    }

    pub(crate) const fn truth(name: &'static str, place: &'static str) -> Self {
        Self::new(name, place, Kind::Truth)
    }

    pub(crate) const fn instant(name: &'static str, place: &'static str) -> Self {
        Self::new(name, place, Kind::Instant)
    }

    /// The time that a row of a table took.
    pub(crate) const fn seconds(name: &'static str, table: &'static str) -> Self {
        Self::new(name, table, Kind::Seconds)
    }

    pub(crate) const fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text)
    }

    pub(crate) const fn is_measure(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Instant | Kind::Seconds)
    }

    fn expression(&self) -> Expr {
        let column = |table: &str, column: &str| Expr::col((Alias::new(table), Alias::new(column)));
        match self.kind {
            Kind::Seconds => column(self.place, "ended_at").sub(column(self.place, "started_at")),
            _ => {
                let (table, name) = self.place.split_once('.').unwrap_or((self.place, ""));
                column(table, name)
            }
        }
    }
}

/// One condition on a column.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) column: Column,
    pub(crate) comparison: Comparison,
}

/// What is asked of a value.
#[derive(Debug, Clone)]
pub(crate) enum Comparison {
    OneOf(Vec<String>),
    /// In the number of the column: milliseconds for instants and times.
    OneOfNumbers(Vec<i64>),
    Is(bool),
    /// Contains one of these, whatever its case; `%` and `_` stand for any text and any character.
    Like(Vec<String>),
    StartsWith(String),
    AtLeast(i64),
    Above(i64),
    AtMost(i64),
    Below(i64),
}

/// Makes a comparison with a bound.
pub(crate) type Bound = fn(i64) -> Comparison;

/// A part of a list.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) tests: Vec<Test>,
    /// By what, and whether the greatest comes first.
    pub(crate) order: Vec<(Column, bool)>,
    pub(crate) limit: u64,
    pub(crate) offset: u64,
}

/// Escapes in patterns; the backslash is not the same in each engine.
const ESCAPE: char = '!';

impl Test {
    pub(crate) fn one_of(column: Column, values: impl IntoIterator<Item = String>) -> Self {
        Self {
            column,
            comparison: Comparison::OneOf(values.into_iter().collect()),
        }
    }

    fn condition(&self) -> Expr {
        let column = self.column.expression();
        match &self.comparison {
            Comparison::OneOf(values) => column.is_in(values.iter().map(String::as_str)),
            Comparison::OneOfNumbers(values) => column.is_in(values.iter().copied()),
            Comparison::Is(value) => column.eq(*value),
            Comparison::Like(patterns) => patterns
                .iter()
                .map(|pattern| {
                    let escaped = pattern
                        .to_lowercase()
                        .replace(ESCAPE, &format!("{ESCAPE}{ESCAPE}"));
                    let pattern = LikeExpr::new(format!("%{escaped}%")).escape(ESCAPE);
                    Expr::expr(Func::lower(column.clone())).like(pattern)
                })
                .reduce(|one, other| one.or(other))
                .unwrap_or_else(|| Expr::val(true)),
            Comparison::StartsWith(start) => {
                let escaped: String = start
                    .chars()
                    .flat_map(|character| {
                        let escape = matches!(character, '%' | '_' | ESCAPE).then_some(ESCAPE);
                        escape.into_iter().chain([character])
                    })
                    .collect();
                column.like(LikeExpr::new(format!("{escaped}%")).escape(ESCAPE))
            }
            Comparison::AtLeast(value) => column.gte(*value),
            Comparison::Above(value) => column.gt(*value),
            Comparison::AtMost(value) => column.lte(*value),
            Comparison::Below(value) => column.lt(*value),
        }
    }

    /// Says whether an item of a list in memory is wanted.
    fn admits(&self, item: &Value) -> bool {
        let found = &item[self.column.place];
        let number = || match found {
            Value::String(text) => Timestamp::parse_rfc3339(text).ok().map(Timestamp::as_millis),
            other => other.as_i64(),
        };
        let text = found.as_str();
        match &self.comparison {
            Comparison::OneOf(values) => values.iter().any(|value| match found {
                Value::Array(items) => items.iter().any(|item| item.as_str() == Some(value)),
                _ => text == Some(value),
            }),
            Comparison::OneOfNumbers(values) => number().is_some_and(|number| values.contains(&number)),
            Comparison::Is(value) => found.as_bool() == Some(*value),
            Comparison::Like(patterns) => text.is_some_and(|text| {
                let text = text.to_lowercase();
                let like = |pattern: &String| is_like(&text, &format!("%{}%", pattern.to_lowercase()));
                patterns.iter().any(like)
            }),
            Comparison::StartsWith(start) => text.is_some_and(|text| text.starts_with(start)),
            Comparison::AtLeast(value) => number().is_some_and(|number| number >= *value),
            Comparison::Above(value) => number().is_some_and(|number| number > *value),
            Comparison::AtMost(value) => number().is_some_and(|number| number <= *value),
            Comparison::Below(value) => number().is_some_and(|number| number < *value),
        }
    }
}

/// SQL's LIKE: `%` is any text, `_` any character. In time of the product of both lengths.
fn is_like(text: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // Which beginnings of the pattern match what was read of the text.
    let mut matched = vec![false; pattern.len() + 1];
    matched[0] = true;
    for at in 0..pattern.len() {
        matched[at + 1] = matched[at] && pattern[at] == '%';
    }
    for character in text.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for at in 0..pattern.len() {
            next[at + 1] = match pattern[at] {
                '%' => next[at] || matched[at + 1],
                '_' => matched[at],
                other => matched[at] && other == character,
            };
        }
        matched = next;
    }
    matched[pattern.len()]
}

impl Listing {
    /// Returns the wanted part of a list in memory, with how many are wanted in all.
    pub(crate) fn of(&self, mut items: Vec<Value>) -> (Vec<Value>, u64) {
        items.retain(|item| self.tests.iter().all(|test| test.admits(item)));
        let total = items.len() as u64;
        items.sort_by(|one, other| {
            let orders = self.order.iter().map(|(column, descending)| {
                let order = compare(&one[column.place], &other[column.place]);
                if *descending { order.reverse() } else { order }
            });
            orders
                .into_iter()
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        (items.into_iter().skip(offset).take(limit).collect(), total)
    }

    fn narrow<E: EntityTrait>(&self, select: Select<E>) -> Select<E> {
        self.tests
            .iter()
            .fold(select, |select, test| select.filter(test.condition()))
    }

    /// Orders and cuts; rows that are equal in what is asked for come in the order of a key.
    fn cut<Q: sea_orm::QueryOrder + sea_orm::QuerySelect>(&self, select: Q, key: &[(&str, &str)]) -> Q {
        let direction = |descending: bool| if descending { Order::Desc } else { Order::Asc };
        let select = self.order.iter().fold(select, |select, (column, descending)| {
            select.order_by(column.expression(), direction(*descending))
        });
        let ordered = key.iter().fold(select, |select, (table, column)| {
            select.order_by(Expr::col((Alias::new(*table), Alias::new(*column))), Order::Asc)
        });
        // More than any table has rows, which an engine's number still holds.
        let most = i64::MAX as u64;
        ordered.limit(self.limit).offset(Ord::min(self.offset, most))
    }

    async fn rows<E>(
        &self,
        connection: &impl ConnectionTrait,
        key: &[(&str, &str)],
    ) -> Result<(Vec<E::Model>, u64), DbErr>
    where
        E: EntityTrait,
        E::Model: FromQueryResult + Send + Sync,
    {
        let select = self.narrow(E::find());
        let total = select.clone().count(connection).await?;
        Ok((self.cut(select, key).all(connection).await?, total))
    }

    /// As [`Self::rows`], each with the run it belongs to.
    async fn rows_with_runs<E>(
        &self,
        connection: &impl ConnectionTrait,
        (dag_id, run_id): (E::Column, E::Column),
        key: &[(&str, &str)],
    ) -> Result<(Vec<(E::Model, Option<dag_runs::Model>)>, u64), DbErr>
    where
        E: EntityTrait,
        E::Model: FromQueryResult + Send + Sync,
    {
        let of_run = E::belongs_to(dag_runs::Entity)
            .from((dag_id, run_id))
            .to((dag_runs::Column::DagId, dag_runs::Column::RunId));
        let select = self.narrow(E::find().join(sea_orm::JoinType::InnerJoin, of_run.into()));
        let total = select.clone().count(connection).await?;
        let select = self.cut(select.select_also(dag_runs::Entity), key);
        Ok((select.all(connection).await?, total))
    }
}

/// Null before all else, as texts or as numbers.
fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => {
            let number = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
            number(one).total_cmp(&number(other))
        }
        _ => other.is_null().cmp(&one.is_null()),
    }
}

/// A version of a DAG, with its place among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NumberedVersion {
    pub(crate) dag_id: String,
    /// Counts from one.
    pub(crate) number: u32,
    /// A hash of what it says.
    pub(crate) version: String,
    pub(crate) created_at: Timestamp,
}

impl Orchestrator {
    pub(crate) async fn list_runs(&self, listing: &Listing) -> Result<(Vec<DagRun>, u64), Error> {
        let key = [
            ("dag_runs", "queued_at"),
            ("dag_runs", "dag_id"),
            ("dag_runs", "run_id"),
        ];
        let (rows, total) = listing
            .rows::<dag_runs::Entity>(self.core.database.reader(), &key)
            .await?;
        let runs = rows.into_iter().map(DagRun::try_from).collect::<Result<_, _>>()?;
        Ok((runs, total))
    }

    /// Returns task instances with their runs.
    pub(crate) async fn list_instances(
        &self,
        listing: &Listing,
    ) -> Result<(Vec<(TaskInstance, DagRun)>, u64), Error> {
        let key = [
            ("instances", "ordered_at"),
            ("instances", "dag_id"),
            ("instances", "run_id"),
            ("instances", "task_id"),
            ("instances", "map_index"),
        ];
        let of_run = (task_instances::Column::DagId, task_instances::Column::RunId);
        let (rows, total) = listing
            .rows_with_runs::<task_instances::Entity>(self.core.database.reader(), of_run, &key)
            .await?;
        Ok((shown_with_runs(rows)?, total))
    }

    /// Returns values that tasks handed on, with their runs.
    pub(crate) async fn list_xcoms(&self, listing: &Listing) -> Result<(Vec<(Xcom, DagRun)>, u64), Error> {
        let key = [
            ("xcoms", "dag_id"),
            ("xcoms", "run_id"),
            ("xcoms", "task_id"),
            ("xcoms", "map_index"),
            ("xcoms", "xcom_key"),
        ];
        let of_run = (xcoms::Column::DagId, xcoms::Column::RunId);
        let (rows, total) = listing
            .rows_with_runs::<xcoms::Entity>(self.core.database.reader(), of_run, &key)
            .await?;
        Ok((shown_with_runs(rows)?, total))
    }

    /// Returns entries of the audit log with their numbers.
    pub(crate) async fn list_audit_log(
        &self,
        listing: &Listing,
    ) -> Result<(Vec<(i64, AuditEntry)>, u64), Error> {
        let (rows, total) = listing
            .rows::<audit_log::Entity>(self.core.database.reader(), &[("audit_log", "id")])
            .await?;
        let entries = rows
            .into_iter()
            .map(|row| Ok((row.id, row.try_into()?)))
            .collect::<Result<_, Error>>()?;
        Ok((entries, total))
    }

    /// Returns the versions of some DAGs, oldest first.
    pub(crate) async fn numbered_versions(&self, dag_ids: &[&str]) -> Result<Vec<NumberedVersion>, Error> {
        let rows = dags::versions_of(self.core.database.reader(), dag_ids).await?;
        let mut versions: Vec<NumberedVersion> = Vec::with_capacity(rows.len());
        for (dag_id, version, created_at) in rows {
            let before = versions.last().filter(|before| before.dag_id == dag_id);
            versions.push(NumberedVersion {
                number: before.map_or(1, |before| before.number + 1),
                created_at: instant(Some(created_at)).unwrap_or_default(),
                dag_id,
                version,
            });
        }
        Ok(versions)
    }
}

/// What the API tells and nobody else asks for.
impl Orchestrator {
    /// Returns how many runs there are, by DAG and state.
    pub(crate) async fn count_runs_by_state(&self) -> Result<BTreeMap<(String, String), i64>, Error> {
        let counts: Vec<(String, String, i64)> = dag_runs::Entity::find()
            .select_only()
            .columns([dag_runs::Column::DagId, dag_runs::Column::State])
            .column_as(dag_runs::Column::RunId.count(), "runs")
            .group_by(dag_runs::Column::DagId)
            .group_by(dag_runs::Column::State)
            .into_tuple()
            .all(self.core.database.reader())
            .await?;
        let counts = counts
            .into_iter()
            .map(|(dag_id, state, count)| ((dag_id, state), count));
        Ok(counts.collect())
    }

    /// Returns how many slots the tasks would take that wait without a process, by pool.
    pub(crate) async fn deferred_slots(&self) -> Result<BTreeMap<String, i64>, Error> {
        let mut slots = BTreeMap::new();
        for row in task_instances::in_states(self.core.database.reader(), &[TaskState::Deferred]).await? {
            *slots.entry(row.pool).or_default() += row.pool_slots;
        }
        Ok(slots)
    }
}

/// Returns rows as they are shown, with their runs. One whose run was deleted meanwhile is left out.
fn shown_with_runs<Row, Shown>(
    rows: Vec<(Row, Option<dag_runs::Model>)>,
) -> Result<Vec<(Shown, DagRun)>, Error>
where
    Row: TryInto<Shown>,
    Error: From<Row::Error>,
{
    rows.into_iter()
        .filter_map(|(row, run)| Some((row, run?)))
        .map(|(row, run)| Ok((row.try_into()?, DagRun::try_from(run)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_are_those_of_sql() {
        for (text, pattern, expected) in [
            ("daily_load", "%load%", true),
            ("daily_load", "%d_ily%", true),
            ("daily_load", "%y_l%d%", true),
            ("daily_load", "load%", false),
            ("", "%", true),
            ("", "_", false),
            ("año", "a_o", true),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_list_in_memory_is_narrowed_ordered_and_cut() {
        let name = Column::text("name", "name");
        let size = Column::number("size", "size");
        let items = vec![
            json!({ "name": "b", "size": 1 }),
            json!({ "name": "a", "size": 2 }),
            json!({ "name": "c", "size": 2 }),
        ];
        let listing = Listing {
            tests: vec![Test {
                column: size,
                comparison: Comparison::AtLeast(1),
            }],
            order: vec![(size, true), (name, false)],
            limit: 2,
            offset: 1,
        };
        let (part, total) = listing.of(items);
        assert_eq!(
            (part[0]["name"].as_str(), part[1]["name"].as_str(), total),
            (Some("c"), Some("b"), 3)
        );
    }
}
