//! What may stand in a DAG file, for the reader and for the JSON Schema.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Param, Ticks, TriggerRule, WeightRule};
use crate::operator::OperatorCatalog;

/// The keys of a DAG file beside `tasks`, `params` and `default_args`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DagFile {
    /// The DAG's name, unique in the project.
    pub(crate) dag: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Labels to find it by.
    pub(crate) tags: Option<Vec<String>>,
    /// When it runs: @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, @once, @continuous, five cron fields, `every 5m`, or none.
    pub(crate) schedule: Option<String>,
    /// What a tick of the schedule means: the end of the interval that a run covers (data_interval, when absent), or the instant that a run stands for (trigger).
    pub(crate) timetable: Option<Ticks>,
    /// The IANA name of the time zone that the schedule and dates without offset are read in; UTC when absent.
    pub(crate) timezone: Option<String>,
    /// The first instant that a run may cover.
    pub(crate) start_date: Option<String>,
    /// The last instant at which the interval of a run may start.
    pub(crate) end_date: Option<String>,
    /// Whether each interval that was missed is run; false when absent.
    pub(crate) catchup: Option<bool>,
    /// How many runs may be under way at once; 16 when absent.
    #[schemars(range(min = 1))]
    pub(crate) max_active_runs: Option<u32>,
    /// How many tasks of one run may be under way at once; 16 when absent.
    #[schemars(range(min = 1))]
    pub(crate) max_active_tasks: Option<u32>,
    /// After how long a run fails.
    pub(crate) dagrun_timeout: Option<WrittenDuration>,
}

impl DagFile {
    pub(crate) const KEYS: &[&str] = &[
        "dag",
        "description",
        "tags",
        "schedule",
        "timetable",
        "timezone",
        "start_date",
        "end_date",
        "catchup",
        "max_active_runs",
        "max_active_tasks",
        "dagrun_timeout",
    ];

    /// Those that are read by themselves.
    pub(crate) const PARTS: &[&str] = &["default_args", "params", "tasks"];
}

/// What holds for each task that does not say otherwise, beside the keys that a task may have too.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultArgs {
    /// Who looks after the DAG.
    pub(crate) owner: Option<String>,
}

impl DefaultArgs {
    pub(crate) const KEYS: &[&str] = &["owner"];
}

/// The keys of a task beside its operator and its settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFile {
    /// The task's name, unique in the DAG.
    pub(crate) id: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The tasks and groups that come before it.
    pub(crate) needs: Option<Vec<String>>,
    /// Whether it sets something up that a teardown after it takes down; false when absent.
    pub(crate) setup: Option<bool>,
    /// Whether it takes down what a setup before it set up: it runs if that succeeded, whatever failed since; false when absent.
    pub(crate) teardown: Option<bool>,
    /// Makes one instance for each item of a list, or for each combination of several lists by name: `{{ map.NAME }}`.
    pub(crate) expand: Option<Value>,
}

impl TaskFile {
    pub(crate) const KEYS: &[&str] = &["id", "description", "needs", "setup", "teardown", "expand"];
}

/// The keys that a task and `default_args` may have.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskSettings {
    /// How many failures are followed by another attempt; none when absent.
    pub(crate) retries: Option<u32>,
    /// How long after a failure; 5 minutes when absent.
    pub(crate) retry_delay: Option<WrittenDuration>,
    /// By how much the delay grows with each failure: a number such as 1.5, or true for 2. It does not when absent.
    pub(crate) retry_exponential_backoff: Option<WrittenBackoff>,
    /// The longest delay before another attempt; 24 hours when absent.
    pub(crate) max_retry_delay: Option<WrittenDuration>,
    /// After how long an attempt is stopped and counted as failed.
    pub(crate) execution_timeout: Option<WrittenDuration>,
    /// When it may start: all_success when absent.
    pub(crate) trigger_rule: Option<TriggerRule>,
    /// Whether it waits until the same task of the run before succeeded or was skipped; false when absent.
    pub(crate) depends_on_past: Option<bool>,
    /// Whether it also waits for the tasks directly after it in the run before; false when absent.
    pub(crate) wait_for_downstream: Option<bool>,
    /// The pool whose slots it takes; default_pool when absent.
    pub(crate) pool: Option<String>,
    /// How many slots of the pool it takes; 1 when absent.
    #[schemars(range(min = 1))]
    pub(crate) pool_slots: Option<u32>,
    /// Which of several ready tasks goes first, the greatest; 1 when absent.
    pub(crate) priority_weight: Option<i64>,
    /// What is added to the weight: that of all tasks after it (downstream, when absent), of all before it (upstream), or nothing (absolute).
    pub(crate) weight_rule: Option<WeightRule>,
    /// The queue that its worker must listen to; default when absent.
    pub(crate) queue: Option<String>,
    /// Whether the value it gives is handed on; true when absent.
    pub(crate) do_xcom_push: Option<bool>,
    /// Whether a mapping it gives is handed on by its keys too; false when absent.
    pub(crate) multiple_outputs: Option<bool>,
    /// How many attempts of this task may run at once, in all runs of the DAG.
    #[schemars(range(min = 1))]
    pub(crate) max_active_tis_per_dag: Option<u32>,
    /// How many attempts of this task may run at once in one run.
    #[schemars(range(min = 1))]
    pub(crate) max_active_tis_per_dagrun: Option<u32>,
}

impl TaskSettings {
    pub(crate) const KEYS: &[&str] = &[
        "retries",
        "retry_delay",
        "retry_exponential_backoff",
        "max_retry_delay",
        "execution_timeout",
        "trigger_rule",
        "depends_on_past",
        "wait_for_downstream",
        "pool",
        "pool_slots",
        "priority_weight",
        "weight_rule",
        "queue",
        "do_xcom_push",
        "multiple_outputs",
        "max_active_tis_per_dag",
        "max_active_tis_per_dagrun",
    ];
}

impl TaskSettings {
    /// Returns these settings, with others where these say nothing.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            retries: self.retries.or(other.retries),
            retry_delay: self.retry_delay.or(other.retry_delay),
            retry_exponential_backoff: self.retry_exponential_backoff.or(other.retry_exponential_backoff),
            max_retry_delay: self.max_retry_delay.or(other.max_retry_delay),
            execution_timeout: self.execution_timeout.or(other.execution_timeout),
            trigger_rule: self.trigger_rule.or(other.trigger_rule),
            depends_on_past: self.depends_on_past.or(other.depends_on_past),
            wait_for_downstream: self.wait_for_downstream.or(other.wait_for_downstream),
            pool: self.pool.or(other.pool),
            pool_slots: self.pool_slots.or(other.pool_slots),
            priority_weight: self.priority_weight.or(other.priority_weight),
            weight_rule: self.weight_rule.or(other.weight_rule),
            queue: self.queue.or(other.queue),
            do_xcom_push: self.do_xcom_push.or(other.do_xcom_push),
            multiple_outputs: self.multiple_outputs.or(other.multiple_outputs),
            max_active_tis_per_dag: self.max_active_tis_per_dag.or(other.max_active_tis_per_dag),
            max_active_tis_per_dagrun: self.max_active_tis_per_dagrun.or(other.max_active_tis_per_dagrun),
        }
    }
}

/// By how much a delay grows.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "true, false or a number such as 1.5 was expected")]
pub(crate) enum WrittenBackoff {
    Flag(bool),
    Multiplier(f64),
}

impl JsonSchema for WrittenBackoff {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Backoff".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A multiplier such as 1.5, or true for 2.",
            "type": ["boolean", "number"],
            "minimum": 1,
        })
    }
}

impl Param {
    pub(crate) const KEYS: &[&str] = &[
        "type",
        "default",
        "required",
        "enum",
        "minimum",
        "maximum",
        "title",
        "description",
    ];
}

/// A duration such as `5m`, or a number of seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a duration such as 90s, 5m or 1h30m, or a number of seconds, was expected"
)]
pub(crate) enum WrittenDuration {
    Seconds(f64),
    Text(String),
}

impl JsonSchema for WrittenDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as 90s, 5m, 1h30m or 2d, or a number of seconds.",
            "type": ["string", "number"],
            "minimum": 0,
        })
    }
}

/// Returns the JSON Schema (draft 2020-12) of a DAG file whose tasks may name the operators of a catalogue.
pub fn dag_schema(catalog: &OperatorCatalog) -> Value {
    let mut generator = SchemaGenerator::default();
    let mut dag = inline(&mut generator, DagFile::json_schema);
    let mut default_args = inline(&mut generator, DefaultArgs::json_schema);
    let mut task = inline(&mut generator, TaskFile::json_schema);
    let settings = inline(&mut generator, TaskSettings::json_schema);
    for mapping in [&mut default_args, &mut task] {
        for key in TaskSettings::KEYS {
            mapping["properties"][key] = settings["properties"][key].clone();
        }
    }
    let param = generator.subschema_for::<Param>().to_value();

    let operators: Vec<Value> = catalog
        .iter()
        .map(|operator| json!({ "required": [operator.name()] }))
        .collect();
    for operator in catalog.iter() {
        task["properties"][operator.name()] = lift_definitions(operator.schema(), &mut generator);
    }
    task["oneOf"] = Value::Array(operators);
    default_args["description"] = "What holds for each task that does not say otherwise.".into();
    dag["properties"]["default_args"] = default_args;
    dag["properties"]["params"] = json!({
        "description": "What a run can be given: each name with a default, or with a description.",
        "type": "object",
        "additionalProperties": { "anyOf": [param, { "not": { "type": "object" } }] },
    });
    dag["properties"]["tasks"] = json!({
        "description": "The steps, and groups of them.",
        "type": "array",
        "minItems": 1,
        "items": { "if": { "required": ["group"] }, "then": { "$ref": "#/$defs/Group" }, "else": task },
    });
    if let Some(required) = dag["required"].as_array_mut() {
        required.push("tasks".into());
    }
    dag["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    dag["title"] = "DAG file".into();
    dag["$defs"] = Value::Object(generator.take_definitions(true));
    dag["$defs"]["Group"] = json!({
        "description": "Tasks that are shown as one; their names begin with the group's.",
        "type": "object",
        "properties": {
            "group": { "description": "The group's name.", "type": "string" },
            "description": { "description": "What it is for.", "type": "string" },
            "needs": {
                "description": "The tasks and groups that come before its first tasks.",
                "type": "array",
                "items": { "type": "string" },
            },
            "tasks": { "$ref": "#/properties/tasks" },
        },
        "required": ["group", "tasks"],
        "additionalProperties": false,
    });
    dag
}

fn inline(generator: &mut SchemaGenerator, schema: fn(&mut SchemaGenerator) -> Schema) -> Value {
    schema(generator).to_value()
}

/// Moves the definitions of an operator's own schema to those of the whole, where its references look for them.
fn lift_definitions(schema: Schema, generator: &mut SchemaGenerator) -> Value {
    let mut schema = schema.to_value();
    if let Some(mapping) = schema.as_object_mut() {
        mapping.remove("$schema");
        if let Some(Value::Object(definitions)) = mapping.remove("$defs") {
            for (name, definition) in definitions {
                generator.definitions_mut().entry(name).or_insert(definition);
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_each_key_of_the_reader_and_no_other() {
        let schema = dag_schema(&OperatorCatalog::builtin());
        let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let words =
            |lists: &[&[&str]]| -> Vec<String> { lists.concat().into_iter().map(str::to_owned).collect() };
        assert_eq!(
            keys(&schema["properties"]),
            words(&[DagFile::KEYS, DagFile::PARTS])
        );
        assert_eq!(
            keys(&schema["properties"]["default_args"]["properties"]),
            words(&[DefaultArgs::KEYS, TaskSettings::KEYS])
        );
        let mut task_keys = words(&[TaskFile::KEYS, TaskSettings::KEYS]);
        task_keys.extend(OperatorCatalog::builtin().names().map(str::to_owned));
        assert_eq!(
            keys(&schema["properties"]["tasks"]["items"]["else"]["properties"]),
            task_keys
        );
        assert_eq!(keys(&schema["$defs"]["Param"]["properties"]), Param::KEYS);
        assert_eq!(schema["additionalProperties"], Value::Bool(false));
        assert_eq!(schema["required"], json!(["dag", "tasks"]));
    }

    #[test]
    fn every_reference_has_its_definition() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(mapping) => {
                    found.extend(mapping.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    mapping.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let schema = dag_schema(&OperatorCatalog::builtin());
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(
                schema.pointer(reference.trim_start_matches('#')).is_some(),
                "{reference}"
            );
        }
    }
}
