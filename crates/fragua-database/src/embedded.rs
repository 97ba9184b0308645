//! The SQLite file, opened a second time, for work that runs on one thread from its first statement to its last.
//!
//! sqlx gives each connection to SQLite a thread of its own: every statement is handed over to it and every row
//! handed back, and each of these switches costs more than most statements. Here a whole piece of work is handed to a
//! thread once, and its statements run in place. Both ways use the one SQLite library of this program, and take
//! turns as its writer.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, ToSql};
use sea_orm::sea_query::Value;
use sea_orm::{DbErr, RuntimeErr, Statement};
use sqlx::error::{DatabaseError, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::connection::{Connection, Row};
use crate::database::{BUSY_TIMEOUT, SQLITE_ACQUIRE_TIMEOUT, SQLITE_CHECKPOINT, SQLITE_READERS};
use crate::error::Error;

/// Statements kept ready on each connection.
const STATEMENTS: usize = 64;
/// What a connection keeps of the file in memory, in KiB. SQLite's own 2 MiB are less than one index of a table of
/// metrics, so that a page would be read, and in a large transaction written, again and again.
const READER_CACHE: i32 = 16 * 1024;
const WRITER_CACHE: i32 = 32 * 1024;

/// What a commit may take for the next one to be made on a thread that others wait for.
const QUICK: Duration = Duration::from_millis(2);

/// The file and its connections.
pub(crate) struct File {
    path: PathBuf,
    turn: Arc<Semaphore>,
    writer: Mutex<Option<Embedded>>,
    is_quick: AtomicBool,
    reading: Arc<Semaphore>,
    idle_readers: Mutex<Vec<Embedded>>,
}

impl File {
    /// `turn` has one permit: whoever holds it is the writer of this process.
    pub(crate) fn new(path: PathBuf, turn: Arc<Semaphore>) -> Self {
        Self {
            path,
            turn,
            writer: Mutex::default(),
            is_quick: AtomicBool::new(false),
            reading: Arc::new(Semaphore::new(SQLITE_READERS as usize)),
            idle_readers: Mutex::default(),
        }
    }

    /// Runs `work` on a thread for it, in a transaction that sees one state of the database.
    pub(crate) async fn read<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let place = acquire(&self.reading).await?;
        let file = self.clone();
        let reading = spawn_blocking(move || {
            let _place = place;
            let idle = lock(&file.idle_readers).pop();
            let reader = idle.map_or_else(|| Embedded::open(&file.path, READER_CACHE, true), Ok)?;
            reader.run(&["BEGIN"]).map_err(Error::from)?;
            let result = work(&Connection::embedded(&reader));
            // One that cannot end its transaction is not used again.
            if reader.run(&["COMMIT"]).is_ok() {
                lock(&file.idle_readers).push(reader);
            }
            result
        });
        match reading.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(closed().into()),
            },
        }
    }

    /// Waits for the turn to write. For threads that may block.
    pub(crate) fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        Handle::current().block_on(acquire(&self.turn))
    }

    /// Takes the turn to write if nobody has it.
    pub(crate) fn turn_at_once(&self) -> Option<OwnedSemaphorePermit> {
        self.turn.clone().try_acquire_owned().ok()
    }

    /// Tells whether the most recent commit took so little time that other tasks of a thread could have waited for it.
    pub(crate) fn is_quick(&self) -> bool {
        self.is_quick.load(Ordering::Relaxed)
    }

    /// Lends the connection to write with to the holder of the turn.
    pub(crate) fn with_writer<T>(
        &self,
        _turn: &OwnedSemaphorePermit,
        work: impl FnOnce(&Embedded) -> T,
    ) -> Result<T, Error> {
        let mut writer = lock(&self.writer);
        let writer = match &mut *writer {
            Some(writer) => writer,
            none => none.insert(Embedded::open(&self.path, WRITER_CACHE, false)?),
        };
        let begin = Instant::now();
        let result = work(writer);
        self.is_quick.store(begin.elapsed() < QUICK, Ordering::Relaxed);
        Ok(result)
    }

    /// Closes the connections; those at work close when they are done.
    pub(crate) fn close(&self) {
        self.turn.close();
        self.reading.close();
        lock(&self.idle_readers).clear();
        *lock(&self.writer) = None;
    }
}

impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    match tokio::time::timeout(SQLITE_ACQUIRE_TIMEOUT, semaphore.clone().acquire_owned()).await {
        Ok(permit) => permit.map_err(|_| closed()),
        Err(_) => Err(Error::Busy),
    }
}

fn closed() -> Error {
    sqlx::Error::PoolClosed.into()
}

/// Runs work whose every step is done at once, on any thread.
pub(crate) fn run_in_place<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(work)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection. The lock is free whenever a statement begins: only one piece of work uses it.
pub(crate) struct Embedded {
    connection: Mutex<rusqlite::Connection>,
    last_failure: Mutex<Option<DbErr>>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    fn open(path: &PathBuf, cache: i32, is_reader: bool) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = rusqlite::Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "case_sensitive_like", "ON")?;
            connection.pragma_update(None, "cache_size", -cache)?;
            connection.pragma_update(None, "wal_autocheckpoint", SQLITE_CHECKPOINT)?;
            connection.pragma_update(None, "query_only", is_reader)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| Error::from(failure(error)))?;
        Ok(Self {
            connection: Mutex::new(connection),
            last_failure: Mutex::default(),
        })
    }

    /// Runs statements without values and rows.
    pub(crate) fn run(&self, statements: &[&str]) -> Result<(), DbErr> {
        let connection = lock(&self.connection);
        let run = |sql: &&str| connection.prepare_cached(sql)?.raw_execute().map(drop);
        statements
            .iter()
            .try_for_each(run)
            .map_err(|error| self.failed(error))
    }

    /// Begins to write if no other process does.
    pub(crate) fn begin_at_once(&self) -> Result<(), DbErr> {
        let wait = |time| {
            lock(&self.connection)
                .busy_timeout(time)
                .map_err(|error| self.failed(error))
        };
        wait(Duration::ZERO)?;
        let begun = self.run(&["BEGIN IMMEDIATE"]);
        wait(BUSY_TIMEOUT)?;
        begun
    }

    /// Runs a statement, and returns how many rows it changed.
    pub(crate) fn execute(&self, statement: &Statement) -> Result<u64, DbErr> {
        let connection = lock(&self.connection);
        let execute = || {
            let mut prepared = connection.prepare_cached(&statement.sql)?;
            bind(&mut prepared, statement)?;
            prepared.raw_execute()
        };
        let changed = execute().map_err(|error| self.failed(error))?;
        Ok(changed as u64)
    }

    /// Calls `each` with every row.
    pub(crate) fn each_row(
        &self,
        statement: &Statement,
        mut each: impl FnMut(&Row<'_>) -> Result<(), DbErr>,
    ) -> Result<(), DbErr> {
        let connection = lock(&self.connection);
        let failed = |error| self.failed(error);
        let mut prepared = connection.prepare_cached(&statement.sql).map_err(failed)?;
        bind(&mut prepared, statement).map_err(failed)?;
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            each(&Row::embedded(row))?;
        }
        Ok(())
    }

    /// Tells whether a transaction is open: SQLite gives one up by itself when the disk is full or fails.
    pub(crate) fn is_in_transaction(&self) -> bool {
        !lock(&self.connection).is_autocommit()
    }

    /// Returns what a statement failed with most recently.
    pub(crate) fn last_failure(&self) -> DbErr {
        let failure = lock(&self.last_failure).clone();
        failure.unwrap_or_else(|| DbErr::Custom("the transaction ended by itself".to_owned()))
    }

    fn failed(&self, error: rusqlite::Error) -> DbErr {
        let error = failure(error);
        *lock(&self.last_failure) = Some(error.clone());
        error
    }
}

fn bind(prepared: &mut rusqlite::Statement<'_>, statement: &Statement) -> rusqlite::Result<()> {
    let values = statement.values.iter().flat_map(|values| &values.0);
    for (at, value) in values.enumerate() {
        prepared.raw_bind_parameter(at + 1, Bound(value))?;
    }
    Ok(())
}

/// A value as SQLite keeps it.
struct Bound<'v>(&'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let integer = |value: Option<i64>| value.map_or(ValueRef::Null, ValueRef::Integer);
        let value = match self.0 {
            Value::Bool(value) => integer(value.map(i64::from)),
            Value::TinyInt(value) => integer(value.map(i64::from)),
            Value::SmallInt(value) => integer(value.map(i64::from)),
            Value::Int(value) => integer(value.map(i64::from)),
            Value::BigInt(value) => integer(*value),
            Value::TinyUnsigned(value) => integer(value.map(i64::from)),
            Value::SmallUnsigned(value) => integer(value.map(i64::from)),
            Value::Unsigned(value) => integer(value.map(i64::from)),
            Value::BigUnsigned(value) => {
                let value = value.map(i64::try_from).transpose();
                integer(value.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?)
            }
            Value::Float(value) => value.map_or(ValueRef::Null, |value| ValueRef::Real(value.into())),
            Value::Double(value) => value.map_or(ValueRef::Null, ValueRef::Real),
            Value::String(value) => value
                .as_ref()
                .map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
            Value::Bytes(value) => value
                .as_ref()
                .map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
            other => {
                let reason = format!("a value of this kind is not written here: {other:?}");
                return Err(rusqlite::Error::ToSqlConversionFailure(reason.into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// What SQLite reports, in the shape in which sqlx reports it, so that both are classified by the same code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: i32,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "(code: {}) {}", self.code, self.message)
    }
}

impl StdError for Failure {}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

pub(crate) fn failure(error: rusqlite::Error) -> DbErr {
    let rusqlite::Error::SqliteFailure(error, message) = error else {
        return DbErr::Type(error.to_string());
    };
    let failure: Box<dyn DatabaseError> = Box::new(Failure {
        code: error.extended_code,
        message: message.unwrap_or_else(|| error.to_string()),
    });
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(failure))))
}
