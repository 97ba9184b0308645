//! The pages, by role.

mod app;
mod archive;
mod columns;
pub(crate) mod console;
mod download;
pub(crate) mod orchestrator;
mod preview;
mod tracking;

pub use app::app_pages;
pub use console::console_pages;
pub use orchestrator::orchestrator_pages;
pub use tracking::tracking_pages;
