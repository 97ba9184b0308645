//! What may stand in a DAG file, for the reader and for the JSON Schema.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Param, TriggerRule};
use crate::operator::OperatorCatalog;

/// The keys of a DAG file beside `tasks` and `params`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DagFile {
    /// The DAG's name, unique in the project.
    pub(crate) dag: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Labels to find it by.
    pub(crate) tags: Option<Vec<String>>,
    /// When it runs: @hourly, @daily, @weekly, @monthly, @quarterly, @yearly, @once, five cron fields, `every 5m`, or none.
    pub(crate) schedule: Option<String>,
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
    /// After how long a run fails.
    pub(crate) dagrun_timeout: Option<WrittenDuration>,
    /// What holds for each task that does not say otherwise.
    pub(crate) default_args: Option<DefaultArgs>,
}

impl DagFile {
    pub(crate) const KEYS: &[&str] = &[
        "dag",
        "description",
        "tags",
        "schedule",
        "timezone",
        "start_date",
        "end_date",
        "catchup",
        "max_active_runs",
        "dagrun_timeout",
        "default_args",
        "params",
        "tasks",
    ];
}

/// What holds for each task that does not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultArgs {
    /// Who looks after the DAG.
    pub(crate) owner: Option<String>,
    /// How many failures are followed by another attempt.
    pub(crate) retries: Option<u32>,
    /// How long after a failure; 5 minutes when absent.
    pub(crate) retry_delay: Option<WrittenDuration>,
    /// After how long an attempt is stopped and counted as failed.
    pub(crate) execution_timeout: Option<WrittenDuration>,
    /// When a task may start.
    pub(crate) trigger_rule: Option<TriggerRule>,
}

/// The keys of a task beside its operator.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFile {
    /// The task's name, unique in the DAG.
    pub(crate) id: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The tasks that come before it.
    pub(crate) needs: Option<Vec<String>>,
    /// How many failures are followed by another attempt; none when absent.
    pub(crate) retries: Option<u32>,
    /// How long after a failure; 5 minutes when absent.
    pub(crate) retry_delay: Option<WrittenDuration>,
    /// After how long an attempt is stopped and counted as failed.
    pub(crate) execution_timeout: Option<WrittenDuration>,
    /// When it may start: all_success when absent.
    pub(crate) trigger_rule: Option<TriggerRule>,
}

impl TaskFile {
    pub(crate) const KEYS: &[&str] = &[
        "id",
        "description",
        "needs",
        "retries",
        "retry_delay",
        "execution_timeout",
        "trigger_rule",
    ];
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
    let mut task = inline(&mut generator, TaskFile::json_schema);
    let param = generator.subschema_for::<Param>().to_value();

    let operators: Vec<Value> = catalog
        .iter()
        .map(|operator| json!({ "required": [operator.name()] }))
        .collect();
    for operator in catalog.iter() {
        task["properties"][operator.name()] = lift_definitions(operator.schema(), &mut generator);
    }
    task["oneOf"] = Value::Array(operators);
    dag["properties"]["params"] = json!({
        "description": "What a run can be given: each name with a default, or with a description.",
        "type": "object",
        "additionalProperties": { "anyOf": [param, { "not": { "type": "object" } }] },
    });
    dag["properties"]["tasks"] =
        json!({ "description": "The steps.", "type": "array", "minItems": 1, "items": task });
    if let Some(required) = dag["required"].as_array_mut() {
        required.push("tasks".into());
    }
    dag["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    dag["title"] = "DAG file".into();
    dag["$defs"] = Value::Object(generator.take_definitions(true));
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
        assert_eq!(keys(&schema["properties"]), DagFile::KEYS);
        let mut task_keys: Vec<String> = TaskFile::KEYS.iter().map(|key| (*key).to_owned()).collect();
        task_keys.extend(OperatorCatalog::builtin().names().map(str::to_owned));
        assert_eq!(
            keys(&schema["properties"]["tasks"]["items"]["properties"]),
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
