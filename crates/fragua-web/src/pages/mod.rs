//! The pages, by role.

mod app;
mod console;
mod download;
mod orchestrator;
mod tracking;

pub use app::app_pages;
pub use console::console_pages;
pub use orchestrator::orchestrator_pages;
pub use tracking::tracking_pages;
