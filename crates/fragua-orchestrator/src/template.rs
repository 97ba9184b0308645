//! Templates in arguments: `{{ ds }}`, `{{ params.x }}`, `{{ conn.warehouse.url }}`, with Airflow's names.

mod instant;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, Rest, Serde};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value as Jinja, context};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use self::instant::Instant;
use crate::dag::Task;
use crate::operator::{Connection, TaskContext};

/// How many steps one template may take.
const FUEL: u64 = 100_000;

/// The longest text one template may give.
const LONGEST_RESULT: usize = 4 * 1024 * 1024;

/// An argument whose template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task_id}, argument {argument}{}: {message}", .line.map(|line| format!(" (line {line} of the DAG file)")).unwrap_or_default())]
pub(crate) struct TemplateError {
    task_id: String,
    argument: String,
    line: Option<u32>,
    message: String,
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .expect("the default delimiters do not clash"),
    );
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("shquote", |text: String| shell_quote(&text));
    environment
}

/// Checks the grammar of a text that may be a template.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if !is_template(text) {
        return Ok(());
    }
    environment()
        .template_from_str(text)
        .map(drop)
        .map_err(|error| words(&error, text))
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Quotes a text so that a POSIX shell reads it as one word.
fn shell_quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@,+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn words(error: &Error, source: &str) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "the template does not end".to_owned(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let is_quoted = what.contains('`');
    let quoted = error
        .range()
        .filter(|_| !is_quoted)
        .and_then(|range| source.get(range))
        .map(|part| format!(" in `{}`", part.trim()));
    let line = error
        .line()
        .filter(|_| source.trim_end().contains('\n'))
        .map(|line| format!(", line {line} of the text"));
    format!("{what}{}{}", quoted.unwrap_or_default(), line.unwrap_or_default())
}

/// Renders the arguments of one attempt.
pub(crate) struct Renderer {
    environment: Environment<'static>,
    names: Jinja,
}

impl Renderer {
    pub(crate) fn new(task: &TaskContext) -> Self {
        let instant = |at: fragua_base::Timestamp| {
            jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
        };
        let logical_date = instant(task.logical_date);
        let date = |at: fragua_base::Timestamp| Jinja::from_object(Instant::from(at));
        let day = |days: i64, pattern: &str| {
            let moved = logical_date.checked_add(jiff::SignedDuration::from_hours(24 * days));
            moved.unwrap_or(logical_date).strftime(pattern).to_string()
        };
        let connections: BTreeMap<&str, Map<String, Value>> = task
            .connections
            .iter()
            .map(|(name, connection)| (name.as_str(), connection_names(connection)))
            .collect();
        let parsed: BTreeMap<&str, Value> = task
            .variables
            .iter()
            .map(|(name, value)| {
                let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
                (name.as_str(), parsed.unwrap_or_else(|| value.clone()))
            })
            .collect();
        let names = context! {
            ds => logical_date.strftime("%Y-%m-%d").to_string(),
            ds_nodash => logical_date.strftime("%Y%m%d").to_string(),
            ts => task.logical_date.to_rfc3339(),
            ts_nodash => logical_date.strftime("%Y%m%dT%H%M%S").to_string(),
            ts_nodash_with_tz => logical_date.strftime("%Y%m%dT%H%M%S+0000").to_string(),
            logical_date => date(task.logical_date),
            data_interval_start => date(task.data_interval_start),
            data_interval_end => date(task.data_interval_end),
            // The names of Airflow 2.
            execution_date => date(task.logical_date),
            next_execution_date => date(task.data_interval_end),
            next_ds => instant(task.data_interval_end).strftime("%Y-%m-%d").to_string(),
            next_ds_nodash => instant(task.data_interval_end).strftime("%Y%m%d").to_string(),
            yesterday_ds => day(-1, "%Y-%m-%d"),
            yesterday_ds_nodash => day(-1, "%Y%m%d"),
            tomorrow_ds => day(1, "%Y-%m-%d"),
            tomorrow_ds_nodash => day(1, "%Y%m%d"),
            macros => instant::macros(),
            run_id => task.dag_run_id.as_str(),
            try_number => task.try_number,
            dag => context! { dag_id => task.dag_id.as_str() },
            task => context! { task_id => task.task_id.as_str() },
            dag_run => context! {
                dag_id => task.dag_id.as_str(),
                run_id => task.dag_run_id.as_str(),
                logical_date => date(task.logical_date),
                conf => Jinja::from(Serde(&task.params)),
            },
            params => Jinja::from(Serde(&task.params)),
            var => context! {
                value => Jinja::from(Serde(&task.variables)),
                json => Jinja::from(Serde(&parsed)),
            },
            conn => Jinja::from(Serde(&connections)),
            xcom => Jinja::from(Serde(&task.xcom)),
            map => Jinja::from(Serde(&task.map_values)),
            map_index => task.map_index.map_or(-1, i64::from),
            ti => Jinja::from_object(TaskInstanceName(Arc::new(task.clone()))),
        };
        Self {
            environment: environment(),
            names,
        }
    }

    /// Renders each text below the arguments of a task.
    pub(crate) fn arguments(&self, task: &Task) -> Result<Value, TemplateError> {
        self.value(&task.arguments, &mut String::new())
            .map_err(|(pointer, message)| {
                let argument = if pointer.is_empty() {
                    task.operator.clone()
                } else {
                    pointer.trim_start_matches('/').replace('/', ".")
                };
                TemplateError {
                    task_id: task.task_id.clone(),
                    argument,
                    line: task.argument_line(&pointer),
                    message,
                }
            })
    }

    /// Renders what a task is made instances of.
    pub(crate) fn expand(&self, task: &Task) -> Result<Value, TemplateError> {
        let expand = task.expand.as_ref().unwrap_or(&Value::Null);
        self.value(expand, &mut String::new())
            .map_err(|(_, message)| TemplateError {
                task_id: task.task_id.clone(),
                argument: "expand".to_owned(),
                line: None,
                message,
            })
    }

    fn value(&self, value: &Value, pointer: &mut String) -> Result<Value, (String, String)> {
        match value {
            Value::String(text) => self.text(text).map_err(|message| (pointer.clone(), message)),
            Value::Array(items) => {
                let rendered = items.iter().enumerate();
                rendered
                    .map(|(index, item)| self.below(&index.to_string(), item, pointer))
                    .collect()
            }
            Value::Object(mapping) => {
                let mut rendered = Map::new();
                for (key, item) in mapping {
                    let step = key.replace('~', "~0").replace('/', "~1");
                    rendered.insert(key.clone(), self.below(&step, item, pointer)?);
                }
                Ok(Value::Object(rendered))
            }
            other => Ok(other.clone()),
        }
    }

    fn below(&self, step: &str, item: &Value, pointer: &mut String) -> Result<Value, (String, String)> {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(step);
        let rendered = self.value(item, pointer);
        pointer.truncate(length);
        rendered
    }

    /// Renders one text. A text that is one expression and nothing else keeps the expression's type, so that
    /// `"{{ params.iterations }}"` can stand where a number belongs.
    fn text(&self, text: &str) -> Result<Value, String> {
        if !is_template(text) {
            return Ok(Value::String(text.to_owned()));
        }
        let template = self
            .environment
            .template_from_str(text)
            .map_err(|error| words(&error, text))?;
        let rendered = template
            .render(&self.names)
            .map_err(|error| words(&error, text))?;
        if rendered.len() > LONGEST_RESULT {
            return Err(format!(
                "the result has {} bytes, more than {LONGEST_RESULT}",
                rendered.len()
            ));
        }
        let expression = text
            .trim()
            .strip_prefix("{{")
            .and_then(|text| text.strip_suffix("}}"));
        let Some(expression) = expression.filter(|inner| !inner.contains("}}") && !inner.contains("{{"))
        else {
            return Ok(Value::String(rendered));
        };
        let expression = self
            .environment
            .compile_expression(expression)
            .map_err(|error| words(&error, text))?;
        let value = expression
            .eval(&self.names)
            .map_err(|error| words(&error, text))?;
        if value.as_str().is_some() {
            return Ok(Value::String(rendered));
        }
        Ok(Value::deserialize(value).unwrap_or(Value::String(rendered)))
    }
}

/// The parts of a connection under Airflow's names.
fn connection_names(connection: &Connection) -> Map<String, Value> {
    let mut names = Map::new();
    names.insert(
        "url".to_owned(),
        connection.url.expose().trim_end_matches('/').into(),
    );
    let Some(url) = connection.parts() else {
        return names;
    };
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    names.insert("conn_type".to_owned(), url.scheme().into());
    names.insert("host".to_owned(), url.host_str().unwrap_or_default().into());
    if let Some(port) = url.port_or_known_default() {
        names.insert("port".to_owned(), port.into());
    }
    names.insert("login".to_owned(), decoded(url.username()).into());
    names.insert(
        "password".to_owned(),
        decoded(url.password().unwrap_or_default()).into(),
    );
    names.insert("schema".to_owned(), url.path().trim_start_matches('/').into());
    names
}

/// The name `ti`: the task instance.
#[derive(Debug)]
struct TaskInstanceName(Arc<TaskContext>);

impl Object for TaskInstanceName {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match key.as_str()? {
            "task_id" => Some(Jinja::from(self.0.task_id.clone())),
            "dag_id" => Some(Jinja::from(self.0.dag_id.clone())),
            "run_id" => Some(Jinja::from(self.0.dag_run_id.clone())),
            "try_number" => Some(Jinja::from(self.0.try_number)),
            "map_index" => Some(Jinja::from(self.0.map_index.map_or(-1, i64::from))),
            _ => None,
        }
    }

    /// `xcom_pull(task_ids, key)` gives what one task handed on under a key, or a list for a list of tasks; none where
    /// there is nothing. Of a task that is made several instances of it gives a list, of which `map_indexes` picks.
    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Jinja],
    ) -> Result<Jinja, Error> {
        if method != "xcom_pull" {
            return Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("ti has no method {method}; it has xcom_pull"),
            ));
        }
        let (positional, named): (Rest<Jinja>, Kwargs) = minijinja::value::from_args(args)?;
        let task_ids = match positional.first() {
            Some(task_ids) => task_ids.clone(),
            None => named.get("task_ids")?,
        };
        let key: Option<String> = match positional.get(1) {
            Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "write key='NAME'")),
            None => named.get("key")?,
        };
        let map_indexes: Option<Jinja> = named.get("map_indexes")?;
        named.assert_all_used()?;
        let of_task = |task_id: &str| match key.as_deref() {
            None | Some(crate::RETURN_VALUE) => self.0.xcom.get(task_id),
            Some(key) => self.0.xcom_keys.get(task_id).and_then(|keys| keys.get(key)),
        };
        let pull = |task_id: &str| {
            let all = Jinja::from(Serde(of_task(task_id)));
            let Some(wanted) = map_indexes.as_ref().filter(|wanted| !wanted.is_none()) else {
                return all;
            };
            let one = |index: &Jinja| all.get_item(index).unwrap_or(Jinja::from(()));
            match wanted.try_iter().ok().filter(|_| wanted.as_i64().is_none()) {
                Some(indexes) => indexes.map(|index| one(&index)).collect(),
                None => one(wanted),
            }
        };
        if let Some(task_id) = task_ids.as_str() {
            return Ok(pull(task_id));
        }
        let task_ids = Vec::<String>::deserialize(task_ids).map_err(|_| {
            Error::new(
                ErrorKind::InvalidOperation,
                "task_ids must be a task id or a list of them",
            )
        })?;
        Ok(task_ids.iter().map(|task_id| pull(task_id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operator::testing::context;

    fn task(arguments: Value) -> Task {
        Task {
            argument_lines: [(String::new(), 7), ("/command".to_owned(), 9)]
                .into_iter()
                .collect(),
            ..Task::new("load", "bash", arguments)
        }
    }

    fn render(text: &str) -> Result<Value, String> {
        let mut context = context("example", "load");
        context.params.insert("rows".to_owned(), json!(12));
        context.params.insert("name".to_owned(), json!("it's"));
        context.params.insert("list".to_owned(), json!([1, 2]));
        context.variables.insert("city".to_owned(), json!("Madrid"));
        context
            .variables
            .insert("limits".to_owned(), json!("{\"rows\": 5}"));
        context.connections.insert(
            "web".to_owned(),
            Connection::new("http://user:p%40ss@host:81/base/"),
        );
        context.xcom.insert("before".to_owned(), json!({"model": 3}));
        context.xcom.insert("mapped".to_owned(), json!([10, 11, 12]));
        let keys = [("path".to_owned(), json!("/tmp/a"))].into();
        context.xcom_keys.insert("before".to_owned(), keys);
        (context.map_index, context.map_values) = (Some(2), Some(json!({"item": "c"})));
        let rendered = Renderer::new(&context).arguments(&task(json!({ "command": text })));
        rendered
            .map(|mut arguments| arguments["command"].take())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn airflow_names_are_known() {
        let check = |text: &str, expected: Value| assert_eq!(render(text).unwrap(), expected, "{text}");
        check(
            "{{ ds }} {{ ds_nodash }} {{ ts }}",
            json!("2025-04-02 20250402 2025-04-02T00:00:00Z"),
        );
        check(
            "{{ data_interval_start }}/{{ data_interval_end }}",
            json!("2025-04-02T00:00:00Z/2025-04-03T00:00:00Z"),
        );
        check(
            "{{ execution_date }} {{ next_ds }} {{ yesterday_ds }} {{ tomorrow_ds_nodash }}",
            json!("2025-04-02T00:00:00Z 2025-04-03 2025-04-01 20250403"),
        );
        check("{{ ts_nodash_with_tz }}", json!("20250402T000000+0000"));
        check(
            "{{ logical_date.strftime('%d/%m/%Y %H') }} {{ data_interval_end.isoformat() }}",
            json!("02/04/2025 00 2025-04-03T00:00:00+00:00"),
        );
        check(
            "{{ execution_date.add(days=1, hours=2) }}",
            json!("2025-04-03T02:00:00Z"),
        );
        check(
            "{{ execution_date.subtract(weeks=1).date() }} {{ execution_date.month }}",
            json!("2025-03-26 4"),
        );
        check("{{ dag_run.logical_date }}", json!("2025-04-02T00:00:00Z"));
        check(
            "{{ macros.ds_add(ds, -2) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}",
            json!("2025-03-31 02.04.25"),
        );
        check("{{ macros.uuid() | length }}", json!(36));
        check(
            "{{ dag.dag_id }}.{{ task.task_id }}.{{ run_id }}",
            json!("example.load.scheduled__2025-04-02T00:00:00Z"),
        );
        check(
            "{{ conn.web.url }}/data",
            json!("http://user:p%40ss@host:81/base/data"),
        );
        check(
            "{{ conn.web.host }}:{{ conn.web.port }} {{ conn.web.password }}",
            json!("host:81 p@ss"),
        );
        check("{{ var.value.city }} {{ var.json.city }}", json!("Madrid Madrid"));
        check("{{ var.value.limits }}", json!("{\"rows\": 5}"));
        check("{{ var.json.limits.rows }}", json!(5));
        check(
            "{{ ti.xcom_pull(task_ids='before').model }} {{ xcom.before.model }}",
            json!("3 3"),
        );
        check("{{ ti.xcom_pull('nothing') is none }}", json!(true));
        check(
            "{{ ti.xcom_pull(task_ids='before', key='path') }}",
            json!("/tmp/a"),
        );
        check("{{ ti.xcom_pull('before', key='nothing') is none }}", json!(true));
        check(
            "{{ ti.xcom_pull(['before', 'mapped'], key='return_value') }}",
            json!([{"model": 3}, [10, 11, 12]]),
        );
        check("{{ ti.xcom_pull('mapped', map_indexes=1) }}", json!(11));
        check(
            "{{ ti.xcom_pull('mapped', map_indexes=[0, 2]) }}",
            json!([10, 12]),
        );
        check("{{ map.item }}{{ map_index }}{{ ti.map_index }}", json!("c22"));
        check("echo {{ params.name | shquote }}", json!(r"echo 'it'\''s'"));
        check("no template", json!("no template"));
    }

    #[test]
    fn one_expression_keeps_its_type() {
        let check = |text: &str, expected: Value| assert_eq!(render(text).unwrap(), expected, "{text}");
        check("{{ params.rows }}", json!(12));
        check("{{ params.rows }}s", json!("12s"));
        check(" {{ params.list }} ", json!([1, 2]));
        check("{{ params.rows }}{{ params.rows }}", json!("1212"));
    }

    #[test]
    fn an_error_names_task_argument_and_line() {
        let check = |text: &str, expected: &str| {
            let error = render(text).unwrap_err();
            assert!(
                error.starts_with("task load, argument command (line 9 of the DAG file): "),
                "{error}"
            );
            assert!(error.contains(expected), "{error}");
        };
        check("{{ params.row }}", "`params.row` is undefined");
        check("first\n{{ nothing }}\n", "line 2 of the text");
        check(
            "{% for a in range(9000) %}{% for b in range(9000) %}x{% endfor %}{% endfor %}",
            "does not end",
        );
        check("{{ ti.pull() }}", "xcom_pull");
    }

    #[test]
    fn grammar_is_checked_before_anything_runs() {
        assert_eq!(check("{{ anything.at_all }}"), Ok(()));
        assert!(check("{{ params.").is_err());
        assert!(check("{% if x %}").is_err());
    }
}
