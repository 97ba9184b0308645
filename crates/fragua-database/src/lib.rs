#![doc = include_str!("../README.md")]

mod address;
mod classify;
mod connection;
mod database;
pub mod dialect;
mod embedded;
mod error;
mod group;
mod migrate;
mod ready;
#[cfg(feature = "testing")]
pub mod testing;

pub use address::sqlite_url;
pub use connection::{Connection, Row, Statements};
pub use database::{Database, Engine};
pub use error::{Error, Place};
pub use group::Duty;
pub use ready::Ready;
