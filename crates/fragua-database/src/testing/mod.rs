//! A fresh, empty database for each test, on each engine.
//!
//! Servers are those that `FRAGUA_TEST_POSTGRES_URL` and `FRAGUA_TEST_MARIADB_URL` name (administrator URLs of private
//! servers: databases are made and dropped there), else private ones, started once in this process. An engine
//! that is missing fails the test: nothing is skipped.

mod server;

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::{Database, sqlite_url};
use server::{Kind, Server};

/// The setting that errors of test databases name.
const SETTING: &str = "test.database_url";

/// A database that exists as long as this value.
#[derive(Debug)]
pub struct TestDatabase {
    /// The open database.
    pub database: Database,
    /// Its URL, to open it once more.
    pub url: String,
    on_server: Option<OnServer>,
    _folder: Option<TempDir>,
}

#[derive(Debug)]
struct OnServer {
    admin_url: &'static str,
    name: String,
}

impl TestDatabase {
    /// Makes a SQLite file in a temporary folder.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = sqlite_url(&folder.path().join("test.db"));
        let database = Database::open(&url, SETTING)
            .await
            .expect("a fresh file can be opened");
        Self {
            database,
            url,
            on_server: None,
            _folder: Some(folder),
        }
    }

    /// Makes a database on PostgreSQL. It sorts texts as people do, so that a column that must sort by bytes shows.
    pub async fn postgres() -> Self {
        static SERVER: OnceLock<Result<Address, String>> = OnceLock::new();
        let admin_url = admin_url(&SERVER, "FRAGUA_TEST_POSTGRES_URL", &server::POSTGRES);
        let name = unique_name();
        postgres(
            admin_url,
            format!(
                "CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C.UTF-8'"
            ),
        )
        .await;
        Self::on_server(OnServer { admin_url, name }).await
    }

    /// Makes a database on MariaDB.
    pub async fn mariadb() -> Self {
        static SERVER: OnceLock<Result<Address, String>> = OnceLock::new();
        let admin_url = admin_url(&SERVER, "FRAGUA_TEST_MARIADB_URL", &server::MARIADB);
        let name = unique_name();
        mariadb(admin_url, format!("CREATE DATABASE {name}")).await;
        Self::on_server(OnServer { admin_url, name }).await
    }

    async fn on_server(on_server: OnServer) -> Self {
        let mut url = Url::parse(on_server.admin_url).expect("the administrator's URL is one");
        url.set_path(&on_server.name);
        let url = url.to_string();
        let database = Database::open(&url, SETTING)
            .await
            .expect("a fresh database can be opened");
        Self {
            database,
            url,
            on_server: Some(on_server),
            _folder: None,
        }
    }

    /// Returns how many statements were made through the connections to read and to write with since now, apart from
    /// those of transactions; for a database that nobody else has yet.
    pub fn count_statements(&mut self) -> Arc<AtomicU64> {
        let count = self.database.count_statements();
        count.expect("nobody has the database yet")
    }

    /// Returns the URL of the server's administrator, for tests that make users. `None` on SQLite.
    pub fn admin_url(&self) -> Option<&'static str> {
        self.on_server.as_ref().map(|on_server| on_server.admin_url)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(OnServer { admin_url, name }) = self.on_server.take() else {
            return;
        };
        // A thread of its own, because a test's runtime cannot be waited for from within.
        let dropping = std::thread::spawn(move || {
            runtime().block_on(async {
                if admin_url.starts_with("postgres") {
                    postgres(admin_url, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                } else {
                    // A connection that the test left in a transaction must not block this for long.
                    mariadb(
                        admin_url,
                        format!("SET STATEMENT lock_wait_timeout = 5 FOR DROP DATABASE IF EXISTS {name}"),
                    )
                    .await;
                }
            });
        });
        // What a failing test left behind is no failure of its own.
        let _ = dropping.join();
    }
}

/// A server of this process, or one that was there before.
#[derive(Debug)]
enum Address {
    Given(String),
    Private(Server),
}

fn admin_url(
    server: &'static OnceLock<Result<Address, String>>,
    variable: &str,
    kind: &Kind,
) -> &'static str {
    let started = server.get_or_init(|| match std::env::var(variable) {
        Ok(url) if !url.is_empty() => Ok(Address::Given(url)),
        _ => Server::start(kind).map(Address::Private),
    });
    match started {
        Ok(Address::Given(url)) => url,
        Ok(Address::Private(server)) => &server.url,
        Err(reason) => panic!("{reason}"),
    }
}

/// Starts one more private PostgreSQL server, for tests that stop it. Returns its administrator's URL and a guard:
/// dropping it stops the server.
pub fn start_private_postgres() -> (String, PrivateServer) {
    private(&server::POSTGRES)
}

/// Starts one more private MariaDB server, for tests that stop it. Returns its administrator's URL and a guard:
/// dropping it stops the server.
pub fn start_private_mariadb() -> (String, PrivateServer) {
    private(&server::MARIADB)
}

fn private(kind: &Kind) -> (String, PrivateServer) {
    let server = Server::start(kind).unwrap_or_else(|reason| panic!("{reason}"));
    (server.url.clone(), PrivateServer { _server: server })
}

/// A server that stops when this is dropped.
#[derive(Debug)]
pub struct PrivateServer {
    _server: Server,
}

fn unique_name() -> String {
    format!("test_{}", fragua_base::random_hex(10))
}

async fn postgres(admin_url: &str, statement: String) {
    let mut connection = PgConnection::connect(admin_url)
        .await
        .expect("the test server takes connections");
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .expect("the administrator makes and drops databases");
    let _ = connection.close().await;
}

async fn mariadb(admin_url: &str, statement: String) {
    let mut connection = MySqlConnection::connect(admin_url)
        .await
        .expect("the test server takes connections");
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .expect("the administrator makes and drops databases");
    let _ = connection.close().await;
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// Runs `test` with a fresh SQLite database; what [`each_engine!`](crate::each_engine) calls.
pub fn run_on_sqlite<T: Future<Output = ()>>(test: impl FnOnce(Database) -> T) {
    run(TestDatabase::sqlite(), test);
}

/// Runs `test` with a fresh PostgreSQL database; what [`each_engine!`](crate::each_engine) calls.
pub fn run_on_postgres<T: Future<Output = ()>>(test: impl FnOnce(Database) -> T) {
    run(TestDatabase::postgres(), test);
}

/// Runs `test` with a fresh MariaDB database; what [`each_engine!`](crate::each_engine) calls.
pub fn run_on_mariadb<T: Future<Output = ()>>(test: impl FnOnce(Database) -> T) {
    run(TestDatabase::mariadb(), test);
}

fn run<T: Future<Output = ()>>(make: impl Future<Output = TestDatabase>, test: impl FnOnce(Database) -> T) {
    runtime().block_on(async {
        let fresh = make.await;
        Box::pin(test(fresh.database.clone())).await;
        fresh.database.close().await;
    });
}

/// Makes a test of each named `async fn name(database: Database)` on each engine:
/// `each_engine!(runs: creates, deletes)` makes `runs::sqlite::creates`, `runs::postgres::creates` and so on.
#[macro_export]
macro_rules! each_engine {
    ($suite:ident: $($test:ident),+ $(,)?) => {
        mod $suite {
            mod sqlite {
                $(#[test] fn $test() { $crate::testing::run_on_sqlite(super::super::$test); })+
            }
            mod postgres {
                $(#[test] fn $test() { $crate::testing::run_on_postgres(super::super::$test); })+
            }
            mod mariadb {
                $(#[test] fn $test() { $crate::testing::run_on_mariadb(super::super::$test); })+
            }
        }
    };
}
