//! What a bucket holds.

use fragua_base::Timestamp;
use fragua_database::{Database, Engine};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SimpleExpr};
use sea_orm::{FromQueryResult, QuerySelect, QueryTrait, entity::prelude::*};

use super::{buckets, objects, parts, uploads, versions};
use crate::bucket::BucketUsage;
use crate::upkeep::Tally;
use crate::{BucketName, Error};

#[derive(Debug, Default, FromQueryResult)]
struct Sums {
    rows: i64,
    blobs: i64,
    size_bytes: i64,
}

/// Returns the sum of a column of sizes, as an integer also where there are no rows.
///
/// A sum of 64-bit integers is a decimal on the servers; each calls the integer by another name.
pub(super) fn sum_of(engine: Engine, sizes: impl ColumnTrait) -> SimpleExpr {
    let integer = match engine {
        Engine::Sqlite => "INTEGER",
        Engine::Postgres => "BIGINT",
        Engine::MySql => "SIGNED",
    };
    let sum = Func::coalesce([sizes.sum(), Expr::val(0)]);
    Expr::expr(sum).cast_as(Alias::new(integer))
}

/// Counts what keys stand for, and what they stand for no more: of one bucket or of all, written at `since` or later or
/// at any time.
async fn sums(
    database: &Database,
    bucket: Option<&BucketName>,
    since: Option<Timestamp>,
) -> Result<[Sums; 2], Error> {
    let engine = database.engine();
    let (bucket, since) = (bucket.map(BucketName::as_str), since.map(Timestamp::as_millis));
    let current = objects::Entity::find()
        .select_only()
        .column_as(objects::Column::ObjectKey.count(), "rows")
        .column_as(objects::Column::BlobId.count(), "blobs")
        .column_as(sum_of(engine, objects::Column::SizeBytes), "size_bytes")
        .apply_if(bucket, |query, name| {
            query.filter(objects::Column::Bucket.eq(name))
        })
        .apply_if(since, |query, at| {
            query.filter(objects::Column::ModifiedAt.gte(at))
        })
        .into_model::<Sums>()
        .one(database.reader())
        .await?;
    let noncurrent = versions::Entity::find()
        .select_only()
        .column_as(versions::Column::ObjectKey.count(), "rows")
        .column_as(versions::Column::BlobId.count(), "blobs")
        .column_as(sum_of(engine, versions::Column::SizeBytes), "size_bytes")
        .apply_if(bucket, |query, name| {
            query.filter(versions::Column::Bucket.eq(name))
        })
        .apply_if(since, |query, at| {
            query.filter(versions::Column::ModifiedAt.gte(at))
        })
        .into_model::<Sums>()
        .one(database.reader())
        .await?;
    Ok([current, noncurrent].map(Option::unwrap_or_default))
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Counts objects, versions and their bytes.
pub(crate) async fn of_bucket(database: &Database, bucket: &BucketName) -> Result<BucketUsage, Error> {
    buckets::check(database.reader(), bucket).await?;
    let [current, noncurrent] = sums(database, Some(bucket), None).await?;
    Ok(BucketUsage {
        object_count: positive(current.rows),
        size_bytes: positive(current.size_bytes),
        noncurrent_count: positive(noncurrent.blobs),
        noncurrent_bytes: positive(noncurrent.size_bytes),
        delete_marker_count: positive(noncurrent.rows - noncurrent.blobs),
    })
}

/// Counts all that has bytes, written at `since` or later or at any time.
pub(crate) async fn of_all(database: &Database, since: Option<Timestamp>) -> Result<Tally, Error> {
    let [current, noncurrent] = sums(database, None, since).await?;
    Ok(Tally {
        objects: positive(current.rows + noncurrent.blobs),
        bytes: positive(current.size_bytes + noncurrent.size_bytes),
    })
}

/// Counts the bytes of the parts of uploads in progress.
pub(crate) async fn of_parts(database: &Database, bucket: &BucketName) -> Result<u64, Error> {
    let of_bucket = Query::select()
        .column(uploads::Column::UploadId)
        .from(uploads::Entity)
        .and_where(uploads::Column::Bucket.eq(bucket.as_str()))
        .take();
    let sum: Option<i64> = parts::Entity::find()
        .select_only()
        .column_as(sum_of(database.engine(), parts::Column::SizeBytes), "size_bytes")
        .filter(parts::Column::UploadId.in_subquery(of_bucket))
        .into_tuple()
        .one(database.reader())
        .await?;
    Ok(sum.map_or(0, |sum| u64::try_from(sum).unwrap_or(0)))
}
