//! Buckets in the database.

use fragua_base::Timestamp;
use fragua_database::{Database, Ready, Statements};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, FromQueryResult, QueryOrder, QuerySelect, QueryTrait as _,
    entity::prelude::*,
};

use super::{bucket_settings, objects, uploads, usage};
use crate::version::Versioning;
use crate::{Bucket, BucketName, Error};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_buckets")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    pub(crate) created_at: i64,
    /// [`Versioning`] in S3's word.
    pub(crate) versioning: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(has_many = "objects::Entity")]
    Objects,
}

impl Related<objects::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Objects.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) fn not_found(name: &str) -> Error {
    Error::BucketNotFound {
        bucket: name.to_owned(),
    }
}

pub(crate) async fn insert(database: &Database, name: &BucketName, now: Timestamp) -> Result<(), Error> {
    let row = ActiveModel {
        name: Set(name.as_str().to_owned()),
        created_at: Set(now.as_millis()),
        versioning: Set(String::new()),
    };
    let inserted = Entity::insert(row)
        .exec_without_returning(database.writer())
        .await;
    match inserted.map_err(fragua_database::Error::from) {
        Ok(_) => Ok(()),
        Err(fragua_database::Error::Unique { .. }) => Err(Error::BucketExists {
            bucket: name.as_str().to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn exists(connection: &impl ConnectionTrait, name: &BucketName) -> Result<bool, Error> {
    Ok(Entity::find_by_id(name.as_str()).one(connection).await?.is_some())
}

/// Tells whether a bucket makes versions; fails where there is no such bucket.
pub(crate) async fn versioning(connection: &impl Statements, name: &BucketName) -> Result<Versioning, Error> {
    static SELECT: Ready = Ready::new(|backend| {
        let by_name = Entity::find_by_id("").select_only();
        backend.build(&by_name.column(Column::Versioning).into_query())
    });
    let select = SELECT.with(connection.backend(), [name.as_str().into()]);
    let found = connection
        .rows_of(select, |row| {
            Ok(Versioning::stored(&row.text(0)?.unwrap_or_default()))
        })
        .await?;
    found.first().copied().ok_or_else(|| not_found(name.as_str()))
}

pub(crate) async fn check(connection: &impl Statements, name: &BucketName) -> Result<(), Error> {
    versioning(connection, name).await.map(drop)
}

/// Fails as a lost race when the bucket does not make versions as it did when the transaction was begun.
pub(crate) async fn expect_versioning(
    connection: &impl Statements,
    name: &BucketName,
    expected: Versioning,
) -> Result<(), Error> {
    if versioning(connection, name).await? == expected {
        Ok(())
    } else {
        Err(fragua_database::Error::Busy.into())
    }
}

/// Turns versions on or suspends them. A bucket that made versions never becomes one that never did.
pub(crate) async fn set_versioning(
    database: &Database,
    name: &BucketName,
    versioning: Versioning,
) -> Result<(), Error> {
    check(database.reader(), name).await?;
    Entity::update_many()
        .col_expr(Column::Versioning, versioning.as_str().into())
        .filter(Column::Name.eq(name.as_str()))
        .exec(database.writer())
        .await?;
    Ok(())
}

/// Deletes the row and gives up the uploads in progress; returns the blobs of their parts. The foreign key of
/// objects makes the database refuse while one is there, also one that is being written now.
pub(crate) async fn delete(database: &Database, name: &BucketName) -> Result<Vec<String>, Error> {
    let transaction = database.begin().await?;
    let blobs = uploads::delete_of_bucket(&transaction, name.as_str()).await?;
    bucket_settings::delete_of_bucket(&transaction, name.as_str()).await?;
    let deleted = Entity::delete_by_id(name.as_str()).exec(&transaction).await;
    match deleted.map_err(fragua_database::Error::from) {
        Ok(result) if result.rows_affected == 0 => Err(not_found(name.as_str())),
        Ok(_) => {
            transaction.commit().await?;
            Ok(blobs)
        }
        Err(fragua_database::Error::ForeignKey) => Err(Error::BucketNotEmpty {
            bucket: name.as_str().to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Returns every bucket's name and when it was made, in the order of the names' bytes: who goes on behind one compares them,
/// and a database may sort `-` elsewhere.
pub(crate) async fn names(database: &Database) -> Result<Vec<(BucketName, Timestamp)>, Error> {
    let rows = Entity::find().all(database.reader()).await?;
    let named = |row: Model| {
        let created_at = Timestamp::from_millis(row.created_at);
        Ok((BucketName::parse(&row.name)?, created_at))
    };
    let mut names: Vec<_> = rows.into_iter().map(named).collect::<Result<_, Error>>()?;
    names.sort();
    Ok(names)
}

#[derive(Debug, FromQueryResult)]
struct Usage {
    name: String,
    created_at: i64,
    object_count: i64,
    size_bytes: i64,
}

/// Counts what each bucket holds, in one query.
pub(crate) async fn usage(database: &Database) -> Result<Vec<Bucket>, Error> {
    let rows: Vec<Usage> = Entity::find()
        .left_join(objects::Entity)
        .column_as(objects::Column::ObjectKey.count(), "object_count")
        .column_as(
            usage::sum_of(database.engine(), objects::Column::SizeBytes),
            "size_bytes",
        )
        .group_by(Column::Name)
        .group_by(Column::CreatedAt)
        .order_by_asc(Column::Name)
        .into_model()
        .all(database.reader())
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Bucket {
                name: BucketName::parse(&row.name)?,
                created_at: Timestamp::from_millis(row.created_at),
                object_count: u64::try_from(row.object_count).unwrap_or(0),
                size_bytes: u64::try_from(row.size_bytes).unwrap_or(0),
            })
        })
        .collect()
}
