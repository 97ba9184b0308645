//! What keys stand for that were deleted in buckets that make versions.

use std::ops::Bound;

use fragua_database::Database;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query};
use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};

use super::key_range;
use super::objects::{self, ListRow};
use super::versions::{Column, Entity};
use crate::{BucketName, Error};

/// Reads the delete markers that keys stand for, as [`objects::scan`] reads objects.
pub(crate) async fn scan(
    database: &Database,
    bucket: &BucketName,
    start: &Bound<Vec<u8>>,
    end: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<ListRow>, Error> {
    let newer = Alias::new("newer");
    let of_newer = |column: Column| Expr::col((newer.clone(), column));
    let own = |column: Column| Expr::col((Entity, column));
    let newer_version = Query::select()
        .expr(Expr::val(1))
        .from_as(Entity, newer.clone())
        .and_where(of_newer(Column::Bucket).eq(own(Column::Bucket)))
        .and_where(of_newer(Column::ObjectKey).eq(own(Column::ObjectKey)))
        .and_where(of_newer(Column::VersionRank).lt(own(Column::VersionRank)))
        .take();
    let of_object = |column: objects::Column| Expr::col((objects::Entity, column));
    let object = Query::select()
        .expr(Expr::val(1))
        .from(objects::Entity)
        .and_where(of_object(objects::Column::Bucket).eq(own(Column::Bucket)))
        .and_where(of_object(objects::Column::ObjectKey).eq(own(Column::ObjectKey)))
        .take();
    let key = Column::ObjectKey;
    let markers = key_range(key, start, end)
        .add(Column::Bucket.eq(bucket.as_str()))
        .add(Column::BlobId.is_null())
        .add(Expr::exists(object).not())
        .add(Expr::exists(newer_version).not());
    let rows = Entity::find()
        .select_only()
        .columns([key, Column::SizeBytes, Column::Etag, Column::ModifiedAt])
        .filter(markers)
        .order_by_asc(Column::Bucket)
        .order_by_asc(key)
        .limit(limit as u64)
        .into_model()
        .all(database.reader())
        .await?;
    Ok(rows)
}
