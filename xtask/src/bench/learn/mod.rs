//! Training beside scikit-learn, LightGBM and XGBoost: the same rows to learn from and to be judged on, two threads each.
//!
//! Reading and encoding are left out of the fit on both sides; ours includes cutting the columns into bins. Processor
//! time counts all threads.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::target_folder;
use crate::python;
use crate::test::{cargo, project_folder};

const PEER: &str = include_str!("peer.py");
const THREADS: &str = "2";

/// A model of ours and what it is measured beside.
struct Work {
    name: &'static str,
    candidate: Value,
    /// The peer's model, and its settings.
    peers: Vec<(&'static str, Value)>,
}

fn works() -> Vec<Work> {
    vec![
        Work {
            name: "random forest, 100 trees",
            candidate: json!({ "model": "random_forest" }),
            peers: vec![("random_forest", json!({}))],
        },
        Work {
            name: "extra trees, 100 trees",
            candidate: json!({ "model": "extra_trees", "max_features": 4 }),
            peers: vec![("extra_trees", json!({}))],
        },
        Work {
            name: "boosting, 100 rounds, defaults",
            candidate: json!({ "model": "gradient_boosting" }),
            peers: vec![("lightgbm", json!({})), ("xgboost", json!({}))],
        },
        Work {
            name: "boosting, 100 rounds, learning rate 0.3",
            candidate: json!({ "model": "gradient_boosting", "learning_rate": 0.3 }),
            peers: vec![
                ("lightgbm", json!({ "learning_rate": 0.3 })),
                ("xgboost", json!({ "learning_rate": 0.3 })),
            ],
        },
    ]
}

pub(super) fn run(data: Option<PathBuf>, target: &str) -> Result<()> {
    let data =
        data.unwrap_or_else(|| project_folder().join("examples/covertype/data/covertype-sample.csv.gz"));
    let data = data
        .canonicalize()
        .with_context(|| format!("cannot find {}", data.display()))?;
    let build = [
        "build",
        "--release",
        "--package",
        "fragua-learn",
        "--example",
        "measure",
    ];
    let status = cargo(&build).status().context("cannot run cargo build")?;
    ensure!(status.success(), "the release build failed");
    let bench = Bench {
        measure: target_folder()?.join("release/examples/measure"),
        python: python::environment(python::LEARN)?,
        folder: std::env::temp_dir().join(format!("fragua-bench-learn-{}", std::process::id())),
        target: target.to_owned(),
    };
    std::fs::create_dir_all(&bench.folder)?;
    let result = bench.compare(&data);
    let _ = std::fs::remove_dir_all(&bench.folder);
    result
}

struct Bench {
    measure: PathBuf,
    python: PathBuf,
    folder: PathBuf,
    target: String,
}

impl Bench {
    fn compare(&self, data: &Path) -> Result<()> {
        eprintln!("Parting the rows of {} …", data.display());
        self.ask(self.peer("split").arg(data))?;
        println!(
            "| work | | fit CPU s | fit wall s | peak MiB | accuracy | macro F1 | rows / CPU s | one row µs | fit CPU, share of the peer's |"
        );
        println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        for work in works() {
            let config = json!({ "target": self.target, "candidates": [work.candidate] }).to_string();
            let mut measure = Command::new(&self.measure);
            measure
                .args([self.folder.join("train.csv"), self.folder.join("test.csv")])
                .arg(config)
                .env("RAYON_NUM_THREADS", THREADS);
            let ours = read(&self.ask(&mut measure)?)?;
            println!("| {} | Fragua {} |", work.name, row(&ours));
            for (model, settings) in &work.peers {
                let theirs = read(&self.ask(self.peer(model).arg(settings.to_string()))?)?;
                let share = number(&ours, "fit_cpu_seconds") / number(&theirs, "fit_cpu_seconds");
                println!("| {} | {model} {} {share:.2} |", work.name, row(&theirs));
            }
        }
        Ok(())
    }

    fn peer(&self, model: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args(["-c", PEER])
            .args([self.folder.join("train.csv"), self.folder.join("test.csv")])
            .args([&self.target, model]);
        // Threads that wait must not count as work.
        command
            .env("OMP_NUM_THREADS", THREADS)
            .env("OMP_WAIT_POLICY", "PASSIVE");
        command
    }

    fn ask(&self, command: &mut Command) -> Result<String> {
        let output = command.output().context("cannot run what is to be measured")?;
        ensure!(
            output.status.success(),
            "it failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn read(output: &str) -> Result<Value> {
    let line = output.lines().last().context("nothing was printed")?;
    serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
}

fn number(figures: &Value, name: &str) -> f64 {
    figures[name].as_f64().unwrap_or(f64::NAN)
}

/// The figures of one model, as cells of the table.
fn row(figures: &Value) -> String {
    let of = |name| number(figures, name);
    format!(
        "| {:.1} | {:.1} | {:.0} | {:.4} | {:.4} | {:.0} | {:.0} |",
        of("fit_cpu_seconds"),
        of("fit_seconds"),
        of("peak_mebibytes"),
        of("accuracy"),
        of("f1_macro"),
        of("rows_per_cpu_second"),
        of("one_row_microseconds"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read_and_becomes_cells() {
        let output = "a warning\n{\"fit_cpu_seconds\": 1.25, \"accuracy\": 0.5}\n";
        let figures = read(output).expect("JSON");
        assert!(
            row(&figures).starts_with("| 1.2 | NaN | NaN | 0.5000 |"),
            "{}",
            row(&figures)
        );
        assert!(read("").is_err());
    }
}
