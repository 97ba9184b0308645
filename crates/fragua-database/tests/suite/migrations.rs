//! Bringing tables up to date.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fragua_database::testing::TestDatabase;
use fragua_database::{Database, Engine, Error, dialect, each_engine};
use sea_orm::sea_query::{Alias, ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

/// Makes the table `things`, with an index.
struct Things;

impl MigrationName for Things {
    fn name(&self) -> &str {
        "m0001_things"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Things {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let engine = manager.get_database_backend();
        let name = ColumnDef::new_with_type(Alias::new("name"), dialect::text_key(engine, 100))
            .not_null()
            .primary_key()
            .to_owned();
        dialect::create_table(manager, Table::create().table("things").col(name).to_owned()).await?;
        let index = Index::create().col("name").to_owned();
        dialect::create_index(manager, "things", "things_by_name", index).await
    }
}

/// Adds a column, then fails as often as it was told to.
struct Sizes {
    failures: Arc<AtomicU32>,
}

impl Sizes {
    fn failing(times: u32) -> Self {
        Self {
            failures: Arc::new(AtomicU32::new(times)),
        }
    }
}

impl MigrationName for Sizes {
    fn name(&self) -> &str {
        "m0002_sizes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sizes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let size = ColumnDef::new(Alias::new("size")).big_integer().to_owned();
        dialect::add_column(manager, "things", size).await?;
        let failing = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if failing.is_ok() {
            manager
                .get_connection()
                .execute_unprepared("SELECT no_such_column FROM things")
                .await?;
        }
        Ok(())
    }
}

fn first() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Things)]
}

fn both(failures: u32) -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Things), Box::new(Sizes::failing(failures))]
}

async fn applied(database: &Database, component: &str) -> Vec<String> {
    let sql = format!("SELECT name FROM fragua_{component}_migrations ORDER BY name");
    let statement = Statement::from_string(database.reader().get_database_backend(), sql);
    let rows = database.reader().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn has_column(database: &Database, column: &str) -> bool {
    SchemaManager::new(database.reader())
        .has_column("things", column)
        .await
        .unwrap()
}

async fn fresh_and_repeated(database: Database) {
    database.migrate("shop", both(0)).await.unwrap();
    database
        .writer()
        .execute_unprepared("INSERT INTO things (name, size) VALUES ('a', 1)")
        .await
        .unwrap();
    database.migrate("shop", both(9)).await.unwrap();
    assert_eq!(applied(&database, "shop").await, ["m0001_things", "m0002_sizes"]);
}

async fn only_what_is_missing(database: Database) {
    database.migrate("shop", first()).await.unwrap();
    assert!(!has_column(&database, "size").await);
    database.migrate("shop", both(0)).await.unwrap();
    assert!(has_column(&database, "size").await);
}

async fn components_share_a_database(database: Database) {
    database.migrate("shop", both(0)).await.unwrap();
    database.migrate("office", first()).await.unwrap();
    assert_eq!(applied(&database, "office").await, ["m0001_things"]);
    assert_eq!(applied(&database, "shop").await.len(), 2);
}

async fn a_newer_schema_is_refused(database: Database) {
    database.migrate("shop", both(0)).await.unwrap();
    let error = database.migrate("shop", first()).await.unwrap_err();
    assert!(
        matches!(&error, Error::NewerSchema { component: "shop", migration, .. } if migration == "m0002_sizes")
    );
    let message = error.to_string();
    assert!(
        message.contains("test.database_url") && message.contains("newer version"),
        "{message}"
    );
}

async fn a_failing_migration_leaves_nothing_half_applied(database: Database) {
    let error = database.migrate("shop", both(1)).await.unwrap_err();
    let Error::Migration {
        migration, reason, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(migration, "m0002_sizes");
    assert!(reason.contains("no_such_column"), "{reason}");
    assert_eq!(applied(&database, "shop").await, ["m0001_things"]);
    // MySQL cannot roll the column back; the next start finds it and goes on.
    assert_eq!(
        has_column(&database, "size").await,
        database.engine() == Engine::MySql
    );

    database.migrate("shop", both(0)).await.unwrap();
    assert_eq!(applied(&database, "shop").await, ["m0001_things", "m0002_sizes"]);
    assert!(has_column(&database, "size").await);
}

each_engine!(
    on: fresh_and_repeated,
    only_what_is_missing,
    components_share_a_database,
    a_newer_schema_is_refused,
    a_failing_migration_leaves_nothing_half_applied,
);

/// Starts eight times at once, each with connections of its own, as processes do.
async fn concurrent_starts(fresh: TestDatabase) {
    let starts = (0..8).map(|_| {
        let url = fresh.url.clone();
        async move {
            let database = Database::open(&url, "test.database_url").await?;
            database.migrate("shop", both(0)).await?;
            database.close().await;
            Ok::<_, Error>(())
        }
    });
    for started in futures::future::join_all(starts).await {
        started.unwrap();
    }
    assert_eq!(
        applied(&fresh.database, "shop").await,
        ["m0001_things", "m0002_sizes"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_on_sqlite() {
    concurrent_starts(TestDatabase::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_on_postgres() {
    concurrent_starts(TestDatabase::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_on_mariadb() {
    concurrent_starts(TestDatabase::mariadb().await).await;
}
