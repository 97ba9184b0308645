//! Parameters in the database.

use std::collections::HashMap;

use fragua_database::{Row, Statements};
use sea_orm::{ActiveValue::Set, QuerySelect, QueryTrait, entity::prelude::*};

use super::entities::runs::param;
use super::text;
use crate::Error;
use crate::runs::Param;
use crate::validation::shorten;

/// Inserts parameters; one that is there with the same value stays, one with another value refuses all.
/// The caller holds the run.
pub(crate) async fn insert(
    connection: &impl Statements,
    run_id: &str,
    params: &[Param],
) -> Result<(), Error> {
    if params.is_empty() {
        return Ok(());
    }
    let known = param::Entity::find()
        .select_only()
        .columns([param::Column::Key, param::Column::Value])
        .filter(param::Column::RunUuid.eq(run_id))
        .filter(param::Column::Key.is_in(params.iter().map(|param| param.key.as_str())));
    let mut stored = HashMap::new();
    let keep = |row: &Row<'_>| {
        stored.insert(text(row, 0)?, text(row, 1)?);
        Ok(())
    };
    connection.each_row(&known.into_query(), keep).await?;
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
        let insert = param::Entity::insert_many(new).into_query();
        connection.execute(&insert).await?;
    }
    Ok(())
}
