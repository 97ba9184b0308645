//! What the crate promises, on each engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod classification;
mod dialect;
mod migrations;
mod transactions;
