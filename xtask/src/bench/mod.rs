//! `cargo xtask bench`.

mod client;
mod learn;
mod orchestrator;
mod process;
mod serving;
mod start;
mod storage;
mod tracking;
mod wrk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use serde_json::Value;

use crate::test::cargo;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The time from `fragua up` until every role answers, and the memory it holds then.
    Start {
        /// Measure this program in place of one built now with the profile `dist`, as it is shipped.
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// Training and prediction beside scikit-learn, LightGBM and XGBoost, on the same rows.
    Learn {
        /// The CSV file to learn from, such as the whole of Covertype in place of the example's sample.
        #[arg(long)]
        data: Option<PathBuf>,
        /// The column to predict.
        #[arg(long, default_value = "Cover_Type")]
        target: String,
    },
    /// The scheduler and its tasks beside Airflow, on the same DAGs and through the same REST API.
    Orchestrator {
        /// Measure this program, such as one of the profile `dist`, in place of a release build made now.
        #[arg(long)]
        program: Option<PathBuf>,
        /// Only this work; can be given more than once.
        #[arg(long)]
        only: Vec<orchestrator::Work>,
        /// Fragua alone, for a quick look.
        #[arg(long)]
        without_peer: bool,
    },
    /// The role `serving` beside FastAPI and scikit-learn, with the same forest and the same requests.
    Serving {
        /// Measure this program in place of one built now with the profile `dist`, as it is shipped.
        #[arg(long)]
        program: Option<PathBuf>,
        /// Only this work; can be given more than once.
        #[arg(long)]
        only: Vec<serving::Work>,
        /// Fragua alone, for a quick look.
        #[arg(long)]
        without_peer: bool,
    },
    /// The role `storage` beside SeaweedFS and Garage, with the same signed requests.
    Storage(storage::Options),
    /// The role `tracking` beside MLflow's own server, on the same data and the same requests.
    Tracking {
        /// Measure this program in place of one built now with the profile `dist`, as it is shipped.
        #[arg(long)]
        program: Option<PathBuf>,
    },
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Start { program } => start::run(program),
            Self::Learn { data, target } => learn::run(data, &target),
            Self::Orchestrator {
                program,
                only,
                without_peer,
            } => orchestrator::run(program, &only, without_peer),
            Self::Serving {
                program,
                only,
                without_peer,
            } => serving::run(program, &only, without_peer),
            Self::Storage(options) => storage::run(options),
            Self::Tracking { program } => tracking::run(program),
        }
    }
}

/// Returns the program to measure: the one that was chosen, or one built now as it is shipped.
fn program(chosen: Option<PathBuf>) -> Result<PathBuf> {
    match chosen {
        Some(program) => {
            fs::canonicalize(&program).with_context(|| format!("cannot find {}", program.display()))
        }
        None => build(),
    }
}

fn build() -> Result<PathBuf> {
    let status = cargo(&["build", "--profile", "dist", "--package", "fragua"])
        .status()
        .context("cannot run cargo build")?;
    ensure!(status.success(), "the build failed");
    Ok(target_folder()?.join("dist/fragua"))
}

/// Where cargo puts what it builds.
fn target_folder() -> Result<PathBuf> {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("cannot run cargo")?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata is no JSON")?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target folder")?;
    Ok(Path::new(target).to_owned())
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
