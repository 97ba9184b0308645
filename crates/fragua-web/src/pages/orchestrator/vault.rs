//! Variables and connections. Secrets go in and never come out: what is hidden is written as `***`, and stays as it is
//! where somebody saves it so.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Secret;
use fragua_orchestrator::{Answered, Error as Fault, Orchestrator, Probe};
use url::Url;

use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, parse_query};

const HIDDEN: &str = "***";

/// Words in the name of a variable, or of a part of an address, whose value nobody is to see; as Airflow has them.
const SECRET_WORDS: [&str; 11] = [
    "access_key",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "passphrase",
    "passw",
    "private_key",
    "secret",
    "token",
    "keyfile",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[derive(Template)]
#[template(path = "orchestrator/vault.html")]
struct VaultPage<'a> {
    page: &'a Page,
    kind: Kind,
    entries: Vec<Entry>,
    edit: Option<Edit>,
    /// Why the entries cannot be read.
    problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Variables,
    Connections,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Connections => "connections",
        }
    }

    const fn address(self) -> &'static str {
        match self {
            Self::Variables => "/variables",
            Self::Connections => "/connections",
        }
    }

    /// Returns the key of a text about this kind.
    fn word(self, what: &str) -> String {
        format!("{}-{what}", self.name())
    }

    fn is_connections(self) -> bool {
        self == Self::Connections
    }
}

/// What the list shows.
struct Entry {
    name: String,
    value: String,
    description: String,
    is_setting: bool,
    probe: Option<ProbeView>,
    delete_id: String,
}

struct ProbeView {
    is_good: bool,
    words: String,
}

/// What is typed into the form.
#[derive(Default)]
struct Edit {
    is_new: bool,
    name: String,
    value: String,
    description: String,
    problem: String,
}

pub(super) async fn variables(
    State(orchestrator): State<Orchestrator>,
    page: Page,
) -> Result<Response, Error> {
    list(&orchestrator, &page, Kind::Variables).await
}

pub(super) async fn connections(
    State(orchestrator): State<Orchestrator>,
    page: Page,
) -> Result<Response, Error> {
    list(&orchestrator, &page, Kind::Connections).await
}

async fn list(orchestrator: &Orchestrator, page: &Page, kind: Kind) -> Result<Response, Error> {
    let edit = match page.parameter("edit") {
        None => None,
        Some("") => Some(Edit {
            is_new: true,
            ..Edit::default()
        }),
        Some(name) => {
            let kept = kept(orchestrator, kind).await?;
            let found = kept
                .into_iter()
                .find(|kept| kept.name == name && !kept.is_setting);
            let found = found.ok_or_else(|| Error::Missing {
                what: "entry",
                name: name.to_owned(),
            })?;
            Some(Edit {
                is_new: false,
                value: shown(kind, &found),
                name: found.name,
                description: found.description,
                problem: String::new(),
            })
        }
    };
    answer(orchestrator, page, kind, edit, None).await
}

/// A variable or connection as it is kept.
struct Kept {
    name: String,
    value: Secret,
    description: String,
    is_setting: bool,
}

async fn kept(orchestrator: &Orchestrator, kind: Kind) -> Result<Vec<Kept>, Fault> {
    Ok(match kind {
        Kind::Variables => orchestrator
            .variables()
            .await?
            .into_iter()
            .map(|variable| Kept {
                name: variable.name,
                value: variable.value,
                description: variable.description,
                is_setting: variable.is_setting,
            })
            .collect(),
        Kind::Connections => orchestrator
            .connections()
            .await?
            .into_iter()
            .map(|named| Kept {
                name: named.name,
                value: named.connection.url,
                description: named.description,
                is_setting: named.is_setting,
            })
            .collect(),
    })
}

fn shown(kind: Kind, kept: &Kept) -> String {
    match kind {
        Kind::Variables if is_secret(&kept.name) => HIDDEN.to_owned(),
        Kind::Variables => kept.value.expose().to_owned(),
        Kind::Connections => masked(kept.value.expose()),
    }
}

/// Writes an address without its secrets.
fn masked(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return HIDDEN.to_owned();
    };
    if url.password().is_some() {
        let _ = url.set_password(Some(HIDDEN));
    }
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = if is_secret(&name) { HIDDEN.into() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    if pairs.iter().any(|(_, value)| value == HIDDEN) {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

/// Puts the secrets of the address before in the places that say `***`; an error names what is not known.
fn restored(address: &str, before: Option<&str>) -> Result<String, &'static str> {
    let Ok(mut url) = Url::parse(address) else {
        // What is wrong with it is said where it is kept.
        return Ok(address.to_owned());
    };
    let before = before.and_then(|before| Url::parse(before).ok());
    if url.password() == Some(HIDDEN) {
        let password = before.as_ref().and_then(|before| before.password());
        let password = password.ok_or("connection-no-password")?.to_owned();
        // It is percent-encoded already, and encoding leaves it so.
        url.set_password(Some(&password))
            .map_err(|()| "connection-no-password")?;
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if !pairs.iter().any(|(_, value)| value == HIDDEN) {
        return Ok(url.to_string());
    }
    let known: Vec<(String, String)> = before
        .iter()
        .flat_map(|before| before.query_pairs().into_owned())
        .collect();
    let mut written = Vec::new();
    for (name, value) in pairs {
        let value = match value == HIDDEN {
            true => known
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
                .ok_or("connection-no-password")?,
            false => value,
        };
        written.push((name, value));
    }
    url.query_pairs_mut().clear().extend_pairs(written);
    Ok(url.to_string())
}

async fn answer(
    orchestrator: &Orchestrator,
    page: &Page,
    kind: Kind,
    edit: Option<Edit>,
    probe: Option<(String, Probe)>,
) -> Result<Response, Error> {
    let (kept, problem) = match kept(orchestrator, kind).await {
        Ok(kept) => (kept, String::new()),
        Err(error @ (Fault::NoSecretKey | Fault::WrongSecretKey { .. })) => (Vec::new(), error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let entries = kept.into_iter().enumerate().map(|(index, kept)| {
        let probe = probe.as_ref().filter(|(name, _)| *name == kept.name);
        Entry {
            delete_id: format!("delete-{index}"),
            value: shown(kind, &kept),
            probe: probe.map(|(_, probe)| probe_view(page, probe)),
            name: kept.name,
            description: kept.description,
            is_setting: kept.is_setting,
        }
    });
    render(&VaultPage {
        page,
        kind,
        entries: entries.collect(),
        edit,
        problem,
    })
}

fn probe_view(page: &Page, probe: &Probe) -> ProbeView {
    let took = i64::try_from(probe.took.as_millis()).unwrap_or(i64::MAX);
    let took = format::duration(took);
    let words = match &probe.outcome {
        Ok(Answered::Database) => page.t1("probe-database", "took", &took),
        Ok(Answered::ObjectStore) => page.t1("probe-object-store", "took", &took),
        Ok(Answered::Http(status)) => {
            page.text_with("probe-http", &[("took", &took), ("status", &status.to_string())])
        }
        Ok(Answered::Port) => page.t1("probe-port", "took", &took),
        Err(reason) => reason.clone(),
    };
    ProbeView {
        is_good: probe.outcome.is_ok(),
        words,
    }
}

pub(super) async fn act_on_variables(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    act(&orchestrator, &page, Kind::Variables, &body).await
}

pub(super) async fn act_on_connections(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    act(&orchestrator, &page, Kind::Connections, &body).await
}

async fn act(orchestrator: &Orchestrator, page: &Page, kind: Kind, body: &[u8]) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim().to_owned();
    let (name, home) = (text("name"), kind.address());
    match text("do").as_str() {
        "delete" => {
            match kind {
                Kind::Variables => orchestrator.delete_variable(&name).await?,
                Kind::Connections => orchestrator.delete_connection(&name).await?,
            }
            return Ok(see_other(home));
        }
        "test" => {
            let probe = orchestrator.probe_connection(&name).await?;
            return answer(orchestrator, page, kind, None, Some((name, probe))).await;
        }
        _ => {}
    }
    let typed = Edit {
        is_new: form::value(&form, "new").is_some(),
        name,
        value: form::value(&form, "value").unwrap_or_default().to_owned(),
        description: text("description"),
        problem: String::new(),
    };
    match put(orchestrator, page, kind, &typed).await? {
        None => Ok(see_other(home)),
        Some(problem) => {
            let edit = Some(Edit { problem, ..typed });
            answer(orchestrator, page, kind, edit, None).await
        }
    }
}

/// Keeps what was typed, or says why not.
async fn put(
    orchestrator: &Orchestrator,
    page: &Page,
    kind: Kind,
    typed: &Edit,
) -> Result<Option<String>, Error> {
    let known = match kept(orchestrator, kind).await {
        Ok(known) => known,
        Err(error @ (Fault::NoSecretKey | Fault::WrongSecretKey { .. })) => {
            return Ok(Some(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let before = known.iter().find(|kept| kept.name == typed.name);
    if before.is_some_and(|before| typed.is_new || before.is_setting) {
        return Ok(Some(page.t1("name-taken", "name", &typed.name)));
    }
    let before = before.map(|before| before.value.expose());
    let done = match kind {
        Kind::Variables => {
            let value = match before.filter(|_| typed.value == HIDDEN && is_secret(&typed.name)) {
                Some(before) => before,
                None => &typed.value,
            };
            let value = Secret::new(value);
            orchestrator
                .put_variable(&typed.name, &value, &typed.description)
                .await
        }
        Kind::Connections => {
            let url = match restored(typed.value.trim(), before) {
                Ok(url) => Secret::new(url),
                Err(key) => return Ok(Some(page.t(key))),
            };
            orchestrator
                .put_connection(&typed.name, &url, &typed.description)
                .await
        }
    };
    match done {
        Ok(()) => Ok(None),
        Err(error @ (Fault::InvalidRequest { .. } | Fault::NoSecretKey)) => Ok(Some(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_secrets_to_itself() {
        for (address, expected) in [
            ("postgres://ada:p%40ss@host/db", "postgres://ada:***@host/db"),
            ("http://host/path", "http://host/path"),
            (
                "aws://?region=eu&secret_access_key=abc",
                "aws://?region=eu&secret_access_key=***",
            ),
            ("no address", "***"),
        ] {
            assert_eq!(masked(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_hidden_stays_as_it_was() {
        let before = Some("postgres://ada:p%40ss@host/db?api_key=k1");
        for (typed, expected) in [
            (
                "postgres://ada:***@other/db?api_key=***",
                Ok("postgres://ada:p%40ss@other/db?api_key=k1"),
            ),
            ("postgres://ada:new@host/db", Ok("postgres://ada:new@host/db")),
            ("http://host/?token=***", Err("connection-no-password")),
            ("no address", Ok("no address")),
        ] {
            assert_eq!(restored(typed, before).as_deref(), expected.as_deref(), "{typed}");
        }
        assert_eq!(
            restored("postgres://ada:***@host/db", None),
            Err("connection-no-password")
        );
    }
}
