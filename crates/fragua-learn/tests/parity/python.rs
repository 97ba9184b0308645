use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::Command;

/// Runs `tests/python/{script}` in a folder and reads the JSON it prints last.
pub(crate) fn run<T: DeserializeOwned>(script: &str, folder: &Path) -> T {
    run_in("FRAGUA_TEST_PYTHON", script, folder)
}

/// As [`run`], with the interpreter that a variable names.
pub(crate) fn run_in<T: DeserializeOwned>(variable: &str, script: &str, folder: &Path) -> T {
    let Some(python) = std::env::var_os(variable) else {
        panic!(
            "{variable} is not set: run `cargo xtask test`, which installs a Python environment and sets it"
        );
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let output = Command::new(&python)
        .arg(&path)
        .current_dir(folder)
        .env("OMP_NUM_THREADS", "2")
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", python.display()));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{script} failed:\n{printed}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = printed.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{script} printed {last:?}: {error}"))
}
