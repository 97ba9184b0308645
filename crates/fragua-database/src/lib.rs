#![doc = include_str!("../README.md")]

mod address;
mod classify;
mod database;
pub mod dialect;
mod error;
mod group;
mod migrate;
#[cfg(feature = "testing")]
pub mod testing;

pub use address::sqlite_url;
pub use database::{Database, Engine};
pub use error::{Error, Place};
