//! The Python environments with the clients that the tests run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::test::project_folder;

/// The last file to be written: without it an environment was cut short and is made again.
const READY: &str = "fragua-ready";
const CAN_MAKE_ENVIRONMENTS: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// The clients of today.
pub(crate) const CLIENTS: &str = "e2e/requirements.txt";
/// The last MLflow 2, which many programs still run with.
pub(crate) const MLFLOW_2: &str = "e2e/requirements-mlflow-2.txt";
/// The libraries that training is measured beside.
pub(crate) const LEARN: &str = "e2e/requirements-learn.txt";
/// The inference API that serving is measured beside, and what makes the models of both.
pub(crate) const SERVING: &str = "e2e/requirements-serving.txt";
/// What signs requests to stores, and a store that ours is measured beside.
pub(crate) const STORAGE: &str = "e2e/requirements-storage.txt";
/// What trains and converts models that are served without having been trained here.
pub(crate) const CONVERTERS: &str = "e2e/requirements-converters.txt";
/// The orchestrator that ours is measured beside.
pub(crate) const AIRFLOW_SERVER: &str = "e2e/requirements-airflow-server.txt";
/// Airflow's own client.
pub(crate) const AIRFLOW: &str = "e2e/requirements-airflow.txt";
/// Clients of the object store beside boto3.
pub(crate) const S3: &str = "e2e/requirements-s3.txt";
/// What makes requests from an OpenAPI document.
pub(crate) const SCHEMATHESIS: &str = "e2e/requirements-schemathesis.txt";

/// Returns the interpreter of an environment with what a file of the project names, which is made when it is missing.
pub(crate) fn environment(requirements: &str) -> Result<PathBuf> {
    let requirements = project_folder().join(requirements);
    let wanted =
        fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let folder = cache_folder()?.join("python");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = format!("{:016x}", fnv1a(&wanted));
    let environment = folder.join(&name);
    let python = environment.join("bin/python");

    // Two checkouts may ask at the same time. The lock ends with the file handle.
    let lock = File::create(folder.join(format!("{name}.lock")))?;
    lock.lock().context("cannot lock the Python environment")?;
    if environment.join(READY).is_file() && python.exists() {
        return Ok(python);
    }
    eprintln!("Making the Python environment {} …", environment.display());
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    run(Command::new(base_interpreter()?)
        .args(["-m", "venv"])
        .arg(&environment))?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--requirement",
    ];
    run(Command::new(&python).args(install).arg(&requirements))?;
    fs::write(environment.join(READY), "")?;
    Ok(python)
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|cache| Path::new(cache).is_absolute()) {
        return Ok(PathBuf::from(cache).join("fragua"));
    }
    let home = std::env::home_dir().context("there is no home folder to keep the Python environment in")?;
    Ok(home.join(".cache/fragua"))
}

/// The distribution's Python first: it changes least.
fn base_interpreter() -> Result<&'static str> {
    let can_make = |interpreter: &&str| {
        let mut command = Command::new(interpreter);
        command.args(["-c", CAN_MAKE_ENVIRONMENTS]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    [
        "/usr/bin/python3",
        "python3",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
    ]
    .into_iter()
    .find(can_make)
    .context(
        "no Python from 3.10 on that can make virtual environments (on Debian: apt install python3-venv)",
    )
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let program = command.get_program().to_string_lossy();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} failed with {status}");
    Ok(())
}

/// Names an environment after its requirements: stable between versions of Rust, and nobody attacks it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn published_values_of_the_hash() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
