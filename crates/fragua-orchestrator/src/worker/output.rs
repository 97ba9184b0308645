//! From the pipes of a process to its log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Pause;
use super::attempt::Place;
use super::link::Link;
use super::remote::Remote;
use super::wire::{Assignment, LARGEST_PIECE};
use crate::core::Core;
use crate::logs::{self, LONGEST_LINE, Mask, Source, Writer};
use crate::{Change, Error};

/// How many lines may wait to be written before the process has to.
const WAITING_LINES: usize = 256;

/// How often watchers are told at most.
const TELL: Duration = Duration::from_millis(100);

/// A log that is being written. Lines come from several places; one task writes them, and where the file is on another
/// machine than it belongs another sends them.
pub(super) struct Log {
    lines: mpsc::Sender<(Source, Vec<u8>)>,
    writing: JoinHandle<()>,
    sending: Option<JoinHandle<()>>,
}

/// Who is told that the log has grown.
enum Reader {
    Watchers(Arc<Core>, Change),
    /// How many bytes are in the file.
    Sender(watch::Sender<u64>),
}

impl Log {
    pub(super) fn open(
        place: &Arc<Place>,
        assignment: &Assignment,
        mask: Mask,
        folder: &Path,
    ) -> Result<Self, String> {
        let key = &assignment.key;
        let (path, limit) = match &place.link {
            Link::Local(core) => (
                logs::path(&core.settings.logs_folder, key),
                assignment.max_log_bytes,
            ),
            // What is there already counts too.
            Link::Remote(_) => (
                folder.join("log"),
                assignment.max_log_bytes.saturating_sub(assignment.log_offset),
            ),
        };
        let writer = Writer::open(&path, place.clock.clone(), mask, limit);
        let writer =
            writer.map_err(|error| format!("the log {} cannot be written: {error}", path.display()))?;
        let (reader, sending) = match &place.link {
            Link::Local(core) => {
                let grown = Change::Log {
                    dag_id: key.dag_id.clone(),
                    run_id: key.run_id.clone(),
                    task_id: key.instance_id().to_string(),
                    attempt: key.attempt,
                };
                (Reader::Watchers(core.clone(), grown), None)
            }
            Link::Remote(remote) => {
                let (sender, written) = watch::channel(0);
                let upload = Upload {
                    remote: remote.clone(),
                    token: assignment.token.clone(),
                    path: path.clone(),
                    base: assignment.log_offset,
                };
                (Reader::Sender(sender), Some(tokio::spawn(upload.run(written))))
            }
        };
        let (lines, incoming) = mpsc::channel(WAITING_LINES);
        let writing = tokio::spawn(write(reader, writer, incoming, path.into()));
        Ok(Self {
            lines,
            writing,
            sending,
        })
    }

    /// Writes a line of the worker's own.
    pub(super) async fn say(&self, text: String) {
        for line in text.lines() {
            let _ = self.lines.send((Source::Fragua, line.as_bytes().to_vec())).await;
        }
    }

    /// Follows a pipe until it ends.
    pub(super) fn follow(
        &self,
        source: Source,
        pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
    ) -> JoinHandle<()> {
        let lines = self.lines.clone();
        tokio::spawn(async move {
            if let Some(pipe) = pipe {
                read_lines(BufReader::new(pipe), source, &lines).await;
            }
        })
    }

    /// Ends the log: everything that was said is where it belongs afterwards.
    pub(super) async fn close(self) {
        drop(self.lines);
        let _ = self.writing.await;
        if let Some(sending) = self.sending {
            let _ = sending.await;
        }
    }
}

/// Sends a log on while it grows. What has not been acknowledged is sent again, to the same offset.
struct Upload {
    remote: Arc<Remote>,
    token: String,
    path: PathBuf,
    /// Where the log of this worker begins in the whole one.
    base: u64,
}

impl Upload {
    /// Returns when all is sent, or nobody takes it any more. An orchestrator that is away is waited for: the end of an
    /// attempt is told after its log.
    async fn run(self, mut written: watch::Receiver<u64>) {
        let (mut sent, mut pause) = (0, Pause::new());
        loop {
            let is_more = sent < *written.borrow_and_update();
            if !is_more {
                match written.changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            let result = match self.piece(sent) {
                Ok(piece) => self.remote.log(&self.token, self.base + sent, piece).await,
                Err(error) => {
                    tracing::error!(%error, "the log {} cannot be read back", self.path.display());
                    return;
                }
            };
            match result {
                Ok(next_offset) => (sent, pause) = (next_offset.saturating_sub(self.base), Pause::new()),
                Err(error @ Error::ServerAway { .. }) => {
                    tracing::warn!(%error, "a log is sent on later");
                    tokio::time::sleep(pause.next()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a log is not sent on");
                    return;
                }
            }
        }
    }

    fn piece(&self, from: u64) -> io::Result<Bytes> {
        let mut piece = vec![0; LARGEST_PIECE];
        let length = File::open(&self.path)?.read_at(&mut piece, from)?;
        piece.truncate(length);
        Ok(piece.into())
    }
}

async fn read_lines<R: AsyncRead + Unpin>(
    mut pipe: BufReader<R>,
    source: Source,
    lines: &mpsc::Sender<(Source, Vec<u8>)>,
) {
    let mut line = Vec::new();
    loop {
        let available = match pipe.fill_buf().await {
            Ok(available) if !available.is_empty() => available,
            _ => break,
        };
        let room = LONGEST_LINE - line.len();
        let end = available.iter().take(room).position(|byte| *byte == b'\n');
        let (taken, is_complete) = match end {
            Some(end) => (end, true),
            None => (available.len().min(room), available.len() >= room),
        };
        line.extend_from_slice(&available[..taken]);
        pipe.consume(taken + usize::from(end.is_some()));
        if is_complete && lines.send((source, std::mem::take(&mut line))).await.is_err() {
            return;
        }
    }
    if !line.is_empty() {
        let _ = lines.send((source, line)).await;
    }
}

async fn write(
    reader: Reader,
    mut writer: Writer,
    mut lines: mpsc::Receiver<(Source, Vec<u8>)>,
    path: Box<Path>,
) {
    let mut told_at: Option<Instant> = None;
    while let Some((source, line)) = lines.recv().await {
        let mut result = writer.line(source, &line);
        // A burst is flushed and told as one.
        let wait = told_at.map_or(Duration::ZERO, |at| TELL.saturating_sub(at.elapsed()));
        let burst_ends = tokio::time::sleep(wait);
        tokio::pin!(burst_ends);
        while result.is_ok() {
            tokio::select! {
                biased;
                line = lines.recv() => match line {
                    Some((source, line)) => result = writer.line(source, &line),
                    None => break,
                },
                () = &mut burst_ends => break,
            }
        }
        if let Err(error) = result.and_then(|()| writer.flush()) {
            tracing::error!(%error, "the log {} cannot be written", path.display());
        }
        match &reader {
            Reader::Watchers(core, grown) => core.tell(grown.clone()),
            Reader::Sender(written) => drop(written.send_replace(writer.written())),
        }
        told_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let (sender, mut receiver) = mpsc::channel(1000);
        read_lines(BufReader::new(text), Source::Out, &sender).await;
        drop(sender);
        let mut lines = Vec::new();
        while let Some((_, line)) = receiver.recv().await {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_split_and_long_ones_cut() {
        assert_eq!(
            lines(b"one\n\ntwo").await,
            [b"one".to_vec(), b"".to_vec(), b"two".to_vec()]
        );
        assert_eq!(lines(b"").await, Vec::<Vec<u8>>::new());
        let long = vec![b'x'; LONGEST_LINE * 2 + 5];
        let lengths: Vec<usize> = lines(&long).await.iter().map(Vec::len).collect();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 5]);
    }
}
