//! The example's source of rows: a data API that hands out one batch of the forest-cover table after the other.
//!
//! The table is cut in ten batches. Each of ten groups walks through them on its own: a request answers with a random
//! tenth of the group's present batch, and the batch moves on once `batch_seconds` have passed since it last did
//! (`0`: with each request). After the tenth batch there is nothing more until the group starts over.
//!
//! A request that carries an `Idempotency-Key` gets the same rows as the first one with that key, also after a
//! restart. That is how a load that was cut off half-way costs no batch.

mod api;
mod rows;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context as _;
use fragua_base::SharedClock;

pub(crate) use api::router;
use rows::Rows;
use state::{Advance, Draw, State};

/// How many batches the table is cut in, and how large a share of a batch one request gives.
const PARTS: usize = 10;

/// What the source serves, and how fast it moves on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// A CSV file with a header, gzip-compressed when its name ends in `.gz`; `None`: the sample in this binary.
    pub(crate) path: Option<PathBuf>,
    /// How long a group stays on one batch; 0: each request moves on.
    pub(crate) batch_seconds: u64,
    /// Decides which rows of a batch are drawn.
    pub(crate) seed: u64,
}

/// The running source. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Source {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: SharedClock,
    state_file: PathBuf,
    state: Mutex<State>,
    /// Read at the first request, so that starting costs nothing.
    rows: OnceLock<Rows>,
}

/// One answer: rows of one batch.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Batch {
    group_number: usize,
    /// From 1 to 10.
    batch_number: usize,
    data: Vec<Vec<String>>,
}

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "group {group} has collected all {PARTS} batches; start over with GET /restart_data_generation?group_number={group}"
    )]
    Exhausted { group: usize },
    #[error("the source failed; its log says why")]
    Internal(#[from] anyhow::Error),
}

impl Source {
    /// Opens the source and reads what it remembers of each group.
    ///
    /// # Errors
    /// When the state file exists and cannot be read.
    pub(crate) fn open(settings: Settings, state_file: PathBuf, clock: SharedClock) -> anyhow::Result<Self> {
        let state = State::load(&state_file)?;
        let shared = Shared {
            settings,
            clock,
            state_file,
            state: Mutex::new(state),
            rows: OnceLock::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Draws rows for `group` (1 to 10). Blocks on the disk.
    pub(crate) fn batch(&self, group: usize, idempotency_key: Option<&str>) -> Result<Batch, Error> {
        let rows = self.rows()?;
        let draw = self.draw(group, idempotency_key)?;
        let data = rows.draw(self.shared.settings.seed, group, draw)?;
        Ok(Batch {
            group_number: group,
            batch_number: draw.batch + 1,
            data,
        })
    }

    /// Puts `group` back before its first batch. Blocks on the disk.
    pub(crate) fn restart(&self, group: usize) -> Result<(), Error> {
        self.change(|state| state.restart(group)).map_err(Error::Internal)
    }

    fn draw(&self, group: usize, idempotency_key: Option<&str>) -> Result<Draw, Error> {
        let pace = Advance {
            now: self.shared.clock.now(),
            batch_seconds: self.shared.settings.batch_seconds,
        };
        self.change(|state| state.draw(group, idempotency_key, pace))?
            .ok_or(Error::Exhausted { group })
    }

    /// Applies a change and keeps it only once it is on the disk: an answer that was given is never forgotten.
    fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> anyhow::Result<T> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = state.clone();
        let answer = apply(&mut changed);
        if changed != *state {
            changed.save(&self.shared.state_file)?;
            *state = changed;
        }
        Ok(answer)
    }

    fn rows(&self) -> anyhow::Result<&Rows> {
        if let Some(rows) = self.shared.rows.get() {
            return Ok(rows);
        }
        let rows = match &self.shared.settings.path {
            None => Rows::sample(),
            Some(path) => {
                Rows::read(path).with_context(|| format!("cannot read source.path {}", path.display()))
            }
        }?;
        Ok(self.shared.rows.get_or_init(|| rows))
    }
}

#[cfg(test)]
mod tests;
