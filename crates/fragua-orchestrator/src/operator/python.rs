//! `python`: a script, or a function of a module.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::bash::short_or_long;
use super::{
    ArgumentError, Operator, Outcome, TaskContext, TaskError, Text, check_arguments, parse_arguments,
    process, process::ExitCodes,
};

/// Runs Python in the project's folder. Modules are found there first, then in its folder `dags`, as those that lie beside
/// a DAG file. What a function returns is handed on.
#[derive(Debug)]
pub(super) struct Python;

/// How the program below ends where a function raised `AirflowSkipException`.
const SKIPPED: i32 = 99;

/// How it ends where a function raised `AirflowFailException`.
const FAILED_FOR_GOOD: i32 = 98;

/// Calls the function that the first line of its standard input names.
const CALL_FUNCTION: &str = include_str!("call_function.py");

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// A script, relative to the project's folder.
    file: Option<Text>,
    /// A function, as `module:function`.
    function: Option<Text>,
    /// For a script its arguments, as a list; for a function a list, or a mapping of named arguments.
    args: Option<Value>,
    /// The interpreter, when not the one of the settings.
    interpreter: Option<Text>,
    /// More environment variables.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// The statuses with which a script says that there was nothing to do; 99 when absent.
    skip_on_exit_code: Option<ExitCodes>,
    /// The statuses with which a script says that trying again is no use; none when absent.
    fail_on_exit_code: Option<ExitCodes>,
}

impl Arguments {
    fn check(&self) -> Result<(), ArgumentError> {
        match (&self.file, &self.function) {
            (Some(_), Some(_)) => {
                return Err(ArgumentError::at("/function", "give file or function, not both"));
            }
            (None, None) => {
                return Err(ArgumentError::at(
                    "",
                    "give file, or function as `module:function`",
                ));
            }
            (Some(_), None) => {
                let list = self.args.as_ref().is_none_or(Value::is_array);
                return if list {
                    Ok(())
                } else {
                    Err(ArgumentError::at("/args", "the arguments of a script are a list"))
                };
            }
            (None, Some(function)) => {
                let function = function.as_str();
                let is_named = |part: &str| !part.is_empty() && !part.contains(':');
                let is_complete = function
                    .split_once(':')
                    .is_some_and(|(module, name)| is_named(module) && is_named(name));
                if !is_complete && !function.contains("{{") {
                    return Err(ArgumentError::at(
                        "/function",
                        format!("{function:?} is not module:function"),
                    ));
                }
            }
        }
        let fits = self
            .args
            .as_ref()
            .is_none_or(|args| args.is_array() || args.is_object());
        if fits {
            Ok(())
        } else {
            Err(ArgumentError::at("/args", "arguments are a list or a mapping"))
        }
    }
}

/// A text alone is a function where it has a colon, and a script otherwise.
fn long_form(arguments: &Value) -> Value {
    match arguments.as_str() {
        Some(text) if text.contains(':') && !text.contains("{{") => json!({ "function": text }),
        Some(text) => json!({ "file": text }),
        None => arguments.clone(),
    }
}

#[async_trait]
impl Operator for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn schema(&self) -> Schema {
        short_or_long(
            schemars::schema_for!(Arguments),
            "A script, `module:function`, or the mapping.",
        )
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        match check_arguments::<Arguments>(&long_form(arguments))? {
            Some(arguments) => arguments.check(),
            None => Ok(()),
        }
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments: Arguments = parse_arguments(&long_form(&arguments))?;
        arguments.check()?;
        let interpreter = arguments
            .interpreter
            .as_ref()
            .map_or(context.python.as_str(), Text::as_str);
        let mut statuses = process::Statuses::of(arguments.skip_on_exit_code, arguments.fail_on_exit_code);
        let variables = process::variables(context, &arguments.env)?;
        let Some(function) = &arguments.function else {
            let mut command = interpreter_in(interpreter, &context.project_folder);
            command.envs(variables);
            command.args(arguments.file.as_ref().map(Text::as_str));
            let args = arguments.args.as_ref().and_then(Value::as_array);
            command.args(args.into_iter().flatten().map(|argument| {
                argument
                    .as_str()
                    .map_or_else(|| argument.to_string(), str::to_owned)
            }));
            return process::run(command, "python", context, &statuses).await;
        };
        statuses.skip.push(SKIPPED);
        statuses.fail.push(FAILED_FOR_GOOD);
        let mut child = take_prepared(interpreter, context, &variables)
            .map_or_else(
                || call_functions(interpreter, &context.project_folder, &variables),
                Ok,
            )
            .map_err(|error| {
                TaskError::Failed(format!("python: {interpreter} cannot be started: {error}"))
            })?;
        let mut job = json!({
            "function": function.as_str(),
            "arguments": arguments.args.unwrap_or_else(|| json!([])),
            "environment": variables,
            "reason": context.work_folder.join(process::REASON_FILE),
        })
        .to_string();
        job.push('\n');
        if let Some(mut stdin) = child.stdin.take() {
            // An interpreter that ended before it read all of it says why by itself.
            let _ = stdin.write_all(job.as_bytes()).await;
        }
        process::wait(child, "python", context, &statuses).await
    }
}

/// Returns a command for an interpreter that finds modules in the project's folder first, then in its folder `dags`.
fn interpreter_in(interpreter: &str, project_folder: &Path) -> Command {
    let mut path = project_folder.as_os_str().to_owned();
    path.push(":");
    path.push(project_folder.join("dags"));
    if let Some(inherited) = env::var_os("PYTHONPATH").filter(|inherited| !inherited.is_empty()) {
        path.push(":");
        path.push(inherited);
    }
    let mut command = Command::new(interpreter);
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONPATH", path);
    command
}

/// Starts an interpreter that reads from its standard input which function to call.
fn call_functions(
    interpreter: &str,
    project_folder: &Path,
    variables: &BTreeMap<String, String>,
) -> io::Result<Child> {
    interpreter_in(interpreter, project_folder)
        .envs(variables)
        .args(["-c", CALL_FUNCTION])
        .current_dir(project_folder)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// An interpreter that was started before it was known what for.
struct Prepared {
    interpreter: String,
    project_folder: PathBuf,
    child: Child,
}

static PREPARED: Mutex<Option<Prepared>> = Mutex::new(None);

fn prepared() -> MutexGuard<'static, Option<Prepared>> {
    PREPARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts an interpreter for the task that this process will run, in the folder that it is in. It has run no code of the
/// project before it is told what to call. Where it cannot be started, the task says so.
pub(crate) fn prepare_python(interpreter: &str) {
    let Ok(project_folder) = env::current_dir() else {
        return;
    };
    if let Ok(child) = call_functions(interpreter, &project_folder, &BTreeMap::new()) {
        *prepared() = Some(Prepared {
            interpreter: interpreter.to_owned(),
            project_folder,
            child,
        });
    }
}

/// Ends the interpreter that nothing needed, and waits for its end.
pub(crate) fn dismiss_python() {
    let process_id = prepared().take().and_then(|prepared| prepared.child.id());
    if let Some(process_id) = process_id.and_then(|process_id| i32::try_from(process_id).ok()) {
        let _ = waitpid(Pid::from_raw(process_id), None);
    }
}

/// Returns the interpreter that was started before, if it is what this task needs: one reads some variables only when it
/// starts.
fn take_prepared(
    interpreter: &str,
    context: &TaskContext,
    variables: &BTreeMap<String, String>,
) -> Option<Child> {
    let fits = |prepared: &mut Prepared| {
        let is_read_at_start = |name: &String| {
            ["PYTHON", "LD_", "LC_", "LANG", "MALLOC"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        prepared.interpreter == interpreter
            && prepared.project_folder == context.project_folder
            && !variables.keys().any(is_read_at_start)
            && matches!(prepared.child.try_wait(), Ok(None))
    };
    prepared().take_if(fits).map(|prepared| prepared.child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::testing::attempt;

    #[test]
    fn arguments_are_checked() {
        let check = |arguments: Value, expected: Result<(), &str>| {
            let result = Python.check(&arguments);
            assert_eq!(
                result.as_ref().map_err(|error| error.pointer.as_str()).copied(),
                expected,
                "{arguments}"
            );
        };
        check(json!("scripts/load.py"), Ok(()));
        check(json!("tasks:load"), Ok(()));
        check(json!({"function": "tasks:load", "args": {"rows": 5}}), Ok(()));
        check(json!({"file": "a.py", "args": ["{{ ds }}"]}), Ok(()));
        check(json!({"file": "a.py", "function": "a:b"}), Err("/function"));
        check(json!({"file": "a.py", "args": {"a": 1}}), Err("/args"));
        check(json!({"function": "tasks"}), Err("/function"));
        check(json!({}), Err(""));
        check(json!({"file": "a.py", "argv": []}), Err("/argv"));
    }

    #[tokio::test]
    async fn a_function_is_called_and_its_result_handed_on() {
        let attempt = attempt();
        let module = "def load(rows, name='x'):\n    return {'rows': rows, 'name': name}\n\ndef fail():\n    raise ValueError('no rows')\n";
        std::fs::write(attempt.context.project_folder.join("steps.py"), module).unwrap();
        let run = async |arguments: Value| Python.run(&attempt.context, arguments).await;
        let outcome = run(json!({ "function": "steps:load", "args": { "rows": 5 } }))
            .await
            .unwrap();
        assert_eq!(outcome.xcom, Some(json!({ "rows": 5, "name": "x" })));
        let outcome = run(json!({ "function": "steps:load", "args": [1, "y"] }))
            .await
            .unwrap();
        assert_eq!(outcome.xcom, Some(json!({ "rows": 1, "name": "y" })));
        assert_eq!(
            run(json!("steps:fail")).await,
            Err(TaskError::Failed("ValueError: no rows".to_owned()))
        );
    }

    #[tokio::test]
    async fn a_module_beside_a_dag_file_was_not_found() {
        let attempt = attempt();
        let dags = attempt.context.project_folder.join("dags");
        std::fs::create_dir_all(&dags).unwrap();
        std::fs::write(dags.join("sales.py"), "def rows():\n    return 5\n").unwrap();
        let run = async |function: &str| Python.run(&attempt.context, json!(function)).await;
        assert_eq!(run("sales:rows").await.unwrap().xcom, Some(json!(5)));
        assert_eq!(
            run("nowhere:rows").await,
            Err(TaskError::Failed(
                "ModuleNotFoundError: No module named 'nowhere'".to_owned()
            ))
        );
    }

    #[tokio::test]
    async fn a_function_skips_or_fails_for_good_by_the_exceptions_of_airflow() {
        let attempt = attempt();
        let module = "class AirflowSkipException(Exception): pass\nclass AirflowFailException(Exception): pass\n\nclass Nothing(AirflowSkipException): pass\n\ndef skip():\n    raise Nothing('no rows')\n\ndef fail():\n    raise AirflowFailException('wrong key')\n";
        std::fs::write(attempt.context.project_folder.join("raises.py"), module).unwrap();
        let run = async |function: &str| Python.run(&attempt.context, json!(function)).await;
        assert_eq!(
            run("raises:skip").await,
            Err(TaskError::Skipped("raises.Nothing: no rows".to_owned()))
        );
        assert_eq!(
            run("raises:fail").await,
            Err(TaskError::FailedForGood(
                "raises.AirflowFailException: wrong key".to_owned()
            ))
        );
    }

    #[tokio::test]
    async fn a_script_gets_its_arguments() {
        let attempt = attempt();
        let script =
            "import os, sys\nopen(os.environ['FRAGUA_XCOM_FILE'], 'w').write(','.join(sys.argv[1:]))\n";
        std::fs::write(attempt.context.project_folder.join("script.py"), script).unwrap();
        let outcome = Python
            .run(
                &attempt.context,
                json!({ "file": "script.py", "args": ["a b", 3] }),
            )
            .await
            .unwrap();
        assert_eq!(outcome.xcom, Some(json!("a b,3")));
    }
}
