//! The main job from outside: the demo as a newcomer runs it, then other people's clients on what it left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
#[path = "../../../fragua-web/tests/it/chromium.rs"]
#[expect(dead_code, reason = "the tests of the pages do more with it")]
mod chromium;
mod clients;
mod crash;
mod harness;
mod main_job;
