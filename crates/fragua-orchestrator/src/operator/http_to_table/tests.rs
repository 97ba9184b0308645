//! Against a source of our own on a free port, into each engine.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use fragua_database::testing::TestDatabase;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

use super::*;
use crate::operator::Connection;
use crate::operator::testing::{TestAttempt, attempt};

/// Answers each request with what it is told, and remembers the keys it was asked with.
#[derive(Clone, Default)]
struct Source {
    answer: Arc<Mutex<(u16, String)>>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Source {
    async fn start() -> (Self, String) {
        let source = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/data", get(Self::data))
            .with_state(source.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (source, format!("http://{address}/data"))
    }

    async fn data(State(source): State<Self>, headers: HeaderMap) -> (StatusCode, String) {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        source.keys.lock().unwrap().push(key);
        let (status, body) = source.answer.lock().unwrap().clone();
        (StatusCode::from_u16(status).unwrap(), body)
    }

    fn answers(&self, status: u16, body: impl ToString) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }

    fn answers_rows(&self, batch: i64, rows: Value) {
        self.answers(
            200,
            json!({ "group_number": 7, "batch_number": batch, "data": rows }),
        );
    }
}

/// A source, a warehouse and an attempt between them.
struct Bench {
    test: TestDatabase,
    source: Source,
    url: String,
    attempt: TestAttempt,
}

impl Bench {
    async fn new(test: TestDatabase) -> Self {
        let (source, url) = Source::start().await;
        let mut attempt = attempt();
        attempt
            .context
            .connections
            .insert("warehouse".to_owned(), Connection::new(test.url.clone()));
        Self {
            test,
            source,
            url,
            attempt,
        }
    }

    fn arguments(&self) -> Value {
        json!({
            "url": self.url,
            "rows": "data",
            "columns": ["Elevation", "Slope", "Soil Type"],
            "connection": "warehouse",
            "table": "cover_type",
            "mode": "append",
        })
    }

    async fn load_with(&self, changes: Value) -> Result<Outcome, TaskError> {
        let mut arguments = self.arguments();
        for (key, value) in changes.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        HttpToTable.check(&arguments).unwrap();
        HttpToTable.run(&self.attempt.context, arguments).await
    }

    async fn load(&self) -> Result<Outcome, TaskError> {
        self.load_with(json!({})).await
    }

    /// Each row of the table as one text, sorted.
    async fn rows(&self) -> Vec<String> {
        let connection = self.test.database.reader();
        let quote = if self.test.database.engine() == fragua_database::Engine::MySql {
            '`'
        } else {
            '"'
        };
        let columns = ["Elevation", "Slope", "Soil Type", "fragua_dag_run_id"];
        let columns: Vec<String> = columns
            .iter()
            .map(|name| format!("{quote}{name}{quote}"))
            .collect();
        let sql = format!("SELECT {} FROM cover_type", columns.join(", "));
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let rows = connection.query_all_raw(statement).await.unwrap();
        let mut rows: Vec<String> = rows
            .iter()
            .map(|row| {
                let elevation: Option<i64> = row.try_get_by_index(0).unwrap();
                let slope: Option<f64> = row.try_get_by_index(1).unwrap();
                let soil: Option<String> = row.try_get_by_index(2).unwrap();
                let run: String = row.try_get_by_index(3).unwrap();
                format!("{elevation:?} {slope:?} {soil:?} {run}")
            })
            .collect();
        rows.sort();
        rows
    }

    async fn loads(&self) -> Vec<(String, String, i64, Value)> {
        let connection = self.test.database.reader();
        let sql = "SELECT dag_id, dag_run_id, row_count, source_fields FROM fragua_loads ORDER BY dag_id, dag_run_id";
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let rows = connection.query_all_raw(statement).await.unwrap();
        let read = |row: &sea_orm::QueryResult| {
            let fields: String = row.try_get_by_index(3).unwrap();
            let fields = serde_json::from_str(&fields).unwrap();
            let text = |index| row.try_get_by_index::<String>(index).unwrap();
            (text(0), text(1), row.try_get_by_index(2).unwrap(), fields)
        };
        rows.iter().map(read).collect()
    }
}

const RUN: &str = "scheduled__2025-04-02T00:00:00Z";

async fn rows_are_loaded_and_a_retry_replaces_its_own(test: TestDatabase) {
    let mut bench = Bench::new(test).await;
    bench.source.answers_rows(
        0,
        json!([["2596", "3", "C7745"], ["2590", "2.5", ""], ["", null, "C2702"]]),
    );
    let outcome = bench.load().await.unwrap();
    let handed_on = outcome.xcom.unwrap();
    assert_eq!(
        (&handed_on["rows"], &handed_on["table"]),
        (&json!(3), &json!("cover_type"))
    );
    assert_eq!(
        handed_on["source_fields"],
        json!({ "group_number": 7, "batch_number": 0 })
    );
    let first = vec![
        format!("None None Some(\"C2702\") {RUN}"),
        format!("Some(2590) Some(2.5) Some(\"\") {RUN}"),
        format!("Some(2596) Some(3.0) Some(\"C7745\") {RUN}"),
    ];
    assert_eq!(bench.rows().await, first);

    bench.source.answers_rows(1, json!([["1", "1", "x"]]));
    bench.attempt.context.try_number = 2;
    bench.load().await.unwrap();
    assert_eq!(
        bench.rows().await,
        [format!("Some(1) Some(1.0) Some(\"x\") {RUN}")]
    );
    let keys = bench.source.keys.lock().unwrap().clone();
    assert_eq!(
        keys,
        [format!("example/{RUN}/load"), format!("example/{RUN}/load")],
        "a retry asks with the same key"
    );
    assert_eq!(
        bench.loads().await,
        [(
            "example".to_owned(),
            RUN.to_owned(),
            1,
            json!({ "group_number": 7, "batch_number": 1 })
        )]
    );
}

async fn other_runs_and_tasks_keep_their_rows(test: TestDatabase) {
    let mut bench = Bench::new(test).await;
    bench.source.answers_rows(0, json!([[1, 1.5, "first"]]));
    bench.load().await.unwrap();
    bench.attempt.context.dag_run_id = "scheduled__2025-04-03T00:00:00Z".to_owned();
    bench.source.answers_rows(1, json!([[2, 2.5, "second run"]]));
    bench.load().await.unwrap();
    // Another DAG has a run of the same name, and loads into the same table twice.
    bench.attempt.context.dag_id = "other".to_owned();
    for _ in 0..2 {
        bench.source.answers_rows(2, json!([[3, 3.5, "other dag"]]));
        bench.load().await.unwrap();
    }
    let rows = bench.rows().await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(bench.loads().await.len(), 3);
    bench.attempt.context.dag_id = "example".to_owned();
    bench.source.answers_rows(1, json!([]));
    bench.load().await.unwrap();
    let rows = bench.rows().await;
    assert!(
        rows.len() == 2 && !rows.iter().any(|row| row.contains("second run")),
        "{rows:?}"
    );
}

async fn a_bad_answer_changes_nothing(test: TestDatabase) {
    let bench = Bench::new(test).await;
    bench.source.answers_rows(0, json!([["2596", "3.5", "C7745"]]));
    bench.load().await.unwrap();
    let before = (bench.rows().await, bench.loads().await);
    let source = bench.url.replace("http://", "");
    let check = async |status: u16, body: String, expected: &str| {
        bench.source.answers(status, body);
        let error = bench
            .load()
            .await
            .unwrap_err()
            .to_string()
            .replace(&source, "SOURCE");
        assert!(error.contains(expected), "{error}");
        assert_eq!((bench.rows().await, bench.loads().await), before, "{expected}");
    };
    let rows = |rows: Value| json!({ "data": rows }).to_string();
    let detail = json!({ "detail": "all batches were given" }).to_string();
    check(
        400,
        detail,
        "the source http://SOURCE answered 400 Bad Request: {\"detail\":\"all batches were given\"}",
    )
    .await;
    check(500, "oops".to_owned(), "answered 500 Internal Server Error: oops").await;
    check(200, "{\"data\": [[1,".to_owned(), "answered what is not JSON").await;
    check(
        200,
        json!({ "rows": [] }).to_string(),
        "answered without \"data\", where the rows belong",
    )
    .await;
    check(
        200,
        json!({ "data": "none" }).to_string(),
        "has no list of rows at \"data\", but a text",
    )
    .await;
    let short = rows(json!([["1", "1", "x"], ["2", "2"]]));
    check(
        200,
        short,
        "row 2 has 2 values, and there are 3 columns; no row was written",
    )
    .await;
    let text = rows(json!([["1", "1", "x"], ["high", "2", "y"]]));
    check(
        200,
        text,
        "row 2, column Elevation: \"high\" does not fit, the column holds whole numbers",
    )
    .await;
    let fraction = rows(json!([["1.5", "1", "x"]]));
    check(200, fraction, "row 1, column Elevation: \"1.5\" does not fit").await;
    let nested = rows(json!([["1", "1", ["x"]]]));
    check(
        200,
        nested,
        "row 1, column Soil Type: [\"x\"] does not fit, the column holds texts",
    )
    .await;
}

async fn a_table_that_exists_decides_about_types(test: TestDatabase) {
    let bench = Bench::new(test).await;
    let quoted = |name: &str| match bench.test.database.engine() {
        fragua_database::Engine::MySql => format!("`{name}`"),
        _ => format!("\"{name}\""),
    };
    let create = format!(
        "CREATE TABLE cover_type ({} BIGINT, {} DOUBLE PRECISION, {} TEXT)",
        quoted("Elevation"),
        quoted("Slope"),
        quoted("Soil Type")
    );
    bench
        .test
        .database
        .writer()
        .execute_unprepared(&create)
        .await
        .unwrap();
    bench
        .source
        .answers_rows(0, json!([{ "Soil Type": 7745, "Elevation": 5.0, "Slope": "1" }]));
    bench.load().await.unwrap();
    assert_eq!(
        bench.rows().await,
        [format!("Some(5) Some(1.0) Some(\"7745\") {RUN}")]
    );
    let error = bench
        .load_with(json!({ "columns": ["Elevation", "Aspect", "Slope"] }))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has a value \"Soil Type\", which is no column"),
        "{error}"
    );
    bench.source.answers_rows(0, json!([[1, 2, 3]]));
    let error = bench
        .load_with(json!({ "columns": ["Elevation", "Aspect", "Slope"] }))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("table \"cover_type\" has no column \"Aspect\""),
        "{error}"
    );
}

async fn many_rows_go_in_several_statements(test: TestDatabase) {
    let bench = Bench::new(test).await;
    let rows: Vec<Value> = (0..2500)
        .map(|row| json!([row.to_string(), "1.5", "x"]))
        .collect();
    bench.source.answers_rows(0, rows.into());
    bench
        .load_with(json!({ "types": { "Soil Type": "text" } }))
        .await
        .unwrap();
    assert_eq!(bench.rows().await.len(), 2500);
}

async fn a_table_is_made_even_for_no_rows(test: TestDatabase) {
    let bench = Bench::new(test).await;
    bench.source.answers_rows(0, json!([]));
    bench
        .load_with(json!({ "types": { "Elevation": "integer", "Slope": "number" } }))
        .await
        .unwrap();
    bench.source.answers_rows(0, json!([[1, 2.5, "x"]]));
    bench.load().await.unwrap();
    assert_eq!(bench.rows().await.len(), 1);
}

macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::TestDatabase::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::TestDatabase::postgres().await).await; })+
        }
        mod mariadb {
            $(#[tokio::test] async fn $test() { super::$test(super::TestDatabase::mariadb().await).await; })+
        }
    };
}

on_each_engine!(
    rows_are_loaded_and_a_retry_replaces_its_own,
    other_runs_and_tasks_keep_their_rows,
    a_bad_answer_changes_nothing,
    a_table_that_exists_decides_about_types,
    many_rows_go_in_several_statements,
    a_table_is_made_even_for_no_rows,
);

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let bench = Bench::new(TestDatabase::sqlite().await).await;
    bench
        .source
        .answers_rows(0, json!([["1", "1", "x".repeat(2000)]]));
    let error = bench
        .load_with(json!({ "max_body_bytes": 1000 }))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("answered with more than 1000 bytes; raise max_body_bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_source_that_is_not_there_is_named() {
    let bench = Bench::new(TestDatabase::sqlite().await).await;
    let error = bench
        .load_with(json!({ "url": "http://127.0.0.1:1/data" }))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the source http://127.0.0.1:1/data cannot be reached: "),
        "{error}"
    );
    let error = bench
        .load_with(json!({ "url": "ftp://h/data" }))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TaskError::FailedForGood(message) if message.starts_with("argument url: ")),
        "{error}"
    );
    let error = bench.load_with(json!({ "connection": "nowhere" })).await;
    assert!(error.is_err());
}

#[test]
fn arguments_are_checked() {
    let check = |changes: Value, expected: Result<(), &str>| {
        let mut arguments = json!({
            "url": "{{ conn.data_source.url }}/data", "rows": "data", "columns": ["a", "b"],
            "connection": "warehouse", "table": "t",
        });
        for (key, value) in changes.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        let result = HttpToTable.check(&arguments);
        assert_eq!(
            result.as_ref().map_err(|error| error.pointer.as_str()).copied(),
            expected,
            "{result:?}"
        );
    };
    check(json!({}), Ok(()));
    check(json!({ "mode": "replace" }), Err("/mode"));
    check(json!({ "columns": [] }), Err("/columns"));
    check(json!({ "columns": ["a", "A"] }), Err("/columns/1"));
    check(json!({ "columns": ["a", "fragua_x"] }), Err("/columns/1"));
    check(json!({ "table": "a b" }), Err("/table"));
    check(json!({ "types": { "c": "text" } }), Err("/types/c"));
    check(json!({ "types": { "a": "date" } }), Err("/types/a"));
    check(json!({ "timeout": "soon" }), Err("/timeout"));
    check(json!({ "colums": [] }), Err("/colums"));
    check(json!({ "columns": "{{ var.value.columns }}" }), Ok(()));
}
