//! Deployments in the database, by model and alias.

use fragua_base::Timestamp;
use fragua_database::{Database, Error};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use crate::deployment::{Canary, Deployment};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_serving_deployments")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) model: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) alias: String,
    pub(crate) canary_version: Option<i32>,
    pub(crate) canary_percent: Option<i32>,
    pub(crate) shadow_version: Option<i32>,
    pub(crate) previous_version: Option<i32>,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn find(database: &Database, model: &str, alias: &str) -> Result<Option<Deployment>, Error> {
    let found = Entity::find_by_id((model.to_owned(), alias.to_owned()))
        .one(database.reader())
        .await?;
    Ok(found.map(|row| Deployment {
        canary: row
            .canary_version
            .zip(row.canary_percent)
            .map(|(version, percent)| Canary {
                version,
                percent: u8::try_from(percent).unwrap_or(0),
            }),
        shadow: row.shadow_version,
        previous: row.previous_version,
        updated_at: Some(Timestamp::from_millis(row.updated_at)),
    }))
}

pub(crate) async fn put(
    database: &Database,
    model: &str,
    alias: &str,
    deployment: &Deployment,
) -> Result<(), Error> {
    let row = ActiveModel {
        model: Set(model.to_owned()),
        alias: Set(alias.to_owned()),
        canary_version: Set(deployment.canary.map(|canary| canary.version)),
        canary_percent: Set(deployment.canary.map(|canary| i32::from(canary.percent))),
        shadow_version: Set(deployment.shadow),
        previous_version: Set(deployment.previous),
        updated_at: Set(deployment.updated_at.map_or(0, |at| at.as_millis())),
    };
    let replaced = OnConflict::columns([Column::Model, Column::Alias])
        .update_columns([
            Column::CanaryVersion,
            Column::CanaryPercent,
            Column::ShadowVersion,
            Column::PreviousVersion,
            Column::UpdatedAt,
        ])
        .to_owned();
    Entity::insert(row)
        .on_conflict(replaced)
        .exec_without_returning(database.writer())
        .await?;
    Ok(())
}
