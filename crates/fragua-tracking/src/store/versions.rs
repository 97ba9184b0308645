//! Versions of registered models in the database.

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::Engine;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, QueryOrder, QuerySelect, QueryTrait, UpdateMany,
    entity::prelude::*,
};

use super::entities::registry::{version, version_tag};
use super::{models, page, time};
use crate::runs::Tag;
use crate::search::{Plan, sql};
use crate::versions::{ModelVersion, Stage};

/// The stage of a deleted version. Its row stays, so that its number is not given again.
pub(super) const DELETED: &str = "Deleted_Internal";

/// How many versions one query names at most: each takes two bound values.
const VERSIONS_PER_QUERY: usize = 2_000;

fn visible() -> Select<version::Entity> {
    version::Entity::find().filter(version::Column::CurrentStage.ne(DELETED))
}

pub(crate) async fn next_number(connection: &impl ConnectionTrait, name: &str) -> Result<i32, DbErr> {
    let newest: Option<Option<i32>> = version::Entity::find()
        .select_only()
        .column_as(version::Column::Version.max(), "newest")
        .filter(version::Column::Name.eq(name))
        .into_tuple()
        .one(connection)
        .await?;
    Ok(newest.flatten().unwrap_or(0) + 1)
}

pub(crate) async fn newest(connection: &impl ConnectionTrait, name: &str) -> Result<Option<i32>, DbErr> {
    let newest = visible()
        .filter(version::Column::Name.eq(name))
        .order_by_desc(version::Column::Version)
        .one(connection)
        .await?;
    Ok(newest.map(|row| row.version))
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, new: &ModelVersion) -> Result<(), DbErr> {
    let row = version::ActiveModel {
        name: Set(new.name.clone()),
        version: Set(new.version),
        creation_time: Set(Some(new.created_at.as_millis())),
        last_updated_time: Set(Some(new.updated_at.as_millis())),
        description: Set(new.description.clone()),
        user_id: Set(new.user_id.clone()),
        current_stage: Set(Some(new.stage.as_str().to_owned())),
        source: Set(Some(new.source.clone())),
        run_id: Set(new.run_id.clone()),
        status: Set(Some(new.status.clone())),
        status_message: Set(new.status_message.clone()),
        run_link: Set(new.run_link.clone()),
        storage_location: Set(new.storage_location.clone()),
    };
    version::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    set_tags(connection, &new.name, new.version, &new.tags).await
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
) -> Result<Option<ModelVersion>, DbErr> {
    let row = visible()
        .filter(version::Column::Name.eq(name))
        .filter(version::Column::Version.eq(number))
        .one(connection)
        .await?;
    Ok(with_data(connection, row.into_iter().collect()).await?.pop())
}

/// Returns the versions of a model.
pub(crate) async fn of_model(
    connection: &impl ConnectionTrait,
    name: &str,
) -> Result<Vec<ModelVersion>, DbErr> {
    let rows = visible()
        .filter(version::Column::Name.eq(name))
        .all(connection)
        .await?;
    with_data(connection, rows).await
}

/// Returns the numbers that are taken, those of deleted versions among them.
pub(crate) async fn numbers(connection: &impl ConnectionTrait, name: &str) -> Result<Vec<i32>, DbErr> {
    version::Entity::find()
        .select_only()
        .column(version::Column::Version)
        .filter(version::Column::Name.eq(name))
        .into_tuple()
        .all(connection)
        .await
}

pub(crate) async fn search(
    connection: &impl ConnectionTrait,
    engine: Engine,
    plan: &Plan,
) -> Result<Page<ModelVersion>, DbErr> {
    let mut select = visible();
    sql::apply(QueryTrait::query(&mut select), plan, engine);
    let found = page(plan, select.all(connection).await?);
    Ok(Page {
        items: with_data(connection, found.items).await?,
        next: found.next,
    })
}

/// Returns the newest version of each stage of each model, oldest first.
pub(super) async fn latest_of_each_stage(
    connection: &impl ConnectionTrait,
    names: &[&str],
) -> Result<Vec<ModelVersion>, DbErr> {
    let newest = Query::select()
        .expr(Expr::col(("others", version::Column::Version)).max())
        .from_as(version::Entity, "others")
        .and_where(
            Expr::col(("others", version::Column::Name)).equals((version::Entity, version::Column::Name)),
        )
        .and_where(
            Expr::col(("others", version::Column::CurrentStage))
                .equals((version::Entity, version::Column::CurrentStage)),
        )
        .take();
    let rows = visible()
        .filter(version::Column::Name.is_in(names.iter().copied()))
        .filter(version::Column::Version.in_subquery(newest))
        .order_by_asc(version::Column::Name)
        .order_by_asc(version::Column::Version)
        .all(connection)
        .await?;
    with_data(connection, rows).await
}

async fn with_data(
    connection: &impl ConnectionTrait,
    rows: Vec<version::Model>,
) -> Result<Vec<ModelVersion>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut aliases: HashMap<(String, i32), Vec<String>> = HashMap::new();
    let mut tags: HashMap<(String, i32), Vec<Tag>> = HashMap::new();
    for some in names.chunks(VERSIONS_PER_QUERY) {
        for (name, alias) in models::aliases_of(connection, some).await? {
            aliases
                .entry((name, alias.version))
                .or_default()
                .push(alias.alias);
        }
    }
    for some in rows.chunks(VERSIONS_PER_QUERY) {
        let names = some.iter().map(|row| row.name.as_str());
        let numbers = some.iter().map(|row| row.version);
        // By name and by number is wider than the pairs and needs only two short lists; what is too much is dropped.
        let found = version_tag::Entity::find()
            .filter(version_tag::Column::Name.is_in(names))
            .filter(version_tag::Column::Version.is_in(numbers))
            .order_by_asc(version_tag::Column::Key)
            .all(connection)
            .await?;
        for row in found {
            let tag = Tag {
                key: row.key,
                value: row.value.unwrap_or_default(),
            };
            let of_version: &mut Vec<Tag> = tags.entry((row.name, row.version)).or_default();
            if !of_version.iter().any(|known| known.key == tag.key) {
                of_version.push(tag);
            }
        }
    }
    let convert = |row: version::Model| {
        let key = (row.name, row.version);
        let (aliases, tags) = (
            aliases.remove(&key).unwrap_or_default(),
            tags.remove(&key).unwrap_or_default(),
        );
        ModelVersion {
            name: key.0,
            version: key.1,
            created_at: time(row.creation_time),
            updated_at: time(row.last_updated_time.or(row.creation_time)),
            description: row.description,
            user_id: row.user_id,
            stage: row
                .current_stage
                .and_then(|stage| Stage::parse(&stage).ok())
                .unwrap_or_default(),
            source: row.source.unwrap_or_default(),
            storage_location: row.storage_location,
            run_id: row.run_id.filter(|run_id| !run_id.is_empty()),
            run_link: row.run_link,
            status: row.status.unwrap_or_else(|| "READY".to_owned()),
            status_message: row.status_message,
            tags,
            aliases,
        }
    };
    Ok(rows.into_iter().map(convert).collect())
}

fn update(name: &str, number: i32, now: Timestamp) -> UpdateMany<version::Entity> {
    update_all(name, now).filter(version::Column::Version.eq(number))
}

fn update_all(name: &str, now: Timestamp) -> UpdateMany<version::Entity> {
    version::Entity::update_many()
        .col_expr(version::Column::LastUpdatedTime, Expr::val(now.as_millis()))
        .filter(version::Column::Name.eq(name))
}

pub(super) async fn touch_all(
    connection: &impl ConnectionTrait,
    name: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    update_all(name, now).exec(connection).await?;
    Ok(())
}

pub(crate) async fn set_description(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    description: Option<&str>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let description = Expr::val(description.map(str::to_owned));
    update(name, number, now)
        .col_expr(version::Column::Description, description)
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_stage(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    stage: Stage,
    now: Timestamp,
) -> Result<(), DbErr> {
    update(name, number, now)
        .col_expr(version::Column::CurrentStage, Expr::val(stage.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn archive_others(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    stage: Stage,
    now: Timestamp,
) -> Result<(), DbErr> {
    update_all(name, now)
        .col_expr(version::Column::CurrentStage, Expr::val(Stage::Archived.as_str()))
        .filter(version::Column::Version.ne(number))
        .filter(version::Column::CurrentStage.eq(stage.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Hides a version and removes what it says; its number stays taken.
pub(crate) async fn redact(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    now: Timestamp,
) -> Result<(), DbErr> {
    let nothing = || Expr::val(None::<String>);
    update(name, number, now)
        .col_expr(version::Column::CurrentStage, Expr::val(DELETED))
        .col_expr(version::Column::Description, nothing())
        .col_expr(version::Column::UserId, nothing())
        .col_expr(version::Column::Source, Expr::val("REDACTED-SOURCE-PATH"))
        .col_expr(version::Column::StorageLocation, nothing())
        .col_expr(version::Column::RunId, Expr::val("REDACTED-RUN-ID"))
        .col_expr(version::Column::RunLink, Expr::val("REDACTED-RUN-LINK"))
        .col_expr(version::Column::StatusMessage, nothing())
        .exec(connection)
        .await?;
    Ok(())
}

/// Sets tags. The caller holds the model, as for [`models::set_alias`].
pub(crate) async fn set_tags(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    tags: &[Tag],
) -> Result<(), DbErr> {
    let tags = super::last_of_each(tags, |tag| &tag.key);
    if tags.is_empty() {
        return Ok(());
    }
    version_tag::Entity::delete_many()
        .filter(version_tag::Column::Name.eq(name))
        .filter(version_tag::Column::Version.eq(number))
        .filter(version_tag::Column::Key.is_in(tags.iter().map(|tag| tag.key.as_str())))
        .exec(connection)
        .await?;
    let rows = tags.into_iter().map(|tag| version_tag::ActiveModel {
        key: Set(tag.key.clone()),
        value: Set(Some(tag.value.clone())),
        name: Set(name.to_owned()),
        version: Set(number),
    });
    version_tag::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn delete_tag(
    connection: &impl ConnectionTrait,
    name: &str,
    number: i32,
    key: &str,
) -> Result<(), DbErr> {
    version_tag::Entity::delete_many()
        .filter(version_tag::Column::Name.eq(name))
        .filter(version_tag::Column::Version.eq(number))
        .filter(version_tag::Column::Key.eq(key))
        .exec(connection)
        .await?;
    Ok(())
}
