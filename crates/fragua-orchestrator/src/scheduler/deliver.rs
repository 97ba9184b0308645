//! Tells who is to be told: webhooks are posted, mails are sent, apart from the scheduler's own work. What fails for now
//! is tried again, after twice the time each time.

use std::time::Duration;

use fragua_base::Timestamp;
use fragua_webhook::{Client, Failure, Guard, Reply, is_for_now, retry_after, sign};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde_json::Value;

use crate::Error;
use crate::callbacks::CallbackState;
use crate::core::Core;
use crate::dag::{Addresses, Notifier};
use crate::operator::Connection;
use crate::settings::{Smtp, SmtpSecurity};
use crate::store::{callbacks, instant, millis};

/// How many are told at once.
const AT_ONCE: usize = 16;

/// How long one that is being told is left alone by other processes; longer than any try takes.
const CLAIMED_FOR: Duration = Duration::from_secs(600);

/// How often one is tried: for about a day.
const MOST_TRIES: i64 = 34;

/// The shortest and the longest wait before another try.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// The longest sleep: what another process wrote without ringing is found after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Why one could not be told.
#[derive(Debug, PartialEq, Eq)]
struct Undelivered {
    message: String,
    /// How long to wait before another try, where the receiver says so; nothing where another try is no use.
    again: Option<Option<Duration>>,
}

impl Undelivered {
    fn for_good(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            again: None,
        }
    }

    fn for_now(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            again: Some(None),
        }
    }
}

/// The tries that are under way.
type Tries<'a> = FuturesUnordered<BoxFuture<'a, (callbacks::Model, Result<(), Undelivered>)>>;

/// Tells what is to be told, for ever. A receiver that is slow holds up nobody else.
pub(super) async fn run(core: &Core) -> Result<(), Error> {
    let postman = Postman::new(core)?;
    let mut bell = core.bells.callbacks.listen();
    let mut tries = Tries::new();
    loop {
        let sleep = match begin_due(core, &postman, &mut tries).await {
            Ok(next) => next.map_or(LONGEST_SLEEP, |next| next.since(core.now()).min(LONGEST_SLEEP)),
            Err(error) => {
                tracing::error!(%error, "callbacks cannot be delivered, and are tried again");
                FIRST_DELAY
            }
        };
        tokio::select! {
            Some((row, result)) = tries.next() => {
                if let Err(error) = record(core, row, result).await {
                    tracing::error!(%error, "how a callback ended cannot be noted, so it is told again");
                }
            }
            () = bell.rung() => {}
            () = tokio::time::sleep(sleep + Duration::from_millis(1)) => {}
        }
    }
}

/// Tells all that is due and waits for the answers. Returns when something will be due next.
#[cfg(test)]
pub(super) async fn deliver(core: &Core) -> Result<Option<Timestamp>, Error> {
    let postman = Postman::new(core)?;
    let mut tries = Tries::new();
    loop {
        let next = begin_due(core, &postman, &mut tries).await?;
        match tries.next().await {
            Some((row, result)) => record(core, row, result).await?,
            None => return Ok(next),
        }
    }
}

/// Begins to tell what is due, as much as goes at once. Returns when something will be due next; nothing where that
/// has to wait for a try to end.
async fn begin_due<'a>(
    core: &'a Core,
    postman: &'a Postman,
    tries: &mut Tries<'a>,
) -> Result<Option<Timestamp>, Error> {
    while tries.len() < AT_ONCE {
        let now = core.now();
        let next = instant(callbacks::next_due(core.database.reader()).await?);
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        let transaction = core.database.begin().await?;
        let rows = callbacks::claim(&transaction, millis(now), (AT_ONCE - tries.len()) as u64).await?;
        if rows.is_empty() {
            // Another process is claiming them.
            return Ok(Some(now.plus(FIRST_DELAY)));
        }
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        callbacks::begin(&transaction, &ids, millis(now.plus(CLAIMED_FOR))).await?;
        transaction.commit().await?;
        tries.extend(rows.into_iter().map(|row| {
            async move {
                let result = postman.tell(core, &row).await;
                (row, result)
            }
            .boxed()
        }));
    }
    Ok(None)
}

/// Notes how a try ended.
async fn record(core: &Core, row: callbacks::Model, result: Result<(), Undelivered>) -> Result<(), Error> {
    let tries = row.tries + 1;
    let now = core.now();
    let (state, message, next_try_at) = match result {
        Ok(()) => (CallbackState::Delivered, None, None),
        Err(Undelivered { message, again }) => match again.filter(|_| tries < MOST_TRIES) {
            Some(asked) => {
                let wait = asked.unwrap_or_else(|| delay(tries)).min(LONGEST_DELAY);
                (
                    CallbackState::Pending,
                    Some(message),
                    Some(millis(now.plus(wait))),
                )
            }
            None => {
                tracing::error!(
                    callback.id = row.id,
                    dag.id = row.dag_id,
                    error = message,
                    "callback not delivered"
                );
                (CallbackState::Failed, Some(message), None)
            }
        },
    };
    let ended = callbacks::Model {
        state: state.as_str().to_owned(),
        tries,
        next_try_at,
        ended_at: next_try_at.is_none().then(|| millis(now)),
        message,
        ..row
    };
    Ok(callbacks::update(core.database.writer(), ended).await?)
}

fn delay(tries: i64) -> Duration {
    let doublings = u32::try_from(tries - 1).unwrap_or(0).min(16);
    FIRST_DELAY * 2_u32.pow(doublings)
}

/// Posts webhooks and sends mails.
struct Postman {
    webhooks: Client,
}

impl Postman {
    fn new(core: &Core) -> Result<Self, Error> {
        let settings = &core.settings.webhooks;
        let guard = Guard::new(settings.allowed_schemes.clone(), settings.allow_private_addresses);
        let webhooks = Client::new(guard, settings.timeout).map_err(|reason| Error::InvalidRequest {
            field: "webhooks",
            reason,
        })?;
        Ok(Self { webhooks })
    }

    async fn tell(&self, core: &Core, row: &callbacks::Model) -> Result<(), Undelivered> {
        let notifier: Notifier = serde_json::from_str(&row.notifier).map_err(Undelivered::for_good)?;
        match notifier {
            Notifier::Webhook(target) if Notifier::is_address(&target) => self.post(&target, None, row).await,
            Notifier::Webhook(name) => {
                let connection = connection(core, &name).await?;
                let missing = || Undelivered::for_good(format!("there is no connection {name:?}"));
                let (url, secret) = without_credentials(&connection.ok_or_else(missing)?)?;
                self.post(&url, secret.as_deref(), row).await
            }
            Notifier::Email(addresses) => mail(core, &addresses, row).await,
        }
    }

    /// Posts a message. Each try of it is the same to the last byte, so that a receiver can tell by the id what it has
    /// seen before.
    async fn post(&self, url: &str, secret: Option<&str>, row: &callbacks::Model) -> Result<(), Undelivered> {
        let seconds = row.created_at.div_euclid(1000).to_string();
        let signature = secret.map(|secret| sign(secret, &row.id, &seconds, &row.body));
        let mut headers = vec![
            ("X-Fragua-Delivery-Id", row.id.as_str()),
            ("X-Fragua-Event", &row.event),
            ("X-Fragua-Timestamp", &seconds),
        ];
        headers.extend(
            signature
                .as_deref()
                .map(|signature| ("X-Fragua-Signature", signature)),
        );
        match self.webhooks.post(url, &headers, row.body.clone()).await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let again = is_for_now(response.status()).then(|| retry_after(&response));
                let Reply { status, body } = Reply::read(response).await;
                let body: String = body.chars().take(200).collect();
                let message = format!("answered {status} {body}").trim_end().to_owned();
                Err(Undelivered { message, again })
            }
            Err(failure @ Failure::Refused(_)) => Err(Undelivered::for_good(failure)),
            Err(failure) => Err(Undelivered::for_now(failure)),
        }
    }
}

async fn connection(core: &Core, name: &str) -> Result<Option<Connection>, Undelivered> {
    let connections = core.connections(core.database.reader()).await;
    // The right key may come with the next start.
    Ok(connections.map_err(Undelivered::for_now)?.remove(name))
}

/// Takes the password out of an address: it is what messages are signed with.
fn without_credentials(connection: &Connection) -> Result<(String, Option<String>), Undelivered> {
    let parts = connection.parts();
    let mut url = parts.ok_or_else(|| Undelivered::for_good("its connection is no address"))?;
    let secret = url.password().map(|password| {
        percent_encoding::percent_decode_str(password)
            .decode_utf8_lossy()
            .into_owned()
    });
    // Both fail only for addresses without a host, which are refused anyway.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    Ok((url.into(), secret))
}

/// The connection that mails are sent through, where there is one.
const SMTP_CONNECTION: &str = "smtp_default";

async fn mail(core: &Core, to: &Addresses, row: &callbacks::Model) -> Result<(), Undelivered> {
    let kept = match connection(core, SMTP_CONNECTION).await? {
        Some(connection) => Some(Smtp::from_url(connection.url.expose()).map_err(Undelivered::for_good)?),
        None => core.settings.smtp.clone(),
    };
    let smtp = kept.ok_or_else(|| {
        Undelivered::for_good("there is no mail server: set smtp.host, or make the connection smtp_default")
    })?;
    let message = compose(&smtp, to, row)?;
    let transport = transport(&smtp).map_err(Undelivered::for_good)?;
    match transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => Err(Undelivered::for_good(innermost(&error))),
        Err(error) => Err(Undelivered::for_now(innermost(&error))),
    }
}

fn innermost(error: &lettre::transport::smtp::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let tls = match smtp.security {
        SmtpSecurity::None => Tls::None,
        SmtpSecurity::StartTls => Tls::Required(TlsParameters::new(smtp.host.clone())?),
        SmtpSecurity::Tls => Tls::Wrapper(TlsParameters::new(smtp.host.clone())?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(smtp.timeout));
    if let Some((user, password)) = smtp.user.clone().zip(smtp.password.as_ref()) {
        builder = builder.credentials(Credentials::new(user, password.expose().to_owned()));
    }
    Ok(builder.build())
}

/// Writes the mail: what happened in one line, then all that is known of it.
fn compose(smtp: &Smtp, to: &Addresses, row: &callbacks::Model) -> Result<Message, Undelivered> {
    let body: Value = serde_json::from_str(&row.body).map_err(Undelivered::for_good)?;
    let text = |key: &str| match &body[key] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let of = row
        .task_id
        .as_ref()
        .map(|task_id| format!(".{task_id}"))
        .unwrap_or_default();
    let event = crate::CallbackEvent::parse(&row.event).map_or("", crate::CallbackEvent::words);
    let subject = format!("Fragua: {}{of} {event} ({})", row.dag_id, row.run_id);
    let mut lines = vec![text("text").unwrap_or_default(), String::new()];
    for key in [
        "dag_id",
        "run_id",
        "logical_date",
        "task_id",
        "map_index",
        "try_number",
        "message",
        "happened_at",
    ] {
        lines.extend(text(key).map(|value| format!("{key}: {value}")));
    }
    let from: Mailbox = smtp.from.parse().map_err(|_| {
        Undelivered::for_good(format!("{:?} is not an e-mail address: set smtp.from", smtp.from))
    })?;
    let mut message = Message::builder()
        .from(from)
        // The same for each try, so that who gets it twice can tell.
        .message_id(Some(format!("<{}@fragua>", row.id)))
        .subject(subject.replace(['\r', '\n'], " "))
        .header(ContentType::TEXT_PLAIN);
    for address in &to.0 {
        let address: Mailbox = address.parse().map_err(Undelivered::for_good)?;
        message = message.to(address);
    }
    message.body(lines.join("\n")).map_err(Undelivered::for_good)
}
