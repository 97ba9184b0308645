//! Databases and file stores that MLflow itself made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod database;
mod files;
mod peer;
