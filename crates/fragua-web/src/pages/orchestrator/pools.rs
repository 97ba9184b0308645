//! Pools: how full they are, who takes their slots, and who waits for some.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{DEFAULT_POOL, Orchestrator, Pool, PoolUse, TaskInstance};

use super::dags::run_address;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::page::{Page, encode, parse_query};
use crate::state::StateView;
use crate::view::Crumb;

/// How many tasks of each kind the page of a pool lists.
const MOST_TASKS: u64 = 100;

#[derive(Template)]
#[template(path = "orchestrator/pools.html")]
struct PoolsPage<'a> {
    page: &'a Page,
    pools: Vec<PoolView>,
    edit: Option<PoolForm>,
}

struct PoolView {
    name: String,
    address: String,
    description: String,
    slots: String,
    taken: i64,
    queued: i64,
    /// How much of it is taken, from 0 to 100; nothing where there is no limit.
    share: Option<i64>,
    include_deferred: bool,
    can_go: bool,
}

/// What is typed into the form.
#[derive(Default)]
struct PoolForm {
    is_new: bool,
    name: String,
    slots: String,
    description: String,
    include_deferred: bool,
    problem: String,
}

fn view(pool: PoolUse) -> PoolView {
    let PoolUse { pool, taken, queued } = pool;
    PoolView {
        address: format!("/pools/{}", encode(&pool.name)),
        slots: if pool.slots < 0 {
            "∞".to_owned()
        } else {
            pool.slots.to_string()
        },
        share: (pool.slots > 0).then(|| (taken * 100 / pool.slots).clamp(0, 100)),
        can_go: pool.name != DEFAULT_POOL,
        name: pool.name,
        description: pool.description,
        include_deferred: pool.include_deferred,
        taken,
        queued,
    }
}

pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let edit = match page.parameter("edit") {
        None => None,
        Some("") => Some(PoolForm {
            is_new: true,
            ..PoolForm::default()
        }),
        Some(name) => {
            let pool = orchestrator.pool(name).await?.pool;
            Some(PoolForm {
                is_new: false,
                name: pool.name,
                slots: pool.slots.to_string(),
                description: pool.description,
                include_deferred: pool.include_deferred,
                problem: String::new(),
            })
        }
    };
    answer(&orchestrator, &page, edit).await
}

async fn answer(orchestrator: &Orchestrator, page: &Page, edit: Option<PoolForm>) -> Result<Response, Error> {
    let pools = orchestrator.pools().await?;
    render(&PoolsPage {
        page,
        pools: pools.into_iter().map(view).collect(),
        edit,
    })
}

pub(super) async fn act(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim().to_owned();
    let name = text("name");
    if text("do") == "delete" {
        orchestrator.delete_pool(&name).await?;
        return Ok(see_other("/pools"));
    }
    let mut typed = PoolForm {
        is_new: form::value(&form, "new").is_some(),
        name,
        slots: text("slots"),
        description: text("description"),
        include_deferred: form::value(&form, "include_deferred").is_some(),
        problem: String::new(),
    };
    let Ok(slots) = typed.slots.parse::<i64>() else {
        typed.problem = page.t("field-not-whole");
        return answer(&orchestrator, &page, Some(typed)).await;
    };
    let taken = orchestrator.pools().await?;
    if typed.is_new && taken.iter().any(|pool| pool.pool.name == typed.name) {
        typed.problem = page.t1("name-taken", "name", &typed.name);
        return answer(&orchestrator, &page, Some(typed)).await;
    }
    let pool = Pool {
        name: typed.name.clone(),
        slots,
        description: typed.description.clone(),
        include_deferred: typed.include_deferred,
    };
    match orchestrator.put_pool(pool).await {
        Ok(()) => Ok(see_other("/pools")),
        Err(error @ fragua_orchestrator::Error::InvalidRequest { .. }) => {
            typed.problem = error.to_string();
            answer(&orchestrator, &page, Some(typed)).await
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "orchestrator/pool.html")]
struct PoolPage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    pool: PoolView,
    taking: Vec<PoolTask>,
    waiting: Vec<PoolTask>,
}

/// A task that takes slots of a pool, or waits for some.
struct PoolTask {
    dag_id: String,
    run_id: String,
    id: String,
    address: String,
    view: StateView,
    slots: u32,
    since: Option<Timestamp>,
}

pub(super) async fn show(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let pool = orchestrator.pool(&name).await?;
    let (taking, waiting) = orchestrator.pool_tasks(&name, MOST_TASKS).await?;
    render(&PoolPage {
        page: &page,
        crumbs: vec![Crumb::link(page.t("pools-title"), "/pools"), Crumb::here(name)],
        pool: view(pool),
        taking: taking
            .iter()
            .map(|task| pool_task(task, task.started_at))
            .collect(),
        waiting: waiting
            .iter()
            .map(|task| pool_task(task, task.queued_at))
            .collect(),
    })
}

fn pool_task(task: &TaskInstance, since: Option<Timestamp>) -> PoolTask {
    let id = task.instance_id().to_string();
    PoolTask {
        address: format!("{}?task={}", run_address(&task.dag_id, &task.run_id), encode(&id)),
        dag_id: task.dag_id.clone(),
        run_id: task.run_id.clone(),
        id,
        view: StateView::of(task.state.as_str()),
        slots: task.pool_slots,
        since,
    }
}
