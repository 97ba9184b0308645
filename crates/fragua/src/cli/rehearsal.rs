//! `fragua dags test` and `fragua tasks test`: one run in the foreground, over a folder that is thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use fragua_base::{SystemClock, Timestamp};
use fragua_orchestrator::{Change, DagRun, DagRunState, InstanceId, Orchestrator, TriggerRequest};
use serde_json::{Map, Value};
use tokio::sync::broadcast::error::RecvError;

use super::dag_runs::{run_json, task_json};
use super::dags::{parameter, parameters};
use super::{Common, backfill, output};
use crate::app;

/// What a trial is given.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Logical date, for example 2025-04-02 [default: now]
    #[arg(long, visible_alias = "logical-date", value_name = "DATE", value_parser = backfill::date)]
    date: Option<Timestamp>,
    /// Gives a parameter, for example --param group_number=7; what is not JSON is a text
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    /// Gives the parameters as one JSON object; --param wins
    #[arg(short, long, value_name = "JSON", value_parser = parameters)]
    conf: Option<Map<String, Value>>,
    /// Prints JSON once the run is over; the logs go to standard error
    #[arg(long)]
    json: bool,
}

/// Options of `fragua dags test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The DAG file
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Passes over a task as if it had succeeded
    #[arg(long = "mark-success", value_name = "TASK")]
    passed: Vec<String>,
}

/// Runs a DAG file once.
///
/// # Errors
/// When a setting is wrong, the file is broken, or the run cannot be made.
pub(super) async fn test(common: &Common, options: Test) -> anyhow::Result<ExitCode> {
    let passed = options.passed;
    let trial = Trial::of(common, &options.file).await?;
    for task_id in &passed {
        trial.expect_task(task_id).await?;
    }
    let passes = |task_id: &str| passed.iter().any(|passed| passed == task_id);
    Box::pin(trial.run(options.given, passes)).await
}

/// Runs one task of a DAG file, whatever it needs.
///
/// # Errors
/// As [`test()`], and when the DAG has no such task.
pub(super) async fn test_task(
    common: &Common,
    file: &Path,
    task_id: &str,
    given: Given,
) -> anyhow::Result<ExitCode> {
    let trial = Trial::of(common, file).await?;
    trial.expect_task(task_id).await?;
    Box::pin(trial.run(given, |other| other != task_id)).await
}

/// An orchestrator with one DAG, which leaves nothing.
struct Trial {
    orchestrator: Orchestrator,
    dag_id: String,
    /// Removed at the end.
    _folder: tempfile::TempDir,
}

impl Trial {
    async fn of(common: &Common, file: &Path) -> anyhow::Result<Self> {
        let loaded = common.load_quietly(common.project())?;
        let folder = tempfile::Builder::new().prefix("fragua-test-").tempdir()?;
        let orchestrator = app::open_rehearsal(&loaded, folder.path(), Arc::new(SystemClock)).await?;
        let dags = orchestrator.check_file(file).map_err(|errors| {
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", said.join("\n"))
        })?;
        let dag = dags
            .into_iter()
            .next()
            .with_context(|| format!("{} holds no DAG", file.display()))?;
        let copy = orchestrator.settings().dags_folder.join("tried.yaml");
        fs::copy(file, &copy).with_context(|| format!("{} cannot be read", file.display()))?;
        orchestrator.read_dag_files().await?;
        Ok(Self {
            orchestrator,
            dag_id: dag.dag_id,
            _folder: folder,
        })
    }

    async fn expect_task(&self, task_id: &str) -> anyhow::Result<()> {
        let dag = self.orchestrator.dag(&self.dag_id).await?.dag;
        let known: Vec<&str> = dag.tasks.iter().map(|task| task.task_id.as_str()).collect();
        anyhow::ensure!(
            known.contains(&task_id),
            "DAG {:?} has no task {task_id:?}; its tasks are {}",
            self.dag_id,
            known.join(", ")
        );
        Ok(())
    }

    async fn run(&self, given: Given, passes: impl Fn(&str) -> bool) -> anyhow::Result<ExitCode> {
        let mut params = given.conf.unwrap_or_default();
        params.extend(given.params);
        let request = TriggerRequest {
            params,
            logical_date: given.date,
            ..TriggerRequest::default()
        };
        let mut log = Log {
            orchestrator: &self.orchestrator,
            printed: BTreeMap::new(),
            to_stderr: given.json,
        };
        let mut changes = self.orchestrator.changes();
        let run = self.orchestrator.rehearse(&self.dag_id, request, &passes).await?;
        let over = self.orchestrator.work_on(&run);
        tokio::pin!(over);
        let run = loop {
            tokio::select! {
                run = &mut over => break run?,
                change = changes.recv() => match change {
                    Ok(Change::Log { task_id, .. } | Change::TaskInstance { task_id, .. }) => {
                        log.follow(&run, &InstanceId::from(&task_id)).await?;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => anyhow::bail!("the orchestrator ended by itself"),
                },
                _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            }
        };
        let tasks = self.orchestrator.task_instances(&run.dag_id, &run.run_id).await?;
        for task in tasks.iter().filter(|task| !passes(&task.task_id)) {
            log.follow(&run, &task.instance_id()).await?;
        }
        if given.json {
            let xcoms = self.orchestrator.xcoms_of_run(&run.dag_id, &run.run_id).await?;
            let mut shown = run_json(&run);
            shown["tasks"] = tasks
                .iter()
                .filter(|task| !passes(&task.task_id))
                .map(|task| task_json(task, &xcoms))
                .collect();
            output::json(&shown)?;
        } else {
            for task in tasks.iter().filter(|task| !passes(&task.task_id)) {
                let why = task.message.as_ref().map(|message| format!(": {message}"));
                output::line(&format!(
                    "== {} {}{}",
                    task.instance_id(),
                    task.state,
                    why.unwrap_or_default()
                ))?;
            }
            output::line(&format!(
                "{} of {} ended as {}",
                run.dag_id,
                date_of(&run),
                run.state
            ))?;
        }
        Ok(match run.state {
            DagRunState::Success => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

fn date_of(run: &DagRun) -> String {
    run.logical_date.unwrap_or(run.run_after).to_rfc3339()
}

/// Prints what tasks write, each line under the name of its task.
struct Log<'a> {
    orchestrator: &'a Orchestrator,
    /// Up to where the log of which attempt is printed.
    printed: BTreeMap<(InstanceId, u32), u64>,
    to_stderr: bool,
}

impl Log<'_> {
    async fn follow(&mut self, run: &DagRun, id: &InstanceId) -> anyhow::Result<()> {
        let (dag_id, run_id) = (&run.dag_id, &run.run_id);
        // It may be gone: a mapped task takes the place of the one it came from.
        let Ok(instance) = self.orchestrator.task_instance(dag_id, run_id, id.clone()).await else {
            return Ok(());
        };
        for attempt in self.orchestrator.attempts(&instance).await? {
            let offset = self.printed.entry((id.clone(), attempt.number)).or_default();
            loop {
                let chunk = self
                    .orchestrator
                    .read_log(dag_id, run_id, id.clone(), attempt.number, *offset)
                    .await?;
                *offset = chunk.next_offset;
                if chunk.bytes.is_empty() {
                    break;
                }
                let text = String::from_utf8_lossy(&chunk.bytes);
                let lines: String = text.lines().map(|line| format!("{id} | {line}\n")).collect();
                match self.to_stderr {
                    true => eprint!("{lines}"),
                    false => stdout().lock().write_all(lines.as_bytes())?,
                }
            }
        }
        Ok(())
    }
}

/// Finds the file of a DAG of a project.
///
/// # Errors
/// When the project has no such DAG.
pub(super) async fn file_of(common: &Common, dag_id: &str) -> anyhow::Result<PathBuf> {
    let desk = super::desk::Desk::open(common).await?;
    let summary = desk.orchestrator.dag(dag_id).await;
    let summary = summary.map_err(|error| desk.explain(error))?;
    Ok(desk.orchestrator.settings().dags_folder.join(summary.path))
}
