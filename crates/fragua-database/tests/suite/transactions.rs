//! What a transaction promises.

use fragua_database::testing::TestDatabase;
use fragua_database::{Database, Engine, Error, Statements, each_engine};
use sea_orm::sea_query::{Order, Query};
use sea_orm::{ConnectionTrait as _, Statement};

async fn create(database: &Database) {
    database
        .writer()
        .execute_unprepared("CREATE TABLE numbers (number BIGINT NOT NULL)")
        .await
        .unwrap();
}

async fn insert(connection: &impl Statements, number: i64) {
    let insert = Query::insert()
        .into_table("numbers")
        .columns(["number"])
        .values_panic([number.into()])
        .take();
    assert_eq!(connection.execute(&insert).await.unwrap(), 1);
}

async fn count(connection: &impl Statements) -> usize {
    numbers(connection).await.len()
}

async fn numbers(connection: &impl Statements) -> Vec<Option<i64>> {
    let select = Query::select()
        .column("number")
        .from("numbers")
        .order_by("number", Order::Asc)
        .take();
    connection.rows(&select, |row| row.integer(0)).await.unwrap()
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
async fn an_answer_that_panics_leaves_the_line_served() {
    let test = TestDatabase::sqlite().await;
    let database = &test.database;
    create(database).await;
    database.write_then(
        |transaction| {
            Box::pin(async move {
                insert(transaction, 0).await;
                Ok::<_, Error>(())
            })
        },
        |_| panic!("as the test wants it"),
    );
    write_unless_odd(database.clone(), 2).await.unwrap();
    assert_eq!(count(database.reader()).await, 2);
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

async fn brief_writes_all_get_through_and_those_that_fail_are_undone(database: Database) {
    create(&database).await;
    for round in 0..5 {
        let writes = (0..8).map(|number| brief_write_unless_odd(&database, 8 * round + number));
        for (number, written) in (0..).zip(futures::future::join_all(writes).await) {
            assert_eq!(written.is_ok(), number % 2 == 0, "{written:?}");
        }
    }
    assert_eq!(count(database.reader()).await, 20);
}

async fn brief_write_unless_odd(database: &Database, number: i64) -> Result<(), Error> {
    let write = database.write_briefly(move |transaction| {
        Box::pin(async move {
            insert(transaction, number).await;
            if number % 2 == 1 {
                Err(Error::ForeignKey)
            } else {
                Ok(())
            }
        })
    });
    write.await
}

#[tokio::test]
async fn a_brief_write_on_sqlite_goes_on_when_its_caller_goes_away() {
    let test = TestDatabase::sqlite().await;
    create(&test.database).await;
    // The first one is done by a thread, which learns how quick the disk is.
    brief_write_unless_odd(&test.database, 0).await.unwrap();
    let mut write = Box::pin(brief_write_unless_odd(&test.database, 2));
    assert!(futures::poll!(&mut write).is_pending());
    drop(write);
    // Stands behind the one whose caller left.
    brief_write_unless_odd(&test.database, 4).await.unwrap();
    assert_eq!(count(test.database.reader()).await, 3);
}

#[tokio::test]
async fn a_brief_write_on_sqlite_waits_for_another_process_without_keeping_the_thread() {
    let test = TestDatabase::sqlite().await;
    create(&test.database).await;
    brief_write_unless_odd(&test.database, 0).await.unwrap();
    // Opened once more, it does not share the turn to write, as in another process.
    let other = Database::open(&test.url, "tracking.database_url").await.unwrap();
    let held = other.begin().await.unwrap();
    let mut write = Box::pin(brief_write_unless_odd(&test.database, 2));
    for _ in 0..3 {
        assert!(futures::poll!(&mut write).is_pending());
        tokio::task::yield_now().await;
    }
    held.commit().await.unwrap();
    write.await.unwrap();
    assert_eq!(count(test.database.reader()).await, 2);
}

async fn a_read_sees_one_state_of_the_database_on_sqlite(database: Database) {
    create(&database).await;
    let writing = database.clone();
    let read = database.read(move |connection| {
        Box::pin(async move {
            let before = count(connection).await;
            // As another client would, on a connection of its own.
            write_unless_odd(writing, 2).await?;
            Ok::<_, Error>((before, count(connection).await))
        })
    });
    let seen = read.await.unwrap();
    let is_sqlite = database.engine() == Engine::Sqlite;
    assert_eq!(seen, (0, usize::from(!is_sqlite)));
    assert_eq!(count(database.reader()).await, 1);
}

async fn values_are_read_as_they_were_written(database: Database) {
    database
        .writer()
        .execute_unprepared(
            "CREATE TABLE kinds (small INTEGER, large BIGINT, number DOUBLE PRECISION, word VARCHAR(20), is_so BOOLEAN)",
        )
        .await
        .unwrap();
    let write = database.write(|connection| {
        Box::pin(async move {
            let insert = Query::insert()
                .into_table("kinds")
                .columns(["small", "large", "number", "word", "is_so"])
                .values_panic([
                    7_i32.into(),
                    i64::MIN.into(),
                    0.1.into(),
                    "tú".into(),
                    true.into(),
                ])
                .values_panic([
                    None::<i32>.into(),
                    None::<i64>.into(),
                    None::<f64>.into(),
                    None::<String>.into(),
                    None::<bool>.into(),
                ])
                .take();
            Ok::<_, Error>(connection.execute(&insert).await?)
        })
    });
    assert_eq!(write.await.unwrap(), 2);
    let read = database.read(|connection| {
        Box::pin(async move {
            let select = Query::select()
                .columns(["small", "large", "number", "word", "is_so"])
                .from("kinds")
                .take();
            let values = connection.rows(&select, |row| {
                let word = row.text(3)?.map(std::borrow::Cow::into_owned);
                Ok((
                    row.integer(0)?,
                    row.integer(1)?,
                    row.float(2)?,
                    word,
                    row.boolean(4)?,
                ))
            });
            Ok::<_, Error>(values.await?)
        })
    });
    let mut values = read.await.unwrap();
    values.sort_by_key(|row| row.0);
    let written = (
        Some(7),
        Some(i64::MIN),
        Some(0.1),
        Some("tú".to_owned()),
        Some(true),
    );
    assert_eq!(values, [(None, None, None, None, None), written]);
}

#[tokio::test]
async fn work_that_reads_on_sqlite_may_not_write() {
    let test = TestDatabase::sqlite().await;
    create(&test.database).await;
    let written = test.database.read(|connection| {
        Box::pin(async move {
            let insert = Query::insert()
                .into_table("numbers")
                .columns(["number"])
                .values_panic([1.into()])
                .take();
            Ok::<_, Error>(connection.execute(&insert).await?)
        })
    });
    assert!(matches!(written.await, Err(Error::ReadOnly { .. })));
}

#[tokio::test]
async fn a_read_that_panics_on_sqlite_leaves_the_next_ones_alone() {
    let test = TestDatabase::sqlite().await;
    let database = test.database.clone();
    create(&database).await;
    // More than there are connections to read with.
    for _ in 0..6 {
        let database = database.clone();
        let panicking = tokio::spawn(async move {
            let read = database.read::<(), Error, _>(|_| Box::pin(async { panic!("as the test wants it") }));
            read.await
        });
        assert!(panicking.await.unwrap_err().is_panic());
    }
    let read = database.read(|connection| Box::pin(async move { Ok::<_, Error>(count(connection).await) }));
    assert_eq!(read.await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_sqlite_database_says_so() {
    let test = TestDatabase::sqlite().await;
    let database = test.database.clone();
    create(&database).await;
    write_unless_odd(database.clone(), 2).await.unwrap();
    database.close().await;
    let written = write_unless_odd(database.clone(), 4).await;
    assert!(matches!(written, Err(Error::Unreachable { .. })), "{written:?}");
    let read = database.read(|connection| Box::pin(async move { Ok::<_, Error>(count(connection).await) }));
    assert!(matches!(read.await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn writes_beside_one_that_fills_the_disk_are_told_that_it_is_full() {
    let test = TestDatabase::sqlite().await;
    let database = test.database.clone();
    create(&database).await;
    write_unless_odd(database.clone(), 0).await.unwrap();
    // The limit belongs to a connection, so it is set on the one that the writes share.
    let limit = database.write(|connection| {
        Box::pin(async move {
            let limit = Statement::from_string(connection.backend(), "PRAGMA max_page_count = 10");
            Ok::<_, Error>(connection.read(limit, |_| Ok(())).await?)
        })
    });
    limit.await.unwrap();
    let held = database.begin().await.unwrap();
    let before = tokio::spawn(write_unless_odd(database.clone(), 2));
    let filling = tokio::spawn({
        let database = database.clone();
        async move {
            let write = database.write(|connection| {
                Box::pin(async move {
                    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000) \
                               INSERT INTO numbers SELECT x FROM n";
                    let much = Statement::from_string(connection.backend(), sql);
                    Ok::<_, Error>(connection.run(much).await?)
                })
            });
            write.await
        }
    });
    tokio::task::yield_now().await;
    held.commit().await.unwrap();
    let (before, filling) = (before.await.unwrap(), filling.await.unwrap());
    assert!(matches!(filling, Err(Error::Full { .. })), "{filling:?}");
    // SQLite keeps the transaction, or gives it up: then the one before hears why.
    match before {
        Ok(_) => assert_eq!(numbers(database.reader()).await, [Some(0), Some(2)]),
        Err(error) => {
            assert!(matches!(error, Error::Full { .. }), "{error:?}");
            assert_eq!(numbers(database.reader()).await, [Some(0)]);
        }
    }
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
    brief_writes_all_get_through_and_those_that_fail_are_undone,
    a_read_sees_one_state_of_the_database_on_sqlite,
    values_are_read_as_they_were_written,
    the_write_check_leaves_nothing_behind,
    readers_on_sqlite_refuse_to_write,
);
