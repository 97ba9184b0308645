//! What a bucket holds.

use fragua_database::{Database, Engine};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SimpleExpr};
use sea_orm::{FromQueryResult, QuerySelect, entity::prelude::*};

use super::{buckets, objects, parts, uploads, versions};
use crate::bucket::BucketUsage;
use crate::{BucketName, Error};

#[derive(Debug, FromQueryResult)]
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

/// Counts objects, versions and their bytes.
pub(crate) async fn of_bucket(database: &Database, bucket: &BucketName) -> Result<BucketUsage, Error> {
    buckets::check(database.reader(), bucket).await?;
    let engine = database.engine();
    let current = objects::Entity::find()
        .select_only()
        .column_as(objects::Column::ObjectKey.count(), "rows")
        .column_as(objects::Column::BlobId.count(), "blobs")
        .column_as(sum_of(engine, objects::Column::SizeBytes), "size_bytes")
        .filter(objects::Column::Bucket.eq(bucket.as_str()))
        .into_model::<Sums>()
        .one(database.reader())
        .await?;
    let noncurrent = versions::Entity::find()
        .select_only()
        .column_as(versions::Column::ObjectKey.count(), "rows")
        .column_as(versions::Column::BlobId.count(), "blobs")
        .column_as(sum_of(engine, versions::Column::SizeBytes), "size_bytes")
        .filter(versions::Column::Bucket.eq(bucket.as_str()))
        .into_model::<Sums>()
        .one(database.reader())
        .await?;
    let positive = |value: i64| u64::try_from(value).unwrap_or(0);
    let (mut usage, sums) = (BucketUsage::default(), (current, noncurrent));
    if let Some(current) = sums.0 {
        usage.object_count = positive(current.rows);
        usage.size_bytes = positive(current.size_bytes);
    }
    if let Some(noncurrent) = sums.1 {
        usage.noncurrent_count = positive(noncurrent.blobs);
        usage.noncurrent_bytes = positive(noncurrent.size_bytes);
        usage.delete_marker_count = positive(noncurrent.rows - noncurrent.blobs);
    }
    Ok(usage)
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
