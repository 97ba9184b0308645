//! `fragua dag-runs`: the runs of DAGs and their logs.

use std::process::ExitCode;

use clap::Subcommand;
use fragua_base::Timestamp;
use fragua_orchestrator::{DagRun, DagRunQuery, DagRunState, RETURN_VALUE, TaskInstance, Xcom};
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::logs::Logs;
use super::output::Form;
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists runs, newest first
    List {
        /// Name of the DAG [default: all]
        dag: Option<String>,
        /// Only those in this state: queued, running, success, failed
        #[arg(long, value_parser = state)]
        state: Option<DagRunState>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one run with its tasks
    Show {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Says how a run ended, and its tasks with it: success or failed
    Mark {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// success or failed
        #[arg(value_parser = state)]
        state: DagRunState,
        #[command(flatten)]
        form: Form,
    },
    /// Forgets a run that is over, with its logs
    Delete {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        #[command(flatten)]
        form: Form,
    },
    /// Prints the log of a task, or of every task of the run
    Logs {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// Name of the task [default: all, one after the other]
        task: Option<String>,
        /// Which attempt [default: the newest]
        #[arg(long, requires = "task")]
        attempt: Option<u32>,
        /// Goes on until the task is over, from attempt to attempt
        #[arg(long, requires = "task")]
        follow: bool,
    },
}

fn state(text: &str) -> Result<DagRunState, String> {
    DagRunState::parse(text).ok_or_else(|| {
        let names = DagRunState::ALL.map(DagRunState::as_str).join(", ");
        format!("is none of {names}")
    })
}

/// Runs a command on DAG runs.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or there is no such run.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = Desk::open_to_read(common).await?;
    match command {
        Command::Mark {
            dag,
            run,
            state,
            form,
        } => {
            desk.orchestrator.mark_run(&dag, &run, state).await?;
            desk.ring().await?;
            let words = format!("{dag} {run} is marked as {state}");
            form.say(&words, &run_json(&desk.orchestrator.dag_run(&dag, &run).await?))?;
        }
        Command::Delete { dag, run, form } => {
            desk.orchestrator.delete_dag_run(&dag, &run).await?;
            desk.ring().await?;
            let shown = json!({ "dag_id": dag, "dag_run_id": run, "deleted": true });
            form.say(&format!("{dag} {run} is forgotten"), &shown)?;
        }
        Command::List {
            dag,
            state,
            limit,
            json,
        } => {
            let query = DagRunQuery {
                dag_id: dag,
                state,
                limit,
                offset: 0,
            };
            list(&desk, query, json).await?;
        }
        Command::Show { dag, run, json } => show(&desk, &dag, &run, json).await?,
        Command::Logs {
            dag,
            run,
            task,
            attempt,
            follow,
        } => {
            let logs = Logs {
                orchestrator: &desk.orchestrator,
                dag_id: &dag,
                run_id: &run,
            };
            match (task, attempt) {
                (None, _) => logs.of_run().await?,
                (Some(task), None) if follow => logs.follow_task(&task).await?,
                (Some(task), None) => logs.newest(&task).await?,
                (Some(task), Some(attempt)) => logs.of_attempt(&task, attempt, follow).await?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(desk: &Desk, query: DagRunQuery, as_json: bool) -> anyhow::Result<()> {
    let dag_id = query.dag_id.clone();
    let runs = desk.orchestrator.dag_runs(query).await?;
    // A DAG whose file is gone may still have runs.
    if let (Some(dag_id), true) = (dag_id, runs.is_empty()) {
        let known = desk.orchestrator.dag(&dag_id).await;
        known.map_err(|error| desk.explain(error))?;
    }
    if as_json {
        return output::json(&runs.iter().map(run_json).collect::<Vec<_>>());
    }
    let rows: Vec<[String; 5]> = runs
        .iter()
        .map(|run| {
            [
                run.dag_id.clone(),
                run.run_id.clone(),
                run.state.to_string(),
                instant(run.started_at),
                took(run.started_at, run.ended_at),
            ]
        })
        .collect();
    output::table(["dag", "run", "state", "started", "took"], &rows)
}

async fn show(desk: &Desk, dag_id: &str, run_id: &str, as_json: bool) -> anyhow::Result<()> {
    let run = desk.orchestrator.dag_run(dag_id, run_id).await?;
    let tasks = desk.orchestrator.task_instances(dag_id, run_id).await?;
    if as_json {
        let mut shown = run_json(&run);
        let xcoms = desk.orchestrator.xcoms_of_run(dag_id, run_id).await?;
        shown["tasks"] = tasks.iter().map(|task| task_json(task, &xcoms)).collect();
        return output::json(&shown);
    }
    output::line(&format!(
        "{dag_id} {run_id}: {}, {}",
        run.state,
        run.run_type.as_str()
    ))?;
    if let Some(note) = &run.note {
        output::line(note)?;
    }
    output::line("")?;
    let rows: Vec<[String; 6]> = tasks
        .iter()
        .map(|task| {
            [
                task.instance_id().to_string(),
                task.state.to_string(),
                task.attempt.to_string(),
                instant(task.started_at),
                took(task.started_at, task.ended_at),
                task.message.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["task", "state", "attempt", "started", "took", "message"], &rows)
}

/// Returns a run as JSON, with the names that the REST API uses.
pub(super) fn run_json(run: &DagRun) -> Value {
    json!({
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "run_type": run.run_type.as_str(),
        "state": run.state.as_str(),
        "logical_date": run.logical_date.map(Timestamp::to_rfc3339),
        "data_interval_start": run.data_interval_start.to_rfc3339(),
        "data_interval_end": run.data_interval_end.to_rfc3339(),
        "queued_at": run.queued_at.to_rfc3339(),
        "started_at": run.started_at.map(Timestamp::to_rfc3339),
        "ended_at": run.ended_at.map(Timestamp::to_rfc3339),
        "params": run.params,
        "note": run.note,
    })
}

pub(super) fn task_json(task: &TaskInstance, xcoms: &[Xcom]) -> Value {
    let of_task = |xcom: &&Xcom| xcom.task_id == task.task_id && xcom.map_index == task.map_index;
    let of_task = xcoms.iter().filter(of_task);
    let (returned, others): (Vec<_>, Vec<_>) = of_task.partition(|xcom| xcom.key == RETURN_VALUE);
    let others: Map<String, Value> = others
        .into_iter()
        .map(|xcom| (xcom.key.clone(), xcom.value.clone()))
        .collect();
    json!({
        "task_id": task.task_id,
        "map_index": task.map_index,
        "operator": task.operator,
        "state": task.state.as_str(),
        "attempt": task.attempt,
        "queued_at": task.queued_at.map(Timestamp::to_rfc3339),
        "started_at": task.started_at.map(Timestamp::to_rfc3339),
        "ended_at": task.ended_at.map(Timestamp::to_rfc3339),
        "message": task.message,
        "xcom": returned.first().map(|xcom| &xcom.value),
        "xcoms": others,
    })
}

pub(super) fn instant(instant: Option<Timestamp>) -> String {
    instant.map(Timestamp::to_rfc3339).unwrap_or_default()
}

pub(super) fn took(started: Option<Timestamp>, ended: Option<Timestamp>) -> String {
    match (started, ended) {
        (Some(started), Some(ended)) => format!("{:.1} s", ended.since(started).as_secs_f64()),
        _ => String::new(),
    }
}
