//! Writes that share a commit.
//!
//! SQLite has one writer, and each commit waits for the disk. Writes that arrive meanwhile stand in a line; the next
//! transaction takes all of them, each behind a savepoint of its own, and they are answered when their common commit
//! is durable. On a server every write is a transaction of its own: there they run side by side.
//!
//! A thread of its own serves the line while there is much to do. A small write that comes alone is done where it is:
//! waking a thread and being woken by it costs several times as much as the write itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use sea_orm::DbErr;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::yield_now;

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

/// A write in line.
struct Entry {
    write: Write,
    /// Whether it may keep a thread that others wait for.
    is_brief: bool,
    place: Option<OwnedSemaphorePermit>,
}

/// The writes that wait for the next commit.
#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// Whether somebody has the duty to take what is in line.
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

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a write in line. Returns whether the caller has to see to it that the line is served.
    fn push(&self, entry: Entry) -> bool {
        let mut waiting = self.waiting();
        waiting.entries.push_back(entry);
        !std::mem::replace(&mut waiting.is_served, true)
    }

    /// Takes the writes of the next commit.
    fn take(&self) -> Vec<Entry> {
        let mut waiting = self.waiting();
        let count = waiting.entries.len().min(WRITES_PER_COMMIT);
        waiting.entries.drain(..count).collect()
    }

    /// Takes the writes of the next commit, up to the first one that is not brief.
    fn take_brief(&self) -> Vec<Entry> {
        let mut waiting = self.waiting();
        let brief = waiting.entries.iter().take(WRITES_PER_COMMIT);
        let count = brief.take_while(|entry| entry.is_brief).count();
        waiting.entries.drain(..count).collect()
    }

    /// Ends the duty to serve the line, unless there is something in it.
    fn leave(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.is_served = !waiting.entries.is_empty();
        !waiting.is_served
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
        self.write_as(false, work).await
    }

    /// Does what [`Self::write`] does, for work that changes a few rows found by their keys. Where nobody else writes and
    /// the disk is quick, the work keeps the thread of the caller in place of one of its own, which costs it less time.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_briefly<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(true, work).await
    }

    async fn write_as<T, E, W>(&self, is_brief: bool, work: W) -> Result<T, E>
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
        let duty = self.stand_in_line(file, (is_brief, Some(place)), work, answer);
        if let Some(duty) = duty
            && is_brief
        {
            duty.serve().await;
        }
        receiver.await.map_err(|_| gone())?
    }

    /// Does what [`Self::write_briefly`] does without being waited for: `answer` is told what came of it, on the thread
    /// that wrote, unless `work` panics. It does not wait for a place in line, so the caller sees to it that there are
    /// few.
    pub fn write_then<T, E, W>(
        &self,
        work: W,
        answer: impl FnOnce(Result<T, E>) + Send + 'static,
    ) -> Option<Duty>
    where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if let Some(file) = self.file() {
            return self.stand_in_line(file, (true, None), work, answer);
        }
        let database = self.clone();
        tokio::spawn(async move { answer(database.write(work).await) });
        None
    }

    fn stand_in_line<T, E, W>(
        &self,
        file: &Arc<File>,
        (is_brief, place): (bool, Option<OwnedSemaphorePermit>),
        work: W,
        answer: impl FnOnce(Result<T, E>) + Send + 'static,
    ) -> Option<Duty>
    where
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
        let entry = Entry {
            write,
            is_brief,
            place,
        };
        self.line().push(entry).then(|| Duty {
            database: self.clone(),
            file: file.clone(),
            is_done: false,
        })
    }
}

/// The duty to serve the line: whoever puts something in a line that nobody serves has it. A thread takes it over when
/// it is dropped.
#[derive(Debug)]
pub struct Duty {
    database: Database,
    file: Arc<File>,
    is_done: bool,
}

impl Duty {
    /// Commits what is in line in place if that keeps nobody waiting, and leaves the line to a thread if not.
    pub async fn serve(mut self) {
        // What other tasks have at hand goes along.
        yield_now().await;
        self.is_done = self.commit_in_place() && self.database.line().leave();
    }

    fn commit_in_place(&self) -> bool {
        let Some(turn) = self.file.turn_at_once().filter(|_| self.file.is_quick()) else {
            return false;
        };
        let begun = self.file.with_writer(&turn, Embedded::begin_at_once);
        let is_begun = matches!(begun, Ok(Ok(())));
        if is_begun {
            commit_and_answer(&self.database, self.database.line().take_brief(), |commit| {
                self.file.with_writer(&turn, commit)?
            });
        }
        is_begun
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        // Without a runtime nobody waits for an answer either.
        if !self.is_done
            && let Ok(runtime) = Handle::try_current()
        {
            let (database, file) = (self.database.clone(), self.file.clone());
            runtime.spawn_blocking(move || serve(&database, &file));
        }
    }
}

/// The work panicked, or the runtime ends.
fn gone() -> Error {
    Error::Other(DbErr::Custom("the write was given up".to_owned()))
}

/// Commits what is in line until nothing is left.
fn serve(database: &Database, file: &File) {
    while !database.line().leave() {
        // Writes that arrive while others have their turn go along.
        let turn = file.turn();
        commit_and_answer(database, database.line().take(), |commit| {
            file.with_writer(&turn?, |writer| {
                writer.run(&["BEGIN IMMEDIATE"])?;
                commit(writer)
            })?
        });
    }
}

/// Has writes committed by what lends the connection, and tells their callers what came of it.
fn commit_and_answer(
    database: &Database,
    entries: Vec<Entry>,
    lend: impl FnOnce(&mut dyn FnMut(&Embedded) -> Result<(), Error>) -> Result<(), Error>,
) {
    let mut answers = Vec::with_capacity(entries.len());
    let (writes, places): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .map(|entry| (entry.write, entry.place))
        .unzip();
    let mut writes = writes.into_iter();
    let durable = lend(&mut |writer| commit(writer, &mut writes, &mut answers));
    let durable = durable.map_err(|error| database.error(error));
    if let Err(error) = &durable {
        answers.extend(writes.map(|write| write(Err(error.clone())).answer));
    }
    for answer in answers {
        // One that panics is a fault in one request: the others are answered, and the line is served on.
        let _ = catch_unwind(AssertUnwindSafe(|| answer(durable.clone())));
    }
    drop(places);
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

/// Runs writes in the transaction that was begun, and stops at the first failure of the transaction itself.
fn commit(
    writer: &Embedded,
    writes: &mut std::vec::IntoIter<Write>,
    answers: &mut Vec<Answer>,
) -> Result<(), Error> {
    let scope = if writes.len() == 1 { ALONE } else { MERGED };
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
