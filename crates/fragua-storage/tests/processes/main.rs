//! The store in processes that end badly.
//!
//! This program is also what it tests with: called with `write FOLDER` it writes until it is killed, and with
//! `fill FOLDER` it meets the limit of a file's size. Otherwise it runs the tests whose names contain one of its
//! arguments.

#![allow(clippy::unwrap_used, reason = "all of this program is tests")]

mod full;
mod killed;
mod store;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures::FutureExt as _;
use futures::future::BoxFuture;

type Test = fn() -> BoxFuture<'static, ()>;

const ALL: &[(&str, Test)] = &[
    ("what_was_answered_survives_two_hundred_kills", || {
        killed::what_was_answered_survives_two_hundred_kills().boxed()
    }),
    ("a_full_disk_is_told_and_leaves_nothing_behind", || {
        full::a_full_disk_is_told_and_leaves_nothing_behind().boxed()
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    match arguments.first().map(String::as_str) {
        Some("write") => runtime.block_on(killed::write(&arguments[1])),
        Some("fill") => runtime.block_on(full::fill(&arguments[1])),
        Some("--list") => {
            ALL.iter().for_each(|(name, _)| println!("{name}: test"));
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
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in ALL {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let outcome = AssertUnwindSafe(test()).catch_unwind().await;
        let is_good = outcome.is_ok();
        println!("test {name} ... {}", if is_good { "ok" } else { "FAILED" });
        if is_good {
            passed += 1;
        } else {
            failed.push(*name);
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
