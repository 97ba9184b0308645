//! Statements and types that differ between engines, with the same result.

use fragua_database::{Database, Engine, dialect, each_engine};
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, ColumnDef, Expr, ExprTrait as _, Index, Order, Query, Table, Value};
use sea_orm_migration::SchemaManager;

/// Makes `metrics (name, step, value, note, picture)`, the first being the primary key.
async fn create(database: &Database) {
    let engine = database.engine();
    let manager = SchemaManager::new(database.writer());
    let column = |name: &str, kind| ColumnDef::new_with_type(Alias::new(name), kind);
    let table = Table::create()
        .table("metrics")
        .col(
            column("name", dialect::text_key(engine, 250))
                .not_null()
                .primary_key(),
        )
        .col(ColumnDef::new("step").big_integer().not_null().default(0))
        .col(ColumnDef::new("value").double().not_null().default(0.0))
        .col(column("note", dialect::long_text(engine)))
        .col(column("picture", dialect::long_bytes(engine)))
        .to_owned();
    dialect::create_table(&manager, table.clone()).await.unwrap();
    dialect::create_table(&manager, table).await.unwrap();
    for _ in 0..2 {
        let index = Index::create().col("step").col("name").to_owned();
        dialect::create_index(&manager, "metrics", "metrics_by_step", index)
            .await
            .unwrap();
    }
}

async fn insert_names(database: &Database, names: &[&str]) {
    let mut insert = Query::insert();
    insert.into_table("metrics").columns(["name"]);
    for name in names {
        insert.values_panic([(*name).into()]);
    }
    database.writer().execute(&insert).await.unwrap();
}

async fn names_where(database: &Database, condition: Expr) -> Vec<String> {
    let select = Query::select()
        .column("name")
        .from("metrics")
        .and_where(condition)
        .order_by("name", Order::Asc)
        .to_owned();
    let rows = database.reader().query_all(&select).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn row(database: &Database, name: &str) -> (i64, f64) {
    let select = Query::select()
        .columns(["step", "value"])
        .from("metrics")
        .and_where(Expr::col("name").eq(name))
        .to_owned();
    let row = database.reader().query_one(&select).await.unwrap().unwrap();
    (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())
}

async fn text_keys_compare_and_sort_by_bytes(database: Database) {
    create(&database).await;
    let sorted = [
        "", " ", "A", "A ", "B", "a", "a/b", "ab", "á", "ñ", "\u{ffff}", "😀",
    ];
    let mut shuffled = sorted;
    shuffled.reverse();
    insert_names(&database, &shuffled).await;
    assert_eq!(names_where(&database, Expr::cust("1 = 1")).await, sorted);
    assert_eq!(names_where(&database, Expr::col("name").eq("a")).await, ["a"]);
    assert_eq!(
        names_where(&database, Expr::col("name").gt("B")).await,
        sorted[5..]
    );
}

async fn prefixes_and_parts_are_taken_literally(database: Database) {
    create(&database).await;
    let names = [
        "a%b",
        "a_b",
        "a!b",
        "a\\b",
        "axb",
        "A%b",
        "a%bc",
        "b",
        "\u{10ffff}",
        "\u{10ffff}x",
    ];
    insert_names(&database, &names).await;
    let found = async |condition: fn(Expr, &str) -> Expr, text: &str| {
        names_where(&database, condition(Expr::col("name"), text)).await
    };
    assert_eq!(found(dialect::starts_with, "a%").await, ["a%b", "a%bc"]);
    assert_eq!(found(dialect::starts_with, "a_").await, ["a_b"]);
    assert_eq!(
        found(dialect::starts_with, "\u{10ffff}").await,
        ["\u{10ffff}", "\u{10ffff}x"]
    );
    assert_eq!(found(dialect::starts_with, "").await.len(), names.len());
    assert_eq!(found(dialect::contains, "%b").await, ["A%b", "a%b", "a%bc"]);
    assert_eq!(found(dialect::contains, "_").await, ["a_b"]);
    assert_eq!(found(dialect::contains, "!").await, ["a!b"]);
    assert_eq!(found(dialect::contains, "\\").await, ["a\\b"]);
}

async fn long_values_come_back_whole(database: Database) {
    create(&database).await;
    let (text, bytes) = ("ñ".repeat(100_000), [0u8, 255].repeat(50_000));
    let insert = Query::insert()
        .into_table("metrics")
        .columns(["name", "note", "picture"])
        .values_panic(["long".into(), text.clone().into(), bytes.clone().into()])
        .to_owned();
    database.writer().execute(&insert).await.unwrap();
    let select = Query::select()
        .columns(["note", "picture"])
        .from("metrics")
        .to_owned();
    let row = database.reader().query_one(&select).await.unwrap().unwrap();
    assert!(row.try_get_by_index::<String>(0).unwrap() == text);
    assert!(row.try_get_by_index::<Vec<u8>>(1).unwrap() == bytes);
}

fn insert_rows(rows: &[(&str, i64, f64)]) -> sea_orm::sea_query::InsertStatement {
    let mut insert = Query::insert();
    insert.into_table("metrics").columns(["name", "step", "value"]);
    for (name, step, value) in rows {
        insert.values_panic([
            Value::from(*name).into(),
            Value::from(*step).into(),
            Value::from(*value).into(),
        ]);
    }
    insert
}

async fn upserts_replace(database: Database) {
    create(&database).await;
    let clause = dialect::upsert(&["name"], &["step", "value"]);
    for rows in [[("a", 1, 0.5), ("b", 1, 0.5)], [("a", 2, 0.25), ("c", 2, 0.25)]] {
        database
            .writer()
            .execute(insert_rows(&rows).on_conflict(clause.clone()))
            .await
            .unwrap();
    }
    assert_eq!(row(&database, "a").await, (2, 0.25));
    assert_eq!(row(&database, "b").await, (1, 0.5));
    assert_eq!(row(&database, "c").await, (2, 0.25));
}

async fn inserts_of_what_is_there_change_nothing(database: Database) {
    create(&database).await;
    let clause = dialect::insert_if_absent(&["name"]);
    let mut insert = insert_rows(&[("a", 1, 0.5)]);
    let insert = insert.on_conflict(clause.clone());
    assert_eq!(
        database.writer().execute(&*insert).await.unwrap().rows_affected(),
        1
    );
    let mut insert = insert_rows(&[("a", 2, 9.0), ("b", 2, 9.0)]);
    database
        .writer()
        .execute(insert.on_conflict(clause))
        .await
        .unwrap();
    assert_eq!(row(&database, "a").await, (1, 0.5));
    assert_eq!(row(&database, "b").await, (2, 9.0));
}

async fn conditional_upserts_keep_the_newest(database: Database) {
    create(&database).await;
    let newest = || {
        dialect::upsert_when(
            database.engine(),
            "metrics",
            &["name"],
            &["step", "value"],
            |stored, coming| {
                let same_step = coming("step")
                    .eq(stored("step"))
                    .and(coming("value").gt(stored("value")));
                coming("step").gt(stored("step")).or(same_step)
            },
        )
    };
    let batches: [&[(&str, i64, f64)]; 4] = [
        &[("a", 5, 1.0), ("b", 5, 1.0), ("c", 5, 1.0)],
        &[("a", 6, 0.5), ("b", 5, 0.5), ("c", 5, 2.0)],
        &[("a", 4, 9.0)],
        &[("b", 5, 7.0), ("a", 6, 0.5)],
    ];
    for rows in batches {
        database
            .writer()
            .execute(insert_rows(rows).on_conflict(newest()))
            .await
            .unwrap();
    }
    assert_eq!(row(&database, "a").await, (6, 0.5));
    assert_eq!(row(&database, "b").await, (5, 7.0));
    assert_eq!(row(&database, "c").await, (5, 2.0));
}

/// Two workers that claim at the same time get different rows, where there can be two at all.
async fn claims_skip_what_another_holds(database: Database) {
    create(&database).await;
    insert_names(&database, &["first", "second"]).await;
    let mut select = Query::select()
        .column("name")
        .from("metrics")
        .order_by("name", Order::Asc)
        .limit(1)
        .to_owned();
    dialect::claim_for_update(database.engine(), &mut select);
    let one = database.begin().await.unwrap();
    let claimed: String = one
        .query_one(&select)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap();
    assert_eq!(claimed, "first");
    if database.engine() == Engine::Sqlite {
        one.rollback().await.unwrap();
        return;
    }
    let other = database.begin().await.unwrap();
    let claimed: String = other
        .query_one(&select)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap();
    assert_eq!(claimed, "second");
    other.rollback().await.unwrap();
    one.rollback().await.unwrap();
}

/// Eight transactions that read, add one and write lose no update when they lock what they read.
async fn locked_rows_lose_no_update(database: Database) {
    create(&database).await;
    insert_names(&database, &["counter"]).await;
    let mut select = Query::select().column("step").from("metrics").to_owned();
    dialect::lock_for_update(database.engine(), &mut select);
    let increments = (0..8).map(|_| async {
        let transaction = database.begin().await.unwrap();
        let step: i64 = transaction
            .query_one(&select)
            .await
            .unwrap()
            .unwrap()
            .try_get_by_index(0)
            .unwrap();
        let update = Query::update()
            .table("metrics")
            .value("step", step + 1)
            .to_owned();
        transaction.execute(&update).await.unwrap();
        transaction.commit().await.unwrap();
    });
    futures::future::join_all(increments).await;
    assert_eq!(row(&database, "counter").await.0, 8);
}

each_engine!(
    on: text_keys_compare_and_sort_by_bytes,
    prefixes_and_parts_are_taken_literally,
    long_values_come_back_whole,
    upserts_replace,
    inserts_of_what_is_there_change_nothing,
    conditional_upserts_keep_the_newest,
    claims_skip_what_another_holds,
    locked_rows_lose_no_update,
);
