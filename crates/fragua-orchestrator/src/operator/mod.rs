//! What a task does: the trait, what an operator is given, and the catalogue of those a DAG file may name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fragua_base::{Secret, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::parse::nearest;

mod argument_file;
mod awaited;
mod bash;
mod bucket;
mod connection;
mod connection_parts;
mod held;
mod http_to_table;
mod load;
mod process;
mod python;
mod sensor;
mod sql;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod wait;
mod warehouse;
mod written_tables;

pub use argument_file::ArgumentFile;
pub use awaited::{AwaitedKey, AwaitedObject};
pub use bucket::open as open_bucket;
pub use connection::Connection;
pub use connection_parts::ConnectionParts;
pub(crate) use held::{EMPTY, Hold, ShortCircuit, TriggerDag, is_held};
pub use load::{LoadCell, TableLoad};
pub(crate) use process::{any_running, exit_words, last_exit};
pub(crate) use python::{dismiss_python, prepare_python};
pub use text::Text;
pub(crate) use wait::Wait;
pub use warehouse::{Kind as ColumnKind, table_columns};

/// One kind of work. In a DAG file a task names it by its key and gives it arguments.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Returns the key in a DAG file.
    fn name(&self) -> &'static str;

    /// Returns the JSON Schema of the arguments.
    fn schema(&self) -> schemars::Schema;

    /// Checks arguments when the file is read. Templates are not rendered yet, so a text with `{{` may stand where
    /// something else belongs: see [`check_arguments`].
    ///
    /// # Errors
    /// The place and what is wrong with it.
    fn check(&self, arguments: &Value) -> Result<(), ArgumentError>;

    /// Returns how the names of files end that may stand in place of a text, as in Airflow's `template_ext`.
    fn template_ext(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the tasks whose values it looks up in [`TaskContext::xcom`] by itself: what no template mentions is not
    /// loaded.
    fn reads(&self, _arguments: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Does the work, in a process of its own. What it prints goes to the attempt's log as it is printed.
    ///
    /// # Errors
    /// Says whether the task failed, failed so that trying again is no use, or is to be skipped.
    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError>;
}

/// What a task that succeeded hands on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The value that tasks after this one see as `xcom.TASK_ID`.
    pub xcom: Option<Value>,
    /// Values under other keys, which they see with `ti.xcom_pull`.
    pub more: BTreeMap<String, Value>,
    /// The assets that it updated.
    pub assets: Vec<String>,
}

impl Outcome {
    /// Returns an outcome that hands on a value.
    pub fn with_xcom(value: Value) -> Self {
        Self {
            xcom: Some(value),
            ..Self::default()
        }
    }

    /// Returns the outcome with assets that the task updated.
    #[must_use]
    pub fn with_assets(mut self, assets: impl IntoIterator<Item = String>) -> Self {
        self.assets.extend(assets);
        self
    }
}

/// Why a task did not succeed. The text is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Failed; retries may help.
    #[error("{0}")]
    Failed(String),
    /// Failed, and trying again is no use.
    #[error("{0}")]
    FailedForGood(String),
    /// There is nothing to do.
    #[error("{0}")]
    Skipped(String),
    /// What is waited for is not there yet: the same attempt goes on after this time.
    #[error("looks again after {}", crate::dag::duration::Written(*after))]
    Reschedule {
        /// How long.
        after: Duration,
        /// An object of the program's own store that would let it go on earlier.
        object: Option<AwaitedObject>,
    },
}

impl TaskError {
    /// Returns a failure that retries may help.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// Returns a failure that stays one.
    pub fn failed_for_good(reason: impl fmt::Display) -> Self {
        Self::FailedForGood(reason.to_string())
    }
}

/// An argument that an operator cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArgumentError {
    /// Where, as a JSON pointer below the arguments, such as `/columns/3`; empty for the arguments as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl ArgumentError {
    /// Makes an error about one argument.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl From<ArgumentError> for TaskError {
    fn from(error: ArgumentError) -> Self {
        if error.pointer.is_empty() {
            Self::FailedForGood(error.message)
        } else {
            let argument = error.pointer.trim_start_matches('/').replace('/', ".");
            Self::FailedForGood(format!("argument {argument}: {}", error.message))
        }
    }
}

/// Reads arguments into their type; the error names the place.
///
/// # Errors
/// When a field is missing, unknown or of another type.
pub fn parse_arguments<T: DeserializeOwned>(arguments: &Value) -> Result<T, ArgumentError> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path() {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                Segment::Map { key } => pointer.push_str(&format!("/{}", escape_pointer(key))),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let message = error.into_inner().to_string();
        let Some((word, nearest)) = unknown_word(&message) else {
            return ArgumentError { pointer, message };
        };
        let key = format!("{pointer}/{}", escape_pointer(word));
        let message = match nearest {
            Some(nearest) => {
                let beginning = message
                    .split_once(", expected")
                    .map_or("", |(beginning, _)| beginning);
                format!("{beginning}; did you mean {nearest}?")
            }
            None => message.clone(),
        };
        ArgumentError {
            pointer: if arguments.pointer(&key).is_some() {
                key
            } else {
                pointer
            },
            message,
        }
    })
}

/// Returns the unknown word that serde tells of, with the nearest of those that it expected.
fn unknown_word(message: &str) -> Option<(&str, Option<&str>)> {
    let is_unknown = ["unknown field `", "unknown variant `"]
        .iter()
        .any(|beginning| message.starts_with(beginning));
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().filter(|_| is_unknown)?;
    Some((word, nearest(word, &quoted.collect::<Vec<_>>())))
}

/// Reads arguments whose templates are not rendered yet. `Ok(None)` means that a template stands where another type
/// belongs, so that more can only be said when the task runs.
///
/// # Errors
/// As [`parse_arguments`].
pub fn check_arguments<T: DeserializeOwned>(arguments: &Value) -> Result<Option<T>, ArgumentError> {
    match parse_arguments(arguments) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => {
            let place = arguments.pointer(&error.pointer);
            let template = place
                .and_then(Value::as_str)
                .is_some_and(|text| text.contains("{{"));
            if template { Ok(None) } else { Err(error) }
        }
    }
}

/// Says that a value is more than may be handed on.
pub(crate) fn too_large(key: &str, bytes: u64, most: u64) -> String {
    format!(
        "the value handed on as {key} has {bytes} bytes, more than {most}: write it to a table or an object and hand on its name"
    )
}

/// Returns the asset that a table of a connection is.
pub fn table_asset(connection: &str, table: &str) -> String {
    format!("table://{connection}/{table}")
}

/// Gives arguments written as one text their long form, a mapping with that text under a key.
pub(crate) fn long_form(arguments: &Value, key: &str) -> Value {
    match arguments {
        Value::Object(_) => arguments.clone(),
        short => serde_json::json!({ key: short }),
    }
}

fn escape_pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What an operator knows about the attempt it runs in.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub dag_run_id: String,
    /// The task.
    pub task_id: String,
    /// The number of the attempt, from one.
    pub try_number: u32,
    /// The random text that names this attempt and no other.
    pub attempt_token: String,
    /// The DAG run's logical date.
    pub logical_date: Timestamp,
    /// The first instant the DAG run covers.
    pub data_interval_start: Timestamp,
    /// The first instant after what it covers.
    pub data_interval_end: Timestamp,
    /// The DAG run's parameters.
    pub params: Map<String, Value>,
    /// What can be connected to, by name.
    pub connections: BTreeMap<String, Connection>,
    /// Variables, by name.
    pub variables: BTreeMap<String, Value>,
    /// The folder tasks start in.
    pub project_folder: PathBuf,
    /// A folder for this attempt alone; removed when the attempt is over.
    pub work_folder: PathBuf,
    /// What the tasks upstream handed on, by task id: a list for one that is made several instances of.
    pub xcom: BTreeMap<String, Value>,
    /// What they handed on under other keys, by task id and key.
    pub xcom_keys: BTreeMap<String, BTreeMap<String, Value>>,
    /// The most bytes of one value that is handed on.
    pub max_xcom_bytes: u64,
    /// The number of the instance, where the task is made several instances of.
    pub map_index: Option<u32>,
    /// What `{{ map }}` is then.
    pub map_values: Option<Value>,
    /// What else templates know of the run.
    pub run_names: RunNames,
    /// When the first attempt began, which the time-out of a sensor is counted from.
    pub first_started_at: Timestamp,
    /// The interpreter of `python` tasks that name none.
    pub python: String,
    /// Variables for the programs of this attempt, beside the environment of the worker: addresses, keys, a token.
    pub environment: BTreeMap<String, String>,
}

/// What templates know of a DAG run beside itself; only what the task's templates mention.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunNames {
    /// The tick of the schedule before the run's logical date.
    pub previous_date: Option<Timestamp>,
    /// The newest run before this one that succeeded.
    pub previous_success: Option<PreviousRun>,
    /// The updates of assets that started the run, by asset.
    pub triggering_asset_events: Map<String, Value>,
}

/// A run before another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousRun {
    /// The first instant it covers.
    pub data_interval_start: Timestamp,
    /// The first instant after what it covers.
    pub data_interval_end: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl TaskContext {
    /// Returns the connection of this name.
    ///
    /// # Errors
    /// When there is none; the text names those that exist.
    pub fn connection(&self, name: &str) -> Result<&Connection, TaskError> {
        self.connections.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.connections.keys().map(String::as_str).collect();
            TaskError::FailedForGood(format!(
                "there is no connection {name:?}; those known are: {}. Add it to the settings as connections.{name}.url, or with `fragua connections set`",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))
        })
    }

    /// Returns a variable of this attempt, else of the worker's environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
    }

    /// Returns the URL of the connection of this name.
    ///
    /// # Errors
    /// As [`TaskContext::connection`].
    pub fn connection_url(&self, name: &str) -> Result<&Secret, TaskError> {
        Ok(&self.connection(name)?.url)
    }
}

/// The operators that DAG files may name. Cheap to clone.
#[derive(Clone)]
pub struct OperatorCatalog {
    operators: BTreeMap<&'static str, Arc<dyn Operator>>,
}

impl OperatorCatalog {
    /// Returns a catalogue with nothing in it.
    pub fn empty() -> Self {
        Self {
            operators: BTreeMap::new(),
        }
    }

    /// Returns the catalogue of the operators of this crate.
    pub fn builtin() -> Self {
        let held = held::HELD
            .into_iter()
            .map(|held| Arc::new(held) as Arc<dyn Operator>);
        held.fold(Self::empty(), Self::with)
            .with(Arc::new(bash::Bash))
            .with(Arc::new(http_to_table::HttpToTable))
            .with(Arc::new(python::Python))
            .with(Arc::new(sensor::HttpSensor))
            .with(Arc::new(sensor::ObjectSensor))
            .with(Arc::new(sensor::SqlSensor))
            .with(Arc::new(sql::Sql))
    }

    /// Returns the catalogue with one more operator, which takes the place of an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, operator: Arc<dyn Operator>) -> Self {
        self.operators.insert(operator.name(), operator);
        self
    }

    /// Returns the operator of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Operator>> {
        self.operators.get(name)
    }

    /// Returns each operator, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Operator>> {
        self.operators.values()
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.operators.keys().copied()
    }
}

impl fmt::Debug for OperatorCatalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}
