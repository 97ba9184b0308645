//! What a transaction promises.

use fragua_database::{Database, Engine, each_engine};
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
    the_write_check_leaves_nothing_behind,
    readers_on_sqlite_refuse_to_write,
);
