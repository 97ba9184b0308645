//! Sensors that look at something again and again: a query, an address, an object.
//!
//! In `poke` mode the attempt goes on between two looks and keeps its slot; in `reschedule` mode it ends, and the same
//! attempt goes on later.

use std::time::Duration;

use async_trait::async_trait;
use fragua_base::{Clock as _, SystemClock, Timestamp};
use fragua_database::Engine;
use futures::TryStreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use schemars::{JsonSchema, Schema, schema_for};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::held::SENSOR_TIMEOUT;
use super::{
    ArgumentError, AwaitedKey, AwaitedObject, Operator, Outcome, TaskContext, TaskError, Text, bucket,
    check_arguments, parse_arguments, warehouse,
};
use crate::dag::duration::{Written, parse_duration};

/// How a sensor looks, whatever it looks at.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Looking {
    /// Whether the attempt keeps its slot between two looks: poke, or reschedule. When absent it is poke, and
    /// reschedule for an object of the program's own store.
    mode: Option<Mode>,
    /// How long between two looks; 60 seconds when absent.
    poke_interval: Option<Text>,
    /// How long to look at most, from the first attempt on; 7 days when absent.
    timeout: Option<Text>,
    /// Whether it is skipped where it would fail; false when absent.
    #[serde(default)]
    soft_fail: bool,
    /// Whether the time between two looks doubles; false when absent.
    #[serde(default)]
    exponential_backoff: bool,
    /// The longest time between two looks.
    max_wait: Option<Text>,
}

const LOOKING: &[&str] = &[
    "mode",
    "poke_interval",
    "timeout",
    "soft_fail",
    "exponential_backoff",
    "max_wait",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Poke,
    Reschedule,
}

impl Looking {
    fn check(&self) -> Result<(), ArgumentError> {
        for (pointer, written) in [
            ("/poke_interval", &self.poke_interval),
            ("/timeout", &self.timeout),
            ("/max_wait", &self.max_wait),
        ] {
            let parsed = written.as_ref().map(|written| parse_duration(written.as_str()));
            if let Some(Err(message)) = parsed {
                return Err(ArgumentError::at(pointer, message));
            }
        }
        Ok(())
    }

    fn duration(written: &Option<Text>) -> Option<Duration> {
        written
            .as_ref()
            .and_then(|written| parse_duration(written.as_str()).ok())
    }

    /// Returns the time to the next look, some time after the first.
    fn interval(&self, since_first: Duration) -> Duration {
        let shortest = Duration::from_millis(100);
        let interval = Self::duration(&self.poke_interval)
            .unwrap_or(Duration::from_secs(60))
            .max(shortest);
        let longest = Self::duration(&self.max_wait).unwrap_or(Duration::MAX);
        if !self.exponential_backoff {
            return interval.min(longest);
        }
        // After n doublings 2^n - 1 intervals have passed.
        let passed = since_first.as_secs_f64() / interval.as_secs_f64();
        let doublings = (passed + 1.0).log2().floor().clamp(0.0, 30.0);
        interval.mul_f64(doublings.exp2()).min(longest)
    }

    /// Says what follows when nothing was found: the time to the next look, or the end.
    fn missed(&self, first: Timestamp, now: Timestamp) -> Result<Duration, TaskError> {
        let timeout = Self::duration(&self.timeout).unwrap_or(SENSOR_TIMEOUT);
        let since_first = now.since(first);
        if since_first >= timeout {
            let message = format!("what it looks for was not there after {}", Written(timeout));
            return Err(self.softened(TaskError::FailedForGood(message)));
        }
        // The last look is at the end.
        Ok(self.interval(since_first).min(timeout - since_first))
    }

    fn softened(&self, error: TaskError) -> TaskError {
        match error {
            TaskError::Failed(message) | TaskError::FailedForGood(message) if self.soft_fail => {
                TaskError::Skipped(message)
            }
            other => other,
        }
    }

    /// Looks until it is there.
    async fn until(&self, context: &TaskContext, target: &dyn Target) -> Result<Outcome, TaskError> {
        loop {
            if target
                .is_there(context)
                .await
                .map_err(|error| self.softened(error))?
            {
                return Ok(Outcome::default());
            }
            let wait = self.missed(context.first_started_at, SystemClock.now())?;
            println!("not there yet, looks again in {}", Written(wait));
            let object = target.object();
            let mode = self.mode.unwrap_or(match object {
                None => Mode::Poke,
                Some(_) => Mode::Reschedule,
            });
            match mode {
                Mode::Poke => tokio::time::sleep(wait).await,
                Mode::Reschedule => return Err(TaskError::Reschedule { after: wait, object }),
            }
        }
    }
}

/// What a sensor looks for.
#[async_trait]
trait Target: Send + Sync {
    async fn is_there(&self, context: &TaskContext) -> Result<bool, TaskError>;

    /// Returns the object of the program's own store that it is.
    fn object(&self) -> Option<AwaitedObject> {
        None
    }
}

/// Takes apart how a sensor looks and what it looks at.
fn split(arguments: &Value) -> (Value, Value) {
    let Value::Object(mapping) = arguments else {
        return (Value::Object(Map::new()), arguments.clone());
    };
    let (looking, target): (Map<_, _>, Map<_, _>) = mapping
        .clone()
        .into_iter()
        .partition(|(key, _)| LOOKING.contains(&key.as_str()));
    (Value::Object(looking), Value::Object(target))
}

fn schema<T: JsonSchema>(description: &str) -> Schema {
    let (mut target, looking) = (schema_for!(T).to_value(), schema_for!(Looking).to_value());
    for part in ["properties", "$defs"] {
        for (key, value) in looking[part].as_object().into_iter().flatten() {
            target[part][key] = value.clone();
        }
    }
    target["description"] = description.into();
    // A mapping is always a schema.
    Schema::try_from(target).unwrap_or_default()
}

fn check<T: DeserializeOwned>(
    arguments: &Value,
    more: impl FnOnce(&T) -> Result<(), ArgumentError>,
) -> Result<(), ArgumentError> {
    let (looking, target) = split(arguments);
    if let Some(looking) = check_arguments::<Looking>(&looking)? {
        looking.check()?;
    }
    match check_arguments::<T>(&target)? {
        Some(target) => more(&target),
        None => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(arguments: &Value) -> Result<(Looking, T), ArgumentError> {
    let (looking, target) = split(arguments);
    let looking: Looking = parse_arguments(&looking)?;
    looking.check()?;
    Ok((looking, parse_arguments(&target)?))
}

/// `sql_sensor`: until the first column of the first row is there and says yes.
#[derive(Debug)]
pub(super) struct SqlSensor;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The name of the connection.
    connection: Text,
    /// The query. It is there when the first column of the first row is anything but nothing, zero, false or empty.
    statement: String,
    /// Whether it fails when the query gives no row; false when absent.
    #[serde(default)]
    fail_on_empty: bool,
}

#[async_trait]
impl Operator for SqlSensor {
    fn name(&self) -> &'static str {
        "sql_sensor"
    }

    fn schema(&self) -> Schema {
        schema::<Query>("Waits until the first column of the first row of a query says yes.")
    }

    fn template_ext(&self) -> &'static [&'static str] {
        &[".sql"]
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        check::<Query>(arguments, |query| match query.statement.trim() {
            "" => Err(ArgumentError::at("/statement", "the statement is empty")),
            _ => Ok(()),
        })
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let (looking, query): (Looking, Query) = parse(&arguments)?;
        looking.until(context, &query).await
    }
}

#[async_trait]
impl Target for Query {
    async fn is_there(&self, context: &TaskContext) -> Result<bool, TaskError> {
        let database = warehouse::open(context, self.connection.as_str()).await?;
        let connection = database.reader();
        let statement = Statement::from_string(connection.get_database_backend(), self.statement.clone());
        let row = connection
            .query_one_raw(statement)
            .await
            .map_err(warehouse::failed("the query"))?;
        match row {
            Some(row) => says_yes(&row, database.engine()),
            None if self.fail_on_empty => Err(TaskError::Failed("the query gave no row".to_owned())),
            None => Ok(false),
        }
    }
}

fn says_yes(row: &QueryResult, engine: Engine) -> Result<bool, TaskError> {
    // Each engine gives its own types: the first that fits is the one.
    if let Ok(flag) = row.try_get_by_index::<Option<bool>>(0) {
        return Ok(flag == Some(true));
    }
    if let Ok(number) = row.try_get_by_index::<Option<i64>>(0) {
        return Ok(number.is_some_and(|number| number != 0));
    }
    if let Ok(number) = row.try_get_by_index::<Option<i32>>(0) {
        return Ok(number.is_some_and(|number| number != 0));
    }
    if let Ok(number) = row.try_get_by_index::<Option<f64>>(0) {
        return Ok(number.is_some_and(|number| number != 0.0));
    }
    if let Ok(text) = row.try_get_by_index::<Option<String>>(0) {
        return Ok(text.is_some_and(|text| !text.is_empty() && text != "0"));
    }
    let what = match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
        Engine::MySql => "MySQL",
    };
    Err(TaskError::FailedForGood(format!(
        "the first column is of a type of {what} that cannot be told from nothing: compare it, as in `SELECT COUNT(*)`"
    )))
}

/// `http_sensor`: until an address answers as expected.
#[derive(Debug)]
pub(super) struct HttpSensor;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    /// The address.
    url: Text,
    /// A text that the answer must have in it.
    contains: Option<Text>,
    /// The statuses that say it is not there yet; 404 when absent. Any other failure fails the task.
    #[serde(default = "not_found")]
    not_yet: Vec<u16>,
}

fn not_found() -> Vec<u16> {
    vec![404]
}

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The most of an answer that is searched.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

#[async_trait]
impl Operator for HttpSensor {
    fn name(&self) -> &'static str {
        "http_sensor"
    }

    fn schema(&self) -> Schema {
        schema::<Address>("Waits until an address answers with success, and with a text where one is given.")
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        check::<Address>(arguments, |address| match url::Url::parse(address.url.as_str()) {
            Ok(_) => Ok(()),
            Err(_) if address.url.as_str().contains("{{") => Ok(()),
            Err(error) => Err(ArgumentError::at("/url", format!("is no address: {error}"))),
        })
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let (looking, address): (Looking, Address) = parse(&arguments)?;
        looking.until(context, &address).await
    }
}

#[async_trait]
impl Target for Address {
    async fn is_there(&self, _: &TaskContext) -> Result<bool, TaskError> {
        // Whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(TaskError::failed)?;
        let failed = |error: reqwest::Error| {
            TaskError::Failed(format!("the address does not answer: {}", error.without_url()))
        };
        let mut answer = client.get(self.url.as_str()).send().await.map_err(failed)?;
        let status = answer.status();
        if self.not_yet.contains(&status.as_u16()) {
            return Ok(false);
        }
        if !status.is_success() {
            return Err(TaskError::Failed(format!(
                "the address answers with status {status}"
            )));
        }
        let Some(contains) = &self.contains else {
            return Ok(true);
        };
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).contains(contains.as_str()))
    }
}

/// `object_sensor`: until an object is in a bucket.
#[derive(Debug)]
pub(super) struct ObjectSensor;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The name of the connection: `http://ACCESS_KEY:SECRET@host:9000`, or the same with https. When absent it is the
    /// program's own store, and the sensor looks at once when the object comes.
    connection: Option<Text>,
    /// The bucket.
    bucket: Text,
    /// The object's key.
    key: Option<Text>,
    /// What the key begins with, instead of the key: any object will do.
    prefix: Option<Text>,
    /// What the key is like, instead of the key: `*` stands for any text, `?` for one character.
    wildcard: Option<Text>,
}

impl Place {
    fn awaited(&self) -> Result<AwaitedKey, ArgumentError> {
        let text = |text: &Text| text.as_str().to_owned();
        match (&self.key, &self.prefix, &self.wildcard) {
            (Some(key), None, None) => Ok(AwaitedKey::Exactly(text(key))),
            (None, Some(prefix), None) => Ok(AwaitedKey::Prefix(text(prefix))),
            (None, None, Some(pattern)) => Ok(AwaitedKey::Like(text(pattern))),
            _ => Err(ArgumentError::at("", "give a key, a prefix, or a wildcard")),
        }
    }
}

#[async_trait]
impl Operator for ObjectSensor {
    fn name(&self) -> &'static str {
        "object_sensor"
    }

    fn schema(&self) -> Schema {
        schema::<Place>("Waits until an object is in a bucket.")
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        check::<Place>(arguments, |place| place.awaited().map(drop))
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let (looking, place): (Looking, Place) = parse(&arguments)?;
        looking.until(context, &place).await
    }
}

/// Takes a key as it is: `ObjectPath::from` would ask for another one where it has accents.
fn path(key: &str) -> Result<ObjectPath, TaskError> {
    ObjectPath::parse(key).map_err(TaskError::failed_for_good)
}

#[async_trait]
impl Target for Place {
    async fn is_there(&self, context: &TaskContext) -> Result<bool, TaskError> {
        let connection = self.connection.as_ref().map(Text::as_str);
        let store = bucket::open(context, connection, self.bucket.as_str())?;
        let failed = |error: object_store::Error| TaskError::Failed(format!("the object store: {error}"));
        let awaited = self.awaited()?;
        if let AwaitedKey::Exactly(key) = &awaited {
            return match store.head(&path(key)?).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(failed(error)),
            };
        }
        // The store lists whole folders in order: it is read from just before the first key that will do to the last.
        let beginning = awaited.beginning();
        let folder = beginning
            .rsplit_once('/')
            .map(|(folder, _)| path(folder))
            .transpose()?;
        let mut before = beginning.to_owned();
        before.pop();
        let mut listed = match before.as_str() {
            "" => store.list(folder.as_ref()),
            before => store.list_with_offset(folder.as_ref(), &path(before)?),
        };
        while let Some(object) = listed.try_next().await.map_err(failed)? {
            let key = object.location.as_ref();
            if awaited.is(key) {
                return Ok(true);
            }
            if key > beginning && !key.starts_with(beginning) {
                break;
            }
        }
        Ok(false)
    }

    fn object(&self) -> Option<AwaitedObject> {
        let is_elsewhere = self.connection.is_some();
        let key = self.awaited().ok().filter(|_| !is_elsewhere)?;
        Some(AwaitedObject {
            bucket: self.bucket.as_str().to_owned(),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::extract::Request;
    use axum::http::StatusCode;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::operator::Connection;
    use crate::operator::testing::{TestAttempt, attempt};

    /// An attempt that began now, and a server that says "not found" twice and then answers.
    async fn scene() -> (TestAttempt, String, Arc<AtomicUsize>) {
        let mut attempt = attempt();
        attempt.context.first_started_at = SystemClock.now();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let app = axum::Router::new().fallback(move |request: Request| {
            let count = counter.fetch_add(1, Ordering::SeqCst);
            async move {
                match count {
                    _ if request.uri().path().starts_with("/broken") => {
                        (StatusCode::INTERNAL_SERVER_ERROR, [("ETag", "\"e\"")], "")
                    }
                    0 | 1 => (StatusCode::NOT_FOUND, [("ETag", "\"e\"")], ""),
                    _ => (StatusCode::OK, [("ETag", "\"e\"")], "ready"),
                }
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (attempt, address, asked)
    }

    #[tokio::test]
    async fn an_address_is_asked_until_it_answers() {
        let (attempt, address, asked) = scene().await;
        let run = async |arguments: Value| HttpSensor.run(&attempt.context, arguments).await;
        let url = format!("http://{address}/rows");
        run(json!({"url": url, "contains": "ready", "poke_interval": "100ms"}))
            .await
            .unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        asked.store(0, Ordering::SeqCst);
        assert_eq!(
            run(json!({"url": url, "mode": "reschedule", "poke_interval": "1m"})).await,
            Err(TaskError::Reschedule {
                after: Duration::from_secs(60),
                object: None,
            })
        );
        let never = json!({"url": url, "contains": "never", "poke_interval": "100ms", "timeout": "200ms"});
        let failed = run(never.clone()).await.unwrap_err();
        assert_eq!(
            failed,
            TaskError::FailedForGood("what it looks for was not there after 200ms".to_owned())
        );
        let mut softly = never;
        softly["soft_fail"] = json!(true);
        assert!(matches!(run(softly).await, Err(TaskError::Skipped(_))));
        let broken = run(json!({"url": format!("http://{address}/broken")}))
            .await
            .unwrap_err();
        assert_eq!(
            broken,
            TaskError::Failed("the address answers with status 500 Internal Server Error".to_owned())
        );
    }

    #[tokio::test]
    async fn an_object_is_looked_for_until_it_is_there() {
        let (mut attempt, address, asked) = scene().await;
        let connection = Connection::new(format!("http://key:secret@{address}"));
        attempt.context.connections.insert("store".to_owned(), connection);
        let arguments =
            json!({"connection": "store", "bucket": "b", "key": "rows/1.csv", "poke_interval": "100ms"});
        ObjectSensor.run(&attempt.context, arguments).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn an_object_of_our_own_store_is_waited_for_without_a_slot() {
        let (mut attempt, address, _) = scene().await;
        for (name, value) in [
            ("AWS_ENDPOINT_URL_S3", format!("http://{address}")),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ] {
            attempt.context.environment.insert(name.to_owned(), value);
        }
        let arguments = json!({"bucket": "b", "key": "rows/1.csv", "poke_interval": "1h"});
        assert_eq!(
            ObjectSensor.run(&attempt.context, arguments).await,
            Err(TaskError::Reschedule {
                after: Duration::from_secs(3600),
                object: Some(AwaitedObject {
                    bucket: "b".to_owned(),
                    key: AwaitedKey::Exactly("rows/1.csv".to_owned()),
                }),
            })
        );
        let poked = json!({"bucket": "b", "key": "rows/1.csv", "poke_interval": "100ms", "mode": "poke"});
        ObjectSensor.run(&attempt.context, poked).await.unwrap();
        let both = json!({"bucket": "b", "key": "k", "wildcard": "*"});
        assert!(ObjectSensor.check(&both).is_err());
        assert!(
            ObjectSensor
                .check(&json!({"bucket": "b", "wildcard": "in/*.csv"}))
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_key_that_will_do_is_found_in_a_list() {
        let (mut attempt, _, _) = scene().await;
        let list = async |request: Request| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let is_asked_well = query.contains("start-after=in%2F2025") && query.contains("prefix=in%2F&");
            let keys: &[&str] = if is_asked_well {
                &["in/2025-a.txt", "in/2025-b.csv"]
            } else {
                &[]
            };
            let contents: String = keys
                .iter()
                .map(|key| {
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>\
                         <ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
                    )
                })
                .collect();
            format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(list)).await });
        let connection = Connection::new(format!("http://key:secret@{address}"));
        attempt.context.connections.insert("store".to_owned(), connection);
        for (field, text, expected) in [
            ("prefix", "in/2025-", true),
            ("wildcard", "in/2025-*.csv", true),
            ("wildcard", "in/2025-?.txt", true),
            ("wildcard", "in/2025-*.gz", false),
        ] {
            let mut place = json!({"connection": "store", "bucket": "b"});
            place[field] = json!(text);
            let place: Place = serde_json::from_value(place).unwrap();
            assert_eq!(
                place.is_there(&attempt.context).await,
                Ok(expected),
                "{field} {text}"
            );
        }
    }

    #[tokio::test]
    async fn a_query_is_asked_until_it_says_yes() {
        let mut attempt = attempt();
        attempt.context.first_started_at = SystemClock.now();
        let file = attempt.context.project_folder.join("rows.db");
        let connection = Connection::new(format!("sqlite:{}?mode=rwc", file.display()));
        attempt
            .context
            .connections
            .insert("warehouse".to_owned(), connection);
        let run = async |statement: &str| {
            let arguments = json!({"connection": "warehouse", "statement": statement, "timeout": 0, "fail_on_empty": true});
            SqlSensor.run(&attempt.context, arguments).await
        };
        for yes in [
            "SELECT 1",
            "SELECT 'x'",
            "SELECT 0.5",
            "SELECT COUNT(*) FROM sqlite_master WHERE 1 = 1 UNION SELECT 5 ORDER BY 1 DESC",
        ] {
            assert_eq!(run(yes).await, Ok(Outcome::default()), "{yes}");
        }
        for no in ["SELECT 0", "SELECT NULL", "SELECT ''"] {
            assert!(matches!(run(no).await, Err(TaskError::FailedForGood(_))), "{no}");
        }
        assert_eq!(
            run("SELECT 1 WHERE 1 = 0").await,
            Err(TaskError::Failed("the query gave no row".to_owned()))
        );
    }

    #[test]
    fn arguments_are_checked_at_their_place() {
        let check = |operator: &dyn Operator, arguments: Value, expected: Result<(), &str>| {
            let result = operator.check(&arguments);
            let place = result.as_ref().map_err(|error| error.pointer.as_str()).copied();
            assert_eq!(place, expected, "{arguments}");
        };
        check(
            &HttpSensor,
            json!({"url": "http://h/{{ ds }}", "mode": "reschedule"}),
            Ok(()),
        );
        check(&HttpSensor, json!({"url": "nowhere"}), Err("/url"));
        check(
            &HttpSensor,
            json!({"url": "http://h", "mode": "sleep"}),
            Err("/mode"),
        );
        check(
            &HttpSensor,
            json!({"url": "http://h", "poke_interval": "soon"}),
            Err("/poke_interval"),
        );
        check(
            &HttpSensor,
            json!({"url": "http://h", "retries": 1}),
            Err("/retries"),
        );
        check(
            &SqlSensor,
            json!({"connection": "w", "statement": " "}),
            Err("/statement"),
        );
        check(&ObjectSensor, json!({"connection": "w", "bucket": "b"}), Err(""));
        check(
            &ObjectSensor,
            json!({"connection": "w", "bucket": "b", "prefix": "p/"}),
            Ok(()),
        );
    }

    proptest! {
        #[test]
        fn the_looks_end_with_the_timeout(
            interval in 1_u64..1000,
            longest in proptest::option::of(1_u64..2000),
            doubles: bool,
            timeout in 1_u64..100_000,
        ) {
            let text = |seconds: u64| serde_json::from_value::<Text>(json!(seconds)).unwrap();
            let looking = Looking {
                mode: Some(Mode::Reschedule),
                poke_interval: Some(text(interval)),
                timeout: Some(text(timeout)),
                soft_fail: false,
                exponential_backoff: doubles,
                max_wait: longest.map(text),
            };
            let (first, mut now, mut looks) = (Timestamp::default(), Timestamp::default(), 0_u64);
            while let Ok(wait) = looking.missed(first, now) {
                prop_assert!(!wait.is_zero());
                prop_assert!(longest.is_none_or(|longest| wait <= Duration::from_secs(longest)));
                now = now.plus(wait);
                looks += 1;
                prop_assert!(looks <= timeout + 1);
            }
            prop_assert_eq!(now.since(first), Duration::from_secs(timeout));
        }
    }
}
