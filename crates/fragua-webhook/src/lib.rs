#![doc = include_str!("../README.md")]

mod client;
mod guard;

pub use client::{Client, Failure, Reply, is_for_now, retry_after, sign};
pub use guard::{Guard, MAX_URL_CHARS, NameFailure, Refusal};
