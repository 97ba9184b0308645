//! The main job from outside: the demo as a newcomer runs it, then other people's clients on what it left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
mod clients;
mod crash;
mod harness;
mod main_job;
