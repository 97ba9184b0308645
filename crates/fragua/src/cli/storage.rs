//! `fragua storage`: are the bytes of all objects those that were written, and what to do about it when not.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fragua_base::{Secret, SystemClock};
use fragua_storage::{CheckReport, Damage};
use serde_json::json;

use super::Common;
use super::output::{self, Form};
use crate::app;
use crate::project::Project;
use crate::settings::{Loaded, Role};

/// How much of what was found is listed for people; JSON has more.
const MOST_LINES: usize = 100;

/// What `fragua storage` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compares each object and version with its bytes, and finds files that nothing refers to
    ///
    /// It works beside a server that runs or without one. The status is 1 when something was found.
    Check(Check),
    /// Removes files that nothing refers to and, when asked to, objects whose bytes are gone
    ///
    /// The status is 1 when objects are still damaged: restore their files, or write them again.
    Repair(Repair),
    /// Encrypts the keys of encrypted objects with another key; their bytes stay as they are
    RotateKey(RotateKey),
}

/// Options of `fragua storage check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Looks at the sizes only and does not read all bytes
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    form: Form,
}

/// Options of `fragua storage repair`.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Looks at the sizes only and does not read all bytes
    #[arg(long)]
    quick: bool,
    /// Removes objects and versions that have no bytes any more; nothing brings them back
    #[arg(long)]
    remove_objects_without_bytes: bool,
    #[command(flatten)]
    form: Form,
}

/// Options of `fragua storage rotate-key`.
#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    form: Form,
}

/// The file of the key that no setting gives.
const KEY: &str = "storage.key";

/// Runs the command.
///
/// # Errors
/// When the project or its object store cannot be opened, or the objects are kept by another S3.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let loaded = common.load_quietly(common.project())?;
    super::expect_project(&loaded)?;
    anyhow::ensure!(
        !loaded.uses_other_storage(),
        "the objects are kept by another S3 (storage.endpoint comes from: {}): check them there",
        loaded.origin("storage.endpoint")
    );
    let project = match &command {
        Command::Check(_) => Project::open_to_read(&loaded.project)?,
        Command::Repair(_) | Command::RotateKey(_) => Project::open(&loaded.project)?,
    };
    let open = || app::open_storage(&loaded, &project, Arc::new(SystemClock));
    match command {
        Command::Check(options) => {
            let report = open().await?.check(!options.quick).await?;
            if options.form.json {
                output::json(&report)?;
            } else {
                tell(&report, options.quick)?;
            }
            Ok(status(report.is_sound()))
        }
        Command::Repair(options) => {
            let removes_objects = options.remove_objects_without_bytes;
            let report = open().await?.repair(!options.quick, removes_objects).await?;
            if options.form.json {
                output::json(&report)?;
            } else {
                tell(&report.found, options.quick)?;
                output::line(&format!(
                    "removed {} without an object and {} without bytes",
                    counted(report.orphans_removed, "file"),
                    counted(report.objects_removed, "object")
                ))?;
            }
            Ok(status(
                report.found.verified.damaged_count == report.objects_removed,
            ))
        }
        Command::RotateKey(options) => {
            let rotated = rotate_key(&loaded, &project).await?;
            let words = format!("{} encrypted with the new key", counted(rotated, "data key"));
            options.form.say(&words, &json!({ "rotated": rotated }))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Encrypts all data keys with the first of the keys of the setting, or, where no setting gives one, with a new key in
/// `.fragua/storage.key`.
///
/// The file holds both keys until all is encrypted with the new one: a command that is cut short loses nothing, and the
/// next one goes on with the same keys.
async fn rotate_key(loaded: &Loaded, project: &Project) -> anyhow::Result<u64> {
    for role in Role::ALL {
        anyhow::ensure!(
            !project.is_claimed(role),
            "the role {role} runs for this project, and would go on with the old key: end it first"
        );
    }
    let rewrap = async || -> anyhow::Result<u64> {
        let storage = app::open_storage(loaded, project, Arc::new(SystemClock)).await?;
        Ok(storage.rewrap_keys().await?)
    };
    if let Some(keys) = &loaded.settings.storage.secret_key {
        anyhow::ensure!(
            keys.expose().contains(','),
            "the setting storage.secret_key ({}) has one key alone: write NEW,OLD there, and NEW alone afterwards",
            loaded.origin("storage.secret_key")
        );
        return rewrap().await;
    }
    let kept = project.secret(KEY, fragua_auth::new_secret_key)?;
    let new = match kept.expose().split_once(',') {
        Some((new, _)) => Secret::new(new),
        None => {
            let new = fragua_auth::new_secret_key();
            let both = Secret::new(format!("{},{}", new.expose(), kept.expose()));
            project.replace_secret(KEY, &both)?;
            new
        }
    };
    let rotated = rewrap().await?;
    project.replace_secret(KEY, &new)?;
    Ok(rotated)
}

fn status(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(report: &CheckReport, is_quick: bool) -> anyhow::Result<()> {
    let verified = &report.verified;
    output::line(&format!(
        "{} ({}) {}, {} damaged, {} without an object",
        counted(verified.objects, "version"),
        counted(verified.bytes, "byte"),
        match is_quick {
            false => "as they were written",
            true => "of the size they were written with, none of them read",
        },
        verified.damaged_count,
        counted(report.orphans.len() as u64, "file")
    ))?;
    if verified.without_checksum > 0 {
        output::line(&format!(
            "of these, {} have no checksum: only their sizes were compared",
            verified.without_checksum
        ))?;
    }
    for damage in verified.damaged.iter().take(MOST_LINES) {
        output::line(&described(damage))?;
    }
    let listed = verified.damaged.len().min(MOST_LINES) as u64;
    if verified.damaged_count > listed {
        output::line(&format!("and {} more", verified.damaged_count - listed))?;
    }
    for orphan in report.orphans.iter().take(MOST_LINES) {
        output::line(&format!("file {orphan} belongs to no object"))?;
    }
    if report.orphans.len() > MOST_LINES {
        output::line(&format!("and {} more", report.orphans.len() - MOST_LINES))?;
    }
    Ok(())
}

fn described(damage: &Damage) -> String {
    let name = format!("{}/{}", damage.bucket, damage.key);
    let problem = damage.problem.as_str();
    match (&damage.version_id, &damage.part) {
        (Some(version), _) if version != "null" => format!("version {version} of {name} {problem}"),
        (_, Some((upload, number))) => format!("part {number} of upload {upload} of {name} {problem}"),
        _ => format!("{name} {problem}"),
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
