//! Attempts as real processes, under a real scheduler and worker.
//!
//! This program is also what it tests with: called with `exec-task` it runs one attempt, and with `serve FOLDER` it is
//! a server that can be killed. Otherwise it runs the tests whose names contain one of its arguments.

#![allow(clippy::unwrap_used, reason = "all of this program is tests")]

mod bench;
mod tests;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use fragua_orchestrator::{OperatorCatalog, exec_task};
use futures::FutureExt as _;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    match arguments.first().map(String::as_str) {
        Some("exec-task") => runtime.block_on(exec_task(OperatorCatalog::builtin())),
        Some("serve") => runtime.block_on(bench::serve(&arguments[1])),
        Some("--list") => {
            tests::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        _ => runtime.block_on(run_tests(&arguments)),
    }
}

async fn run_tests(arguments: &[String]) -> ExitCode {
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in tests::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let outcome = AssertUnwindSafe(test()).catch_unwind().await;
        println!(
            "test {name} ... {}",
            if outcome.is_ok() { "ok" } else { "FAILED" }
        );
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed.push(*name),
        }
    }
    println!(
        "\ntest result: {passed} passed; {} failed {failed:?}",
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
