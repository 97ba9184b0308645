//! From the text of a DAG file to a [`Dag`], with every error at its line.

use std::path::Path;
use std::time::Duration;

use fragua_base::Timestamp;
use indexmap::IndexMap;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::duration::parse_duration;
use super::file::{DagFile, DefaultArgs, TaskFile, WrittenDuration};
use super::node::{self, Document};
use super::{Dag, ImportError, Param, Schedule, Task, Timetable, validate};
use crate::operator::{OperatorCatalog, parse_arguments};
use crate::template;

/// The largest DAG file that is read.
pub(crate) const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

const KEYS: &str = "the keys known here";

/// The longest name of a DAG or task.
const LONGEST_ID: usize = 200;

/// Collects what is wrong with one file.
pub(crate) struct Faults<'a> {
    path: &'a Path,
    document: &'a Document,
    errors: Vec<ImportError>,
}

impl Faults<'_> {
    pub(crate) fn add(&mut self, pointer: &str, message: impl Into<String>, hint: Option<String>) {
        let place = self.document.place(pointer);
        self.errors.push(ImportError {
            path: self.path.to_owned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: message.into(),
            hint,
        });
    }
}

/// Reads the bytes of one file. `path` only names the file in errors.
///
/// # Errors
/// Everything found wrong, at least one thing.
pub(crate) fn parse(path: &Path, bytes: &[u8], catalog: &OperatorCatalog) -> Result<Dag, Vec<ImportError>> {
    let whole_file = |message: String, hint: Option<&str>| {
        let path = path.to_owned();
        vec![ImportError {
            path,
            line: None,
            column: None,
            message,
            hint: hint.map(str::to_owned),
        }]
    };
    if bytes.len() as u64 > LARGEST_FILE_BYTES {
        return Err(whole_file(
            format!(
                "the file has {} bytes, more than the {LARGEST_FILE_BYTES} that a DAG file may have",
                bytes.len()
            ),
            Some("move data and scripts to files of their own"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        let mut errors = whole_file("the file is not UTF-8".to_owned(), Some("save it as UTF-8"));
        errors[0].line = u32::try_from(line).ok();
        errors[0].column = Some(1);
        errors
    })?;
    let document = node::read(text).map_err(|error| {
        let mut errors = whole_file(yaml_message(&error), None);
        if let Some(location) = error.location() {
            errors[0].line = u32::try_from(location.line()).ok().filter(|line| *line > 0);
            errors[0].column = u32::try_from(location.column()).ok().filter(|column| *column > 0);
        }
        errors
    })?;

    let mut faults = Faults {
        path,
        document: &document,
        errors: Vec::new(),
    };
    let dag = Reader {
        document: &document,
        catalog,
        faults: &mut faults,
    }
    .dag();
    match dag {
        Some(dag) if faults.errors.is_empty() => Ok(dag),
        _ => {
            let mut errors = faults.errors;
            errors.sort_by_key(|error| (error.line, error.column));
            Err(errors)
        }
    }
}

/// The library ends some messages with the place, which we tell apart.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let end = first.find(" at line ").unwrap_or(first.len());
    format!("the YAML cannot be read: {}", first[..end].trim_end_matches(':'))
}

struct Reader<'a, 'f> {
    document: &'a Document,
    catalog: &'a OperatorCatalog,
    faults: &'f mut Faults<'a>,
}

impl Reader<'_, '_> {
    fn dag(&mut self) -> Option<Dag> {
        let Value::Object(root) = &self.document.value else {
            self.faults
                .add("", "a DAG file is a mapping with the keys dag and tasks", None);
            return None;
        };
        let mut root = root.clone();
        let tasks = root.remove("tasks");
        let params = root.remove("params");
        let file: DagFile = self.typed("", &Value::Object(root), DagFile::KEYS)?;

        if let Err(reason) = check_id(&file.dag) {
            self.faults.add("/dag", reason, None);
        }
        let timetable = self.timetable(&file);
        let params = self.params(params.as_ref());
        let default_args = file.default_args.unwrap_or_default();
        let tasks = self.tasks(tasks.as_ref(), &default_args);
        let dagrun_timeout = self.duration("/dagrun_timeout", file.dagrun_timeout.as_ref());
        let max_active_runs = file.max_active_runs.unwrap_or(16);
        if max_active_runs == 0 {
            self.faults
                .add("/max_active_runs", "max_active_runs must be at least 1", None);
        }
        let dag = Dag {
            dag_id: file.dag,
            description: file.description,
            tags: file.tags.unwrap_or_default(),
            owner: default_args.owner,
            timetable: timetable?,
            catchup: file.catchup.unwrap_or(false),
            max_active_runs,
            dagrun_timeout,
            params,
            tasks,
        };
        validate::dag(&dag, self.document, self.faults);
        Some(dag)
    }

    /// Reads a mapping into its type. An unknown key, the usual mistake, gets the nearest known one as a hint.
    fn typed<T: for<'de> Deserialize<'de>>(
        &mut self,
        pointer: &str,
        value: &Value,
        keys: &[&str],
    ) -> Option<T> {
        if let Value::Object(mapping) = value {
            let unknown: Vec<&String> = mapping
                .keys()
                .filter(|key| !keys.contains(&key.as_str()))
                .collect();
            for key in &unknown {
                let place = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                self.faults.add(
                    &place,
                    format!("unknown key {key:?}"),
                    Some(did_you_mean(key, keys, KEYS)),
                );
            }
            if !unknown.is_empty() {
                return None;
            }
        }
        match parse_arguments(value) {
            Ok(typed) => Some(typed),
            Err(error) => {
                self.faults.add(
                    &format!("{pointer}{}", error.pointer),
                    plain(&error.pointer, &error.message),
                    None,
                );
                None
            }
        }
    }

    fn timetable(&mut self, file: &DagFile) -> Option<Timetable> {
        let timezone = file.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
        let zone = TimeZone::get(&timezone).unwrap_or_else(|_| {
            let hint = "write an IANA name such as Europe/Madrid".to_owned();
            self.faults.add(
                "/timezone",
                format!("there is no time zone {timezone:?}"),
                Some(hint),
            );
            TimeZone::UTC
        });
        let start_date = self.date("/start_date", file.start_date.as_deref(), &zone);
        let end_date = self.date("/end_date", file.end_date.as_deref(), &zone);
        let text = file.schedule.as_deref().unwrap_or("none");
        let schedule: Schedule = match text.parse() {
            Ok(schedule) => schedule,
            Err(error) => {
                self.faults.add("/schedule", error.to_string(), None);
                return None;
            }
        };
        let timetable = Timetable {
            schedule,
            timezone,
            start_date,
            end_date,
        };
        validate::timetable(&timetable, file.catchup.unwrap_or(false), self.faults);
        Some(timetable)
    }

    fn date(&mut self, pointer: &str, text: Option<&str>, zone: &TimeZone) -> Option<Timestamp> {
        let text = text?;
        let date = parse_date(text, zone);
        if date.is_none() {
            let hint = "write 2025-04-02, 2025-04-02T06:00 or 2025-04-02T06:00:00+02:00".to_owned();
            self.faults
                .add(pointer, format!("{text:?} is not a date"), Some(hint));
        }
        date
    }

    fn duration(&mut self, pointer: &str, written: Option<&WrittenDuration>) -> Option<Duration> {
        let parsed = match written? {
            WrittenDuration::Seconds(seconds) => parse_duration(&seconds.to_string()),
            WrittenDuration::Text(text) => parse_duration(text),
        };
        match parsed {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.faults.add(pointer, message, None);
                None
            }
        }
    }

    fn params(&mut self, params: Option<&Value>) -> IndexMap<String, Param> {
        let mut read = IndexMap::new();
        let mapping = match params {
            None | Some(Value::Null) => return read,
            Some(Value::Object(mapping)) => mapping,
            Some(_) => {
                self.faults.add(
                    "/params",
                    "params is a mapping from a name to a default or to a description",
                    None,
                );
                return read;
            }
        };
        for (name, value) in mapping {
            let pointer = format!("/params/{}", name.replace('~', "~0").replace('/', "~1"));
            let param = match value {
                Value::Object(_) => self.typed::<Param>(&pointer, value, Param::KEYS),
                default => Some(Param {
                    default: Some(default.clone()),
                    ..Param::default()
                }),
            };
            let Some(param) = param else { continue };
            if let Some(Err(reason)) = param.default.as_ref().map(|default| param.check(default)) {
                self.faults.add(
                    &pointer,
                    format!("the default of parameter {name:?} {reason}"),
                    None,
                );
            }
            if param.default.is_none() && !param.required {
                let hint = "give it a default, or say `required: true`".to_owned();
                self.faults
                    .add(&pointer, format!("parameter {name:?} has no default"), Some(hint));
            }
            read.insert(name.clone(), param);
        }
        read
    }

    fn tasks(&mut self, tasks: Option<&Value>, defaults: &DefaultArgs) -> Vec<Task> {
        let Some(Value::Array(tasks)) =
            tasks.filter(|tasks| tasks.as_array().is_some_and(|list| !list.is_empty()))
        else {
            let pointer = if tasks.is_some() { "/tasks" } else { "" };
            self.faults
                .add(pointer, "a DAG has a list of tasks, at least one", None);
            return Vec::new();
        };
        let tasks: Vec<Option<Task>> = tasks
            .iter()
            .enumerate()
            .map(|(index, task)| self.task(index, task, defaults))
            .collect();
        tasks.into_iter().flatten().collect()
    }

    fn task(&mut self, index: usize, value: &Value, defaults: &DefaultArgs) -> Option<Task> {
        let pointer = format!("/tasks/{index}");
        let Value::Object(mapping) = value else {
            self.faults.add(
                &pointer,
                "a task is a mapping with the keys id and one operator",
                None,
            );
            return None;
        };
        let (operator, arguments) = self.operator(&pointer, mapping)?;
        let mut rest = mapping.clone();
        rest.remove(&operator);
        let file: TaskFile = self.typed(&pointer, &Value::Object(rest), TaskFile::KEYS)?;
        if let Err(reason) = check_id(&file.id) {
            self.faults.add(&format!("{pointer}/id"), reason, None);
        }

        let operator_pointer = format!("{pointer}/{operator}");
        self.check_templates(&operator_pointer, &arguments);
        let known = self.catalog.get(&operator)?;
        if let Err(error) = known.check(&arguments) {
            let place = format!("{operator_pointer}{}", error.pointer);
            self.faults.add(
                &place,
                format!("{operator}: {}", plain(&error.pointer, &error.message)),
                None,
            );
        }
        let inherited =
            |own: &Option<WrittenDuration>, key: &str, default: &Option<WrittenDuration>| match own {
                Some(own) => (format!("{pointer}/{key}"), Some(own.clone())),
                None => (format!("/default_args/{key}"), default.clone()),
            };
        let (place, retry_delay) = inherited(&file.retry_delay, "retry_delay", &defaults.retry_delay);
        let retry_delay = self.duration(&place, retry_delay.as_ref());
        let (place, timeout) = inherited(
            &file.execution_timeout,
            "execution_timeout",
            &defaults.execution_timeout,
        );
        let execution_timeout = self.duration(&place, timeout.as_ref());
        Some(Task {
            task_id: file.id,
            description: file.description,
            needs: file.needs.unwrap_or_default(),
            operator,
            arguments,
            retries: file.retries.or(defaults.retries).unwrap_or(0),
            retry_delay: retry_delay.unwrap_or(Duration::from_secs(300)),
            execution_timeout,
            trigger_rule: file.trigger_rule.or(defaults.trigger_rule).unwrap_or_default(),
            argument_lines: self.document.lines_below(&operator_pointer),
        })
    }

    /// Finds the one key of a task that names an operator.
    fn operator(&mut self, pointer: &str, mapping: &Map<String, Value>) -> Option<(String, Value)> {
        let named: Vec<(&String, &Value)> = mapping
            .iter()
            .filter(|(key, _)| !TaskFile::KEYS.contains(&key.as_str()))
            .collect();
        let operators: Vec<&str> = self.catalog.names().collect();
        let unknown: Vec<&&String> = named
            .iter()
            .map(|(key, _)| key)
            .filter(|key| !operators.contains(&key.as_str()))
            .collect();
        let all_keys: Vec<&str> = operators
            .iter()
            .copied()
            .chain(TaskFile::KEYS.iter().copied())
            .collect();
        for key in &unknown {
            let place = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            self.faults.add(
                &place,
                format!("unknown key {key:?}"),
                Some(did_you_mean(key, &all_keys, KEYS)),
            );
        }
        if !unknown.is_empty() {
            return None;
        }
        match named.as_slice() {
            [(operator, arguments)] => Some(((*operator).clone(), (*arguments).clone())),
            [] => {
                let hint = format!("add one of {}", operators.join(", "));
                self.faults.add(pointer, "the task names no operator", Some(hint));
                None
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(key, _)| key.as_str()).collect();
                let place = format!("{pointer}/{}", names[1]);
                let message = format!("the task names {} operators: {}", names.len(), names.join(", "));
                self.faults
                    .add(&place, message, Some("make one task of each".to_owned()));
                None
            }
        }
    }

    fn check_templates(&mut self, pointer: &str, value: &Value) {
        match value {
            Value::String(text) => {
                if let Err(message) = template::check(text) {
                    self.faults
                        .add(pointer, format!("the template cannot be read: {message}"), None);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_templates(&format!("{pointer}/{index}"), item);
                }
            }
            Value::Object(mapping) => {
                for (key, item) in mapping {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.check_templates(&format!("{pointer}/{key}"), item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Reads a date or a time; without an offset it is one of the DAG's zone.
fn parse_date(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = Timestamp::parse_rfc3339(text) {
        return Some(instant);
    }
    let civil: jiff::civil::DateTime = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => date.to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse().ok()?,
    };
    Some(Timestamp::from_millis(
        civil.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond(),
    ))
}

fn check_id(id: &str) -> Result<(), String> {
    let fits = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if id.is_empty() || id.chars().count() > LONGEST_ID || !id.chars().all(fits) || id.starts_with('.') {
        return Err(format!(
            "{id:?} cannot be a name: use up to {LONGEST_ID} letters, digits, dashes, dots and underscores, not a dot first"
        ));
    }
    Ok(())
}

/// Says what serde says about the value at `pointer` in the words of a DAG file.
fn plain(pointer: &str, message: &str) -> String {
    let message = message
        .replace("missing field", "missing key")
        .replace("unknown field", "unknown key")
        .replace("expected u32", "expected a whole number")
        .replace("expected a string", "expected a text");
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|kinds| kinds.split_once(", expected "))
    else {
        return message;
    };
    // An item of a list has no name, its list has.
    let key = pointer
        .rsplit('/')
        .find(|part| !part.is_empty() && part.parse::<usize>().is_err());
    match key {
        Some(key) => format!("{key}: expected {expected}, found {found}"),
        None => format!("expected {expected}, found {found}"),
    }
}

/// Names the nearest of some words, or all of them.
pub(crate) fn did_you_mean(word: &str, known: &[&str], what: &str) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min();
    match nearest {
        Some((distance, candidate)) if distance <= 2.max(word.chars().count() * 3 / 5) => {
            format!("did you mean {candidate}?")
        }
        _ => format!("{what} are {}", known.join(", ")),
    }
}

/// The number of letters to insert, delete or change to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
