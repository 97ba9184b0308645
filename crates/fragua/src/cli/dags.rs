//! `fragua dags`: the DAGs of a project, and what can be done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use fragua_base::Timestamp;
use fragua_orchestrator::{DagSummary, Error, ImportError, Param, Task, TriggerRequest};
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::output::Form;
use super::{Common, dag_runs, output, rehearsal};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the DAGs
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one DAG with its tasks
    #[command(alias = "details")]
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
        #[command(flatten)]
        form: Form,
    },
    /// Lets the schedule start runs
    Unpause {
        /// Name of the DAG
        dag: String,
        #[command(flatten)]
        form: Form,
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
        #[command(flatten)]
        form: Form,
    },
    /// Runs one DAG file in the foreground, with no server, and forgets it: the status is 1 when the run fails
    Test(rehearsal::Test),
    /// Says when the schedule makes the next runs, and what they cover
    NextExecution {
        /// Name of the DAG
        dag: String,
        /// How many runs
        #[arg(short, long, default_value_t = 1, value_name = "N")]
        num_executions: usize,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Reads the DAG files again now; a running server does so by itself
    #[command(alias = "reserialize")]
    Reload {
        #[command(flatten)]
        form: Form,
    },
    /// Says for each DAG file how many tasks it has and how long it takes to read
    Report {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists what is wrong with DAG files
    ListImportErrors {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Forgets a DAG with all its runs and logs; it comes back when its file is read again
    Delete {
        /// Name of the DAG
        dag: String,
        /// Asks nothing
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        form: Form,
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

pub(super) fn parameter(text: &str) -> Result<(String, Value), String> {
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
    let command = match command {
        // It leaves the project as it is.
        Command::Test(options) => return Box::pin(rehearsal::test(common, options)).await,
        command => command,
    };
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
        Command::Pause { dag, form } => set_paused(&desk, &dag, true, form).await?,
        Command::Unpause { dag, form } => set_paused(&desk, &dag, false, form).await?,
        Command::Clear {
            dag,
            run,
            tasks,
            form,
        } => clear(&desk, &dag, &run, &tasks, form).await?,
        Command::Test(_) => {}
        Command::NextExecution {
            dag,
            num_executions,
            json,
        } => next_executions(&desk, &dag, num_executions, json).await?,
        Command::Reload { form } => reload(&desk, form).await?,
        Command::Report { json } => report(&desk, json)?,
        Command::ListImportErrors { json } => list_import_errors(&desk, json).await?,
        Command::Delete { dag, yes, form } => delete(&desk, &dag, yes, form).await?,
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
        "path": error.path,
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
    let given: Vec<String> = params.keys().cloned().collect();
    let request = TriggerRequest {
        params,
        logical_date: options.logical_date,
        run_id: options.run_id,
        note: options.note,
    };
    let run = desk.orchestrator.trigger(&options.dag, request).await;
    let run = match run {
        Ok(run) => run,
        Err(Error::InvalidParam { name, reason }) if !given.contains(&name) => {
            let known = desk.orchestrator.dag(&options.dag).await?;
            let flag = known.dag.params.get(&name).map(|param| flag(&name, param));
            let reason = reason.trim_end_matches('.');
            anyhow::bail!(
                "parameter {name} {reason}; give it as {}",
                flag.unwrap_or_default()
            );
        }
        Err(error) => return Err(desk.explain(error)),
    };
    desk.ring().await?;
    match options.json {
        true => output::json(&dag_runs::run_json(&run)),
        false => output::line(&format!("{} is {}: run {}", run.dag_id, run.state, run.run_id)),
    }
}

/// Returns the option that gives a parameter, with the first value that it takes where those are listed.
fn flag(name: &str, param: &Param) -> String {
    match param.choices.as_ref().and_then(|choices| choices.first()) {
        Some(Value::String(text)) if text.contains(' ') => format!("--param {name}={text:?}"),
        Some(Value::String(text)) => format!("--param {name}={text}"),
        Some(value) => format!("--param {name}='{value}'"),
        None => format!("--param {name}=VALUE"),
    }
}

async fn set_paused(desk: &Desk, dag_id: &str, paused: bool, form: Form) -> anyhow::Result<()> {
    let changed = desk.orchestrator.set_paused(dag_id, paused).await;
    changed.map_err(|error| desk.explain(error))?;
    desk.ring().await?;
    let words = format!("{dag_id} is {}", state_word(paused));
    form.say(&words, &json!({ "dag_id": dag_id, "is_paused": paused }))
}

async fn clear(desk: &Desk, dag_id: &str, run_id: &str, tasks: &[String], form: Form) -> anyhow::Result<()> {
    let cleared = desk.orchestrator.clear(dag_id, run_id, tasks).await?;
    desk.ring().await?;
    let names: Vec<String> = cleared
        .iter()
        .map(|instance| instance.instance_id().to_string())
        .collect();
    if form.json {
        return output::json(&json!({ "dag_id": dag_id, "dag_run_id": run_id, "cleared": names }));
    }
    for name in names {
        output::line(&format!("cleared {name}"))?;
    }
    Ok(())
}

async fn next_executions(desk: &Desk, dag_id: &str, count: usize, as_json: bool) -> anyhow::Result<()> {
    let next_runs = desk.orchestrator.next_runs(dag_id, count.min(1000)).await;
    let next_runs = next_runs.map_err(|error| desk.explain(error))?;
    if as_json {
        let shown = next_runs.iter().map(|next| {
            json!({
                "logical_date": next.data_interval_start.to_rfc3339(),
                "data_interval_start": next.data_interval_start.to_rfc3339(),
                "data_interval_end": next.data_interval_end.to_rfc3339(),
                "run_after": next.run_after.to_rfc3339(),
            })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    if next_runs.is_empty() {
        return output::line(&format!("the schedule of {dag_id} makes no run any more"));
    }
    for next in next_runs {
        output::line(&next.to_string())?;
    }
    Ok(())
}

async fn reload(desk: &Desk, form: Form) -> anyhow::Result<()> {
    desk.orchestrator.read_dag_files().await?;
    desk.ring().await?;
    let dags = desk.orchestrator.list_dags().await?.len();
    let errors = desk.orchestrator.import_errors().await?;
    if !form.json {
        errors.iter().for_each(|error| eprintln!("broken: {error}"));
    }
    let shown = json!({ "dags": dags, "import_errors": errors.iter().map(import_error).collect::<Vec<_>>() });
    form.say(&format!("{dags} DAGs, {} faults in files", errors.len()), &shown)
}

fn report(desk: &Desk, as_json: bool) -> anyhow::Result<()> {
    let folder = desk.project.path(&desk.loaded.settings.orchestrator.dags_folder);
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    files.sort();
    let mut read = Vec::with_capacity(files.len());
    for file in &files {
        let started = Instant::now();
        let dags = desk.orchestrator.check_file(file).unwrap_or_default();
        let tasks: usize = dags.iter().map(|dag| dag.tasks.len()).sum();
        let shown = file.strip_prefix(&folder).unwrap_or(file).display().to_string();
        read.push((shown, started.elapsed(), dags, tasks));
    }
    read.sort_by_key(|(_, took, _, _)| std::cmp::Reverse(*took));
    if as_json {
        let shown = read.iter().map(|(file, took, dags, tasks)| {
            let names: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
            json!({ "file": file, "duration": took.as_secs_f64(), "dags": names, "tasks": tasks })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<[String; 4]> = read
        .iter()
        .map(|(file, took, dags, tasks)| {
            let names: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
            let took = format!("{:.1} ms", took.as_secs_f64() * 1000.0);
            [file.clone(), took, names.join(", "), tasks.to_string()]
        })
        .collect();
    output::table(["file", "read in", "dags", "tasks"], &rows)
}

async fn list_import_errors(desk: &Desk, as_json: bool) -> anyhow::Result<()> {
    let errors = desk.orchestrator.import_errors().await?;
    if as_json {
        return output::json(&errors.iter().map(import_error).collect::<Vec<_>>());
    }
    for error in errors {
        output::line(&error.to_string())?;
    }
    Ok(())
}

async fn delete(desk: &Desk, dag_id: &str, yes: bool, form: Form) -> anyhow::Result<()> {
    anyhow::ensure!(
        yes,
        "this forgets every run of {dag_id} with its logs, and cannot be taken back: say so with --yes"
    );
    let deleted = desk.orchestrator.delete_dag(dag_id).await;
    deleted.map_err(|error| desk.explain(error))?;
    desk.ring().await?;
    let words = format!("{dag_id} is forgotten; it comes back when its file is read again");
    form.say(&words, &json!({ "dag_id": dag_id, "deleted": true }))
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
    fn a_parameter_that_is_missing_is_told_with_the_option_that_gives_it() {
        for (param, expected) in [
            (
                json!({ "enum": ["delete all rows"] }),
                "--param confirm=\"delete all rows\"",
            ),
            (json!({ "enum": ["yes"] }), "--param confirm=yes"),
            (json!({ "enum": [1, 2] }), "--param confirm='1'"),
            (json!({ "type": "string" }), "--param confirm=VALUE"),
        ] {
            let param: Param = serde_json::from_value(param).unwrap();
            assert_eq!(flag("confirm", &param), expected);
        }
    }

    #[test]
    fn parameters_are_an_object() {
        assert!(parameters("[1]").is_err());
        assert_eq!(parameters("{\"a\": 1}").unwrap()["a"], 1);
    }
}
