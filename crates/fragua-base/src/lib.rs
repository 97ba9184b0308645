#![doc = include_str!("../README.md")]

mod endpoints;
mod error_kind;
mod id;
mod page;
mod secret;
mod time;

pub use endpoints::Endpoints;
pub use error_kind::ErrorKind;
pub use id::random_hex;
pub use page::Page;
pub use secret::Secret;
pub use time::{Clock, InvalidTimestamp, ManualClock, SharedClock, SystemClock, Timestamp};
