//! What the scheduler does itself, without a process: choices, runs of other DAGs, and waits that cost nothing.

use std::time::Duration;

use async_trait::async_trait;
use fragua_base::Timestamp;
use schemars::{JsonSchema, Schema, json_schema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::bash::short_or_long;
use super::wait::{self, WAIT, Wait};
use super::{ArgumentError, Operator, Outcome, TaskContext, TaskError, Text, long_form, parse_arguments};
use crate::dag::duration::parse_duration;
use crate::{DagRunState, TaskState};

/// The operator that does nothing.
pub(crate) const EMPTY: &str = "empty";
const BRANCH: &str = "branch";
const SHORT_CIRCUIT: &str = "short_circuit";
const LATEST_ONLY: &str = "latest_only";
const TRIGGER_DAG: &str = "trigger_dag";
const EXTERNAL_TASK: &str = "external_task";
const TIME: &str = "time";
const TIME_DELTA: &str = "time_delta";

/// How long a sensor waits when nothing else is said.
pub(crate) const SENSOR_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Each operator that the scheduler does itself.
pub(super) const HELD: [Held; 9] = [
    Held {
        name: WAIT,
        schema: wait::schema,
    },
    Held {
        name: EMPTY,
        schema: || nothing("Does nothing: a place where others meet."),
    },
    Held {
        name: BRANCH,
        schema: || {
            json_schema!({
                "description": "A template that gives the names of the tasks or groups to go on with: one, or a list. The other tasks directly after this one are skipped; all of them where it gives none.",
                "type": ["string", "array"],
                "items": { "type": "string" },
            })
        },
    },
    Held {
        name: SHORT_CIRCUIT,
        schema: || {
            let mut long = schema_for!(ShortCircuit);
            long.remove("$schema");
            json_schema!({
                "description": "A template that gives true, or false to skip all tasks after this one; or the mapping.",
                "anyOf": [{ "type": ["string", "boolean"] }, long],
            })
        },
    },
    Held {
        name: LATEST_ONLY,
        schema: || {
            nothing(
                "Skips the tasks directly after it, unless now is within the newest interval of the schedule.",
            )
        },
    },
    Held {
        name: TRIGGER_DAG,
        schema: || {
            short_or_long(
                schema_for!(TriggerDag),
                "The DAG to start a run of, or the mapping.",
            )
        },
    },
    Held {
        name: EXTERNAL_TASK,
        schema: || schema_for!(ExternalTask),
    },
    Held {
        name: TIME,
        schema: || {
            short_or_long(
                schema_for!(Time),
                "Until this time of the day on which it starts, such as 06:30, in the DAG's time zone; or an instant; or the mapping.",
            )
        },
    },
    Held {
        name: TIME_DELTA,
        schema: || {
            short_or_long(
                schema_for!(TimeDelta),
                "How long after the end of the run's interval, or the mapping.",
            )
        },
    },
];

/// Says whether the scheduler does what an operator says.
pub(crate) fn is_held(operator: &str) -> bool {
    HELD.iter().any(|held| held.name == operator)
}

fn nothing(description: &str) -> Schema {
    json_schema!({ "description": description, "type": ["object", "null", "boolean"], "maxProperties": 0 })
}

/// An operator that has no process.
#[derive(Debug)]
pub(super) struct Held {
    name: &'static str,
    schema: fn() -> Schema,
}

#[async_trait]
impl Operator for Held {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> Schema {
        (self.schema)()
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        let is_template = |text: &str| text.contains("{{");
        match Hold::parse(self.name, arguments) {
            Ok(_) => Ok(()),
            // What a template stands for is only known when the task begins.
            Err(error) => match arguments.pointer(&error.pointer).and_then(Value::as_str) {
                Some(text) if is_template(text) => Ok(()),
                _ => Err(error),
            },
        }
    }

    async fn run(&self, _: &TaskContext, _: Value) -> Result<Outcome, TaskError> {
        Err(TaskError::failed_for_good(format!(
            "{} is done by the scheduler and has no process",
            self.name
        )))
    }
}

/// What the scheduler is to do, from rendered arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Hold {
    Nothing,
    Wait(Wait),
    /// Go on with these of the tasks and groups directly after it.
    Branch(Vec<String>),
    ShortCircuit(ShortCircuit),
    LatestOnly,
    TriggerDag(TriggerDag),
    ExternalTask(ExternalTask),
    Time(Time),
    TimeDelta(TimeDelta),
}

/// Goes on, or skips what comes after.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShortCircuit {
    /// Whether to go on, usually a template.
    condition: Value,
    /// Whether all tasks after this one are skipped, whatever their trigger rules; else those directly after it. True when absent.
    #[serde(default = "yes")]
    pub(crate) ignore_downstream_trigger_rules: bool,
}

const fn yes() -> bool {
    true
}

impl ShortCircuit {
    /// Says whether the condition holds, the way Python tells truth; texts that say no are false too.
    pub(crate) fn goes_on(&self) -> bool {
        match &self.condition {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => {
                let no = ["", "false", "no", "none", "0"];
                !no.contains(&text.trim().to_ascii_lowercase().as_str())
            }
            Value::Array(items) => !items.is_empty(),
            Value::Object(mapping) => !mapping.is_empty(),
        }
    }
}

/// Starts a run of another DAG.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerDag {
    /// The DAG.
    pub(crate) dag: Text,
    /// The parameters of its run.
    #[serde(default)]
    pub(crate) conf: Map<String, Value>,
    /// The logical date of its run; now when absent.
    pub(crate) logical_date: Option<Text>,
    /// The name of its run; made from the logical date when absent.
    pub(crate) run_id: Option<Text>,
    /// Whether to wait until the run is over; false when absent.
    #[serde(default)]
    pub(crate) wait_for_completion: bool,
    /// Whether a run of this name that exists starts over; else that is a failure. False when absent.
    #[serde(default)]
    pub(crate) reset: bool,
    /// Whether the task is skipped when a run of this name exists; false when absent.
    #[serde(default)]
    pub(crate) skip_when_already_exists: bool,
    /// The states of the run that let the task succeed; success when absent.
    #[serde(default)]
    allowed_states: Vec<String>,
    /// The states of the run that make the task fail; failed when absent.
    failed_states: Option<Vec<String>>,
    /// How long to wait at most.
    #[serde(default)]
    timeout: Option<Text>,
}

impl TriggerDag {
    pub(crate) fn allowed_states(&self) -> Vec<String> {
        or_success(&self.allowed_states)
    }

    pub(crate) fn failed_states(&self) -> Vec<String> {
        let failed = || vec![DagRunState::Failed.as_str().to_owned()];
        self.failed_states.clone().unwrap_or_else(failed)
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        timeout(&self.timeout)
    }
}

/// Waits for a run of another DAG, or for tasks in it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalTask {
    /// The DAG.
    pub(crate) dag: Text,
    /// The task to wait for; the run as a whole when nothing is named.
    task: Option<Text>,
    /// The tasks to wait for.
    #[serde(default)]
    tasks: Vec<Text>,
    /// The group whose tasks to wait for.
    pub(crate) group: Option<Text>,
    /// How much earlier than this run's logical date that of the other run is; none when absent.
    delta: Option<Text>,
    /// The logical date of the other run, instead of delta.
    logical_date: Option<Text>,
    /// The states that let the task succeed; success when absent.
    #[serde(default)]
    allowed_states: Vec<String>,
    /// The states that make it skipped.
    #[serde(default)]
    pub(crate) skipped_states: Vec<String>,
    /// The states that make it fail.
    #[serde(default)]
    pub(crate) failed_states: Vec<String>,
    /// Whether it fails at once when there is no such DAG or task; false when absent.
    #[serde(default)]
    pub(crate) check_existence: bool,
    /// How long to wait at most; 7 days when absent.
    timeout: Option<Text>,
    /// Whether it is skipped where it would fail; false when absent.
    #[serde(default)]
    pub(crate) soft_fail: bool,
}

impl ExternalTask {
    pub(crate) fn task_ids(&self) -> Vec<String> {
        let named = self.task.iter().chain(&self.tasks);
        named.map(|task| task.as_str().to_owned()).collect()
    }

    pub(crate) fn allowed_states(&self) -> Vec<String> {
        or_success(&self.allowed_states)
    }

    pub(crate) fn timeout(&self) -> Duration {
        timeout(&self.timeout).unwrap_or(SENSOR_TIMEOUT)
    }

    /// Returns the logical date of the run that it waits for.
    pub(crate) fn date(&self, own: Timestamp) -> Timestamp {
        let written = self.logical_date.as_ref().map(Text::as_str);
        let earlier = self
            .delta
            .as_ref()
            .and_then(|delta| parse_duration(delta.as_str()).ok());
        match written.and_then(|written| Timestamp::parse_rfc3339(written).ok()) {
            Some(date) => date,
            None => {
                let millis = i64::try_from(earlier.unwrap_or_default().as_millis()).unwrap_or(0);
                Timestamp::from_millis(own.as_millis().saturating_sub(millis))
            }
        }
    }

    fn check(&self) -> Result<(), ArgumentError> {
        check_duration("/delta", &self.delta)?;
        check_duration("/timeout", &self.timeout)?;
        check_instant("/logical_date", &self.logical_date)?;
        if self.delta.is_some() && self.logical_date.is_some() {
            return Err(ArgumentError::at(
                "/delta",
                "give delta or logical_date, not both",
            ));
        }
        if self.group.is_some() && !self.task_ids().is_empty() {
            return Err(ArgumentError::at("/group", "give a group or tasks, not both"));
        }
        let of_run = self.group.is_none() && self.task_ids().is_empty();
        for (key, states) in [
            ("allowed_states", &self.allowed_states),
            ("skipped_states", &self.skipped_states),
            ("failed_states", &self.failed_states),
        ] {
            check_states(key, states, of_run)?;
        }
        Ok(())
    }
}

/// Until a time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Time {
    /// A time of the day such as 06:30, or an instant.
    pub(crate) at: Text,
    /// How long to wait at most; 7 days when absent.
    timeout: Option<Text>,
    /// Whether it is skipped where it would fail; false when absent.
    #[serde(default)]
    pub(crate) soft_fail: bool,
}

impl Time {
    /// Returns the instant that is meant, on the day of `now` in a zone.
    pub(crate) fn instant(&self, zone: &jiff::tz::TimeZone, now: Timestamp) -> Option<Timestamp> {
        let text = self.at.as_str();
        if let Ok(instant) = Timestamp::parse_rfc3339(text) {
            return Some(instant);
        }
        // A date and time reads as a time too, so it is tried first.
        let civil = match text.parse::<jiff::civil::DateTime>() {
            Ok(civil) => civil,
            Err(_) => {
                let now = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?;
                let time = text.parse::<jiff::civil::Time>().ok()?;
                now.to_zoned(zone.clone()).date().to_datetime(time)
            }
        };
        let instant = civil.to_zoned(zone.clone()).ok()?.timestamp();
        Some(Timestamp::from_millis(instant.as_millisecond()))
    }

    pub(crate) fn timeout(&self) -> Duration {
        timeout(&self.timeout).unwrap_or(SENSOR_TIMEOUT)
    }
}

/// Until some time after the run's interval.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeDelta {
    /// How long after the end of the run's interval.
    after: Text,
    /// How long to wait at most; 7 days when absent.
    timeout: Option<Text>,
    /// Whether it is skipped where it would fail; false when absent.
    #[serde(default)]
    pub(crate) soft_fail: bool,
}

impl TimeDelta {
    pub(crate) fn after(&self) -> Duration {
        parse_duration(self.after.as_str()).unwrap_or_default()
    }

    pub(crate) fn timeout(&self) -> Duration {
        timeout(&self.timeout).unwrap_or(SENSOR_TIMEOUT)
    }
}

fn timeout(written: &Option<Text>) -> Option<Duration> {
    written
        .as_ref()
        .and_then(|written| parse_duration(written.as_str()).ok())
}

fn or_success(states: &[String]) -> Vec<String> {
    match states {
        [] => vec![TaskState::Success.as_str().to_owned()],
        states => states.to_vec(),
    }
}

fn check_duration(pointer: &str, written: &Option<Text>) -> Result<(), ArgumentError> {
    let parsed = written.as_ref().map(|written| parse_duration(written.as_str()));
    parsed
        .transpose()
        .map(drop)
        .map_err(|message| ArgumentError::at(pointer, message))
}

fn check_instant(pointer: &str, written: &Option<Text>) -> Result<(), ArgumentError> {
    let parsed = written
        .as_ref()
        .map(|written| Timestamp::parse_rfc3339(written.as_str()));
    let wrong = |_| ArgumentError::at(pointer, "an instant such as 2025-04-02T00:00:00Z was expected");
    parsed.transpose().map(drop).map_err(wrong)
}

fn check_states(key: &str, states: &[String], of_run: bool) -> Result<(), ArgumentError> {
    let known: Vec<&str> = match of_run {
        true => DagRunState::ALL.map(DagRunState::as_str).to_vec(),
        false => TaskState::ALL.map(TaskState::as_str).to_vec(),
    };
    let unknown = states.iter().position(|state| !known.contains(&state.as_str()));
    match unknown {
        Some(index) => Err(ArgumentError::at(
            format!("/{key}/{index}"),
            format!("{:?} is no state: those are {}", states[index], known.join(", ")),
        )),
        None => Ok(()),
    }
}

impl Hold {
    /// Reads rendered arguments.
    pub(crate) fn parse(operator: &str, arguments: &Value) -> Result<Self, ArgumentError> {
        match operator {
            WAIT => Wait::parse(arguments).map(Self::Wait),
            EMPTY => no_arguments(arguments).map(|()| Self::Nothing),
            LATEST_ONLY => no_arguments(arguments).map(|()| Self::LatestOnly),
            BRANCH => branch(arguments).map(Self::Branch),
            SHORT_CIRCUIT => parse_arguments(&long_form(arguments, "condition")).map(Self::ShortCircuit),
            TRIGGER_DAG => {
                let trigger: TriggerDag = parse_arguments(&long_form(arguments, "dag"))?;
                check_instant("/logical_date", &trigger.logical_date)?;
                check_duration("/timeout", &trigger.timeout)?;
                check_states("allowed_states", &trigger.allowed_states, true)?;
                check_states(
                    "failed_states",
                    trigger.failed_states.as_deref().unwrap_or_default(),
                    true,
                )?;
                Ok(Self::TriggerDag(trigger))
            }
            EXTERNAL_TASK => {
                let external: ExternalTask = parse_arguments(arguments)?;
                external.check()?;
                Ok(Self::ExternalTask(external))
            }
            TIME => {
                let time: Time = parse_arguments(&long_form(arguments, "at"))?;
                check_duration("/timeout", &time.timeout)?;
                if time
                    .instant(&jiff::tz::TimeZone::UTC, Timestamp::default())
                    .is_none()
                {
                    let pointer = if arguments.is_object() { "/at" } else { "" };
                    let message = format!(
                        "{:?} is no time: write 06:30, or 2025-04-02T06:30:00Z",
                        time.at.as_str()
                    );
                    return Err(ArgumentError::at(pointer, message));
                }
                Ok(Self::Time(time))
            }
            TIME_DELTA => {
                let delta: TimeDelta = parse_arguments(&long_form(arguments, "after"))?;
                let pointer = if arguments.is_object() { "/after" } else { "" };
                check_duration(pointer, &Some(delta.after.clone()))?;
                check_duration("/timeout", &delta.timeout)?;
                Ok(Self::TimeDelta(delta))
            }
            other => Err(ArgumentError::at(
                "",
                format!("{other} is not done by the scheduler"),
            )),
        }
    }
}

fn no_arguments(arguments: &Value) -> Result<(), ArgumentError> {
    match arguments {
        Value::Null | Value::Bool(true) => Ok(()),
        Value::Object(mapping) if mapping.is_empty() => Ok(()),
        _ => Err(ArgumentError::at("", "it takes no arguments: write {}")),
    }
}

fn branch(arguments: &Value) -> Result<Vec<String>, ArgumentError> {
    let name = |(index, item): (usize, &Value)| match item.as_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(ArgumentError::at(
            format!("/{index}"),
            "the name of a task was expected",
        )),
    };
    match arguments {
        Value::Null => Ok(Vec::new()),
        Value::String(name) if name.is_empty() => Ok(Vec::new()),
        Value::String(name) => Ok(vec![name.clone()]),
        Value::Array(items) => items.iter().enumerate().map(name).collect(),
        _ => Err(ArgumentError::at(
            "",
            "the name of a task, a list of them, or nothing was expected",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(name: &str) -> &'static Held {
        HELD.iter().find(|held| held.name == name).unwrap()
    }

    #[test]
    fn arguments_are_checked_at_their_place() {
        let check = |name: &str, arguments: Value, expected: Result<(), &str>| {
            let result = held(name).check(&arguments);
            let place = result.as_ref().map_err(|error| error.pointer.as_str()).copied();
            assert_eq!(place, expected, "{name} {arguments}");
        };
        check("empty", json!({}), Ok(()));
        check("empty", json!(null), Ok(()));
        check("empty", json!("x"), Err(""));
        check("latest_only", json!(true), Ok(()));
        check("branch", json!("{{ 'a' if params.x else 'b' }}"), Ok(()));
        check("branch", json!(["a", "b"]), Ok(()));
        check("branch", json!(["a", 1]), Err("/1"));
        check("branch", json!(5), Err(""));
        check("short_circuit", json!("{{ params.x }}"), Ok(()));
        check(
            "short_circuit",
            json!({"condition": true, "ignore_downstream_trigger_rules": false}),
            Ok(()),
        );
        check("short_circuit", json!({"conditon": true}), Err("/conditon"));
        check("trigger_dag", json!("load"), Ok(()));
        check(
            "trigger_dag",
            json!({"dag": "load", "logical_date": "soon"}),
            Err("/logical_date"),
        );
        check(
            "trigger_dag",
            json!({"dag": "load", "logical_date": "{{ ts }}", "conf": {"a": 1}}),
            Ok(()),
        );
        check(
            "trigger_dag",
            json!({"dag": "load", "failed_states": ["skipped"]}),
            Err("/failed_states/0"),
        );
        check(
            "external_task",
            json!({"dag": "load", "task": "rows", "delta": "1d"}),
            Ok(()),
        );
        check(
            "external_task",
            json!({"dag": "load", "allowed_states": ["skipped"]}),
            Err("/allowed_states/0"),
        );
        check(
            "external_task",
            json!({"dag": "load", "task": "t", "allowed_states": ["skipped"]}),
            Ok(()),
        );
        check(
            "external_task",
            json!({"dag": "load", "group": "g", "task": "t"}),
            Err("/group"),
        );
        check("time", json!("06:30"), Ok(()));
        check(
            "time",
            json!({"at": "2025-04-02T06:30:00Z", "soft_fail": true}),
            Ok(()),
        );
        check("time", json!("late"), Err(""));
        check("time_delta", json!("1h"), Ok(()));
        check("time_delta", json!({"after": "late"}), Err("/after"));
    }

    #[test]
    fn truth_is_told_as_python_does() {
        let goes_on =
            |condition: Value| match Hold::parse("short_circuit", &json!({ "condition": condition })) {
                Ok(Hold::ShortCircuit(short_circuit)) => short_circuit.goes_on(),
                other => panic!("{other:?}"),
            };
        for yes in [json!(true), json!(1), json!("yes"), json!([0]), json!({"a": 1})] {
            assert!(goes_on(yes.clone()), "{yes}");
        }
        for no in [
            json!(false),
            json!(0),
            json!(""),
            json!("False"),
            json!(null),
            json!([]),
            json!({}),
        ] {
            assert!(!goes_on(no.clone()), "{no}");
        }
    }

    #[test]
    fn a_time_of_the_day_is_one_of_the_zone() {
        let zone = jiff::tz::TimeZone::get("Europe/Madrid").unwrap();
        let now = Timestamp::parse_rfc3339("2025-04-02T23:30:00Z").unwrap();
        let check = |text: &str, expected: &str| {
            let Ok(Hold::Time(time)) = Hold::parse("time", &json!(text)) else {
                panic!("{text}")
            };
            assert_eq!(time.instant(&zone, now).unwrap().to_rfc3339(), expected);
        };
        check("06:30", "2025-04-03T04:30:00Z");
        check("2025-04-02T06:30", "2025-04-02T04:30:00Z");
        check("2025-04-02T06:30:00Z", "2025-04-02T06:30:00Z");
    }
}
