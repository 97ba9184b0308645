//! `cargo xtask fuzz`.

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::test::cargo;

/// What can be fuzzed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Target {
    /// The filters and orders of tracking.
    Filter,
    /// ONNX files.
    Onnx,
    /// LightGBM's files.
    Lightgbm,
    /// XGBoost's files.
    Xgboost,
    /// Tables in Parquet.
    Parquet,
    /// Tables in CSV and JSON lines.
    Rows,
    /// Requests to the S3 API.
    S3,
}

impl Target {
    /// The package and the ignored test that tries random input until its time is over.
    const fn test(self) -> (&'static str, &'static str) {
        match self {
            Self::Filter => ("fragua-tracking", "search::fuzz::random_filters_hold"),
            Self::Onnx => ("fragua-learn", "foreign::fuzz::random_onnx_files_hold"),
            Self::Lightgbm => ("fragua-learn", "foreign::fuzz::random_lightgbm_files_hold"),
            Self::Xgboost => ("fragua-learn", "foreign::fuzz::random_xgboost_files_hold"),
            Self::Parquet => ("fragua-learn", "files::fuzz::random_parquet_files_hold"),
            Self::Rows => ("fragua-learn", "files::fuzz::random_rows_hold"),
            Self::S3 => ("fragua-storage", "tests::s3_fuzz::random_requests_hold"),
        }
    }
}

/// Runs the test of a target for some seconds; fails with the input that broke it.
pub(crate) fn run(target: Target, seconds: u64) -> Result<()> {
    let (package, test) = target.test();
    let status = cargo(&["test", "--package", package, "--lib", "--"])
        .args(["--ignored", "--exact", "--nocapture", test])
        .env("FRAGUA_FUZZ_SECONDS", seconds.to_string())
        .status()
        .context("cannot run cargo test")?;
    ensure!(
        status.success(),
        "{target:?} does not hold: add the input shown to its corpus, then mend it"
    );
    Ok(())
}
