//! The log of one attempt: what there is at once, what comes as a stream, all of it as a file.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use fragua_orchestrator::{Change, LogChunk, Orchestrator, TaskInstance};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::error::Error;
use crate::live;
use crate::page::{Page, encode};

/// A page begins with at most this much; what follows comes as a stream while the attempt runs, and is in the raw file.
const MOST_BYTES: usize = 512 * 1024;
/// An attempt may run in another process, which cannot wake this one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct LogView {
    pub(super) task_id: String,
    pub(super) attempt: u32,
    pub(super) attempts: Vec<AttemptLink>,
    pub(super) lines: Vec<LogLine>,
    pub(super) find: String,
    pub(super) is_live: bool,
    pub(super) is_cut: bool,
    pub(super) stream_address: String,
    pub(super) raw_address: String,
    pub(super) clear_address: String,
    pub(super) clear_title: String,
}

impl LogView {
    /// Changes when the page must show another log than the one a reader follows.
    pub(super) fn version(&self) -> String {
        format!("{}/{}", self.task_id, self.attempt)
    }
}

pub(super) struct AttemptLink {
    pub(super) label: String,
    pub(super) address: String,
    pub(super) is_current: bool,
}

/// A line, taken apart where it begins with the time and the source that the worker writes.
#[derive(Debug, PartialEq)]
pub(super) struct LogLine {
    pub(super) time: String,
    pub(super) source: String,
    pub(super) text: String,
    pub(super) class: &'static str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    task: String,
    attempt: u32,
    #[serde(default)]
    offset: u64,
}

/// Returns the log of the attempt that the address names, or of the newest; nothing before the first.
pub(super) async fn view(
    orchestrator: &Orchestrator,
    page: &Page,
    run_address: &str,
    instance: &TaskInstance,
) -> Result<Option<LogView>, Error> {
    if instance.attempt == 0 {
        return Ok(None);
    }
    let named = page.parameter("attempt").and_then(|attempt| attempt.parse().ok());
    let attempt = named
        .filter(|attempt| (1..=instance.attempt).contains(attempt))
        .unwrap_or(instance.attempt);
    let find = page.parameter("find").unwrap_or_default().trim().to_owned();
    let read = read(orchestrator, instance, attempt).await?;
    let which = format!(
        "task={}&attempt={attempt}",
        encode(&instance.instance_id().to_string())
    );
    let attempts = (1..=instance.attempt).map(|number| AttemptLink {
        label: page.t1("attempt-number", "number", &number.to_string()),
        address: page.with2(
            "task",
            &instance.instance_id().to_string(),
            "attempt",
            &number.to_string(),
        ),
        is_current: number == attempt,
    });
    Ok(Some(LogView {
        task_id: instance.instance_id().to_string(),
        attempt,
        attempts: attempts.collect(),
        lines: lines(&read.text, &find),
        find,
        is_live: !read.is_finished,
        is_cut: read.is_cut,
        stream_address: format!("{run_address}/log/events?{which}&offset={}", read.next_offset),
        raw_address: format!("{run_address}/log?{which}"),
        clear_address: format!("{run_address}/clear"),
        clear_title: page.t1("clear-task-title", "task", &instance.instance_id().to_string()),
    }))
}

struct Read {
    text: String,
    next_offset: u64,
    is_finished: bool,
    is_cut: bool,
}

async fn read(orchestrator: &Orchestrator, instance: &TaskInstance, attempt: u32) -> Result<Read, Error> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    let task = instance.instance_id().to_string();
    loop {
        let chunk = chunk(
            orchestrator,
            &instance.dag_id,
            &instance.run_id,
            &task,
            attempt,
            offset,
        );
        let chunk = match chunk.await {
            // The attempt was leased and has not written a byte.
            Err(fragua_orchestrator::Error::LogNotFound { .. }) => None,
            other => Some(other?),
        };
        let (is_empty, is_finished) = chunk
            .as_ref()
            .map_or((true, instance.state.is_finished()), |chunk| {
                (chunk.bytes.is_empty(), chunk.finished)
            });
        if let Some(chunk) = chunk {
            bytes.extend_from_slice(&chunk.bytes);
            offset = chunk.next_offset;
        }
        let is_full = bytes.len() > MOST_BYTES;
        if is_empty || is_finished || is_full {
            return Ok(Read {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                next_offset: offset,
                is_finished,
                is_cut: is_full && !is_finished && instance.state.is_finished(),
            });
        }
    }
}

async fn chunk(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    attempt: u32,
    offset: u64,
) -> Result<LogChunk, fragua_orchestrator::Error> {
    orchestrator
        .read_log(dag_id, run_id, task_id, attempt, offset)
        .await
}

fn lines(text: &str, find: &str) -> Vec<LogLine> {
    let wanted = find.to_lowercase();
    text.lines()
        .filter(|line| wanted.is_empty() || line.to_lowercase().contains(&wanted))
        .map(line)
        .collect()
}

fn line(line: &str) -> LogLine {
    let (time, source, text) = parts(line).unwrap_or(("", "", line));
    LogLine {
        time: time.to_owned(),
        source: source.to_owned(),
        text: text.to_owned(),
        class: class(text),
    }
}

/// Splits `2025-04-02T06:00:00.000Z out text`; of the time only that of the day is kept.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (source, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let time = time.strip_suffix('Z')?.split_once('T')?.1;
    let is_time = time.starts_with(|first: char| first.is_ascii_digit());
    (is_time && matches!(source, "out" | "err" | "fragua")).then_some((time, source, text))
}

/// Marks the lines that people look for first. `static/log.js` does the same with what comes later.
fn class(line: &str) -> &'static str {
    let has = |word: &str| {
        line.split(|letter: char| !letter.is_ascii_alphanumeric())
            .any(|part| part == word)
    };
    if has("ERROR") || has("CRITICAL") {
        " is-error"
    } else if has("WARN") || has("WARNING") {
        " is-warning"
    } else {
        ""
    }
}

/// Sends what is written after an offset until the attempt is over.
pub(super) async fn events(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    let follow = Follow {
        receiver: orchestrator.changes(),
        orchestrator,
        dag_id,
        run_id,
        which,
        is_over: false,
    };
    let events = futures::stream::unfold(follow, |mut follow| async move {
        let event = follow.next().await?;
        Some((event, follow))
    });
    live::stream(events, page.site().shutdown())
}

struct Follow {
    orchestrator: Orchestrator,
    receiver: Receiver<Change>,
    dag_id: String,
    run_id: String,
    which: Which,
    is_over: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        while !self.is_over {
            let Which {
                task,
                attempt,
                offset,
            } = &self.which;
            let read = chunk(
                &self.orchestrator,
                &self.dag_id,
                &self.run_id,
                task,
                *attempt,
                *offset,
            )
            .await;
            match read {
                Ok(chunk) => {
                    self.which.offset = chunk.next_offset;
                    if !chunk.bytes.is_empty() {
                        return Some(self.log_event(&chunk));
                    }
                    if chunk.finished {
                        break;
                    }
                }
                Err(fragua_orchestrator::Error::LogNotFound { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "a log can no longer be followed");
                    break;
                }
            }
            self.wait().await;
        }
        if self.is_over {
            return None;
        }
        self.is_over = true;
        Some(Event::default().event("end").data("1"))
    }

    fn log_event(&self, chunk: &LogChunk) -> Event {
        let run = super::dags::run_address(&self.dag_id, &self.run_id);
        let Which {
            task,
            attempt,
            offset,
        } = &self.which;
        let stream = format!(
            "{run}/log/events?task={}&attempt={attempt}&offset={offset}",
            encode(task)
        );
        let data = json!({ "text": String::from_utf8_lossy(&chunk.bytes), "stream": stream });
        Event::default().event("log").data(data.to_string())
    }

    /// Waits until this attempt may have written more.
    async fn wait(&mut self) {
        let woken = async {
            loop {
                match self.receiver.recv().await {
                    Ok(change) if !concerns(&change, &self.dag_id, &self.run_id, &self.which.task) => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Both outcomes mean the same: look again.
        let _ = tokio::time::timeout(LOOK_AGAIN, woken).await;
    }
}

fn concerns(change: &Change, wanted_dag: &str, wanted_run: &str, wanted_task: &str) -> bool {
    match change {
        Change::Log {
            dag_id,
            run_id,
            task_id,
            ..
        }
        | Change::TaskInstance {
            dag_id,
            run_id,
            task_id,
            ..
        } => dag_id == wanted_dag && run_id == wanted_run && task_id == wanted_task,
        _ => false,
    }
}

/// Sends the whole log as text.
pub(super) async fn raw(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    // The first piece is read here, so that a log that does not exist is an error and not an empty file.
    let first = chunk(&orchestrator, &dag_id, &run_id, &which.task, which.attempt, 0).await?;
    let start = (orchestrator, dag_id, run_id, which, Some(first));
    let pieces = futures::stream::try_unfold(
        start,
        |(orchestrator, dag_id, run_id, which, chunk_in_hand)| async move {
            let Some(piece) = chunk_in_hand.filter(|piece| !piece.bytes.is_empty()) else {
                return Ok(None);
            };
            let next = if piece.finished {
                None
            } else {
                Some(
                    chunk(
                        &orchestrator,
                        &dag_id,
                        &run_id,
                        &which.task,
                        which.attempt,
                        piece.next_offset,
                    )
                    .await?,
                )
            };
            Ok::<_, fragua_orchestrator::Error>(Some((
                piece.bytes,
                (orchestrator, dag_id, run_id, which, next),
            )))
        },
    );
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_matter_are_marked() {
        for (line, expected) in [
            ("12:00 INFO loaded", ""),
            ("12:00 ERROR no such table", " is-error"),
            ("[2025] {x} WARNING slow", " is-warning"),
            ("NOERRORS here", ""),
            ("error_count = 0", ""),
        ] {
            assert_eq!(class(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_of_the_worker_are_taken_apart() {
        for (text, time, source, rest) in [
            (
                "2025-04-02T06:00:00.125Z out loaded 9 rows",
                "06:00:00.125",
                "out",
                "loaded 9 rows",
            ),
            ("2025-04-02T06:00:00.125Z err ", "06:00:00.125", "err", ""),
            (
                "2025-04-02T06:00:00.125Z odd x",
                "",
                "",
                "2025-04-02T06:00:00.125Z odd x",
            ),
            ("plain", "", "", "plain"),
            ("", "", "", ""),
        ] {
            let line = line(text);
            assert_eq!(
                (line.time.as_str(), line.source.as_str(), line.text.as_str()),
                (time, source, rest)
            );
        }
    }

    #[test]
    fn a_search_keeps_the_lines_that_hold_it() {
        let found = lines("one\nTwo words\nthree\n", "WORDS");
        let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["Two words"]);
        assert_eq!(lines("a\nb\n", "").len(), 2);
    }
}
