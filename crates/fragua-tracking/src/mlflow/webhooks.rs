//! Webhooks.

use axum::extract::{Path, State};
use fragua_base::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Answer, done, one};
use super::endpoint::{Endpoint, delete as deletion, get, patch, post};
use super::error::ApiError;
use super::extract::{Fields, required};
use super::field::{Field, integer, object, objects, text};
use crate::webhooks::{NewWebhook, Webhook, WebhookStatus, WebhookUpdate};
use crate::wire::number;
use crate::wire::webhooks::{EventWire, WebhookWire};
use crate::{Error, Tracking, WebhookEvent};

const EVENT: &[Field] = &[text("entity").required(), text("action").required()];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/webhooks",
            "Makes a webhook",
            const {
                &[
                    text("name").required(),
                    text("description"),
                    text("url").required(),
                    objects("events", EVENT).required(),
                    text("secret"),
                    text("status"),
                ]
            },
            create,
        ),
        get(
            "/webhooks",
            "Returns the webhooks",
            const { &[integer("max_results"), text("page_token")] },
            list,
        ),
        get("/webhooks/{id}", "Returns a webhook", &[], show),
        patch(
            "/webhooks/{id}",
            "Changes a webhook",
            const {
                &[
                    text("name"),
                    text("description"),
                    text("url"),
                    objects("events", EVENT),
                    text("secret"),
                    text("status"),
                ]
            },
            update,
        ),
        deletion("/webhooks/{id}", "Deletes a webhook", &[], delete),
        post(
            "/webhooks/{id}/test",
            "Sends an example to a webhook and tells what it answered",
            const { &[object("event", EVENT)] },
            test,
        ),
    ]
}

#[derive(Deserialize)]
struct WebhookFields {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    #[serde(default)]
    events: Vec<EventWire>,
    secret: Option<String>,
    status: Option<String>,
}

impl WebhookFields {
    fn events(&mut self) -> Result<Vec<WebhookEvent>, Error> {
        let events = std::mem::take(&mut self.events);
        events.into_iter().map(WebhookEvent::try_from).collect()
    }

    fn status(&self) -> Result<Option<WebhookStatus>, Error> {
        self.status.as_deref().map(WebhookStatus::parse).transpose()
    }
}

fn shown(webhook: Webhook) -> Answer {
    one("webhook", WebhookWire::from(webhook))
}

async fn create(State(tracking): State<Tracking>, Fields(mut fields): Fields<WebhookFields>) -> Answer {
    let events = fields.events()?;
    if events.is_empty() {
        return Err(ApiError::missing("events"));
    }
    let status = fields.status()?.unwrap_or_default();
    let new = NewWebhook {
        name: required(fields.name, "name")?,
        description: fields.description,
        url: required(fields.url, "url")?,
        events,
        secret: fields.secret.map(Secret::new),
        status,
    };
    shown(tracking.create_webhook(new).await?)
}

#[derive(Deserialize)]
struct ListFields {
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list(State(tracking): State<Tracking>, Fields(fields): Fields<ListFields>) -> Answer {
    // MLflow takes zero for "not given" here.
    let limit = fields.max_results.filter(|most| *most != 0);
    let limit = limit.map(|most| u64::try_from(most).unwrap_or(0));
    let page = tracking.webhooks(limit, fields.page_token.as_deref()).await?;
    answer::list(
        "webhooks",
        page.items.into_iter().map(WebhookWire::from),
        page.next,
    )
}

async fn show(State(tracking): State<Tracking>, Path(id): Path<String>) -> Answer {
    shown(tracking.webhook(&id).await?)
}

async fn update(
    State(tracking): State<Tracking>,
    Path(id): Path<String>,
    Fields(mut fields): Fields<WebhookFields>,
) -> Answer {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let change = WebhookUpdate {
        events: Some(fields.events()?).filter(|events| !events.is_empty()),
        status: fields.status()?,
        name: given(fields.name),
        description: fields.description,
        url: given(fields.url),
        secret: fields.secret.map(Secret::new),
    };
    shown(tracking.update_webhook(&id, change).await?)
}

async fn delete(State(tracking): State<Tracking>, Path(id): Path<String>) -> Answer {
    tracking.delete_webhook(&id).await?;
    done()
}

#[derive(Deserialize)]
struct TestFields {
    event: Option<EventWire>,
}

async fn test(
    State(tracking): State<Tracking>,
    Path(id): Path<String>,
    Fields(fields): Fields<TestFields>,
) -> Answer {
    let event = fields.event.map(WebhookEvent::try_from).transpose()?;
    let result = match tracking.test_webhook(&id, event).await? {
        Ok(reply) => {
            let mut result = json!({ "success": reply.is_success(), "response_status": reply.status });
            if !reply.body.is_empty() {
                result["response_body"] = Value::String(reply.body);
            }
            result
        }
        Err(failure) => {
            json!({ "success": false, "error_message": format!("Failed to test webhook: {failure}") })
        }
    };
    one("result", result)
}
