//! From the pipes of a process to its log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::core::Core;
use crate::logs::{self, LONGEST_LINE, Mask, Source, Writer};
use crate::{Change, TaskKey};

/// How many lines may wait to be written before the process has to.
const WAITING_LINES: usize = 256;

/// How often watchers are told at most.
const TELL: Duration = Duration::from_millis(100);

/// A log that is being written. Lines come from several places; one task writes them.
pub(super) struct Log {
    lines: mpsc::Sender<(Source, Vec<u8>)>,
    writing: JoinHandle<()>,
}

impl Log {
    pub(super) fn open(core: &Arc<Core>, key: &TaskKey, mask: Mask) -> Result<Self, String> {
        let path = logs::path(&core.settings.logs_folder, key);
        let writer = Writer::open(&path, core.clock.clone(), mask, core.settings.max_log_bytes);
        let writer =
            writer.map_err(|error| format!("the log {} cannot be written: {error}", path.display()))?;
        let (lines, incoming) = mpsc::channel(WAITING_LINES);
        let writing = tokio::spawn(write(core.clone(), key.clone(), writer, incoming, path.into()));
        Ok(Self { lines, writing })
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

    /// Ends the log: everything that was said is in the file afterwards.
    pub(super) async fn close(self) {
        drop(self.lines);
        let _ = self.writing.await;
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
    core: Arc<Core>,
    key: TaskKey,
    mut writer: Writer,
    mut lines: mpsc::Receiver<(Source, Vec<u8>)>,
    path: Box<Path>,
) {
    let grown = Change::Log {
        dag_id: key.dag_id.clone(),
        run_id: key.run_id.clone(),
        task_id: key.instance_id().to_string(),
        attempt: key.attempt,
    };
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
        core.tell(grown.clone());
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
