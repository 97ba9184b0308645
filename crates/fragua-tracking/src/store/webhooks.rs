//! Webhooks in the database. Every connection comes from [`Family::on`](super::Family::on).

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::dialect::lock_for_update;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*,
};

use super::entities::webhooks::{webhook, webhook_event};
use super::{page_at, time};
use crate::webhooks::{StoredWebhook, Webhook, WebhookEvent, WebhookStatus};

fn visible() -> Select<webhook::Entity> {
    webhook::Entity::find().filter(webhook::Column::DeletedTimestamp.is_null())
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, new: &StoredWebhook) -> Result<(), DbErr> {
    let StoredWebhook { webhook, secret } = new;
    let row = webhook::ActiveModel {
        webhook_id: Set(webhook.id.clone()),
        name: Set(webhook.name.clone()),
        description: Set(webhook.description.clone()),
        url: Set(webhook.url.clone()),
        status: Set(webhook.status.as_str().to_owned()),
        secret: Set(secret.clone()),
        creation_timestamp: Set(Some(webhook.created_at.as_millis())),
        last_updated_timestamp: Set(Some(webhook.updated_at.as_millis())),
        deleted_timestamp: Set(None),
    };
    webhook::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    insert_events(connection, webhook).await
}

async fn insert_events(connection: &impl ConnectionTrait, webhook: &Webhook) -> Result<(), DbErr> {
    let rows = webhook.events.iter().map(|event| webhook_event::ActiveModel {
        webhook_id: Set(webhook.id.clone()),
        entity: Set(event.entity().to_owned()),
        action: Set(event.action().to_owned()),
    });
    webhook_event::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<StoredWebhook>, DbErr> {
    let row = visible()
        .filter(webhook::Column::WebhookId.eq(id))
        .one(connection)
        .await?;
    Ok(with_events(connection, row.into_iter().collect()).await?.pop())
}

/// Finds a webhook and keeps others from changing it until the transaction ends.
pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<StoredWebhook>, DbErr> {
    let mut select = visible().filter(webhook::Column::WebhookId.eq(id));
    lock_for_update(connection.get_database_backend(), QueryTrait::query(&mut select));
    let row = select.one(connection).await?;
    Ok(with_events(connection, row.into_iter().collect()).await?.pop())
}

/// Returns webhooks, the newest first.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    offset: u64,
    limit: u64,
) -> Result<Page<Webhook>, DbErr> {
    let rows = visible()
        .order_by_desc(webhook::Column::CreationTimestamp)
        .order_by_asc(webhook::Column::WebhookId)
        .offset(offset)
        .limit(limit + 1)
        .all(connection)
        .await?;
    let found = page_at(offset, limit, rows);
    Ok(Page {
        items: with_events(connection, found.items)
            .await?
            .into_iter()
            .map(|stored| stored.webhook)
            .collect(),
        next: found.next,
    })
}

/// Returns the active webhooks that are told of an event, the oldest first.
pub(crate) async fn subscribed(
    connection: &impl ConnectionTrait,
    event: WebhookEvent,
) -> Result<Vec<StoredWebhook>, DbErr> {
    let subscribers = Query::select()
        .column(webhook_event::Column::WebhookId)
        .from(webhook_event::Entity)
        .and_where(webhook_event::Column::Entity.eq(event.entity()))
        .and_where(webhook_event::Column::Action.eq(event.action()))
        .take();
    let rows = visible()
        .filter(webhook::Column::Status.eq(WebhookStatus::Active.as_str()))
        .filter(webhook::Column::WebhookId.in_subquery(subscribers))
        .order_by_asc(webhook::Column::CreationTimestamp)
        .order_by_asc(webhook::Column::WebhookId)
        .all(connection)
        .await?;
    with_events(connection, rows).await
}

/// Writes everything of a webhook but its id and when it was made.
pub(crate) async fn update(connection: &impl ConnectionTrait, changed: &StoredWebhook) -> Result<(), DbErr> {
    let StoredWebhook { webhook, secret } = changed;
    webhook::Entity::update_many()
        .col_expr(webhook::Column::Name, Expr::val(webhook.name.clone()))
        .col_expr(
            webhook::Column::Description,
            Expr::val(webhook.description.clone()),
        )
        .col_expr(webhook::Column::Url, Expr::val(webhook.url.clone()))
        .col_expr(webhook::Column::Status, Expr::val(webhook.status.as_str()))
        .col_expr(webhook::Column::Secret, Expr::val(secret.clone()))
        .col_expr(
            webhook::Column::LastUpdatedTimestamp,
            Expr::val(webhook.updated_at.as_millis()),
        )
        .filter(webhook::Column::WebhookId.eq(webhook.id.as_str()))
        .exec(connection)
        .await?;
    webhook_event::Entity::delete_many()
        .filter(webhook_event::Column::WebhookId.eq(webhook.id.as_str()))
        .exec(connection)
        .await?;
    insert_events(connection, webhook).await
}

/// Marks a webhook as deleted. Its row stays, as in MLflow.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    id: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let deleted = webhook::Entity::update_many()
        .col_expr(webhook::Column::DeletedTimestamp, Expr::val(now.as_millis()))
        .col_expr(webhook::Column::LastUpdatedTimestamp, Expr::val(now.as_millis()))
        .filter(webhook::Column::WebhookId.eq(id))
        .filter(webhook::Column::DeletedTimestamp.is_null())
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// Events that a newer MLflow wrote and that are not known here are left out.
async fn with_events(
    connection: &impl ConnectionTrait,
    rows: Vec<webhook::Model>,
) -> Result<Vec<StoredWebhook>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = rows.iter().map(|row| row.webhook_id.as_str());
    let found = webhook_event::Entity::find()
        .filter(webhook_event::Column::WebhookId.is_in(ids))
        .order_by_asc(webhook_event::Column::Entity)
        .order_by_asc(webhook_event::Column::Action)
        .all(connection)
        .await?;
    let mut events: HashMap<String, Vec<WebhookEvent>> = HashMap::new();
    for row in found {
        if let Ok(event) = WebhookEvent::parse(&row.entity, &row.action) {
            events.entry(row.webhook_id).or_default().push(event);
        }
    }
    let convert = |row: webhook::Model| StoredWebhook {
        webhook: Webhook {
            events: events.remove(&row.webhook_id).unwrap_or_default(),
            id: row.webhook_id,
            name: row.name,
            description: row.description,
            url: row.url,
            status: WebhookStatus::parse(&row.status).unwrap_or(WebhookStatus::Disabled),
            created_at: time(row.creation_timestamp),
            updated_at: time(row.last_updated_timestamp.or(row.creation_timestamp)),
        },
        secret: row.secret,
    };
    Ok(rows.into_iter().map(convert).collect())
}
