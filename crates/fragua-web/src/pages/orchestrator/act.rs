//! Lets tasks start over, or says by hand how they ended. What it would concern is shown first.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_orchestrator::{
    Clearing, DagRunState, Error as Fault, Marking, Orchestrator, TaskInstance, TaskState,
};

use super::dags::run_address;
use crate::error::{Error, render, see_other};
use crate::form;
use crate::page::{Page, encode, parse_query};
use crate::state::StateView;
use crate::view::{Crumb, SelectOption};

/// How many of the tasks concerned are listed.
const MOST_SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "orchestrator/act.html")]
struct ActPage<'a> {
    page: &'a Page,
    run_address: String,
    action: String,
    crumbs: Vec<Crumb>,
    title: String,
    lead: String,
    button: String,
    task: String,
    options: Vec<Choice>,
    states: Vec<SelectOption>,
    count: u64,
    rows: Vec<Concerned>,
    more: u64,
    problem: String,
}

/// A direction that can be chosen.
struct Choice {
    name: &'static str,
    label: String,
    hint: String,
    is_chosen: bool,
}

/// A task that it would concern.
struct Concerned {
    run_id: String,
    address: String,
    id: String,
    view: StateView,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Clear,
    Mark,
}

/// What a form or an address chooses.
struct Asked<'a> {
    task_ids: Vec<String>,
    state: TaskState,
    has: Box<dyn Fn(&str) -> bool + Send + Sync + 'a>,
}

impl<'a> Asked<'a> {
    fn of(pairs: &'a [(String, String)]) -> Self {
        let task = form::value(pairs, "task").filter(|task| !task.is_empty());
        let is_asked = form::value(pairs, "form").is_some();
        let state = form::value(pairs, "state").and_then(TaskState::parse);
        Self {
            task_ids: task.map(str::to_owned).into_iter().collect(),
            state: state.unwrap_or(TaskState::Success),
            // What comes after a task was made from its result: it starts over too unless somebody says otherwise.
            has: Box::new(move |name| match is_asked {
                true => form::value(pairs, name).is_some(),
                false => name == "downstream",
            }),
        }
    }

    fn clearing(&self, dry_run: bool) -> Clearing {
        Clearing {
            task_ids: self.task_ids.clone(),
            upstream: (self.has)("upstream"),
            downstream: (self.has)("downstream"),
            past: (self.has)("past"),
            future: (self.has)("future"),
            only_failed: (self.has)("only_failed"),
            dry_run,
        }
    }

    fn marking(&self, is_asked: bool, dry_run: bool) -> Marking {
        // Marking one task says nothing of those after it unless somebody chooses so.
        let has = |name: &str| is_asked && (self.has)(name);
        Marking {
            task_ids: self.task_ids.clone(),
            state: self.state,
            upstream: has("upstream"),
            downstream: has("downstream"),
            past: has("past"),
            future: has("future"),
            dry_run,
        }
    }
}

pub(super) async fn show_clear(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Error> {
    show(&orchestrator, &page, (&dag_id, &run_id), Act::Clear).await
}

pub(super) async fn show_mark(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Error> {
    show(&orchestrator, &page, (&dag_id, &run_id), Act::Mark).await
}

async fn show(
    orchestrator: &Orchestrator,
    page: &Page,
    (dag_id, run_id): (&str, &str),
    act: Act,
) -> Result<Response, Error> {
    // A run that does not exist is no form.
    let run = orchestrator.dag_run(dag_id, run_id).await?;
    let pairs: Vec<(String, String)> = page
        .all_parameters()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let asked = Asked::of(&pairs);
    let is_asked = form::value(&pairs, "form").is_some();
    let is_run = asked.task_ids.is_empty();
    let concerned = match act {
        Act::Clear => {
            orchestrator
                .clear_tasks(dag_id, run_id, &asked.clearing(true))
                .await
        }
        Act::Mark if is_run => unfinished(orchestrator, dag_id, run_id).await,
        Act::Mark => {
            let marking = asked.marking(is_asked, true);
            orchestrator.mark(dag_id, run_id, &marking).await
        }
    };
    let (concerned, problem) = match concerned {
        Ok(concerned) => (concerned, String::new()),
        Err(error @ (Fault::TaskNotFound { .. } | Fault::InvalidRequest { .. })) => {
            (Vec::new(), error.to_string())
        }
        Err(error) => return Err(error.into()),
    };
    let address = run_address(dag_id, run_id);
    let (verb, all) = match act {
        Act::Clear => (
            "clear",
            &["downstream", "upstream", "future", "past", "only_failed"][..],
        ),
        Act::Mark if is_run => ("mark", &[][..]),
        Act::Mark => ("mark", &["downstream", "upstream", "future", "past"][..]),
    };
    let task = asked.task_ids.first().cloned().unwrap_or_default();
    let what = if is_run { run.run_id.clone() } else { task.clone() };
    let chosen = |name: &str| (act == Act::Clear || is_asked) && (asked.has)(name);
    let options = all
        .iter()
        // All tasks are meant already.
        .filter(|name| !is_run || !matches!(**name, "downstream" | "upstream"))
        .map(|name| Choice {
            name,
            label: page.t(format!("act-{name}")),
            hint: page.t(format!("act-{name}-hint")),
            is_chosen: chosen(name),
        });
    let states = match (act, is_run) {
        (Act::Clear, _) => Vec::new(),
        (Act::Mark, true) => vec![TaskState::Success, TaskState::Failed],
        (Act::Mark, false) => vec![TaskState::Success, TaskState::Failed, TaskState::Skipped],
    };
    render(&ActPage {
        page,
        action: format!("{address}/{verb}"),
        crumbs: vec![
            Crumb::link(page.t("dags-title"), "/"),
            Crumb::link(dag_id, format!("/dags/{}", encode(dag_id))),
            Crumb::link(run_id, &*address),
            Crumb::here(page.t(format!("act-{verb}"))),
        ],
        title: page.t1(&format!("act-{verb}-title"), "what", &what),
        lead: page.t(format!("act-{verb}-lead")),
        button: page.t(format!("act-{verb}")),
        task,
        options: options.collect(),
        states: states
            .into_iter()
            .map(|state| {
                let word = page.t(StateView::of(state.as_str()).text_key());
                SelectOption::new(word, state.as_str(), state == asked.state)
            })
            .collect(),
        count: concerned.len() as u64,
        more: concerned.len().saturating_sub(MOST_SHOWN) as u64,
        rows: concerned.iter().take(MOST_SHOWN).map(concerned_row).collect(),
        problem,
        run_address: address,
    })
}

async fn unfinished(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<TaskInstance>, Fault> {
    let all = orchestrator.task_instances(dag_id, run_id).await?;
    Ok(all
        .into_iter()
        .filter(|instance| !instance.state.is_finished())
        .collect())
}

fn concerned_row(instance: &TaskInstance) -> Concerned {
    let id = instance.instance_id().to_string();
    let run = run_address(&instance.dag_id, &instance.run_id);
    Concerned {
        run_id: instance.run_id.clone(),
        address: format!("{run}?task={}", encode(&id)),
        id,
        view: StateView::of(instance.state.as_str()),
    }
}

pub(super) async fn clear(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let pairs = parse_query(&String::from_utf8_lossy(&body));
    let asked = Asked::of(&pairs);
    orchestrator
        .clear_tasks(&dag_id, &run_id, &asked.clearing(false))
        .await?;
    Ok(back(&dag_id, &run_id, &asked))
}

pub(super) async fn mark(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let pairs = parse_query(&String::from_utf8_lossy(&body));
    let asked = Asked::of(&pairs);
    let is_asked = form::value(&pairs, "form").is_some();
    if asked.task_ids.is_empty() {
        let state = match asked.state {
            TaskState::Failed => DagRunState::Failed,
            _ => DagRunState::Success,
        };
        orchestrator.mark_run(&dag_id, &run_id, state).await?;
    } else {
        let marking = asked.marking(is_asked, false);
        orchestrator.mark(&dag_id, &run_id, &marking).await?;
    }
    Ok(back(&dag_id, &run_id, &asked))
}

fn back(dag_id: &str, run_id: &str, asked: &Asked<'_>) -> Response {
    let address = run_address(dag_id, run_id);
    see_other(&match asked.task_ids.first() {
        Some(task) => format!("{address}?task={}", encode(task)),
        None => address,
    })
}
