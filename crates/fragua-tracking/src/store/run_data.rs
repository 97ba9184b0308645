//! What was logged to the runs of a page, in a fixed number of queries.

use std::collections::HashMap;

use fragua_base::Timestamp;
use fragua_database::{Row, Statements};
use sea_orm::{DbErr, QuerySelect as _, QueryTrait, Select, entity::prelude::*};

use super::entities::runs::{latest_metric, param, tag};
use super::metrics::read;
use crate::metrics::Metric;
use crate::runs::{Param, Tag};

/// Returns the latest value of each metric of each run, by key.
pub(super) async fn metrics_of(
    connection: &impl Statements,
    run_ids: &[&str],
) -> Result<Vec<Vec<Metric>>, DbErr> {
    use latest_metric::Column;
    let columns = [
        Column::RunUuid,
        Column::Key,
        Column::Value,
        Column::IsNan,
        Column::Timestamp,
        Column::Step,
    ];
    let select = latest_metric::Entity::find().select_only().columns(columns);
    let select = select.filter(Column::RunUuid.is_in(run_ids.iter().copied()));
    let metric = |key: String, row: &Row<'_>| {
        let timestamp = Timestamp::from_millis(row.integer(4)?.unwrap_or_default());
        let step = row.integer(5)?.unwrap_or_default();
        Ok(Metric::new(key, read(row, 2, 3)?, timestamp, step))
    };
    each_run(connection, select, run_ids, metric, |metric| &metric.key).await
}

/// Returns the parameters of each run, by key.
pub(super) async fn params_of(
    connection: &impl Statements,
    run_ids: &[&str],
) -> Result<Vec<Vec<Param>>, DbErr> {
    use param::Column;
    let columns = [Column::RunUuid, Column::Key, Column::Value];
    let select = param::Entity::find().select_only().columns(columns);
    let select = select.filter(Column::RunUuid.is_in(run_ids.iter().copied()));
    let param = |key: String, row: &Row<'_>| Ok(Param::new(key, row.text(2)?.unwrap_or_default()));
    each_run(connection, select, run_ids, param, |param| &param.key).await
}

/// Returns the tags of each run, by key.
pub(super) async fn tags_of(connection: &impl Statements, run_ids: &[&str]) -> Result<Vec<Vec<Tag>>, DbErr> {
    use tag::Column;
    let columns = [Column::RunUuid, Column::Key, Column::Value];
    let select = tag::Entity::find().select_only().columns(columns);
    let select = select.filter(Column::RunUuid.is_in(run_ids.iter().copied()));
    let tag = |key: String, row: &Row<'_>| Ok(Tag::new(key, row.text(2)?.unwrap_or_default()));
    each_run(connection, select, run_ids, tag, |tag| &tag.key).await
}

/// Reads rows that begin with a run and a key. Returns those of each run by key, in the order of the runs.
async fn each_run<E: EntityTrait, T: Send>(
    connection: &impl Statements,
    select: Select<E>,
    run_ids: &[&str],
    read: impl Fn(String, &Row<'_>) -> Result<T, DbErr> + Sync,
    key: impl Fn(&T) -> &String,
) -> Result<Vec<Vec<T>>, DbErr> {
    let places: HashMap<&str, usize> = run_ids
        .iter()
        .enumerate()
        .map(|(at, run_id)| (*run_id, at))
        .collect();
    let mut of_runs: Vec<Vec<T>> = run_ids.iter().map(|_| Vec::new()).collect();
    let keep = |row: &Row<'_>| {
        if let Some(at) = row.text(0)?.and_then(|run_id| places.get(run_id.as_ref())) {
            let key = row.text(1)?.unwrap_or_default().into_owned();
            of_runs[*at].push(read(key, row)?);
        }
        Ok(())
    };
    connection.each_row(&select.into_query(), keep).await?;
    for items in &mut of_runs {
        items.sort_unstable_by(|one, other| key(one).cmp(key(other)));
    }
    Ok(of_runs)
}
