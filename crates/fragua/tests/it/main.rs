//! Tests that start the real program, each in a folder of its own and on free ports.

mod support;

mod command_line;
mod demo;
mod roles;
mod shutdown;
mod tracking;
mod webhooks;
