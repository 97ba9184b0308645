//! `bash`: a command.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    ArgumentError, Operator, Outcome, TaskContext, TaskError, Text, check_arguments, long_form,
    parse_arguments, process, process::ExitCodes,
};

/// Runs a command in bash. `set -e` is not given: the status of the last command counts, as in Airflow.
#[derive(Debug)]
pub(super) struct Bash;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The command. Quote what a template puts in: `{{ params.name | shquote }}`.
    command: Text,
    /// More environment variables.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// The statuses with which the command says that there was nothing to do; 99 when absent.
    skip_on_exit_code: Option<ExitCodes>,
    /// The statuses with which it says that trying again is no use; none when absent.
    fail_on_exit_code: Option<ExitCodes>,
}

#[async_trait]
impl Operator for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn schema(&self) -> Schema {
        short_or_long(
            schemars::schema_for!(Arguments),
            "A command for bash, or the mapping.",
        )
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        let arguments: Option<Arguments> = check_arguments(&long_form(arguments, "command"))?;
        match arguments {
            Some(arguments) if arguments.command.as_str().trim().is_empty() => {
                Err(ArgumentError::at("/command", "the command is empty"))
            }
            _ => Ok(()),
        }
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments: Arguments = parse_arguments(&long_form(&arguments, "command"))?;
        let mut command = Command::new("bash");
        command.arg("-c").arg(arguments.command.as_str());
        command.envs(arguments.env.iter().map(|(name, value)| (name, value.as_str())));
        let statuses = process::Statuses::of(arguments.skip_on_exit_code, arguments.fail_on_exit_code);
        process::run(command, "bash", context, &statuses).await
    }
}

/// The schema of arguments that one text can stand for.
pub(super) fn short_or_long(long: Schema, description: &str) -> Schema {
    let mut long = long.to_value();
    let definitions = long.as_object_mut().and_then(|long| long.remove("$defs"));
    let mut schema = json!({
        "description": description,
        "anyOf": [{ "type": "string" }, long],
    });
    if let Some(definitions) = definitions {
        schema["$defs"] = definitions;
    }
    // A mapping is always a schema.
    Schema::try_from(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::testing::attempt;

    #[test]
    fn arguments_are_checked() {
        let check = |arguments: Value, expected: Result<(), &str>| {
            let result = Bash.check(&arguments);
            assert_eq!(
                result.as_ref().map_err(|error| error.pointer.as_str()).copied(),
                expected,
                "{arguments}"
            );
        };
        check(json!("echo"), Ok(()));
        check(json!({"command": "echo", "env": {"A": 1}}), Ok(()));
        check(json!(""), Err("/command"));
        check(json!({"command": ["echo"]}), Err("/command"));
        check(json!({"env": {}}), Err(""));
        check(json!({"command": "echo", "env": {"A": [1]}}), Err("/env/A"));
    }

    #[tokio::test]
    async fn a_command_ends_in_success_failure_or_skip() {
        let attempt = attempt();
        let run = async |command: &str| Bash.run(&attempt.context, json!(command)).await;
        assert_eq!(run("true").await, Ok(Outcome::default()));
        assert_eq!(
            run("exit 3").await,
            Err(TaskError::Failed("bash ended with status 3".to_owned()))
        );
        assert_eq!(
            run("kill -9 $$").await,
            Err(TaskError::Failed(
                "bash was killed by signal 9 (SIGKILL)".to_owned()
            ))
        );
        assert!(matches!(run("exit 99").await, Err(TaskError::Skipped(_))));
        let with_codes = async |status: i32| {
            let arguments = json!({
                "command": format!("exit {status}"), "skip_on_exit_code": [3, 4], "fail_on_exit_code": 100,
            });
            Bash.run(&attempt.context, arguments).await
        };
        assert!(matches!(with_codes(4).await, Err(TaskError::Skipped(_))));
        assert!(matches!(with_codes(99).await, Err(TaskError::Failed(_))));
        assert_eq!(
            with_codes(100).await,
            Err(TaskError::FailedForGood("bash ended with status 100".to_owned()))
        );
    }

    #[tokio::test]
    async fn a_command_hands_on_what_it_writes() {
        let attempt = attempt();
        let arguments =
            json!({ "command": "echo \"{\\\"rows\\\": $ROWS}\" > $FRAGUA_XCOM_FILE", "env": { "ROWS": 5 } });
        let outcome = Bash.run(&attempt.context, arguments).await.unwrap();
        assert_eq!(outcome.xcom, Some(json!({ "rows": 5 })));
        let outcome = Bash
            .run(&attempt.context, json!("pwd > $FRAGUA_XCOM_FILE"))
            .await
            .unwrap();
        let folder = attempt.context.project_folder.canonicalize().unwrap();
        assert_eq!(outcome.xcom, Some(json!(folder.to_str().unwrap())));
    }
}
