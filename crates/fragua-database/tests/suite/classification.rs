//! What went wrong, in terms that a caller can act on.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use fragua_base::ErrorKind;
use fragua_database::testing::{PrivateServer, TestDatabase, start_private_mariadb, start_private_postgres};
use fragua_database::{Database, Engine, Error, each_engine, sqlite_url};
use sea_orm::ConnectionTrait as _;

const SETTING: &str = "tracking.database_url";

async fn open_fails(url: &str) -> Error {
    let error = Database::open(url, SETTING).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains(SETTING), "names the setting: {message}");
    assert!(!message.contains("hunter2"), "hides the password: {message}");
    error
}

async fn execute(database: &Database, sql: &str) -> Result<(), Error> {
    database
        .writer()
        .execute_unprepared(sql)
        .await
        .map(drop)
        .map_err(|error| database.error(error))
}

async fn violations_are_told_apart(database: Database) {
    let key = if database.engine() == Engine::MySql {
        "VARCHAR(50)"
    } else {
        "TEXT"
    };
    let parents = format!("CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY, name {key} NOT NULL)");
    let children = "CREATE TABLE children (id INTEGER NOT NULL, parent INTEGER NOT NULL, \
                    CONSTRAINT children_parent FOREIGN KEY (parent) REFERENCES parents (id))";
    execute(&database, &parents).await.unwrap();
    execute(&database, "CREATE UNIQUE INDEX parents_by_name ON parents (name)")
        .await
        .unwrap();
    execute(&database, children).await.unwrap();
    execute(&database, "INSERT INTO parents VALUES (1, 'one')")
        .await
        .unwrap();
    execute(&database, "INSERT INTO children VALUES (1, 1)")
        .await
        .unwrap();

    let same_name = execute(&database, "INSERT INTO parents VALUES (2, 'one')")
        .await
        .unwrap_err();
    assert!(
        same_name.violates("parents_by_name", "parents", &["name"]),
        "{same_name:?}"
    );
    assert!(
        !same_name.violates("PRIMARY", "parents", &["id"]),
        "{same_name:?}"
    );
    assert_eq!(same_name.kind(), ErrorKind::Conflict);

    let same_id = execute(&database, "INSERT INTO parents VALUES (1, 'two')")
        .await
        .unwrap_err();
    assert!(same_id.violates("PRIMARY", "parents", &["id"]), "{same_id:?}");

    for sql in [
        "INSERT INTO children VALUES (2, 7)",
        "DELETE FROM parents WHERE id = 1",
    ] {
        let error = execute(&database, sql).await.unwrap_err();
        assert!(matches!(error, Error::ForeignKey), "{sql}: {error:?}");
    }
    let wrong = execute(&database, "SELECT nothing FROM nowhere")
        .await
        .unwrap_err();
    assert!(matches!(wrong, Error::Other(_)), "{wrong:?}");
    assert_eq!(wrong.kind(), ErrorKind::Internal);
}

each_engine!(on: violations_are_told_apart);

/// Returns a port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test]
async fn a_server_that_is_down() {
    let port = closed_port();
    for scheme in ["postgresql+psycopg2", "mysql+pymysql"] {
        let error = open_fails(&format!("{scheme}://fragua:hunter2@127.0.0.1:{port}/fragua")).await;
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(
            error.to_string().contains(&format!("127.0.0.1:{port}")),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

/// Stops the server under an open connection.
async fn stops_in_between((url, server): (String, PrivateServer)) {
    let database = Database::open(&url, SETTING).await.unwrap();
    execute(&database, "SELECT 1").await.unwrap();
    let transaction = database.begin().await.unwrap();
    drop(server);
    let error = database.error(transaction.execute_unprepared("SELECT 1").await.unwrap_err());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(SETTING), "{error}");
}

#[tokio::test]
async fn a_postgres_server_that_stops() {
    stops_in_between(start_private_postgres()).await;
}

#[tokio::test]
async fn a_mariadb_server_that_stops() {
    stops_in_between(start_private_mariadb()).await;
}

/// Returns `url` with another login and database.
fn with_login(url: &str, login: &str, database: Option<&str>) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let (host, old_database) = host.split_once('/').unwrap();
    format!("{scheme}://{login}@{host}/{}", database.unwrap_or(old_database))
}

#[tokio::test]
async fn logins_on_postgres() {
    let fresh = TestDatabase::postgres().await;
    let user = format!("user_{}", fragua_base::random_hex(6));
    execute(
        &fresh.database,
        &format!("CREATE ROLE {user} LOGIN PASSWORD 'right'"),
    )
    .await
    .unwrap();

    let error = open_fails(&with_login(&fresh.url, &format!("{user}:hunter2"), None)).await;
    assert!(matches!(error, Error::Login { .. }), "{error:?}");
    let error = open_fails(&with_login(
        &fresh.url,
        &format!("{user}:right"),
        Some("nothing_here"),
    ))
    .await;
    assert!(matches!(error, Error::UnknownDatabase { .. }), "{error:?}");
    let database = Database::open(&with_login(&fresh.url, &format!("{user}:right"), None), SETTING)
        .await
        .unwrap();
    let error = database.ping_write().await.unwrap_err();
    assert!(matches!(error, Error::Privilege { .. }), "{error:?}");
    database.close().await;
    execute(&fresh.database, &format!("DROP ROLE {user}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn logins_on_mariadb() {
    let fresh = TestDatabase::mariadb().await;
    let user = format!("user_{}", fragua_base::random_hex(6));
    let name = fresh.url.rsplit_once('/').unwrap().1;
    for sql in [
        format!("CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'right'"),
        format!("GRANT SELECT ON {name}.* TO {user}@'127.0.0.1'"),
    ] {
        execute(&fresh.database, &sql).await.unwrap();
    }
    let error = open_fails(&with_login(&fresh.url, &format!("{user}:hunter2"), None)).await;
    assert!(matches!(error, Error::Login { .. }), "{error:?}");
    let error = open_fails(&with_login(&fresh.url, "root", Some("nothing_here"))).await;
    assert!(matches!(error, Error::UnknownDatabase { .. }), "{error:?}");
    let database = Database::open(&with_login(&fresh.url, &format!("{user}:right"), None), SETTING)
        .await
        .unwrap();
    let error = database.ping_write().await.unwrap_err();
    assert!(matches!(error, Error::Privilege { .. }), "{error:?}");
    database.close().await;
    execute(&fresh.database, &format!("DROP USER {user}@'127.0.0.1'"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_postgres_that_takes_no_writes() {
    let fresh = TestDatabase::postgres().await;
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", fresh.url);
    let database = Database::open(&url, SETTING).await.unwrap();
    let error = database.ping_write().await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains(SETTING), "{error}");
}

/// Runs `test` as a user who does not own our files: as root no file is read-only.
fn as_somebody_else<T: Send>(test: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if nix::unistd::geteuid().is_root() {
                // Counts for this thread and the ones it starts, such as SQLite's.
                nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            }
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(test)
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_read_only_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.db");
    let url = sqlite_url(&file);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = Database::open(&url, SETTING).await.unwrap();
        execute(&database, "CREATE TABLE numbers (number INTEGER)")
            .await
            .unwrap();
        database.close().await;
    });
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let error = as_somebody_else(open_fails(&url));
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");

    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    let fresh = sqlite_url(&folder.path().join("other.db"));
    let error = as_somebody_else(open_fails(&fresh));
    assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
}

#[tokio::test]
async fn files_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    fs::write(&text, "this is no database, however long it may be. ".repeat(50)).unwrap();
    let error = open_fails(&sqlite_url(&text)).await;
    assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
    let error = open_fails(&sqlite_url(&folder.path().join("missing/data.db"))).await;
    assert!(error.to_string().contains("missing does not exist"), "{error}");
    let error = open_fails("sqlite:///no-such-folder/data.db").await;
    assert!(error.to_string().contains("four slashes"), "{error}");
    let error = open_fails("mysql://root:hunter2@localhost").await;
    assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_full_disk_keeps_what_was_there() {
    let fresh = TestDatabase::sqlite().await;
    let database = &fresh.database;
    execute(database, "CREATE TABLE numbers (number INTEGER, padding TEXT)")
        .await
        .unwrap();
    execute(database, "INSERT INTO numbers VALUES (1, '')")
        .await
        .unwrap();
    execute(database, "PRAGMA max_page_count = 10").await.unwrap();
    let transaction = database.begin().await.unwrap();
    transaction
        .execute_unprepared("INSERT INTO numbers VALUES (2, '')")
        .await
        .unwrap();
    let too_much = "INSERT INTO numbers SELECT 3, hex(zeroblob(100000))";
    let error = database.error(transaction.execute_unprepared(too_much).await.unwrap_err());
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().starts_with("test.database_url (sqlite:"),
        "{error}"
    );
    drop(transaction);
    execute(database, "INSERT INTO numbers VALUES (4, '')")
        .await
        .unwrap();
    let rows = database.reader().query_all_raw(sea_orm::Statement::from_string(
        sea_orm::DbBackend::Sqlite,
        "SELECT number FROM numbers ORDER BY number",
    ));
    let numbers: Vec<i64> = rows
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect();
    assert_eq!(numbers, [1, 4]);
}
