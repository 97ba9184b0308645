//! What was marked deleted: restored, or deleted for good after a look at what that takes away.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::{ErrorKind, Timestamp};
use fragua_tracking::{
    Deleted, DeletedKind, ExperimentId, Kept, KeptReason, PurgePlan, PurgeReport, PurgeRequest, Purging,
    Tracking,
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::edit::Sent;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::page::Page;
use crate::view::Crumb;

/// How many of each kind are shown; all of them are counted.
const MOST_ROWS: usize = 200;
/// How many names of each kind are shown of what goes.
const MOST_NAMES: usize = 30;
/// A purge that ends within this time is shown as done at once.
const SHORT: Duration = Duration::from_secs(1);
/// The choices of how long ago something was deleted, in days.
const AGES: [(u64, &str); 4] = [
    (0, "deleted-ever"),
    (7, "deleted-week"),
    (30, "deleted-month"),
    (90, "deleted-quarter"),
];

#[derive(Template)]
#[template(path = "tracking/deleted.html")]
struct DeletedPage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    ages: Vec<(String, String, bool)>,
    days: u64,
    groups: Vec<Group>,
    kept: Vec<KeptRow>,
    /// How many things there are to delete.
    total: u64,
    /// What is being deleted for good at this moment: how many are done, of how many, and in words.
    purging: Option<(usize, usize, String)>,
    /// What was just deleted for good.
    gone: Option<Counts>,
    /// Why that ended early.
    failure: Option<String>,
    error: String,
}

/// The deleted things of one kind.
struct Group {
    id: &'static str,
    title: String,
    rows: Vec<Row>,
    /// How many more there are.
    more: u64,
}

struct Row {
    /// Its kind and id, as a form sends them.
    value: String,
    name: String,
    address: Option<String>,
    /// What it is in, or what is in it.
    note: String,
    id: String,
    deleted_at: Option<Timestamp>,
}

struct KeptRow {
    kind: String,
    id: String,
    address: Option<String>,
    reason: String,
    /// Its kind and id, where it can be restored.
    value: Option<String>,
}

/// How much goes, in words.
struct Counts {
    things: String,
    size: String,
}

#[derive(Template)]
#[template(path = "tracking/purge.html")]
struct PurgePage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    counts: Counts,
    is_empty: bool,
    /// Whether something else is deleted now than what was looked at.
    is_changed: bool,
    /// The fields that say again what was asked for.
    fields: Vec<(&'static str, String)>,
    groups: Vec<Names>,
    kept: Vec<KeptRow>,
}

/// The names of the things of one kind.
struct Names {
    title: String,
    names: Vec<String>,
    more: u64,
}

pub(super) async fn list(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let days = page.parameter("days").unwrap_or_default().to_owned();
    show(&tracking, &page, known_days(&days), String::new()).await
}

/// Restores, tells what would be deleted for good, or does it.
pub(super) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let sent = Sent::read(&body);
    let days = known_days(sent.field("days"));
    let one = sent.field("restore");
    if !one.is_empty() {
        restore(&tracking, &page, one).await?;
        return Ok(back(days));
    }
    let is_all = sent.field("all") == "1" || sent.action() == "preview-all";
    let taken: Vec<&str> = if is_all {
        Vec::new()
    } else {
        sent.fields("take").collect()
    };
    if !is_all && taken.is_empty() {
        return show(&tracking, &page, days, page.t("deleted-select-first")).await;
    }
    if sent.action() == "restore" {
        for value in taken {
            restore(&tracking, &page, value).await?;
        }
        return Ok(back(days));
    }
    let mut request = PurgeRequest {
        older_than: is_all.then_some(Duration::from_secs(days * 86_400)),
        ..PurgeRequest::default()
    };
    for value in &taken {
        match thing(&page, value)? {
            (DeletedKind::Experiment, id) => request.experiments.push(id.parse()?),
            (DeletedKind::Run, id) => request.runs.push(id.to_owned()),
            (DeletedKind::LoggedModel, id) => request.logged_models.push(id.to_owned()),
        }
    }
    let plan = tracking.purge_plan(&request).await?;
    let seen = digest(&plan);
    match sent.action() {
        "purge" if sent.field("seen") == seen => {
            let mut purging = tracking.start_purge(plan)?;
            let number = purging.borrow().number;
            // Whether it has ended or not, the page tells.
            let _ = timeout(SHORT, purging.wait_for(|purging| !purging.is_running)).await;
            Ok(see_other(&format!("/deleted?days={days}&purge={number}")))
        }
        "purge" | "preview" | "preview-all" => {
            let mut fields = vec![("seen", seen), ("days", days.to_string())];
            if is_all {
                fields.push(("all", "1".to_owned()));
            }
            fields.extend(taken.iter().map(|value| ("take", (*value).to_owned())));
            let report = tracking.purge_preview(&plan).await?;
            render(&PurgePage {
                page: &page,
                crumbs: vec![
                    Crumb::link(page.t("experiments-title"), "/"),
                    Crumb::link(page.t("deleted-title"), address(days)),
                    Crumb::here(page.t("purge-title")),
                ],
                counts: counts(&page, &report),
                is_empty: plan.is_empty(),
                is_changed: sent.action() == "purge",
                fields,
                groups: names(&page, &plan),
                kept: kept(&page, &report.kept),
            })
        }
        _ => Err(Error::Invalid(page.t("form-unknown"))),
    }
}

async fn show(tracking: &Tracking, page: &Page, days: u64, error: String) -> Result<Response, Error> {
    let purging = tracking.purging().borrow().clone();
    let Purging {
        number,
        done,
        total,
        is_running,
        outcome,
    } = purging;
    let is_asked_for = page.parameter("purge") == Some(number.to_string().as_str());
    let (report, failure) = match outcome.filter(|_| is_asked_for) {
        Some(Ok(report)) => (Some(report), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let told = [
        ("done", format::integer(done as u64)),
        ("total", format::integer(total as u64)),
    ];
    let told = told.each_ref().map(|(name, value)| (*name, value.as_str()));
    let purging = is_running.then(|| (done, total, page.text_with("purging", &told)));
    let request = PurgeRequest {
        older_than: Some(Duration::from_secs(days * 86_400)),
        ..PurgeRequest::default()
    };
    let plan = tracking.purge_plan(&request).await?;
    let groups = groups(tracking, page, &plan).await?;
    // What has just been kept comes first, with the reason why its files were, for instance.
    let mut stays: Vec<Kept> = report
        .as_ref()
        .map(|report| report.kept.clone())
        .unwrap_or_default();
    stays.extend(
        plan.kept
            .iter()
            .filter(|kept| !stays.contains(kept))
            .cloned()
            .collect::<Vec<_>>(),
    );
    let ages = AGES
        .iter()
        .map(|(age, word)| (address(*age), page.t(word), *age == days));
    render(&DeletedPage {
        page,
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::here(page.t("deleted-title")),
        ],
        ages: ages.collect(),
        days,
        groups,
        kept: kept(page, &stays),
        total: plan.len() as u64,
        purging,
        gone: report.map(|report| counts(page, &report)),
        failure,
        error,
    })
}

/// Lists experiments, and the runs and logged models that do not go with one of them.
async fn groups(tracking: &Tracking, page: &Page, plan: &PurgePlan) -> Result<Vec<Group>, Error> {
    let mut held: HashMap<ExperimentId, (u64, u64)> =
        plan.experiments.iter().map(|one| (one.id, (0, 0))).collect();
    let mut alone = |found: &[Deleted], is_run: bool| -> Vec<Deleted> {
        let goes_alone = |one: &&Deleted| {
            let Some((runs, models)) = held.get_mut(&one.experiment_id) else {
                return true;
            };
            *(if is_run { runs } else { models }) += 1;
            false
        };
        found.iter().filter(goes_alone).cloned().collect()
    };
    let runs = alone(&plan.runs, true);
    let models = alone(&plan.logged_models, false);
    let experiments = plan.experiments.iter().take(MOST_ROWS).map(|one| {
        let (runs, models) = held.get(&one.id).copied().unwrap_or_default();
        let inside = [
            (runs > 0).then(|| page.tn("count-runs", &runs)),
            (models > 0).then(|| page.tn("count-logged-models", &models)),
        ];
        Row {
            value: format!("experiment:{}", one.id),
            name: one.name.clone(),
            address: Some(format!("/experiments/{}", one.id)),
            note: inside.into_iter().flatten().collect::<Vec<_>>().join(", "),
            id: one.id.to_string(),
            deleted_at: one.deleted_at,
        }
    });
    let experiments = Group {
        id: "experiments",
        title: page.t("experiments-title"),
        rows: experiments.collect(),
        more: more(plan.experiments.len()),
    };
    let shown = runs.iter().take(MOST_ROWS).chain(models.iter().take(MOST_ROWS));
    let within: HashSet<ExperimentId> = shown.map(|one| one.experiment_id).collect();
    let mut names = HashMap::new();
    for id in within {
        names.insert(id, tracking.experiment(id).await?.name);
    }
    let group = |kind: &'static str, id, title, found: &[Deleted], has_page: bool| Group {
        id,
        title: page.t(title),
        rows: found
            .iter()
            .take(MOST_ROWS)
            .map(|one| Row {
                value: format!("{kind}:{}", one.id),
                name: shown_name(one),
                // A deleted logged model has no page of its own.
                address: has_page.then(|| format!("/runs/{}", one.id)),
                note: names.get(&one.experiment_id).cloned().unwrap_or_default(),
                id: one.id.clone(),
                deleted_at: one.deleted_at,
            })
            .collect(),
        more: more(found.len()),
    };
    let mut groups = vec![
        experiments,
        group("run", "runs", "runs", &runs, true),
        group("model", "logged-models", "logged-models", &models, false),
    ];
    groups.retain(|group| !group.rows.is_empty());
    Ok(groups)
}

fn more(all: usize) -> u64 {
    all.saturating_sub(MOST_ROWS) as u64
}

fn names(page: &Page, plan: &PurgePlan) -> Vec<Names> {
    let of = |found: &[Deleted]| found.iter().map(shown_name).collect::<Vec<_>>();
    let experiments = plan.experiments.iter().map(|one| one.name.clone());
    let groups = [
        ("experiments-title", experiments.collect()),
        ("runs", of(&plan.runs)),
        ("logged-models", of(&plan.logged_models)),
    ];
    let groups = groups.into_iter().map(|(title, mut names)| {
        let more = names.len().saturating_sub(MOST_NAMES) as u64;
        names.truncate(MOST_NAMES);
        Names {
            title: page.t(title),
            names,
            more,
        }
    });
    groups.filter(|group| !group.names.is_empty()).collect()
}

fn shown_name(one: &Deleted) -> String {
    if one.name.is_empty() {
        return format::shorten(&one.id, 12);
    }
    one.name.clone()
}

/// Reads what a form names, such as `run:0123…`.
fn thing<'a>(page: &Page, value: &'a str) -> Result<(DeletedKind, &'a str), Error> {
    let kind = match value.split_once(':') {
        Some(("experiment", id)) => (DeletedKind::Experiment, id),
        Some(("run", id)) => (DeletedKind::Run, id),
        Some(("model", id)) => (DeletedKind::LoggedModel, id),
        _ => return Err(Error::Invalid(page.t("form-unknown"))),
    };
    Ok(kind)
}

/// Somebody else may have restored it, or deleted it for good: the list tells.
async fn restore(tracking: &Tracking, page: &Page, value: &str) -> Result<(), Error> {
    let restored = match thing(page, value)? {
        (DeletedKind::Experiment, id) => tracking.restore_experiment(id.parse()?).await,
        (DeletedKind::Run, id) => tracking.restore_run(id).await,
        (DeletedKind::LoggedModel, id) => tracking.restore_logged_model(id).await,
    };
    match restored {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        restored => Ok(restored?),
    }
}

/// Tells one plan from another: what is deleted for good is what was looked at.
fn digest(plan: &PurgePlan) -> String {
    let mut hasher = Sha256::new();
    for experiment in &plan.experiments {
        hasher.update(format!("experiment:{}\n", experiment.id));
    }
    for one in plan.runs.iter().chain(&plan.logged_models) {
        hasher.update(format!("{}\n", one.id));
    }
    hex::encode(&hasher.finalize()[..16])
}

fn counts(page: &Page, report: &PurgeReport) -> Counts {
    let things = [
        (report.experiments, "count-experiments"),
        (report.runs, "count-runs"),
        (report.logged_models, "count-logged-models"),
    ];
    let things: Vec<String> = things
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, key)| page.tn(key, &count))
        .collect();
    Counts {
        things: if things.is_empty() {
            page.t("deleted-nothing")
        } else {
            things.join(", ")
        },
        size: format!(
            "{}, {}",
            page.tn("count-files", &report.size.files),
            format::bytes(report.size.bytes)
        ),
    }
}

fn kept(page: &Page, kept: &[Kept]) -> Vec<KeptRow> {
    let row = |kept: &Kept| {
        let (kind, short, address) = match kept.kind {
            DeletedKind::Experiment => (
                "experiment",
                "experiment",
                Some(format!("/experiments/{}", kept.id)),
            ),
            DeletedKind::Run => ("run", "run", Some(format!("/runs/{}", kept.id))),
            DeletedKind::LoggedModel => ("logged-model", "model", None),
        };
        let is_deleted = matches!(
            kept.reason,
            KeptReason::Registered { .. } | KeptReason::IsDefault | KeptReason::NotEmpty
        );
        KeptRow {
            kind: page.t(kind),
            address: address.filter(|_| !kept.is_only_files()),
            reason: reason(page, &kept.reason),
            value: is_deleted.then(|| format!("{short}:{}", kept.id)),
            id: kept.id.clone(),
        }
    };
    kept.iter().take(MOST_ROWS).map(row).collect()
}

fn reason(page: &Page, reason: &KeptReason) -> String {
    match reason {
        KeptReason::Registered { name, version } => {
            let version = version.to_string();
            page.text_with("kept-registered", &[("name", name), ("version", &version)])
        }
        KeptReason::IsDefault => page.t("kept-default"),
        KeptReason::NotEmpty => page.t("kept-not-empty"),
        KeptReason::NotDeleted => page.t("kept-not-deleted"),
        KeptReason::DeletedTooRecently => page.t("kept-deleted-too-recently"),
        KeptReason::NotFound => page.t("kept-not-found"),
        KeptReason::Restored => page.t("kept-restored"),
        KeptReason::FilesShared { uri } => page.t1("kept-files-shared", "uri", uri),
        KeptReason::FilesElsewhere { uri } => page.t1("kept-files-elsewhere", "uri", uri),
    }
}

fn known_days(text: &str) -> u64 {
    let days = text.parse().unwrap_or(0);
    AGES.iter()
        .find(|(age, _)| *age == days)
        .map_or(0, |(age, _)| *age)
}

fn address(days: u64) -> String {
    if days == 0 {
        return "/deleted".to_owned();
    }
    format!("/deleted?days={days}")
}

fn back(days: u64) -> Response {
    see_other(&address(days))
}
