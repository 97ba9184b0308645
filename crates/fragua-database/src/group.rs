//! Writes that share a commit.
//!
//! SQLite has one writer, and each commit waits for the disk. Writes that arrive meanwhile stand in a line; the next
//! transaction takes all of them, each behind a savepoint of its own, and they are answered when their common commit
//! is durable. On a server every write is a transaction of its own: there they run side by side.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::connection::Connection;
use crate::database::Database;
use crate::embedded::{Embedded, File, run_in_place};
use crate::error::Error;

/// Writes that may stand in line; further ones wait before it.
const LINE_LENGTH: usize = 1024;
/// Writes that one commit takes, so that the first does not wait long for the last.
const WRITES_PER_COMMIT: usize = 256;

/// Tells the caller of a write whether it is durable.
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What comes of one write: whether its changes stay, and how to tell its caller once it is known if they are durable.
struct Outcome {
    is_kept: bool,
    answer: Answer,
}

/// One write. It is given a connection in a transaction, or the reason why there is none.
type Write = Box<dyn FnOnce(Result<&Connection<'_>, Error>) -> Outcome + Send>;

/// The writes that wait for the next commit.
#[derive(Default)]
struct Waiting {
    writes: VecDeque<(Write, Option<OwnedSemaphorePermit>)>,
    /// Whether a thread is at work that will take what is in line.
    is_served: bool,
}

pub(crate) struct Line {
    waiting: Mutex<Waiting>,
    places: Arc<Semaphore>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            places: Arc::new(Semaphore::new(LINE_LENGTH)),
        }
    }

    /// Puts a write in line. Returns whether the caller has to see to it that the line is served.
    fn push(&self, write: Write, place: Option<OwnedSemaphorePermit>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writes.push_back((write, place));
        !std::mem::replace(&mut waiting.is_served, true)
    }

    /// Takes the writes of the next commit; when there are none, the line is not served any more.
    fn take(&self) -> Vec<(Write, Option<OwnedSemaphorePermit>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.writes.len().min(WRITES_PER_COMMIT);
        waiting.is_served = count > 0;
        waiting.writes.drain(..count).collect()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Database {
    /// Runs `work` in a write transaction: what it did is committed when it answers `Ok` and undone when it answers
    /// `Err` or panics. Returns once the commit is durable. On SQLite, work that arrives at the same time shares one
    /// commit; what one piece of it does is undone without touching the others. There the work has a thread for
    /// itself, and runs to its end even when the caller goes away.
    ///
    /// # Errors
    /// That of `work`, and failures of the database.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let Some(file) = self.file() else {
            let transaction = self.begin().await?;
            let value = work(&Connection::transaction(&transaction)).await?;
            transaction.commit().await.map_err(|error| self.error(error))?;
            return Ok(value);
        };
        let places = self.line().places.clone();
        let place = places.acquire_owned().await.map_err(|_| gone())?;
        let (sender, receiver) = oneshot::channel();
        // A caller that went away wants no answer.
        let answer = |result| drop(sender.send(result));
        self.stand_in_line(file, Some(place), work, answer);
        receiver.await.map_err(|_| gone())?
    }

    /// Does what [`Self::write`] does without being waited for: `answer` is told what came of it, on the thread that
    /// wrote, unless `work` panics. It does not wait for a place in line, so the caller sees to it that there are few.
    pub fn write_then<T, E, W>(&self, work: W, answer: impl FnOnce(Result<T, E>) + Send + 'static)
    where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if let Some(file) = self.file() {
            self.stand_in_line(file, None, work, answer);
        } else {
            let database = self.clone();
            tokio::spawn(async move { answer(database.write(work).await) });
        }
    }

    fn stand_in_line<T, E, W>(
        &self,
        file: &Arc<File>,
        place: Option<OwnedSemaphorePermit>,
        work: W,
        answer: impl FnOnce(Result<T, E>) + Send + 'static,
    ) where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let write: Write = Box::new(move |connection| {
            let result = match connection {
                Ok(connection) => run_in_place(work(connection)),
                Err(error) => Err(E::from(error)),
            };
            Outcome {
                is_kept: result.is_ok(),
                answer: Box::new(move |durable| {
                    answer(result.and_then(|value| Ok(durable.map(|()| value)?)))
                }),
            }
        });
        if self.line().push(write, place) {
            let (database, file) = (self.clone(), file.clone());
            spawn_blocking(move || serve(&database, &file));
        }
    }
}

/// The work panicked, or the runtime ends.
fn gone() -> Error {
    Error::Other(DbErr::Custom("the write was given up".to_owned()))
}

/// Commits what is in line until nothing is left.
fn serve(database: &Database, file: &File) {
    loop {
        // Writes that arrive while others have their turn go along.
        let turn = file.turn();
        let (writes, places): (Vec<_>, Vec<_>) = database.line().take().into_iter().unzip();
        if writes.is_empty() {
            return;
        }
        let mut answers = Vec::with_capacity(writes.len());
        let mut writes = writes.into_iter();
        let durable = turn
            .and_then(|turn| file.with_writer(&turn, |writer| commit(writer, &mut writes, &mut answers))?)
            .map_err(|error| database.error(error));
        if let Err(error) = &durable {
            answers.extend(writes.map(|write| write(Err(error.clone())).answer));
        }
        for answer in answers {
            // One that panics is a fault in one request: the others are answered, and the line is served on.
            let _ = catch_unwind(AssertUnwindSafe(|| answer(durable.clone())));
        }
        drop(places);
    }
}

/// The statements around a write, and around all of them.
struct Scope {
    enter: &'static [&'static str],
    keep: &'static [&'static str],
    undo: &'static [&'static str],
    end: &'static [&'static str],
}

/// A savepoint copies the pages that change, which one write alone does not need.
const ALONE: Scope = Scope {
    enter: &[],
    keep: &["COMMIT"],
    undo: &["ROLLBACK"],
    end: &[],
};

const MERGED: Scope = Scope {
    enter: &["SAVEPOINT one_write"],
    keep: &["RELEASE one_write"],
    undo: &["ROLLBACK TO one_write", "RELEASE one_write"],
    end: &["COMMIT"],
};

/// Runs writes in one transaction, and stops at the first failure of the transaction itself.
fn commit(
    writer: &Embedded,
    writes: &mut std::vec::IntoIter<Write>,
    answers: &mut Vec<Answer>,
) -> Result<(), Error> {
    let scope = if writes.len() == 1 { ALONE } else { MERGED };
    writer.run(&["BEGIN IMMEDIATE"])?;
    let committed = writes
        .try_for_each(|write| {
            if let Err(error) = writer.run(scope.enter) {
                answers.push(write(Err(error.clone().into())).answer);
                return Err(error);
            }
            // The caller of a write that panics is told by the channel that closes.
            let outcome = catch_unwind(AssertUnwindSafe(|| write(Ok(&Connection::embedded(writer))))).ok();
            let is_kept = outcome.as_ref().is_some_and(|outcome| outcome.is_kept);
            answers.extend(outcome.map(|outcome| outcome.answer));
            if !writer.is_in_transaction() {
                return Err(writer.last_failure());
            }
            writer.run(if is_kept { scope.keep } else { scope.undo })
        })
        .and_then(|()| writer.run(scope.end));
    if writer.is_in_transaction() {
        // What could not be committed is undone; a writer that fails at this as well fails at the next write.
        let _ = writer.run(&["ROLLBACK"]);
    }
    Ok(committed?)
}
