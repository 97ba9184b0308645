#![doc = include_str!("../README.md")]

mod bench;
mod environment;
mod fuzz;
mod packages;
mod python;
#[path = "../../crates/fragua-database/src/testing/server.rs"]
mod server;
mod test;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every test, with all that they need.
    Test {
        /// Check format, lints and documentation first.
        #[arg(long)]
        check: bool,
        /// Test this package alone; can be given more than once.
        #[arg(short, long)]
        package: Vec<String>,
        /// Arguments for `cargo test`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Start the servers that the tests use, print their variables, stay until Ctrl-C.
    Services,
    /// Try random input on a parser, for a while.
    Fuzz {
        /// The parser.
        target: fuzz::Target,
        /// How long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test {
            check,
            package,
            arguments,
        } => test::run(check, &package, &arguments),
        Command::Services => services().map(|()| ExitCode::SUCCESS),
        Command::Fuzz { target, seconds } => fuzz::run(target, seconds).map(|()| ExitCode::SUCCESS),
        Command::Bench(bench) => bench.run().map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn services() -> anyhow::Result<()> {
    let environment = environment::Environment::start()?;
    let mut output = std::io::stdout().lock();
    for (name, value) in environment.variables() {
        writeln!(output, "export {name}='{value}'")?;
    }
    output.flush()?;
    drop(output);
    eprintln!("The servers run until this command ends (Ctrl-C).");
    // Nothing ever unparks: a signal ends the process, and the servers end with it.
    loop {
        std::thread::park();
    }
}
