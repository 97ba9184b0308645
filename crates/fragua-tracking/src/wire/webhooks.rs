//! Webhooks on the wire. Secrets are never told.

use serde::{Deserialize, Serialize};

use super::all;
use crate::Error;
use crate::webhooks::{Webhook, WebhookEvent};

/// An event, by the names of MLflow's enumerations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventWire {
    pub(crate) entity: String,
    pub(crate) action: String,
}

impl From<WebhookEvent> for EventWire {
    fn from(event: WebhookEvent) -> Self {
        Self {
            entity: event.entity().to_ascii_uppercase(),
            action: event.action().to_ascii_uppercase(),
        }
    }
}

impl TryFrom<EventWire> for WebhookEvent {
    type Error = Error;

    fn try_from(wire: EventWire) -> Result<Self, Error> {
        Self::parse(&wire.entity, &wire.action)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WebhookWire {
    webhook_id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    url: String,
    events: Vec<EventWire>,
    status: &'static str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
}

impl From<Webhook> for WebhookWire {
    fn from(webhook: Webhook) -> Self {
        Self {
            webhook_id: webhook.id,
            name: webhook.name,
            description: webhook.description.filter(|text| !text.is_empty()),
            url: webhook.url,
            events: all(webhook.events),
            status: webhook.status.as_str(),
            creation_timestamp: webhook.created_at.as_millis(),
            last_updated_timestamp: webhook.updated_at.as_millis(),
        }
    }
}
