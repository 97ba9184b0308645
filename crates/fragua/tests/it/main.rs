//! Tests that start the real program, each in a folder of its own and on free ports.

mod support;

mod airflow;
mod command_line;
mod demo;
mod learn;
mod orchestrator;
mod roles;
mod serving_keys;
mod shutdown;
mod storage;
mod storage_keys;
mod tracking;
mod webhooks;
mod workers;
