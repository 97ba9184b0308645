//! Access keys: who has one, what it may do, and until when.

use std::time::Duration;

use askama::Template;
use axum::extract::{RawForm, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use fragua_auth::{Auth, NewStorageKey, Policy, PolicyOf, StorageAccess, StorageKey};
use fragua_base::Timestamp;
use fragua_storage::Storage;

use super::Console;
use super::settings::pretty;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::page::{Page, parse_query};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage<'a> {
    page: &'a Page,
    owner: String,
    rows: Vec<KeyRow>,
    new: Option<NewKey>,
    made: Option<MadeKey>,
    buckets: Vec<String>,
    endpoint: String,
}

struct KeyRow {
    id: String,
    name: String,
    policy: String,
    /// The style class, the icon and the word of its state.
    look: (&'static str, &'static str, &'static str),
    can_toggle: bool,
    is_enabled: bool,
    is_revoked: bool,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// What is typed into the form.
#[derive(Default)]
struct NewKey {
    name: String,
    access: String,
    buckets: Vec<String>,
    policy: String,
    days: String,
    problem: String,
}

impl NewKey {
    fn has(&self, bucket: &str) -> bool {
        self.buckets.iter().any(|chosen| chosen == bucket)
    }
}

/// A key that was just made: its secret is shown this once.
struct MadeKey {
    id: String,
    name: String,
    secret: String,
}

pub(super) async fn list(State(console): State<Console>, page: Page) -> Result<Response, Error> {
    let new = page.has_chosen("new").then(|| NewKey {
        access: "write".to_owned(),
        policy: example(),
        ..NewKey::default()
    });
    answer(&console, &page, new, None).await
}

fn example() -> String {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"],
        }],
    });
    pretty(&policy.to_string())
}

async fn answer(
    console: &Console,
    page: &Page,
    new: Option<NewKey>,
    made: Option<MadeKey>,
) -> Result<Response, Error> {
    let keys = console.auth.storage_keys().await?;
    render(&KeysPage {
        page,
        owner: console.auth.root_access_key(None).await?.id,
        // Those that were made last are looked for most.
        rows: keys.into_iter().rev().map(|key| row(key, page.now())).collect(),
        new,
        made,
        buckets: bucket_names(&console.storage).await?,
        endpoint: page.site().endpoints().storage.clone().unwrap_or_default(),
    })
}

async fn bucket_names(storage: &Storage) -> Result<Vec<String>, Error> {
    let names = storage.bucket_names().await?;
    Ok(names.into_iter().map(|(name, _)| name.to_string()).collect())
}

fn row(key: StorageKey, now: Timestamp) -> KeyRow {
    let is_expired = key.expires_at.is_some_and(|at| at <= now);
    let look = match (key.revoked_at, key.disabled_at, is_expired) {
        (Some(_), ..) => ("state-removed", "cross", "key-revoked"),
        (None, Some(_), _) => ("state-queued", "stop", "key-disabled"),
        (None, None, true) => ("state-upstream_failed", "clock", "key-expired"),
        (None, None, false) => ("state-success", "check", "key-active"),
    };
    KeyRow {
        policy: pretty(&key.policy.to_json()),
        look,
        can_toggle: key.revoked_at.is_none() && !is_expired,
        is_enabled: key.disabled_at.is_none(),
        is_revoked: key.revoked_at.is_some(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        id: key.id,
        name: key.name,
    }
}

pub(super) async fn act(
    State(console): State<Console>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim();
    let (auth, id) = (&console.auth, text("id"));
    match text("do") {
        "disable" => auth.set_storage_key_enabled(id, false).await?,
        "enable" => auth.set_storage_key_enabled(id, true).await?,
        "revoke" => auth.revoke_storage_key(id).await?,
        _ => return create(&console, &page, &form).await,
    };
    Ok(see_other("/keys"))
}

async fn create(console: &Console, page: &Page, form: &[(String, String)]) -> Result<Response, Error> {
    let text = |name: &str| form::value(form, name).unwrap_or_default().trim().to_owned();
    let buckets = form.iter().filter(|(name, _)| name == "bucket");
    let mut typed = NewKey {
        name: text("name"),
        access: text("access"),
        buckets: buckets.map(|(_, bucket)| bucket.clone()).collect(),
        policy: text("policy"),
        days: text("days"),
        problem: String::new(),
    };
    match make(&console.auth, page, &typed).await {
        // The answer is the page itself: no other address ever shows the secret.
        Ok(made) => {
            let page = answer(console, page, None, Some(made)).await?;
            Ok(([(CACHE_CONTROL, "private, no-store")], page).into_response())
        }
        Err(error) => {
            let (status, problem) = error.into_refusal()?;
            typed.problem = problem;
            let page = answer(console, page, Some(typed), None).await?;
            Ok((status, page).into_response())
        }
    }
}

async fn make(auth: &Auth, page: &Page, typed: &NewKey) -> Result<MadeKey, Error> {
    let of = |access| Policy::of(access, &typed.buckets);
    let policy = match typed.access.as_str() {
        "custom" => Policy::parse(&typed.policy, PolicyOf::Key)?,
        "full" => of(StorageAccess::Full),
        "write" => of(StorageAccess::Write),
        _ => of(StorageAccess::Read),
    };
    let lifetime = match typed.days.as_str() {
        "" => None,
        days => match days.parse::<u32>() {
            Ok(days) if days > 0 => Some(DAY * days),
            _ => return Err(Error::Invalid(page.t("field-not-whole"))),
        },
    };
    let new = NewStorageKey {
        name: typed.name.clone(),
        policy,
        lifetime,
    };
    let (key, secret) = auth.create_storage_key(new).await?;
    Ok(MadeKey {
        id: key.id,
        name: key.name,
        secret: secret.expose().to_owned(),
    })
}
