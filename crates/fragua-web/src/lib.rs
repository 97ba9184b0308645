#![doc = include_str!("../README.md")]

mod pages;

mod error;
mod live;
mod page;
mod refusal;
mod site;

mod chart;
mod distribution;
mod filters;
mod form;
mod format;
mod graph;
mod headline;
mod line_plot;
mod markdown;
mod markup;
mod plot;
mod schedule;
mod state;
mod view;
mod waterfall;

mod assets;
mod text;

pub use pages::{app_pages, console_pages, orchestrator_pages, tracking_pages};
pub use refusal::refusal;
pub use site::{ServedAlias, Site};
