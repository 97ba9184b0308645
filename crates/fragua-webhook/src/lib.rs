//! Webhooks: messages posted to addresses that people give. What is not public is never connected to, whatever a name
//! stands for at that moment; messages are signed, so that a receiver knows who sent them.

mod client;
mod guard;

pub use client::{Client, Failure, Reply, is_for_now, retry_after, sign};
pub use guard::{Guard, MAX_URL_CHARS, NameFailure, Refusal};
