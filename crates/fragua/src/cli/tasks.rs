//! `fragua tasks`: the tasks of DAGs, and of their runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fragua_orchestrator::{Clearing, InstanceId, Marking, TaskInstance, TaskState};
use serde_json::{Value, json};

use super::dag_runs::{instant, task_json, took};
use super::desk::Desk;
use super::output::Form;
use super::rehearsal::{self, Given};
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the tasks of a DAG, in the order of its file
    List {
        /// Name of the DAG
        dag: String,
        /// Shows which comes after which
        #[arg(long)]
        tree: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the state of a task in a run
    State {
        #[command(flatten)]
        task: OfRun,
        #[command(flatten)]
        form: Form,
    },
    /// Lists the states of all tasks of a run
    StatesForDagRun {
        /// Name of the DAG
        dag: String,
        /// Name of the run
        run: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Says why a task that is not over does not run
    FailedDeps {
        #[command(flatten)]
        task: OfRun,
        #[command(flatten)]
        form: Form,
    },
    /// Prints what a task is given in a run, with its templates rendered
    Render {
        #[command(flatten)]
        task: OfRun,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes tasks of a run go again
    Clear(Clear),
    /// Says how a task of a run ended: success, failed or skipped
    Mark {
        #[command(flatten)]
        task: OfRun,
        /// success, failed or skipped
        #[arg(value_parser = end)]
        state: TaskState,
        /// And all tasks after it
        #[arg(short, long)]
        downstream: bool,
        /// And all tasks before it
        #[arg(short, long)]
        upstream: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Runs one task in the foreground, whatever it needs, and forgets it: the status is 1 when it fails
    #[command(alias = "run")]
    Test {
        /// Name of the DAG, or a DAG file
        dag: PathBuf,
        /// Name of the task
        task: String,
        #[command(flatten)]
        given: Given,
    },
}

/// A task of a run.
#[derive(Debug, Args)]
pub(crate) struct OfRun {
    /// Name of the DAG
    dag: String,
    /// Name of the task; of a mapped one the instance, such as `load[3]`
    task: String,
    /// Name of the run
    run: String,
}

/// Options of `fragua tasks clear`.
#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Name of the DAG
    dag: String,
    /// Name of the run
    run: String,
    /// Tasks or groups to clear [default: all]
    #[arg(short, long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// And all tasks after them
    #[arg(short, long)]
    downstream: bool,
    /// And all tasks before them
    #[arg(short, long)]
    upstream: bool,
    /// In all earlier runs too
    #[arg(long)]
    past: bool,
    /// In all later runs too
    #[arg(long)]
    future: bool,
    /// Only those that failed, or could not run because another failed
    #[arg(short = 'f', long)]
    only_failed: bool,
    /// Says which it would be, and changes nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    form: Form,
}

fn end(text: &str) -> Result<TaskState, String> {
    let state = TaskState::parse(text);
    let state =
        state.filter(|state| matches!(state, TaskState::Success | TaskState::Failed | TaskState::Skipped));
    state.ok_or_else(|| "write success, failed or skipped".to_owned())
}

/// Runs a command on tasks.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or there is no such task.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Test { dag, task, given } = command {
        let file = match dag.is_file() {
            true => dag,
            false => rehearsal::file_of(common, &dag.to_string_lossy()).await?,
        };
        return Box::pin(rehearsal::test_task(common, &file, &task, given)).await;
    }
    let desk = Desk::open(common).await?;
    let orchestrator = &desk.orchestrator;
    match command {
        Command::List { dag, tree, json } => list(&desk, &dag, tree, json).await?,
        Command::State { task, form } => {
            let instance = task.find(&desk).await?;
            form.say(instance.state.as_str(), &task_json(&instance, &[]))?;
        }
        Command::StatesForDagRun { dag, run, json } => {
            let instances = orchestrator.task_instances(&dag, &run).await?;
            match json {
                true => output::json(
                    &instances
                        .iter()
                        .map(|task| task_json(task, &[]))
                        .collect::<Vec<_>>(),
                )?,
                false => states(&instances)?,
            }
        }
        Command::FailedDeps { task, form } => {
            let instance = task.find(&desk).await?;
            let reasons: Vec<(&str, String)> = orchestrator
                .waiting(&instance)
                .await?
                .iter()
                .map(|waiting| (waiting.name(), waiting.to_string()))
                .collect();
            let words = match reasons.first() {
                Some((name, reason)) => format!("{name}: {reason}"),
                None => format!("nothing keeps it: it is {}", instance.state),
            };
            let shown = reasons
                .iter()
                .map(|(name, reason)| json!({ "name": name, "reason": reason }));
            let shown: Vec<Value> = shown.collect();
            form.say(
                &words,
                &json!({ "state": instance.state.as_str(), "dependencies": shown }),
            )?;
        }
        Command::Render { task, json } => {
            let instance = task.find(&desk).await?;
            let rendered = orchestrator
                .rendered(&instance)
                .await?
                .map_err(anyhow::Error::msg)?;
            match (json, &rendered) {
                (false, Value::Object(fields)) => {
                    for (name, value) in fields {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        output::line(&format!("# {name}\n{text}"))?;
                    }
                }
                (false, Value::String(text)) => output::line(text)?,
                _ => output::json(&rendered)?,
            }
        }
        Command::Clear(options) => clear(&desk, options).await?,
        Command::Mark {
            task,
            state,
            downstream,
            upstream,
            form,
        } => {
            let marking = Marking {
                upstream,
                downstream,
                ..Marking::one(&InstanceId::from(&task.task), state)
            };
            let marked = orchestrator.mark(&task.dag, &task.run, &marking).await?;
            desk.ring().await?;
            say_each(&marked, &format!("marked as {state}"), "marked", form)?;
        }
        Command::Test { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

impl OfRun {
    async fn find(&self, desk: &Desk) -> anyhow::Result<TaskInstance> {
        desk.orchestrator.dag_run(&self.dag, &self.run).await?;
        Ok(desk
            .orchestrator
            .task_instance(&self.dag, &self.run, &self.task)
            .await?)
    }
}

async fn list(desk: &Desk, dag_id: &str, tree: bool, as_json: bool) -> anyhow::Result<()> {
    let summary = desk.orchestrator.dag(dag_id).await;
    let dag = summary.map_err(|error| desk.explain(error))?.dag;
    if as_json {
        let tasks = dag.tasks.iter().map(|task| {
            json!({
                "task_id": task.task_id,
                "operator": task.operator,
                "needs": task.needs,
                "trigger_rule": task.trigger_rule,
                "retries": task.retries,
                "pool": task.placement.pool,
                "queue": task.placement.queue,
                "is_mapped": task.expand.is_some(),
            })
        });
        return output::json(&tasks.collect::<Vec<_>>());
    }
    for task in &dag.tasks {
        match (tree, task.needs.is_empty()) {
            (true, false) => output::line(&format!("{} <- {}", task.task_id, task.needs.join(", ")))?,
            _ => output::line(&task.task_id)?,
        }
    }
    Ok(())
}

fn states(instances: &[TaskInstance]) -> anyhow::Result<()> {
    let rows: Vec<[String; 5]> = instances
        .iter()
        .map(|task| {
            [
                task.instance_id().to_string(),
                task.state.to_string(),
                task.attempt.to_string(),
                instant(task.started_at),
                took(task.started_at, task.ended_at),
            ]
        })
        .collect();
    output::table(["task", "state", "attempt", "started", "took"], &rows)
}

async fn clear(desk: &Desk, options: Clear) -> anyhow::Result<()> {
    let clearing = Clearing {
        task_ids: options.tasks,
        upstream: options.upstream,
        downstream: options.downstream,
        past: options.past,
        future: options.future,
        only_failed: options.only_failed,
        dry_run: options.dry_run,
    };
    let cleared = desk
        .orchestrator
        .clear_tasks(&options.dag, &options.run, &clearing)
        .await?;
    if options.dry_run {
        return say_each(&cleared, "would be cleared", "would_clear", options.form);
    }
    desk.ring().await?;
    say_each(&cleared, "cleared", "cleared", options.form)
}

fn say_each(instances: &[TaskInstance], words: &str, key: &str, form: Form) -> anyhow::Result<()> {
    if form.json {
        let shown = instances.iter().map(|instance| {
            json!({ "dag_run_id": instance.run_id, "task_id": instance.task_id, "map_index": instance.map_index })
        });
        return output::json(&json!({ key: shown.collect::<Vec<_>>() }));
    }
    for instance in instances {
        output::line(&format!(
            "{words}: {} of {}",
            instance.instance_id(),
            instance.run_id
        ))?;
    }
    Ok(())
}
