//! The main job from outside: the demo as a newcomer runs it, then other people's clients on what it left.

mod browser;
mod clients;
mod crash;
mod harness;
mod main_job;
