//! `fragua dags`: the DAGs of a project, and what can be done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use fragua_base::Timestamp;
use fragua_orchestrator::{DagSummary, ImportError, Task, TriggerRequest};
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::{Common, dag_runs, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the DAGs
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one DAG with its tasks
    Show {
        /// Name of the DAG
        dag: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Checks DAG files without running anything; the status is 1 when one is broken
    Check {
        /// Files, or folders of them [default: the project's folder of DAGs]
        paths: Vec<PathBuf>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Starts a run by hand
    Trigger(Trigger),
    /// Keeps the schedule from starting runs
    Pause {
        /// Name of the DAG
        dag: String,
    },
    /// Lets the schedule start runs
    Unpause {
        /// Name of the DAG
        dag: String,
    },
    /// Makes tasks of a run go again, with the tasks after them
    Clear {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// Tasks to clear [default: all]
        #[arg(long = "task", value_name = "TASK")]
        tasks: Vec<String>,
    },
}

/// Options of `fragua dags trigger`.
#[derive(Debug, Args)]
pub(crate) struct Trigger {
    /// Name of the DAG
    dag: String,
    /// Gives a parameter, for example --param group_number=7; what is not JSON is a text
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    /// Gives the parameters as one JSON object; --param wins
    #[arg(long, value_name = "JSON", value_parser = parameters)]
    conf: Option<Map<String, Value>>,
    /// Logical date, for example 2025-04-02T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = Timestamp::parse_rfc3339)]
    logical_date: Option<Timestamp>,
    /// Name of the run [default: made from the logical date]
    #[arg(long)]
    run_id: Option<String>,
    /// Text to remember why
    #[arg(long)]
    note: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        _ => Err("write NAME=VALUE, for example group_number=7".to_owned()),
    }
}

pub(super) fn parameters(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))
}

/// Runs a command on DAGs.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or the DAG does not allow what was asked.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = match &command {
        Command::List { .. } | Command::Show { .. } | Command::Check { .. } => {
            Desk::open_to_read(common).await?
        }
        _ => Desk::open(common).await?,
    };
    match command {
        Command::List { json } => list(&desk, json).await?,
        Command::Show { dag, json } => show(&desk, &dag, json).await?,
        Command::Check { paths, json } => return check(&desk, &paths, json),
        Command::Trigger(options) => trigger(&desk, options).await?,
        Command::Pause { dag } => set_paused(&desk, &dag, true).await?,
        Command::Unpause { dag } => set_paused(&desk, &dag, false).await?,
        Command::Clear { dag, run, tasks } => clear(&desk, &dag, &run, &tasks).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(desk: &Desk, as_json: bool) -> anyhow::Result<()> {
    let dags = desk.orchestrator.list_dags().await?;
    if as_json {
        output::json(&dags.iter().map(summary_json).collect::<Vec<_>>())?;
    } else {
        let rows: Vec<[String; 5]> = dags
            .iter()
            .map(|summary| {
                [
                    summary.dag.dag_id.clone(),
                    state_word(summary.is_paused).to_owned(),
                    summary.dag.timetable.schedule.to_string(),
                    last_state(summary).unwrap_or_default().to_owned(),
                    summary.next_run.map(|next| next.to_string()).unwrap_or_default(),
                ]
            })
            .collect();
        output::table(["dag", "state", "schedule", "last run", "next run"], &rows)?;
    }
    for error in desk.orchestrator.import_errors().await? {
        eprintln!("broken: {error}");
    }
    Ok(())
}

async fn show(desk: &Desk, dag_id: &str, as_json: bool) -> anyhow::Result<()> {
    let summary = desk.orchestrator.dag(dag_id).await;
    let summary = summary.map_err(|error| desk.explain(error))?;
    let dag = &summary.dag;
    if as_json {
        let mut shown = summary_json(&summary);
        shown["catchup"] = json!(dag.catchup);
        shown["max_active_runs"] = json!(dag.max_active_runs);
        shown["params"] = json!(dag.params);
        shown["tasks"] = dag.tasks.iter().map(task_json).collect();
        return output::json(&shown);
    }
    let (state, schedule) = (state_word(summary.is_paused), &dag.timetable.schedule);
    output::line(&format!("{} ({state}, schedule {schedule})", dag.dag_id))?;
    if let Some(description) = &dag.description {
        output::line(description)?;
    }
    output::line("")?;
    let rows: Vec<[String; 4]> = dag
        .tasks
        .iter()
        .map(|task| {
            [
                task.task_id.clone(),
                task.operator.clone(),
                task.needs.join(", "),
                task.retries.to_string(),
            ]
        })
        .collect();
    output::table(["task", "operator", "needs", "retries"], &rows)
}

fn summary_json(summary: &DagSummary) -> Value {
    let dag = &summary.dag;
    json!({
        "dag_id": dag.dag_id,
        "description": dag.description,
        "is_paused": summary.is_paused,
        "schedule": dag.timetable.schedule.to_string(),
        "tags": dag.tags,
        "owner": dag.owner,
        "last_run_state": last_state(summary),
        "next_run_after": summary.next_run.map(|next| next.run_after.to_rfc3339()),
    })
}

fn task_json(task: &Task) -> Value {
    json!({
        "task_id": task.task_id,
        "description": task.description,
        "operator": task.operator,
        "needs": task.needs,
        "retries": task.retries,
    })
}

const fn state_word(is_paused: bool) -> &'static str {
    if is_paused { "paused" } else { "active" }
}

/// The runs come newest first.
fn last_state(summary: &DagSummary) -> Option<&'static str> {
    summary.recent_runs.first().map(|run| run.state.as_str())
}

/// Checks files. A file's own name for a DAG may occur once in a project; that is checked when the project is read.
fn check(desk: &Desk, paths: &[PathBuf], as_json: bool) -> anyhow::Result<ExitCode> {
    let folder = desk.project.path(&desk.loaded.settings.orchestrator.dags_folder);
    let given: Vec<PathBuf> = match paths {
        [] => vec![folder],
        paths => paths.to_vec(),
    };
    let mut files = Vec::new();
    for path in &given {
        collect(path, &mut files)?;
    }
    files.sort();
    let mut all_ok = true;
    let mut rows = Vec::new();
    for file in &files {
        let result = desk.orchestrator.check_file(file);
        all_ok &= result.is_ok();
        match result {
            Ok(dags) => {
                let names: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
                if as_json {
                    rows.push(json!({ "path": file, "ok": true, "dags": names, "errors": [] }));
                } else {
                    output::line(&format!("ok    {}: {}", file.display(), names.join(", ")))?;
                }
            }
            Err(errors) => {
                if as_json {
                    let errors: Vec<Value> = errors.iter().map(import_error).collect();
                    rows.push(json!({ "path": file, "ok": false, "dags": [], "errors": errors }));
                } else {
                    for error in &errors {
                        output::line(&format!("FAIL  {error}"))?;
                    }
                }
            }
        }
    }
    if as_json {
        output::json(&rows)?;
    } else if files.is_empty() {
        output::line("no DAG files")?;
    }
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn import_error(error: &ImportError) -> Value {
    json!({
        "line": error.line,
        "column": error.column,
        "message": error.message,
        "hint": error.hint,
    })
}

/// Gathers a file, or the DAG files below a folder.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("{} cannot be read", path.display());
    if fs::metadata(path).with_context(context)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let is_dag_file = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if path.is_dir() || is_dag_file {
            collect(&path, files)?;
        }
    }
    Ok(())
}

async fn trigger(desk: &Desk, options: Trigger) -> anyhow::Result<()> {
    let mut params = options.conf.unwrap_or_default();
    params.extend(options.params);
    let request = TriggerRequest {
        params,
        logical_date: options.logical_date,
        run_id: options.run_id,
        note: options.note,
    };
    let run = desk.orchestrator.trigger(&options.dag, request).await;
    let run = run.map_err(|error| desk.explain(error))?;
    desk.ring().await?;
    match options.json {
        true => output::json(&dag_runs::run_json(&run)),
        false => output::line(&format!("{} is {}: run {}", run.dag_id, run.state, run.run_id)),
    }
}

async fn set_paused(desk: &Desk, dag_id: &str, paused: bool) -> anyhow::Result<()> {
    let changed = desk.orchestrator.set_paused(dag_id, paused).await;
    changed.map_err(|error| desk.explain(error))?;
    desk.ring().await?;
    output::line(&format!("{dag_id} is {}", state_word(paused)))
}

async fn clear(desk: &Desk, dag_id: &str, run_id: &str, tasks: &[String]) -> anyhow::Result<()> {
    let cleared = desk.orchestrator.clear(dag_id, run_id, tasks).await?;
    desk.ring().await?;
    for instance in &cleared {
        output::line(&format!("cleared {}", instance.task_id))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_or_a_text() {
        let check = |text: &str, name: &str, value: Value| {
            assert_eq!(parameter(text).unwrap(), (name.to_owned(), value), "{text}");
        };
        check("a=7", "a", json!(7));
        check("a=true", "a", json!(true));
        check("a=[1, 2]", "a", json!([1, 2]));
        check("a=delete all rows", "a", json!("delete all rows"));
        check("a=b=c", "a", json!("b=c"));
        check("a=\"7\"", "a", json!("7"));
        assert!(parameter("a").is_err());
        assert!(parameter("=7").is_err());
    }

    #[test]
    fn parameters_are_an_object() {
        assert!(parameters("[1]").is_err());
        assert_eq!(parameters("{\"a\": 1}").unwrap()["a"], 1);
    }
}
