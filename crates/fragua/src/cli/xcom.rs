//! `fragua xcom`: the values that tasks hand on.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fragua_orchestrator::{InstanceId, RETURN_VALUE};
use serde_json::{Value, json};

use super::desk::Desk;
use super::output::Form;
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists what the tasks of a run handed on
    List {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// Only what this task handed on
        #[arg(long)]
        task: Option<String>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints a value that a task handed on, as JSON
    Get {
        #[command(flatten)]
        of: Of,
    },
    /// Hands on a value in the name of a task, in place of the one of this key
    Set {
        #[command(flatten)]
        of: Of,
        /// The value; what is not JSON is a text
        value: String,
        #[command(flatten)]
        form: Form,
    },
    /// Takes back a value that a task handed on
    Delete {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        form: Form,
    },
}

/// Whose value, and which.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Name of the DAG
    dag: String,
    /// Name of the run
    run: String,
    /// Name of the task; of a mapped one the instance, such as `load[3]`
    task: String,
    /// Key of the value
    #[arg(long, default_value = RETURN_VALUE)]
    key: String,
}

/// Runs a command on what tasks hand on.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or there is no such value.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(common).await?;
    let orchestrator = &desk.orchestrator;
    match command {
        Command::List { dag, run, task, json } => list(&desk, (&dag, &run), task.as_deref(), json).await?,
        Command::Get { of } => {
            let instance = orchestrator.task_instance(&of.dag, &of.run, &of.task).await?;
            let xcoms = orchestrator.xcoms(&instance).await?;
            let found = xcoms.into_iter().find(|xcom| xcom.key == of.key);
            let missing = || anyhow::anyhow!("task {:?} handed on nothing as {:?}", of.task, of.key);
            output::json(&found.ok_or_else(missing)?.value)?;
        }
        Command::Set { of, value, form } => {
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            let id = InstanceId::from(&of.task);
            orchestrator
                .put_xcom((&of.dag, &of.run), &id, &of.key, &value)
                .await?;
            let shown = json!({ "task_id": of.task, "key": of.key, "value": value });
            form.say(&format!("{} of {} is set", of.key, of.task), &shown)?;
        }
        Command::Delete { of, form } => {
            let id = InstanceId::from(&of.task);
            orchestrator.delete_xcom((&of.dag, &of.run), &id, &of.key).await?;
            let shown = json!({ "task_id": of.task, "key": of.key, "deleted": true });
            form.say(&format!("{} of {} is gone", of.key, of.task), &shown)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    desk: &Desk,
    (dag_id, run_id): (&str, &str),
    task_id: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    desk.orchestrator.dag_run(dag_id, run_id).await?;
    let mut xcoms = desk.orchestrator.xcoms_of_run(dag_id, run_id).await?;
    xcoms.retain(|xcom| task_id.is_none_or(|task_id| xcom.task_id == task_id));
    if as_json {
        let shown = xcoms.iter().map(|xcom| {
            json!({
                "task_id": xcom.task_id,
                "map_index": xcom.map_index,
                "key": xcom.key,
                "value": xcom.value,
                "timestamp": xcom.at.to_rfc3339(),
            })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<[String; 3]> = xcoms
        .into_iter()
        .map(|xcom| {
            let id = InstanceId {
                task_id: xcom.task_id,
                map_index: xcom.map_index,
            };
            [id.to_string(), xcom.key, xcom.value.to_string()]
        })
        .collect();
    output::table(["task", "key", "value"], &rows)
}
