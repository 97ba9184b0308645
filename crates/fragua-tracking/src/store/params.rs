//! Parameters in the database.

use std::collections::HashMap;

use sea_orm::{ActiveValue::Set, ConnectionTrait, entity::prelude::*};

use super::entities::runs::param;
use crate::Error;
use crate::runs::Param;
use crate::validation::shorten;

/// Inserts parameters; one that is there with the same value stays, one with another value refuses all.
/// The caller holds the run.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    run_id: &str,
    params: &[Param],
) -> Result<(), Error> {
    if params.is_empty() {
        return Ok(());
    }
    let rows = param::Entity::find()
        .filter(param::Column::RunUuid.eq(run_id))
        .filter(param::Column::Key.is_in(params.iter().map(|param| param.key.as_str())))
        .all(connection)
        .await?;
    let stored: HashMap<String, String> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    let mut new = Vec::new();
    for param in params {
        match stored.get(&param.key) {
            None => new.push(param::ActiveModel {
                key: Set(param.key.clone()),
                value: Set(param.value.clone()),
                run_uuid: Set(run_id.to_owned()),
            }),
            Some(value) if *value == param.value => {}
            Some(value) => {
                return Err(Error::invalid(format!(
                    "Changing param values is not allowed. Param with key='{}' was already logged with value='{}' \
                     for run ID='{run_id}'. Attempted logging new value '{}'.",
                    param.key,
                    shorten(value),
                    shorten(&param.value)
                )));
            }
        }
    }
    if !new.is_empty() {
        param::Entity::insert_many(new)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}
