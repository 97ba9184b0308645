//! `fragua tracking`: brings in what an MLflow kept in folders, takes out what was deleted.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use fragua_base::SystemClock;
use fragua_tracking::{
    ArtifactImportRequest, ExperimentId, ImportReport, ImportRequest, KeptReason, PurgeRequest, Skipped,
    Tracking,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Common;
use super::output;
use crate::app;
use crate::progress::Progress;
use crate::project::Project;

/// How much of what would be deleted is listed for people; JSON has all.
const MOST_LINES: usize = 100;

/// What `fragua tracking` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Takes in a file store, the folder `mlruns` of older MLflows, or the artifacts of a server
    ///
    /// Again brings only what is missing. The status is 1 when something of a file store was skipped, such as a line that
    /// is no value of a metric: mend the file and import again.
    Import(Import),
    /// Deletes for good what was marked deleted: experiments, runs, logged models, with their files
    Purge(Purge),
}

/// Options of `fragua tracking import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file store, such as mlruns/
    #[arg(required_unless_present = "artifacts")]
    folder: Option<PathBuf>,
    /// Copies the files that an MLflow server kept in this folder, its --artifacts-destination, into the object store
    #[arg(long, value_name = "DIR", conflicts_with_all = ["folder", "leave_artifacts"])]
    artifacts: Option<PathBuf>,
    /// Leaves the files where they are instead of copying them into the object store
    #[arg(long)]
    leave_artifacts: bool,
    /// Reads everything and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Options of `fragua tracking purge`.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Only what was deleted at least this long ago: 30d, 12h, 90m
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Only this experiment, or what is deleted in it; can be given more than once
    #[arg(long, value_name = "ID")]
    experiment: Vec<ExperimentId>,
    /// Only this run; can be given more than once
    #[arg(long, value_name = "ID")]
    run: Vec<String>,
    /// Only this logged model; can be given more than once
    #[arg(long, value_name = "ID")]
    logged_model: Vec<String>,
    /// Tells what would be deleted and deletes nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no age: write a number and a unit, such as 30d, 12h, 90m or 45s");
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// Runs the command. It works on the database itself, beside a server that runs or without one.
///
/// # Errors
/// When the project, its database or its object store cannot be opened, or the work fails.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let loaded = common.load_quietly(common.project())?;
    super::expect_project(&loaded)?;
    let is_dry_run = match &command {
        Command::Import(options) => options.dry_run,
        Command::Purge(options) => options.dry_run,
    };
    let clock = Arc::new(SystemClock);
    let scratch = TempDir::new().context("there is no place for temporary files")?;
    let project = match is_dry_run {
        true => Project::open_to_read(&loaded.project)?,
        false => Project::open(&loaded.project)?,
    };
    let tracking = match is_dry_run {
        true => app::open_tracking_to_read(&loaded, &project, clock, scratch.path()).await?,
        false => app::open_tracking(&loaded, &project, clock).await?,
    };
    match command {
        Command::Import(options) => import(&tracking, options).await,
        Command::Purge(options) => purge(&tracking, options).await,
    }
}

async fn import(tracking: &Tracking, options: Import) -> anyhow::Result<ExitCode> {
    if let Some(folder) = options.artifacts {
        let request = ArtifactImportRequest {
            folder,
            dry_run: options.dry_run,
        };
        return import_artifacts(tracking, &request, options.json).await;
    }
    let request = ImportRequest {
        // Required without --artifacts.
        folder: options.folder.unwrap_or_default(),
        copy_artifacts: !options.leave_artifacts,
        dry_run: options.dry_run,
    };
    let progress = Progress::new();
    let report = tracking
        .import(&request, |done, total| progress.counted("importing", done, total))
        .await
        .with_context(|| format!("{} cannot be imported", request.folder.display()))?;
    progress.end();
    let status = match report.skipped.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    if options.json {
        output::json(&import_json(&report, request.dry_run))?;
        return Ok(status);
    }
    let did = if request.dry_run {
        "would import"
    } else {
        "imported"
    };
    output::line(&format!(
        "{did} {}, {} ({}, {}, {}), {}, {} with {} and {}, {} ({})",
        count(report.experiments, "experiment"),
        count(report.runs, "run"),
        count(report.metrics, "metric value"),
        count(report.params, "parameter"),
        count(report.tags, "tag"),
        count(report.logged_models, "logged model"),
        count(report.models, "registered model"),
        count(report.versions, "version"),
        match report.aliases {
            1 => "1 alias".to_owned(),
            aliases => format!("{aliases} aliases"),
        },
        count(report.files, "file"),
        count(report.bytes, "byte")
    ))?;
    if report.already_there > 0 {
        output::line(&format!(
            "{} runs and models were there already",
            report.already_there
        ))?;
    }
    tell_skipped(&report.skipped)?;
    if !report.skipped.is_empty() {
        eprintln!("note: mend what was skipped and import again: only what is missing is brought");
    }
    Ok(status)
}

async fn import_artifacts(
    tracking: &Tracking,
    request: &ArtifactImportRequest,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let report = tracking
        .import_artifacts(request, |done, total| progress.counted("copying", done, total))
        .await
        .with_context(|| format!("{} cannot be imported", request.folder.display()))?;
    progress.end();
    if as_json {
        output::json(&json!({
            "dry_run": request.dry_run,
            "files": report.copied.files,
            "bytes": report.copied.bytes,
            "already_there": report.already_there,
            "skipped": skipped_json(&report.skipped),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let did = if request.dry_run { "would copy" } else { "copied" };
    output::line(&format!(
        "{did} {} ({}), there already: {}",
        count(report.copied.files, "file"),
        count(report.copied.bytes, "byte"),
        report.already_there
    ))?;
    tell_skipped(&report.skipped)?;
    Ok(ExitCode::SUCCESS)
}

fn tell_skipped(all: &[Skipped]) -> anyhow::Result<()> {
    for skipped in all {
        let line = skipped.line.map(|line| format!(":{line}")).unwrap_or_default();
        output::line(&format!(
            "skipped {}{line}: {}",
            skipped.file.display(),
            skipped.reason
        ))?;
    }
    Ok(())
}

fn skipped_json(all: &[Skipped]) -> Vec<Value> {
    let one = |skipped: &Skipped| {
        json!({
            // A name that is no UTF-8 has no JSON of its own.
            "file": skipped.file.to_string_lossy(),
            "line": skipped.line,
            "reason": skipped.reason,
        })
    };
    all.iter().map(one).collect()
}

fn import_json(report: &ImportReport, dry_run: bool) -> Value {
    json!({
        "dry_run": dry_run,
        "experiments": report.experiments,
        "runs": report.runs,
        "metrics": report.metrics,
        "params": report.params,
        "tags": report.tags,
        "logged_models": report.logged_models,
        "models": report.models,
        "versions": report.versions,
        "aliases": report.aliases,
        "files": report.files,
        "bytes": report.bytes,
        "already_there": report.already_there,
        "skipped": skipped_json(&report.skipped),
    })
}

async fn purge(tracking: &Tracking, options: Purge) -> anyhow::Result<ExitCode> {
    let request = PurgeRequest {
        older_than: options.older_than,
        experiments: options.experiment,
        runs: options.run,
        logged_models: options.logged_model,
    };
    let plan = tracking.purge_plan(&request).await?;
    let report = if options.dry_run {
        tracking.purge_preview(&plan).await?
    } else {
        let progress = Progress::new();
        let purged = tracking
            .purge(&plan, |done| progress.counted("deleting", done, plan.len()))
            .await?;
        progress.end();
        purged
    };
    let status = match report.kept.iter().any(|kept| kept.reason == KeptReason::NotFound) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    };
    if options.json {
        let kept = report
            .kept
            .iter()
            .map(|kept| json!({ "what": kept.what(), "reason": kept.reason.to_string() }));
        let mut told = json!({
            "dry_run": options.dry_run,
            "experiments": report.experiments,
            "runs": report.runs,
            "logged_models": report.logged_models,
            "files": report.size.files,
            "bytes": report.size.bytes,
            "kept": kept.collect::<Vec<_>>(),
        });
        if options.dry_run {
            let items = plan
                .items()
                .map(|(kind, id, name)| json!({ "kind": kind.to_string(), "id": id, "name": name }));
            told["would_delete"] = items.collect();
        }
        output::json(&told)?;
        return Ok(status);
    }
    let did = if options.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    output::line(&format!(
        "{did} {}, {}, {}, {} ({})",
        count(report.experiments, "experiment"),
        count(report.runs, "run"),
        count(report.logged_models, "logged model"),
        count(report.size.files, "file"),
        count(report.size.bytes, "byte")
    ))?;
    if options.dry_run {
        for (kind, id, name) in plan.items().take(MOST_LINES) {
            output::line(&format!("{kind} {id} {name}"))?;
        }
        if plan.len() > MOST_LINES {
            output::line(&format!("and {} more", plan.len() - MOST_LINES))?;
        }
    }
    for kept in &report.kept {
        output::line(&format!("kept {}: {}", kept.what(), kept.reason))?;
    }
    Ok(status)
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30d", Some(2_592_000)),
            ("12h", Some(43_200)),
            ("90m", Some(5_400)),
            ("45s", Some(45)),
            ("", None),
            ("d", None),
            ("30", None),
            ("-1d", None),
            ("3ñ", None),
            ("99999999999999999999d", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(age(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
