//! The pages over real façades, asked in process.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod app;
mod browser;
mod chromium;
mod console;
mod frame;
mod house;
mod orchestrator;
mod registry;
mod run_page;
mod run_page_in_browser;
mod texts;
mod tracking;
