//! Registered models, their aliases and tags in the database.

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::Engine;
use fragua_database::dialect::lock_for_update;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, QueryOrder, QueryTrait, entity::prelude::*};

use super::entities::registry::{alias, model, model_tag, version, version_tag};
use super::{page, time, versions};
use crate::Error;
use crate::models::{ModelAlias, RegisteredModel};
use crate::runs::Tag;
use crate::search::{Plan, sql};
use crate::versions::ModelVersion;

/// The columns of a registered model itself.
pub(crate) struct Row(model::Model);

pub(crate) async fn exists(connection: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    Ok(find(connection, name).await?.is_some())
}

pub(crate) async fn find(connection: &impl ConnectionTrait, name: &str) -> Result<Option<Row>, DbErr> {
    Ok(by_name(name).one(connection).await?.map(Row))
}

fn by_name(name: &str) -> Select<model::Entity> {
    model::Entity::find().filter(model::Column::Name.eq(name))
}

/// Keeps others from changing the model, its versions and aliases until the transaction ends.
pub(crate) async fn lock(connection: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    let mut select = by_name(name);
    lock_for_update(connection.get_database_backend(), QueryTrait::query(&mut select));
    Ok(select.one(connection).await?.is_some())
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    let row = model::ActiveModel {
        name: Set(name.to_owned()),
        creation_time: Set(Some(now.as_millis())),
        last_updated_time: Set(Some(now.as_millis())),
        description: Set(description.map(str::to_owned)),
    };
    let inserted = model::Entity::insert(row)
        .exec_without_returning(connection)
        .await;
    match inserted.map_err(Error::from) {
        // Another process took the name since it was looked for.
        Err(Error::Database(fragua_database::Error::Unique { .. })) => Err(Error::AlreadyExists(format!(
            "Registered Model (name={name}) already exists."
        ))),
        inserted => inserted.map(drop),
    }
}

fn update(name: &str, now: Timestamp) -> sea_orm::UpdateMany<model::Entity> {
    model::Entity::update_many()
        .col_expr(model::Column::LastUpdatedTime, Expr::val(now.as_millis()))
        .filter(model::Column::Name.eq(name))
}

pub(crate) async fn touch(
    connection: &impl ConnectionTrait,
    name: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    update(name, now).exec(connection).await?;
    Ok(())
}

pub(crate) async fn set_description(
    connection: &impl ConnectionTrait,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let description = Expr::val(description.map(str::to_owned));
    update(name, now)
        .col_expr(model::Column::Description, description)
        .exec(connection)
        .await?;
    Ok(())
}

/// Renames a model; what refers to it follows by its foreign keys.
pub(crate) async fn rename(
    connection: &impl ConnectionTrait,
    name: &str,
    new_name: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    update(name, now)
        .col_expr(model::Column::Name, Expr::val(new_name))
        .exec(connection)
        .await?;
    // The time of the versions changes too, as MLflow does it.
    versions::touch_all(connection, new_name, now).await
}

/// Deletes a model with all that belongs to it.
pub(crate) async fn delete(connection: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    version_tag::Entity::delete_many()
        .filter(version_tag::Column::Name.eq(name))
        .exec(connection)
        .await?;
    version::Entity::delete_many()
        .filter(version::Column::Name.eq(name))
        .exec(connection)
        .await?;
    model_tag::Entity::delete_many()
        .filter(model_tag::Column::Name.eq(name))
        .exec(connection)
        .await?;
    alias::Entity::delete_many()
        .filter(alias::Column::Name.eq(name))
        .exec(connection)
        .await?;
    model::Entity::delete_many()
        .filter(model::Column::Name.eq(name))
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn search(
    connection: &impl ConnectionTrait,
    engine: Engine,
    plan: &Plan,
) -> Result<Page<Row>, DbErr> {
    let mut select = model::Entity::find();
    sql::apply(QueryTrait::query(&mut select), plan, engine);
    Ok(page(plan, select.all(connection).await?).map(Row))
}

/// Adds tags, aliases and the newest version of each stage: a fixed number of queries for a page of models.
pub(crate) async fn with_data(
    connection: &impl ConnectionTrait,
    rows: Vec<Row>,
) -> Result<Vec<RegisteredModel>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = rows.iter().map(|row| row.0.name.as_str()).collect();
    let mut tags: HashMap<String, Vec<Tag>> = HashMap::new();
    let found = model_tag::Entity::find()
        .filter(model_tag::Column::Name.is_in(names.iter().copied()))
        .order_by_asc(model_tag::Column::Key)
        .all(connection)
        .await?;
    for row in found {
        tags.entry(row.name).or_default().push(Tag {
            key: row.key,
            value: row.value.unwrap_or_default(),
        });
    }
    let mut aliases: HashMap<String, Vec<ModelAlias>> = HashMap::new();
    for (name, alias) in aliases_of(connection, &names).await? {
        aliases.entry(name).or_default().push(alias);
    }
    let mut latest: HashMap<String, Vec<ModelVersion>> = HashMap::new();
    for version in versions::latest_of_each_stage(connection, &names).await? {
        latest.entry(version.name.clone()).or_default().push(version);
    }
    let convert = |Row(row): Row| RegisteredModel {
        created_at: time(row.creation_time),
        updated_at: time(row.last_updated_time.or(row.creation_time)),
        description: row.description,
        tags: tags.remove(&row.name).unwrap_or_default(),
        aliases: aliases.remove(&row.name).unwrap_or_default(),
        latest_versions: latest.remove(&row.name).unwrap_or_default(),
        name: row.name,
    };
    Ok(rows.into_iter().map(convert).collect())
}

/// Returns the tags of a model.
pub(crate) async fn tags(connection: &impl ConnectionTrait, name: &str) -> Result<Vec<Tag>, DbErr> {
    let rows = model_tag::Entity::find()
        .filter(model_tag::Column::Name.eq(name))
        .all(connection)
        .await?;
    let tag = |row: model_tag::Model| Tag::new(row.key, row.value.unwrap_or_default());
    Ok(rows.into_iter().map(tag).collect())
}

pub(super) async fn aliases_of(
    connection: &impl ConnectionTrait,
    names: &[&str],
) -> Result<Vec<(String, ModelAlias)>, DbErr> {
    let rows = alias::Entity::find()
        .filter(alias::Column::Name.is_in(names.iter().copied()))
        .order_by_asc(alias::Column::Alias)
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                row.name,
                ModelAlias {
                    alias: row.alias,
                    version: row.version,
                },
            )
        })
        .collect())
}

pub(crate) async fn aliases(connection: &impl ConnectionTrait, name: &str) -> Result<Vec<ModelAlias>, DbErr> {
    Ok(aliases_of(connection, &[name])
        .await?
        .into_iter()
        .map(|(_, alias)| alias)
        .collect())
}

/// Points an alias at a version. The caller holds the model: the key of the row differs between databases, so this is
/// two statements.
pub(crate) async fn set_alias(
    connection: &impl ConnectionTrait,
    name: &str,
    alias: &str,
    version: i32,
) -> Result<(), DbErr> {
    delete_alias(connection, name, alias).await?;
    let row = alias::ActiveModel {
        alias: Set(alias.to_owned()),
        version: Set(version),
        name: Set(name.to_owned()),
    };
    alias::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_alias(
    connection: &impl ConnectionTrait,
    name: &str,
    alias: &str,
) -> Result<bool, DbErr> {
    let deleted = alias::Entity::delete_many()
        .filter(alias::Column::Name.eq(name))
        .filter(alias::Column::Alias.eq(alias))
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected > 0)
}

pub(crate) async fn delete_aliases_of(
    connection: &impl ConnectionTrait,
    name: &str,
    version: i32,
) -> Result<(), DbErr> {
    alias::Entity::delete_many()
        .filter(alias::Column::Name.eq(name))
        .filter(alias::Column::Version.eq(version))
        .exec(connection)
        .await?;
    Ok(())
}

/// Sets tags. The caller holds the model, as for [`set_alias`].
pub(crate) async fn set_tags(
    connection: &impl ConnectionTrait,
    name: &str,
    tags: &[Tag],
) -> Result<(), DbErr> {
    let tags = super::last_of_each(tags, |tag| &tag.key);
    if tags.is_empty() {
        return Ok(());
    }
    model_tag::Entity::delete_many()
        .filter(model_tag::Column::Name.eq(name))
        .filter(model_tag::Column::Key.is_in(tags.iter().map(|tag| tag.key.as_str())))
        .exec(connection)
        .await?;
    let rows = tags.into_iter().map(|tag| model_tag::ActiveModel {
        key: Set(tag.key.clone()),
        value: Set(Some(tag.value.clone())),
        name: Set(name.to_owned()),
    });
    model_tag::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_tag(
    connection: &impl ConnectionTrait,
    name: &str,
    key: &str,
) -> Result<(), DbErr> {
    model_tag::Entity::delete_many()
        .filter(model_tag::Column::Name.eq(name))
        .filter(model_tag::Column::Key.eq(key))
        .exec(connection)
        .await?;
    Ok(())
}
