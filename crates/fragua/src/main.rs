#![doc = include_str!("../README.md")]

mod app;
mod cli;
mod databases;
mod demo;
mod http;
mod operators;
mod progress;
mod project;
mod roles;
mod scaffold;
mod settings;
mod shutdown;
mod source;
mod surface;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

/// Rows and JSON are many small texts that one thread makes and another frees; the system's own allocator spends a
/// good part of a request on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Every TLS connection of the program goes through one provider; it can be chosen once, before the first of them.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("error: a TLS provider was installed before the program's own");
        return ExitCode::FAILURE;
    }
    // A process of a task starts often and takes nothing from its command line, so none is built for it.
    match std::env::args_os().nth(1) {
        Some(command) if command == cli::EXEC_TASK => cli::exec_task(),
        _ => cli::run(cli::Arguments::parse()),
    }
}
