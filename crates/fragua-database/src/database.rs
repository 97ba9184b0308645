//! The connections to one database.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    SqlxMySqlConnector, SqlxPostgresConnector, SqlxSqliteConnector, TransactionOptions,
    TransactionTrait as _,
};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, Executor as _, Row as _};
use tokio::sync::Semaphore;
use tracing::log::LevelFilter;

use crate::address::Address;
use crate::connection::Connection;
use crate::embedded::{File, run_in_place};
use crate::error::{Error, Place};
use crate::group::Line;

/// Connections that read a SQLite file beside its one writer.
pub(crate) const SQLITE_READERS: u32 = 4;
/// Rows that SQLite's thread hands over before it waits for the reader: each wait is two switches between threads,
/// which cost more than reading the row.
const SQLITE_ROWS_AHEAD: usize = 1_024;
/// Pages of SQLite's log that are folded into the file in one go, as a text of SQL. A page that many commits write is
/// then folded once for several of them.
pub(crate) const SQLITE_CHECKPOINT: &str = "4000";
/// Connections to a server, for reading and writing.
const SERVER_CONNECTIONS: u32 = 10;
/// How long SQLite waits for a lock that another process holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request waits for SQLite's writer; longer than [`BUSY_TIMEOUT`], so that the real cause is told.
pub(crate) const SQLITE_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request waits for a connection to a server.
const SERVER_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the first connection to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A statement that takes longer is logged as a warning.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// The database engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, in this process.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
    /// MySQL 8 or newer, and MariaDB 10.6 or newer.
    MySql,
}

impl From<DbBackend> for Engine {
    fn from(backend: DbBackend) -> Self {
        match backend {
            DbBackend::Postgres => Self::Postgres,
            DbBackend::MySql => Self::MySql,
            _ => Self::Sqlite,
        }
    }
}

/// An open database. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: Address,
    place: Place,
    is_mariadb: bool,
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    /// SQLite's file, for work that runs in place.
    file: Option<Arc<File>>,
    line: Line,
}

impl Database {
    /// Opens the database that `url` names; a SQLite file is made when it is missing, a database on a server is not.
    /// `setting` is the key that errors name, such as `tracking.database_url`.
    ///
    /// Understood are `sqlite:FILE`, SQLAlchemy's `sqlite:///relative` and `sqlite:////absolute`, `postgresql://`,
    /// `mysql://` and `mariadb://`, each with or without a driver (`postgresql+psycopg2://`).
    ///
    /// # Errors
    /// Says at once what is wrong: the URL, the server, the login, the database's name, the file.
    pub async fn open(url: &str, setting: &'static str) -> Result<Self, Error> {
        let address = Address::parse(url).map_err(|reason| Error::InvalidUrl { setting, reason })?;
        let place = Place::new(setting, &address.public());
        let opened = match &address {
            Address::Sqlite(path) => open_sqlite(path, &place).await,
            Address::Postgres(options) => open_postgres(options, &place).await,
            Address::MySql(options) => open_mysql(options, &place).await,
        };
        let Opened {
            reader,
            writer,
            is_mariadb,
            file,
        } = opened.map_err(|error| error.at(&place))?;
        Ok(Self {
            inner: Arc::new(Inner {
                address,
                place,
                is_mariadb,
                reader,
                writer,
                file: file.map(Arc::new),
                line: Line::new(),
            }),
        })
    }

    /// Returns the engine behind this database.
    pub fn engine(&self) -> Engine {
        self.inner.writer.get_database_backend().into()
    }

    /// Tells whether the server is MariaDB, which counts as [`Engine::MySql`].
    pub fn is_mariadb(&self) -> bool {
        self.inner.is_mariadb
    }

    /// Counts the statements of [`Self::reader`] and [`Self::writer`] from now on; only before there is a clone.
    #[cfg(feature = "testing")]
    pub(crate) fn count_statements(&mut self) -> Option<Arc<AtomicU64>> {
        let inner = Arc::get_mut(&mut self.inner)?;
        let count = Arc::new(AtomicU64::new(0));
        for connection in [&mut inner.reader, &mut inner.writer] {
            let counted = count.clone();
            connection.set_metric_callback(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            });
        }
        Some(count)
    }

    /// Returns the connections to read with. On SQLite they refuse to write.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// Returns the connections to write single statements with; on SQLite there is one. Several statements belong
    /// into a transaction made by [`Self::begin`].
    pub fn writer(&self) -> &DatabaseConnection {
        &self.inner.writer
    }

    /// Runs `work`, which only reads. On SQLite it has a thread for itself and sees one state of the database, which
    /// costs far less than statements through [`Self::reader`] when there are several of them, or many rows.
    ///
    /// # Errors
    /// That of `work`, and failures of the database.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.inner.file {
            Some(file) => file.read(|connection| run_in_place(work(connection))).await,
            None => work(&Connection::pool(&self.inner.reader)).await,
        }
    }

    /// Begins a write transaction, rolled back unless committed. On SQLite it waits for the one writer and holds it,
    /// so that what the transaction reads stays true until it ends. Frequent small writes belong into [`Self::write`].
    ///
    /// # Errors
    /// [`Error::Busy`] when the writer is not free in time, and whatever the connection suffers.
    pub async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        let is_sqlite = self.engine() == Engine::Sqlite;
        let options = TransactionOptions {
            sqlite_transaction_mode: is_sqlite.then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.inner
            .writer
            .begin_with_options(options)
            .await
            .map_err(|error| self.error(error))
    }

    /// Checks that the database takes writes: makes a table, writes a row and leaves nothing behind.
    ///
    /// # Errors
    /// What a real write would have met.
    pub async fn ping_write(&self) -> Result<(), Error> {
        // MySQL commits the table at once, so its name must not collide with another check at the same time.
        let table = format!("fragua_write_check_{}", fragua_base::random_hex(8));
        let transaction = self.begin().await?;
        let written = async {
            transaction
                .execute_unprepared(&format!("CREATE TABLE {table} (checked_at INTEGER)"))
                .await?;
            transaction
                .execute_unprepared(&format!("INSERT INTO {table} VALUES (1)"))
                .await
        }
        .await;
        transaction.rollback().await.map_err(|error| self.error(error))?;
        if self.engine() == Engine::MySql {
            let dropped = self
                .writer()
                .execute_unprepared(&format!("DROP TABLE IF EXISTS {table}"))
                .await;
            dropped.map_err(|error| self.error(error))?;
        }
        written.map_err(|error| self.error(error))?;
        Ok(())
    }

    /// Returns the address without the password, for people.
    pub fn describe(&self) -> String {
        self.inner.address.public()
    }

    /// Returns `error` classified, with this database's setting in its message.
    pub fn error(&self, error: impl Into<Error>) -> Error {
        error.into().at(&self.inner.place)
    }

    /// Closes all connections; clones of this handle fail from now on. SQLite folds its log into the file.
    pub async fn close(&self) {
        if let Some(file) = &self.inner.file {
            file.close();
        }
        // A connection that fails to close is gone as well.
        let _ = self.inner.reader.close_by_ref().await;
        let _ = self.inner.writer.close_by_ref().await;
    }

    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        self.inner.file.as_ref()
    }

    pub(crate) fn line(&self) -> &Line {
        &self.inner.line
    }

    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Opens one more connection, for a lock that lives as long as it. `None` on engines other than MySQL.
    pub(crate) async fn dedicated_mysql_connection(&self) -> Result<Option<DatabaseConnection>, Error> {
        let Address::MySql(options) = &self.inner.address else {
            return Ok(None);
        };
        let pool = mysql_pool(1).connect_with(logged(options.as_ref().clone())).await;
        let pool = pool.map_err(|error| self.error(error))?;
        Ok(Some(SqlxMySqlConnector::from_sqlx_mysql_pool(pool)))
    }
}

struct Opened {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    is_mariadb: bool,
    file: Option<File>,
}

fn logged<O: ConnectOptions>(options: O) -> O {
    options
        .log_statements(LevelFilter::Trace)
        .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT)
}

async fn open_sqlite(path: &Path, place: &Place) -> Result<Opened, Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let hint = if path.is_relative() {
            "; an absolute path has four slashes: sqlite:////PATH"
        } else {
            ""
        };
        let reason = format!("the folder {} does not exist{hint}", folder.display());
        return Err(Error::CannotOpen {
            place: place.clone(),
            reason,
        });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full)
        .row_buffer_size(SQLITE_ROWS_AHEAD)
        .pragma("case_sensitive_like", "ON");
    let options = logged(options);
    let writing = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT);
    // The pool is one of two ways to write: who has its connection has the turn.
    let turn = Arc::new(Semaphore::new(1));
    let (connected, reused, returned) = (turn.clone(), turn.clone(), turn.clone());
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .after_connect(move |_, _| {
            let turn = connected.clone();
            Box::pin(async move { take(&turn).await })
        })
        .before_acquire(move |_, _| {
            let turn = reused.clone();
            Box::pin(async move { take(&turn).await.map(|()| true) })
        })
        .after_release(move |_, _| {
            returned.add_permits(1);
            Box::pin(async { Ok(true) })
        })
        .acquire_timeout(SQLITE_ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(writing);
    first_write(&writer).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(SQLITE_ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(Opened {
        reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
        writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        is_mariadb: false,
        file: Some(File::new(path.to_owned(), turn)),
    })
}

/// Waits for the turn to write, which ends when the connection goes back to the pool.
async fn take(turn: &Semaphore) -> Result<(), sqlx::Error> {
    let permit = turn.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
    permit.forget();
    Ok(())
}

/// Writes and takes it back, which a read-only file refuses (it grants the lock alone). Two processes that turn a fresh file to WAL at the
/// same time can be told "locked" without the busy time-out being honoured, so that answer is asked again.
async fn first_write(writer: &sqlx::SqlitePool) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        let result = writer
            .execute("BEGIN IMMEDIATE; PRAGMA user_version = 0; ROLLBACK")
            .await
            .map_err(Error::from);
        match result {
            Err(Error::Busy) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other.map(drop),
        }
    }
}

/// Waits for a first connection, outside of the pool: pools hide a refused connection behind a long wait.
async fn first_connection<C>(connect: impl Future<Output = Result<C, sqlx::Error>>) -> Result<C, Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(connected) => connected.map_err(Error::from),
        Err(_) => {
            let reason = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
            Err(Error::Unreachable {
                place: Place::default(),
                reason,
            })
        }
    }
}

async fn open_postgres(options: &PgConnectOptions, place: &Place) -> Result<Opened, Error> {
    let options = logged(options.clone());
    let mut connection = first_connection(options.connect()).await?;
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if leading_numbers(&version) < (15, 0) {
        let found = format!("PostgreSQL {version}");
        return Err(Error::TooOld {
            place: place.clone(),
            found,
            needed: "PostgreSQL 15",
        });
    }
    let pool = PgPoolOptions::new()
        .max_connections(SERVER_CONNECTIONS)
        .acquire_timeout(SERVER_ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    Ok(Opened {
        reader: connection.clone(),
        writer: connection,
        is_mariadb: false,
        file: None,
    })
}

async fn open_mysql(options: &MySqlConnectOptions, place: &Place) -> Result<Opened, Error> {
    let options = logged(options.clone());
    let mut connection = first_connection(options.connect()).await?;
    // The pool would hide a failure of this behind a wait, too.
    connection.execute(MYSQL_SESSION).await?;
    let version: String = connection.fetch_one("SELECT VERSION()").await?.try_get(0)?;
    connection.close().await?;
    let is_mariadb = version.contains("MariaDB");
    let (name, oldest, needed) = if is_mariadb {
        ("MariaDB", (10, 6), "MariaDB 10.6")
    } else {
        ("MySQL", (8, 0), "MySQL 8.0")
    };
    if leading_numbers(&version) < oldest {
        return Err(Error::TooOld {
            place: place.clone(),
            found: format!("{name} {version}"),
            needed,
        });
    }
    let pool = mysql_pool(SERVER_CONNECTIONS).connect_lazy_with(options);
    let connection = SqlxMySqlConnector::from_sqlx_mysql_pool(pool);
    Ok(Opened {
        reader: connection.clone(),
        writer: connection,
        is_mariadb,
        file: None,
    })
}

/// The isolation level of PostgreSQL: at MySQL's own, two writers block each other's gaps between rows. A value that
/// does not fit its column is an error, never cut.
const MYSQL_SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                             SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";

fn mysql_pool(connections: u32) -> MySqlPoolOptions {
    MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(SERVER_ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(MYSQL_SESSION).await.map(drop) })
        })
}

/// Returns the first two numbers of a version such as `10.11.19-MariaDB` or `15.18 (Debian)`.
fn leading_numbers(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
