//! Settings of buckets in the database, a document each.

use std::collections::BTreeMap;

use fragua_database::{Database, dialect};
use sea_orm::{ActiveValue::Set, ConnectionTrait, entity::prelude::*};

use super::{buckets, retry_races};
use crate::bucket_settings::{BucketSetting, BucketSettings};
use crate::version::Versioning;
use crate::{BucketName, Error};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_bucket_settings")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    bucket: String,
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    document: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn read_into(self, settings: &mut BucketSettings) -> Result<(), Error> {
        let (bucket, name) = (self.bucket, self.name);
        settings.read(&name, self.document).map_err(|error| {
            let reason = format!("the setting {name} of bucket {bucket} cannot be read: {error}");
            Error::from(DbErr::Type(reason))
        })
    }
}

/// Reads everything that is set for a bucket.
pub(crate) async fn read(database: &Database, bucket: &BucketName) -> Result<BucketSettings, Error> {
    let mut settings = BucketSettings {
        versioning: buckets::versioning(database.reader(), bucket).await?,
        ..BucketSettings::default()
    };
    let rows = Entity::find()
        .filter(Column::Bucket.eq(bucket.as_str()))
        .all(database.reader())
        .await?;
    for row in rows {
        row.read_into(&mut settings)?;
    }
    Ok(settings)
}

/// Reads everything that is set for all buckets, in two queries however many there are.
pub(crate) async fn read_all(database: &Database) -> Result<BTreeMap<BucketName, BucketSettings>, Error> {
    let mut all = BTreeMap::new();
    for bucket in buckets::Entity::find().all(database.reader()).await? {
        let settings = BucketSettings {
            versioning: Versioning::stored(&bucket.versioning),
            ..BucketSettings::default()
        };
        all.insert(BucketName::parse(&bucket.name)?, settings);
    }
    for row in Entity::find().all(database.reader()).await? {
        if let Some(settings) = all.get_mut(&BucketName::parse(&row.bucket)?) {
            row.read_into(settings)?;
        }
    }
    Ok(all)
}

/// Sets or removes one setting.
pub(crate) async fn write(
    database: &Database,
    bucket: &BucketName,
    setting: &BucketSetting,
) -> Result<(), Error> {
    buckets::check(database.reader(), bucket).await?;
    let Some(document) = setting.document() else {
        Entity::delete_by_id((bucket.as_str().to_owned(), setting.name().to_owned()))
            .exec(database.writer())
            .await?;
        return Ok(());
    };
    retry_races(|| async {
        let row = ActiveModel {
            bucket: Set(bucket.as_str().to_owned()),
            name: Set(setting.name().to_owned()),
            document: Set(document.clone()),
        };
        let inserted = Entity::insert(row)
            .on_conflict(dialect::upsert(&["bucket", "name"], &["document"]))
            .exec_without_returning(database.writer())
            .await;
        match inserted.map_err(fragua_database::Error::from) {
            Ok(_) => Ok(()),
            Err(fragua_database::Error::ForeignKey) => Err(buckets::not_found(bucket.as_str())),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

pub(crate) async fn delete_of_bucket(connection: &impl ConnectionTrait, bucket: &str) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::Bucket.eq(bucket))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the buckets that have a setting of this name, by name.
pub(crate) async fn buckets_with(database: &Database, name: &str) -> Result<Vec<BucketName>, Error> {
    let rows = Entity::find()
        .filter(Column::Name.eq(name))
        .all(database.reader())
        .await?;
    let mut names: Vec<BucketName> = rows
        .into_iter()
        .map(|row| BucketName::parse(&row.bucket))
        .collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}
