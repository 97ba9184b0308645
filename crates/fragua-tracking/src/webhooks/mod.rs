//! Webhooks: addresses that are told what happens in the registry.

mod delivery;
mod event;
mod guard;

use std::time::Duration;

use fragua_base::{Page, Secret, Timestamp};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::search::token;
use crate::validation;
use crate::{Error, Settings, Tracking, store};
use delivery::{Message, Sender};
pub use delivery::{SendFailure, WebhookReply};
pub use event::WebhookEvent;
pub(crate) use event::{Occurrence, is_prompt};
use fragua_auth::Fernet;
pub use fragua_auth::new_secret_key;
use guard::Guard;

/// What has happened and is not told yet. A storm of changes that is longer loses its oldest ones, and the log says so:
/// the registry does not wait for the receivers of webhooks.
const OCCURRENCES_KEPT: usize = 1024;
/// The width of the column.
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// A longer one would not fit into its column when encrypted.
const MAX_SECRET_BYTES: usize = 500;
const MAX_NAME_CHARS: usize = 63;
const DEFAULT_PER_PAGE: u64 = 100;
const MAX_PER_PAGE: u64 = 1_000;

/// How webhooks are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// The schemes that addresses may have.
    pub allowed_schemes: Vec<String>,
    /// Whether addresses may lead to this machine and its network.
    pub allow_private_addresses: bool,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// How often a request is sent again that fails for now.
    pub max_retries: u32,
    /// How long to wait before the first new try; twice as long before each further one, up to a minute.
    pub retry_delay: Duration,
    /// How many requests are under way at once.
    pub workers: usize,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allowed_schemes: vec!["https".to_owned()],
            allow_private_addresses: false,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            retry_delay: Duration::from_secs(1),
            workers: 10,
        }
    }
}

/// Whether a webhook is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookStatus {
    /// It is.
    #[default]
    Active,
    /// It is not.
    Disabled,
}

impl WebhookStatus {
    /// Returns the name in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }

    /// Returns the status of this name.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] that lists the names.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "ACTIVE" => Ok(Self::Active),
            "DISABLED" => Ok(Self::Disabled),
            other => Err(Error::invalid(format!(
                "Invalid webhook status '{}': use ACTIVE or DISABLED",
                validation::shorten(other)
            ))),
        }
    }
}

/// An address that is told what happens in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The address.
    pub url: String,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told anything.
    pub status: WebhookStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A webhook to make.
#[derive(Debug, Clone, Default)]
pub struct NewWebhook {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The address.
    pub url: String,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// Whether it is told anything.
    pub status: WebhookStatus,
}

/// What to change of a webhook; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookUpdate {
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The address.
    pub url: Option<String>,
    /// What it is told of.
    pub events: Option<Vec<WebhookEvent>>,
    /// What requests are signed with; an empty one ends the signing.
    pub secret: Option<Secret>,
    /// Whether it is told anything.
    pub status: Option<WebhookStatus>,
}

/// A webhook with its secret as the database has it: encrypted.
#[derive(Debug, Clone)]
pub(crate) struct StoredWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) secret: Option<String>,
}

/// What this process needs to keep and to send webhooks.
pub(crate) struct Webhooks {
    fernet: Fernet,
    guard: Guard,
    sender: Sender,
    occurrences: broadcast::Sender<Occurrence>,
}

impl Webhooks {
    pub(crate) fn new(settings: &Settings, secret_key: &Secret) -> Result<Self, Error> {
        let fernet = Fernet::new(secret_key).ok_or_else(|| {
            Error::invalid(
                "the secret key of tracking must be 32 bytes in URL-safe base64, as Fernet keys are",
            )
        })?;
        let guard = Guard::new(&settings.webhooks);
        let (occurrences, _) = broadcast::channel(OCCURRENCES_KEPT);
        Ok(Self {
            fernet,
            sender: Sender::new(guard.clone(), &settings.webhooks)?,
            guard,
            occurrences,
        })
    }

    fn encrypt(&self, secret: Option<&Secret>, now: Timestamp) -> Result<Option<String>, Error> {
        let Some(secret) = secret.map(Secret::expose).filter(|secret| !secret.is_empty()) else {
            return Ok(None);
        };
        if secret.len() > MAX_SECRET_BYTES {
            return Err(Error::invalid(format!(
                "'secret' exceeds the maximum length of {MAX_SECRET_BYTES} bytes"
            )));
        }
        Ok(Some(self.fernet.encrypt(secret, now)))
    }

    fn message(
        &self,
        stored: StoredWebhook,
        event: WebhookEvent,
        body: String,
        now: Timestamp,
    ) -> Result<Message, SendFailure> {
        let secret = match stored.secret {
            Some(token) => Some(self.fernet.decrypt(&token).ok_or(SendFailure::UnreadableSecret)?),
            None => None,
        };
        Ok(Message::new(stored.webhook, secret, event, body, now))
    }
}

impl Tracking {
    /// Makes a webhook.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a bad name, an address that is not allowed, or no events.
    pub async fn create_webhook(&self, new: NewWebhook) -> Result<Webhook, Error> {
        let now = self.now();
        let webhook = Webhook {
            id: Uuid::new_v4().to_string(),
            name: new.name,
            description: new.description.filter(|text| !text.is_empty()),
            url: new.url,
            events: new.events,
            status: new.status,
            created_at: now,
            updated_at: now,
        };
        let stored = StoredWebhook {
            webhook: checked(webhook)?,
            secret: self.webhooks_inner().encrypt(new.secret.as_ref(), now)?,
        };
        let guard = &self.webhooks_inner().guard;
        guard.check_resolved(&stored.webhook.url).await?;
        let transaction = self.database().begin().await?;
        store::webhooks::insert(&self.family().on(&transaction), &stored).await?;
        transaction.commit().await?;
        Ok(stored.webhook)
    }

    /// Returns a webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn webhook(&self, id: &str) -> Result<Webhook, Error> {
        Ok(self.stored_webhook(id).await?.webhook)
    }

    async fn stored_webhook(&self, id: &str) -> Result<StoredWebhook, Error> {
        let found = store::webhooks::find(&self.family().on(self.database().reader()), id).await?;
        found.ok_or_else(|| missing(id))
    }

    /// Returns webhooks, the newest first: 100 a page, or as many as asked for.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a page of none or over 1000, or a bad token.
    pub async fn webhooks(
        &self,
        max_results: Option<u64>,
        page_token: Option<&str>,
    ) -> Result<Page<Webhook>, Error> {
        let limit = max_results.unwrap_or(DEFAULT_PER_PAGE);
        if !(1..=MAX_PER_PAGE).contains(&limit) {
            return Err(Error::invalid(format!(
                "max_results must be between 1 and {MAX_PER_PAGE}."
            )));
        }
        let offset = token::offset(page_token)?;
        Ok(store::webhooks::list(&self.family().on(self.database().reader()), offset, limit).await?)
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`], and those of [`Tracking::create_webhook`].
    pub async fn update_webhook(&self, id: &str, change: WebhookUpdate) -> Result<Webhook, Error> {
        let webhooks = self.webhooks_inner();
        if let Some(url) = &change.url {
            webhooks.guard.check_resolved(url).await?;
        }
        let now = self.now();
        let transaction = self.database().begin().await?;
        let StoredWebhook { webhook, secret } = store::webhooks::lock(&self.family().on(&transaction), id)
            .await?
            .ok_or_else(|| missing(id))?;
        let secret = match &change.secret {
            Some(_) => webhooks.encrypt(change.secret.as_ref(), now)?,
            None => secret,
        };
        let webhook = Webhook {
            name: change.name.unwrap_or(webhook.name),
            description: change.description.or(webhook.description),
            url: change.url.unwrap_or(webhook.url),
            events: change.events.unwrap_or(webhook.events),
            status: change.status.unwrap_or(webhook.status),
            updated_at: now,
            ..webhook
        };
        let changed = StoredWebhook {
            webhook: checked(webhook)?,
            secret,
        };
        store::webhooks::update(&self.family().on(&transaction), &changed).await?;
        transaction.commit().await?;
        Ok(changed.webhook)
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_webhook(&self, id: &str) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        if !store::webhooks::delete(&self.family().on(&transaction), id, self.now()).await? {
            return Err(missing(id));
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Sends an example of an event, of the webhook's first one when none is given, once and at once.
    ///
    /// # Errors
    /// [`Error::NotFound`]. Whether the request could be sent is the inner result.
    pub async fn test_webhook(
        &self,
        id: &str,
        event: Option<WebhookEvent>,
    ) -> Result<Result<WebhookReply, SendFailure>, Error> {
        let stored = self.stored_webhook(id).await?;
        let event = event.or_else(|| stored.webhook.events.first().copied());
        let event = event.ok_or_else(|| Error::invalid("The webhook has no events that are known here"))?;
        let (webhooks, now) = (self.webhooks_inner(), self.now());
        let body = event::body(event, &event.example(), now);
        Ok(match webhooks.message(stored, event, body, now) {
            Ok(message) => webhooks.sender.send_once(&message).await,
            Err(failure) => Err(failure),
        })
    }

    /// Tells webhooks what happens from now on, until the token is cancelled. Requests that are under way then have a
    /// moment to end.
    pub fn deliver_webhooks(&self, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let occurrences = self.webhooks_inner().occurrences.subscribe();
        delivery::run(self.clone(), occurrences, shutdown)
    }

    /// Notes for the webhooks what has happened.
    pub(crate) fn occurred(&self, occurrence: Occurrence) {
        // Nobody sends webhooks in a process that only reads.
        let _ = self.webhooks_inner().occurrences.send(occurrence);
    }

    /// Returns the requests that an occurrence makes necessary.
    async fn messages(&self, occurrence: &Occurrence) -> Result<Vec<Message>, Error> {
        let reader = self.database().reader();
        let prompt = match occurrence.says_prompt() {
            Some(prompt) => prompt,
            None => is_prompt(&store::models::tags(reader, occurrence.name()).await?),
        };
        let Some((event, data)) = occurrence.event(prompt) else {
            return Ok(Vec::new());
        };
        let stored = store::webhooks::subscribed(&self.family().on(reader), event).await?;
        let now = self.now();
        let body = event::body(event, &data, now);
        let message = |stored: StoredWebhook| {
            let id = stored.webhook.id.clone();
            let message = self.webhooks_inner().message(stored, event, body.clone(), now);
            message
                .inspect_err(|failure| tracing::error!(webhook.id = id, error = %failure, "webhook not sent"))
                .ok()
        };
        Ok(stored.into_iter().filter_map(message).collect())
    }
}

fn missing(id: &str) -> Error {
    Error::not_found(format!("Webhook with ID {} not found.", validation::shorten(id)))
}

/// Checks all but the address, which takes asking for its name. An event that comes twice counts once.
fn checked(mut webhook: Webhook) -> Result<Webhook, Error> {
    let (name, events) = (&webhook.name, &mut webhook.events);
    let inner = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let outer = |character: Option<char>| character.is_some_and(|found| found.is_ascii_alphanumeric());
    let good = name.len() <= MAX_NAME_CHARS
        && name.chars().all(inner)
        && outer(name.chars().next())
        && outer(name.chars().next_back());
    if !good {
        return Err(Error::invalid(format!(
            "Webhook name '{}' is invalid. It must start and end with a letter or digit, be less than \
             {MAX_NAME_CHARS} characters long, and contain only letters, digits, dots (.), underscores (_), and \
             hyphens (-).",
            validation::shorten(name)
        )));
    }
    if let Some(description) = &webhook.description {
        validation::max_chars("description", description, MAX_DESCRIPTION_CHARS)?;
    }
    let mut seen = Vec::new();
    events.retain(|event| {
        let new = !seen.contains(event);
        seen.push(*event);
        new
    });
    if events.is_empty() {
        return Err(Error::invalid(
            "Webhook events must be a non-empty list of events.",
        ));
    }
    Ok(webhook)
}
