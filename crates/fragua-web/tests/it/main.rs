//! The pages over real façades, asked in process.

mod app;
mod browser;
mod console;
mod frame;
mod house;
mod orchestrator;
mod texts;
mod tracking;
