//! Writes that share a commit.
//!
//! SQLite has one writer, and each commit waits for the disk. Writes that arrive meanwhile stand in a line; the next
//! transaction takes all of them, each behind a savepoint of its own, and they are answered when their common commit
//! is durable. On a server every write is a transaction of its own: there they run side by side.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::database::{Database, Engine};
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

/// One write. It is given a transaction, or the reason why there is none.
type Write = Box<dyn for<'t> FnOnce(Result<&'t DatabaseTransaction, Error>) -> BoxFuture<'t, Outcome> + Send>;

/// The writes that wait for the next commit.
#[derive(Default)]
struct Waiting {
    writes: VecDeque<(Write, OwnedSemaphorePermit)>,
    /// Whether a task is at work that will take what is in line.
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
    fn push(&self, write: Write, place: OwnedSemaphorePermit) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writes.push_back((write, place));
        !std::mem::replace(&mut waiting.is_served, true)
    }

    /// Takes the writes of the next commit; when there are none, the line is not served any more.
    fn take(&self) -> Vec<(Write, OwnedSemaphorePermit)> {
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
    /// commit; what one piece of it does is undone without touching the others. The work runs to its end even when
    /// the caller goes away.
    ///
    /// # Errors
    /// That of `work`, and failures of the database.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if self.engine() != Engine::Sqlite {
            let transaction = self.begin().await?;
            let value = work(&transaction).await?;
            transaction.commit().await.map_err(|error| self.error(error))?;
            return Ok(value);
        }
        let (sender, receiver) = oneshot::channel();
        let write: Write = Box::new(move |transaction| {
            Box::pin(async move {
                let result = match transaction {
                    Ok(transaction) => work(transaction).await,
                    Err(error) => Err(E::from(error)),
                };
                Outcome {
                    is_kept: result.is_ok(),
                    answer: Box::new(move |durable| {
                        let result = result.and_then(|value| Ok(durable.map(|()| value)?));
                        // A caller that went away wants no answer.
                        let _ = sender.send(result);
                    }),
                }
            })
        });
        let places = self.line().places.clone();
        let place = places.acquire_owned().await.map_err(|_| gone())?;
        if self.line().push(write, place) {
            tokio::spawn(serve(self.clone()));
        }
        receiver.await.map_err(|_| gone())?
    }
}

/// The work panicked, or the runtime ends.
fn gone() -> Error {
    Error::Other(DbErr::Custom("the write was given up".to_owned()))
}

/// Commits what is in line until nothing is left.
async fn serve(database: Database) {
    loop {
        let (writes, places): (Vec<_>, Vec<_>) = database.line().take().into_iter().unzip();
        if writes.is_empty() {
            return;
        }
        commit(&database, writes).await;
        drop(places);
    }
}

/// Runs some writes in one transaction and answers all of them.
async fn commit(database: &Database, writes: Vec<Write>) {
    let mut answers = Vec::with_capacity(writes.len());
    let durable = match database.begin().await {
        Ok(transaction) => run_and_commit(transaction, writes, &mut answers)
            .await
            .map_err(|error| database.error(error)),
        Err(error) => {
            for write in writes {
                answers.push(write(Err(error.clone())).await.answer);
            }
            Err(error)
        }
    };
    for answer in answers {
        answer(durable.clone());
    }
}

async fn run_and_commit(
    transaction: DatabaseTransaction,
    writes: Vec<Write>,
    answers: &mut Vec<Answer>,
) -> Result<(), Error> {
    let is_alone = writes.len() == 1;
    let mut lost: Option<Error> = None;
    for write in writes {
        if let Some(error) = &lost {
            answers.push(write(Err(error.clone())).await.answer);
            continue;
        }
        if is_alone {
            let Some(outcome) = run(write, &transaction).await else {
                return Ok(transaction.rollback().await?);
            };
            answers.push(outcome.answer);
            return if outcome.is_kept {
                Ok(transaction.commit().await?)
            } else {
                Ok(transaction.rollback().await?)
            };
        }
        // SQLite undoes the whole transaction by itself when the disk is full or fails: then the savepoint is gone,
        // and with it what the writes before this one did.
        lost = run_behind_savepoint(&transaction, write, answers).await.err();
    }
    match lost {
        Some(error) => {
            // Most likely nothing is left to undo.
            let _ = transaction.rollback().await;
            Err(error)
        }
        None => Ok(transaction.commit().await?),
    }
}

async fn run_behind_savepoint(
    transaction: &DatabaseTransaction,
    write: Write,
    answers: &mut Vec<Answer>,
) -> Result<(), Error> {
    let savepoint = match transaction.begin().await {
        Ok(savepoint) => savepoint,
        Err(error) => {
            let error = Error::from(error);
            answers.push(write(Err(error.clone())).await.answer);
            return Err(error);
        }
    };
    let outcome = run(write, &savepoint).await;
    let is_kept = outcome.as_ref().is_some_and(|outcome| outcome.is_kept);
    answers.extend(outcome.map(|outcome| outcome.answer));
    if is_kept {
        savepoint.commit().await?;
    } else {
        savepoint.rollback().await?;
    }
    Ok(())
}

/// Returns `None` when the write panicked; its caller is told by the channel that closes.
async fn run(write: Write, transaction: &DatabaseTransaction) -> Option<Outcome> {
    AssertUnwindSafe(write(Ok(transaction))).catch_unwind().await.ok()
}
