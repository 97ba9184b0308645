//! The pages over real façades, asked in process.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod app;
mod app_in_browser;
mod browser;
mod chromium;
mod compare;
mod console;
mod console_in_browser;
mod console_object;
mod console_settings;
mod dag_pages;
mod dag_pages_in_browser;
mod deleted;
mod frame;
mod house;
mod in_browser;
mod orchestrator;
mod registry;
mod run_page;
mod run_page_in_browser;
mod run_table;
mod texts;
mod tracking;
mod traffic;
