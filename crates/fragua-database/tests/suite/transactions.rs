//! What a transaction promises.

use fragua_database::testing::TestDatabase;
use fragua_database::{Database, Engine, Error, each_engine};
use sea_orm::{ConnectionTrait, Statement};

async fn create(database: &Database) {
    database
        .writer()
        .execute_unprepared("CREATE TABLE numbers (number BIGINT NOT NULL)")
        .await
        .unwrap();
}

async fn insert(connection: &impl ConnectionTrait, number: i64) {
    connection
        .execute_unprepared(&format!("INSERT INTO numbers VALUES ({number})"))
        .await
        .unwrap();
}

async fn count(connection: &impl ConnectionTrait) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), "SELECT COUNT(*) FROM numbers");
    connection
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap()
}

async fn uncommitted_rows_are_seen_by_nobody_else(database: Database) {
    create(&database).await;
    let transaction = database.begin().await.unwrap();
    insert(&transaction, 1).await;
    assert_eq!(count(&transaction).await, 1);
    assert_eq!(count(database.reader()).await, 0);
    transaction.commit().await.unwrap();
    assert_eq!(count(database.reader()).await, 1);
}

async fn a_dropped_transaction_is_rolled_back(database: Database) {
    create(&database).await;
    let transaction = database.begin().await.unwrap();
    insert(&transaction, 1).await;
    drop(transaction);
    let next = database.begin().await.unwrap();
    assert_eq!(count(&next).await, 0);
    insert(&next, 2).await;
    next.commit().await.unwrap();
    assert_eq!(count(database.reader()).await, 1);
}

async fn many_writers_all_get_through(database: Database) {
    create(&database).await;
    let writes = (0..40).map(|number| {
        let database = database.clone();
        async move {
            let transaction = database.begin().await.unwrap();
            insert(&transaction, number).await;
            transaction.commit().await.unwrap();
        }
    });
    futures::future::join_all(writes).await;
    assert_eq!(count(database.reader()).await, 40);
}

/// Writes `number`, and then fails when it is odd.
async fn write_unless_odd(database: Database, number: i64) -> Result<i64, Error> {
    let work = database.write(move |transaction| {
        Box::pin(async move {
            insert(transaction, number).await;
            if number % 2 == 1 {
                Err(Error::ForeignKey)
            } else {
                Ok(number)
            }
        })
    });
    work.await
}

async fn a_write_that_fails_is_undone_without_those_beside_it(database: Database) {
    create(&database).await;
    // Holding the one writer of SQLite lets the writes stand in line, so that they share a commit.
    let held = database.begin().await.unwrap();
    let writes: Vec<_> = (0..40)
        .map(|number| tokio::spawn(write_unless_odd(database.clone(), number)))
        .collect();
    tokio::task::yield_now().await;
    held.commit().await.unwrap();
    for (number, write) in (0..).zip(writes) {
        let written = write.await.unwrap();
        assert_eq!(written.ok(), (number % 2 == 0).then_some(number));
    }
    assert_eq!(count(database.reader()).await, 20);
}

async fn a_write_that_panics_is_undone_and_the_next_ones_go_on(database: Database) {
    create(&database).await;
    let held = database.begin().await.unwrap();
    let before = tokio::spawn(write_unless_odd(database.clone(), 0));
    let panicking = tokio::spawn({
        let database = database.clone();
        async move {
            database
                .write::<(), Error, _>(|transaction| {
                    Box::pin(async move {
                        insert(transaction, 1).await;
                        panic!("as the test wants it");
                    })
                })
                .await
        }
    });
    let after = tokio::spawn(write_unless_odd(database.clone(), 2));
    tokio::task::yield_now().await;
    held.commit().await.unwrap();
    assert_eq!(before.await.unwrap().ok(), Some(0));
    // On a server the work runs in the caller's own task.
    assert!(panicking.await.map_or(true, |written| written.is_err()));
    assert_eq!(after.await.unwrap().ok(), Some(2));
    assert_eq!(write_unless_odd(database.clone(), 4).await.ok(), Some(4));
    assert_eq!(count(database.reader()).await, 3);
}

#[tokio::test]
async fn a_write_on_sqlite_goes_on_when_its_caller_goes_away() {
    let test = TestDatabase::sqlite().await;
    let database = test.database.clone();
    create(&database).await;
    let held = database.begin().await.unwrap();
    let caller = tokio::spawn(write_unless_odd(database.clone(), 0));
    tokio::task::yield_now().await;
    caller.abort();
    held.commit().await.unwrap();
    // Stands behind the one whose caller left.
    write_unless_odd(database.clone(), 2).await.unwrap();
    assert_eq!(count(database.reader()).await, 2);
}

async fn the_write_check_leaves_nothing_behind(database: Database) {
    database.ping_write().await.unwrap();
    let sql = match database.engine() {
        Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_master",
        Engine::Postgres => "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()",
        Engine::MySql => "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()",
    };
    let statement = Statement::from_string(database.reader().get_database_backend(), sql);
    let tables: i64 = database
        .reader()
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap();
    assert_eq!(tables, 0);
}

async fn readers_on_sqlite_refuse_to_write(database: Database) {
    create(&database).await;
    let written = database
        .reader()
        .execute_unprepared("INSERT INTO numbers VALUES (1)")
        .await;
    assert_eq!(written.is_err(), database.engine() == Engine::Sqlite);
}

each_engine!(
    on: uncommitted_rows_are_seen_by_nobody_else,
    a_dropped_transaction_is_rolled_back,
    many_writers_all_get_through,
    a_write_that_fails_is_undone_without_those_beside_it,
    a_write_that_panics_is_undone_and_the_next_ones_go_on,
    the_write_check_leaves_nothing_behind,
    readers_on_sqlite_refuse_to_write,
);
