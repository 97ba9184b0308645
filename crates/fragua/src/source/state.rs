//! What the source remembers of each group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;
use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::PARTS;

/// Answers remembered a group, the oldest forgotten first. A retry comes within hours, not after a thousand loads.
const REMEMBERED_ANSWERS: usize = 1_000;

/// Which rows an answer held: the batch (from 0) and the number of the draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draw {
    pub(super) batch: usize,
    pub(super) number: u64,
}

/// How a group moves on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advance {
    pub(super) now: Timestamp,
    pub(super) batch_seconds: u64,
}

/// Every group that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    groups: BTreeMap<usize, Group>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    /// The present batch from 0; `None` before the first request.
    batch: Option<usize>,
    moved_at: Timestamp,
    draws: u64,
    answers: BTreeMap<String, Draw>,
}

impl State {
    /// Reads the file, an empty state when there is none yet.
    pub(super) fn load(file: &Path) -> anyhow::Result<Self> {
        match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!(
                    "{} is not the state of a source; remove it to start over",
                    file.display()
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Writes the file whole or not at all.
    pub(super) fn save(&self, file: &Path) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            let temporary = file.with_extension("json.new");
            let mut out = File::create(&temporary)?;
            out.write_all(&serde_json::to_vec(self)?)?;
            out.sync_all()?;
            fs::rename(&temporary, file)
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }

    /// Forgets all about a group.
    pub(super) fn restart(&mut self, group: usize) {
        self.groups.remove(&group);
    }

    /// Decides what the next answer to a group holds; `None` after the last batch.
    pub(super) fn draw(&mut self, group: usize, key: Option<&str>, pace: Advance) -> Option<Draw> {
        let group = self.groups.entry(group).or_default();
        if let Some(known) = key.and_then(|key| group.answers.get(key)) {
            return Some(*known);
        }
        let batch = group.advance(pace)?;
        let draw = Draw {
            batch,
            number: group.draws,
        };
        group.draws += 1;
        if let Some(key) = key {
            group.remember(key, draw);
        }
        Some(draw)
    }
}

impl Group {
    fn advance(&mut self, pace: Advance) -> Option<usize> {
        let waited_ms = pace.now.as_millis().saturating_sub(self.moved_at.as_millis());
        let pause_ms = i64::try_from(pace.batch_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let next = match self.batch {
            None => 0,
            Some(batch) if pause_ms == 0 || waited_ms > pause_ms => batch + 1,
            Some(batch) => return Some(batch),
        };
        if next == PARTS {
            return None;
        }
        self.batch = Some(next);
        self.moved_at = pace.now;
        Some(next)
    }

    fn remember(&mut self, key: &str, draw: Draw) {
        if self.answers.len() >= REMEMBERED_ANSWERS {
            let oldest = self
                .answers
                .iter()
                .min_by_key(|(_, draw)| draw.number)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.answers.remove(&oldest);
            }
        }
        self.answers.insert(key.to_owned(), draw);
    }
}
