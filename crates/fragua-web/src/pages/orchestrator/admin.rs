//! What is wrong with DAG files, who runs tasks, and who changed what.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{AuditEntry, AuditQuery, Orchestrator};

use super::dags::run_address;
use crate::error::{Error, render};
use crate::filters;
use crate::page::{Page, encode};
use crate::state::StateView;

#[derive(Template)]
#[template(path = "orchestrator/import_errors.html")]
struct ImportErrorsPage<'a> {
    page: &'a Page,
    errors: Vec<ImportErrorView>,
}

struct ImportErrorView {
    place: String,
    message: String,
    hint: String,
    line: u32,
    excerpt: Vec<(u32, String)>,
    seen_at: Timestamp,
}

pub(super) async fn import_errors(
    State(orchestrator): State<Orchestrator>,
    page: Page,
) -> Result<Response, Error> {
    let errors = orchestrator.import_errors_with_times().await?;
    let views = tokio::task::spawn_blocking(move || {
        let view = |(seen_at, error): (Timestamp, fragua_orchestrator::ImportError)| {
            let mut place = error.path.display().to_string();
            for number in [error.line, error.column].into_iter().flatten() {
                place.push_str(&format!(":{number}"));
            }
            ImportErrorView {
                place,
                line: error.line.unwrap_or(0),
                excerpt: orchestrator.excerpt(&error),
                message: error.message,
                hint: error.hint.unwrap_or_default(),
                seen_at,
            }
        };
        errors.into_iter().map(view).collect::<Vec<_>>()
    });
    render(&ImportErrorsPage {
        page: &page,
        errors: views.await.map_err(|_| Error::Panicked)?,
    })
}

#[derive(Template)]
#[template(path = "orchestrator/workers.html")]
struct WorkersPage<'a> {
    page: &'a Page,
    scheduler: Option<Timestamp>,
    workers: Vec<WorkerView>,
}

struct WorkerView {
    name: String,
    host: String,
    version: String,
    process_id: u32,
    is_remote: bool,
    running: u64,
    slots: u32,
    queues: Vec<String>,
    started_at: Timestamp,
    heard_at: Timestamp,
    view: StateView,
    word: String,
}

pub(super) async fn workers(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let workers = orchestrator.workers().await?;
    let scheduler = orchestrator.heartbeats().await?.scheduler;
    let view = |worker: fragua_orchestrator::Worker| {
        let (state, word) = match worker.is_alive {
            true => ("success", "worker-alive"),
            false => ("failed", "worker-silent"),
        };
        WorkerView {
            view: StateView::of(state),
            word: page.t(word),
            name: worker.name,
            host: worker.host,
            version: worker.version,
            process_id: worker.process_id,
            is_remote: worker.is_remote,
            running: worker.running,
            slots: worker.slots,
            queues: worker.queues,
            started_at: worker.started_at,
            heard_at: worker.heard_at,
        }
    };
    render(&WorkersPage {
        scheduler,
        workers: workers.into_iter().map(view).collect(),
        page: &page,
    })
}

const ENTRIES_PER_PAGE: u64 = 100;

#[derive(Template)]
#[template(path = "orchestrator/audit.html")]
struct AuditPage<'a> {
    page: &'a Page,
    dag: String,
    run: String,
    event: String,
    owner: String,
    rows: Vec<AuditRow>,
    first: Option<String>,
    next: Option<String>,
}

struct AuditRow {
    at: Timestamp,
    owner: String,
    owner_address: String,
    event: String,
    event_address: String,
    dag: String,
    dag_address: String,
    run: String,
    run_address: String,
    task: String,
    extra: String,
}

pub(super) async fn audit(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let text = |name: &str| page.parameter(name).unwrap_or_default().trim().to_owned();
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (dag, run, event, owner) = (text("dag"), text("run"), text("event"), text("owner"));
    let offset = page.offset() as u64;
    let query = AuditQuery {
        dag_id: some(&dag),
        run_id: some(&run),
        event: some(&event),
        owner: some(&owner),
        // One more tells whether there is a next page.
        limit: ENTRIES_PER_PAGE + 1,
        offset,
    };
    let entries = orchestrator.audit_entries(&query).await?;
    let next = (entries.len() as u64 > ENTRIES_PER_PAGE)
        .then(|| page.with("offset", &(offset + ENTRIES_PER_PAGE).to_string()));
    render(&AuditPage {
        rows: entries
            .into_iter()
            .take(ENTRIES_PER_PAGE as usize)
            .map(|entry| audit_row(&page, entry))
            .collect(),
        first: (offset > 0).then(|| page.with("offset", "")),
        next,
        dag,
        run,
        event,
        owner,
        page: &page,
    })
}

fn audit_row(page: &Page, entry: AuditEntry) -> AuditRow {
    let (dag, run) = (entry.dag_id.unwrap_or_default(), entry.run_id.unwrap_or_default());
    let extra: Vec<String> = match &entry.extra {
        serde_json::Value::Object(extra) => extra
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name}: {}", super::task::written(value)))
            .collect(),
        other => vec![other.to_string()],
    };
    AuditRow {
        at: entry.at,
        owner_address: page.with2("owner", &entry.owner, "offset", ""),
        owner: entry.owner,
        event_address: page.with2("event", &entry.event, "offset", ""),
        event: entry.event,
        dag_address: format!("/dags/{}", encode(&dag)),
        run_address: run_address(&dag, &run),
        dag,
        run,
        task: entry.task_id.unwrap_or_default(),
        extra: extra.join(", "),
    }
}
