//! From the text of a DAG file to a [`Dag`], with every error at its line.

use std::path::Path;
use std::time::Duration;

use fragua_base::Timestamp;
use indexmap::IndexMap;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::asset::check_asset;
use super::callback::{WrittenDeadline, WrittenNotifiers};
use super::duration::parse_duration;
use super::file::{DagFile, DefaultArgs, TaskFile, TaskSettings, WrittenBackoff, WrittenDuration};
use super::groups::{Entries, Entry};
use super::node::{self, Document};
use super::template_file::TemplateFiles;
use super::{
    Callbacks, DEFAULT_POOL, DEFAULT_QUEUE, Dag, Deadline, ImportError, Notifier, Param, Placement, Schedule,
    Task, Timetable, TriggerRule, expand, validate,
};
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
    parse_with(path, bytes, catalog, &mut TemplateFiles::of(None, path))
}

/// As [`parse`], with template files from a folder.
pub(crate) fn parse_with(
    path: &Path,
    bytes: &[u8],
    catalog: &OperatorCatalog,
    template_files: &mut TemplateFiles,
) -> Result<Dag, Vec<ImportError>> {
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
        template_files,
    }
    .dag();
    match dag {
        Some(dag) if faults.errors.is_empty() => Ok(dag),
        _ => {
            let mut errors = faults.errors;
            errors.sort_by_key(|error| (error.line, error.column));
            errors.dedup();
            Err(errors)
        }
    }
}

/// The library ends some messages with the place, which we tell apart.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let end = first.find(" at line ").unwrap_or(first.len());
    let what = first[..end].trim_end_matches(':');
    // The usual cause: `bash: echo "a: b"`.
    let quote = match what.contains("mapping values are not allowed") {
        true => " (put a text that has a colon and a space in it between single quotes)",
        false => "",
    };
    format!("the YAML cannot be read: {what}{quote}")
}

/// What `default_args` say.
#[derive(Debug, Default)]
struct Defaults {
    owner: Option<String>,
    settings: Map<String, Value>,
}

/// Takes some keys of a mapping apart from the others.
fn split(mapping: Map<String, Value>, keys: &[&str]) -> (Map<String, Value>, Map<String, Value>) {
    mapping
        .into_iter()
        .partition(|(key, _)| keys.contains(&key.as_str()))
}

struct Reader<'a, 'f> {
    document: &'a Document,
    catalog: &'a OperatorCatalog,
    faults: &'f mut Faults<'a>,
    template_files: &'f mut TemplateFiles,
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
        let default_args = root.remove("default_args");
        let known = [DagFile::KEYS, DagFile::PARTS].concat();
        let file: DagFile = self.typed("", &Value::Object(root), &known)?;

        if let Err(reason) = check_id(&file.dag) {
            self.faults.add("/dag", reason, None);
        }
        let timetable = self.timetable(&file);
        let params = self.params(params.as_ref());
        let defaults = self.default_args(default_args.as_ref());
        let dagrun_timeout = self.duration("/dagrun_timeout", file.dagrun_timeout.as_ref());
        let max_active_runs = self.at_least_one("/max_active_runs", file.max_active_runs, 16);
        let max_active_tasks = self.at_least_one("/max_active_tasks", file.max_active_tasks, 16);
        let callbacks = Callbacks {
            on_failure: notifiers(file.on_failure_callback.as_ref()),
            on_success: notifiers(file.on_success_callback.as_ref()),
            deadline: self.deadline("/deadline", file.deadline.as_ref()),
            ..Callbacks::default()
        };
        let mut entries = Entries::default();
        match tasks
            .as_ref()
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
        {
            Some(list) => entries.collect(list, "/tasks", (None, None), self.faults),
            None => {
                let pointer = if tasks.is_some() { "/tasks" } else { "" };
                self.faults
                    .add(pointer, "a DAG has a list of tasks, at least one", None);
            }
        }
        let mut needs = entries.needs(self.faults);
        let all_known = needs.is_some();
        let mut read = Vec::new();
        for entry in &entries.tasks {
            let needs = needs.as_mut().zip(entry.task_id.as_ref());
            let needs = needs.and_then(|(needs, task_id)| needs.get(task_id).cloned());
            // The number of an instance is written behind its name.
            let longest = if entry.mapped.is_some() || entry.mapping.contains_key("expand") {
                LONGEST_ID - 10
            } else {
                LONGEST_ID
            };
            if let Some(task_id) = entry
                .task_id
                .as_ref()
                .filter(|task_id| task_id.chars().count() > longest)
            {
                let message = format!("{task_id:?}, with its groups, is longer than {longest} characters");
                self.faults.add(&format!("{}/id", entry.pointer), message, None);
            }
            let task = self.task(entry, &defaults);
            read.extend(task.map(|task| Task {
                task_id: entry.task_id.clone().unwrap_or(task.task_id),
                needs: needs.unwrap_or_default(),
                ..task
            }));
        }
        let places = entries.places();
        let dag = Dag {
            dag_id: file.dag,
            description: file.description,
            tags: file.tags.unwrap_or_default(),
            owner: defaults.owner,
            timetable: timetable?,
            catchup: file.catchup.unwrap_or(false),
            max_active_runs,
            max_active_tasks,
            dagrun_timeout,
            params,
            assets: file.schedule.and_then(|schedule| schedule.assets),
            fail_fast: file.fail_fast.unwrap_or(false),
            max_consecutive_failed_dag_runs: file.max_consecutive_failed_dag_runs.filter(|most| *most > 0),
            callbacks,
            tasks: read,
            groups: entries.into_groups(),
        };
        validate::dag(&dag, &places, all_known, self.document, self.faults);
        Some(dag)
    }

    fn default_args(&mut self, written: Option<&Value>) -> Defaults {
        let mapping = match written {
            None | Some(Value::Null) => return Defaults::default(),
            Some(Value::Object(mapping)) => mapping.clone(),
            Some(_) => {
                self.faults
                    .add("/default_args", "default_args is a mapping", None);
                return Defaults::default();
            }
        };
        let (settings, rest) = split(mapping, TaskSettings::KEYS);
        let known = [DefaultArgs::KEYS, TaskSettings::KEYS].concat();
        let own: Option<DefaultArgs> = self.typed("/default_args", &Value::Object(rest), &known);
        Defaults {
            owner: own.and_then(|own| own.owner),
            settings,
        }
    }

    fn at_least_one(&mut self, pointer: &str, written: Option<u32>, otherwise: u32) -> u32 {
        if written == Some(0) {
            let key = pointer.rsplit('/').next().unwrap_or_default();
            self.faults
                .add(pointer, format!("{key} must be at least 1"), None);
        }
        written.unwrap_or(otherwise)
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
        let text = file
            .schedule
            .as_ref()
            .and_then(|schedule| schedule.time.as_deref());
        let text = text.unwrap_or("none");
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
            ticks: file.timetable.unwrap_or_default(),
        };
        let max_active_runs = file.max_active_runs.unwrap_or(16);
        validate::timetable(
            &timetable,
            file.catchup.unwrap_or(false),
            max_active_runs,
            self.faults,
        );
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

    fn deadline(&mut self, pointer: &str, written: Option<&WrittenDeadline>) -> Option<Deadline> {
        let written = written?;
        let interval = self.duration(&format!("{pointer}/interval"), Some(&written.interval))?;
        Some(Deadline {
            reference: written.reference,
            interval,
            callback: written.callback.0.clone(),
        })
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

    fn task(&mut self, entry: &Entry<'_>, defaults: &Defaults) -> Option<Task> {
        let (pointer, mapping) = (entry.pointer.as_str(), entry.mapping);
        let (operator, mut arguments) = self.operator(pointer, mapping)?;
        let mut rest = mapping.clone();
        rest.remove(&operator);
        let (own, rest) = split(rest, TaskSettings::KEYS);
        let file: TaskFile = self.typed(pointer, &Value::Object(rest), TaskFile::KEYS)?;
        if let Err(reason) = check_id(&file.id) {
            self.faults.add(&format!("{pointer}/id"), reason, None);
        }
        let expand = match (&entry.mapped, file.expand) {
            (Some(_), Some(_)) => {
                let hint = Some("put the lists together at the group".to_owned());
                let message = "a task in a group that is made several instances of cannot be, too";
                self.faults.add(&format!("{pointer}/expand"), message, hint);
                None
            }
            (Some(group), None) => Some(group.expand.clone()),
            (None, own) => own,
        };
        if let Some(expand) = &expand {
            let pointer = format!("{pointer}/expand");
            self.check_templates(&pointer, expand);
            if let Err(message) = expand::check(expand) {
                self.faults.add(&pointer, message, None);
            }
        }
        for (index, asset) in file.outlets.iter().flatten().enumerate() {
            if let Err(message) = check_asset(asset) {
                self.faults
                    .add(&format!("{pointer}/outlets/{index}"), message, None);
            }
        }
        if let Some(template) = &file.map_index_template {
            let pointer = format!("{pointer}/map_index_template");
            self.check_templates(&pointer, &Value::from(template.as_str()));
            if expand.is_none() {
                let hint = Some("add expand, or remove it".to_owned());
                let message = "map_index_template names the instances that expand makes";
                self.faults.add(&pointer, message, hint);
            }
        }
        let operator_pointer = format!("{pointer}/{operator}");
        let known = self.catalog.get(&operator)?;
        self.read_template_files(&operator_pointer, &mut arguments, known.template_ext());
        self.check_templates(&operator_pointer, &arguments);
        if let Err(error) = known.check(&arguments) {
            let place = format!("{operator_pointer}{}", error.pointer);
            self.faults.add(
                &place,
                format!("{operator}: {}", plain(&error.pointer, &error.message)),
                None,
            );
        }
        let mut task = Task::new(file.id, operator, arguments);
        task.description = file.description;
        // As written; what they stand for is found when all names are known.
        task.needs = file.needs.unwrap_or_default();
        task.expand = expand;
        task.mapped_group = entry.mapped.as_ref().map(|group| group.group_id.clone());
        task.map_index_template = file.map_index_template;
        task.outlets = file.outlets.unwrap_or_default();
        task.argument_lines = self.document.lines_below(&operator_pointer);
        (task.setup, task.teardown) = (file.setup.unwrap_or(false), file.teardown.unwrap_or(false));
        if task.setup && task.teardown {
            let hint = "make one task of each".to_owned();
            let message = "a task cannot be setup and teardown at once";
            self.faults
                .add(&format!("{pointer}/teardown"), message, Some(hint));
        }
        self.settings(pointer, own, defaults, &mut task)?;
        Some(task)
    }

    /// Reads what a task says about itself, over what `default_args` say.
    fn settings(
        &mut self,
        pointer: &str,
        own: Map<String, Value>,
        defaults: &Defaults,
        task: &mut Task,
    ) -> Option<()> {
        let place = |key: &str| match own.contains_key(key) || !defaults.settings.contains_key(key) {
            true => format!("{pointer}/{key}"),
            false => format!("/default_args/{key}"),
        };
        let places: Vec<String> = TaskSettings::KEYS.iter().map(|key| place(key)).collect();
        let place = |key: &str| {
            let position = TaskSettings::KEYS.iter().position(|known| *known == key);
            places[position.unwrap_or_default()].clone()
        };
        // What is wrong with a default is told once, at its place.
        let inherited: TaskSettings = self.typed(
            "/default_args",
            &Value::Object(defaults.settings.clone()),
            TaskSettings::KEYS,
        )?;
        let written: TaskSettings = self.typed(pointer, &Value::Object(own), TaskSettings::KEYS)?;
        let written = written.over(inherited);

        if let Some(delay) = self.duration(&place("retry_delay"), written.retry_delay.as_ref()) {
            task.retry_delay = delay;
        }
        task.max_retry_delay = self.duration(&place("max_retry_delay"), written.max_retry_delay.as_ref());
        task.execution_timeout =
            self.duration(&place("execution_timeout"), written.execution_timeout.as_ref());
        task.retries = written.retries.unwrap_or(0);
        task.retry_exponential_backoff = match written.retry_exponential_backoff {
            None | Some(WrittenBackoff::Flag(false)) => None,
            Some(WrittenBackoff::Flag(true)) => Some(2.0),
            Some(WrittenBackoff::Multiplier(multiplier)) if multiplier >= 1.0 => Some(multiplier),
            Some(WrittenBackoff::Multiplier(_)) => {
                let hint = "write true for 2, or a number such as 1.5".to_owned();
                let message = "retry_exponential_backoff must be at least 1";
                self.faults
                    .add(&place("retry_exponential_backoff"), message, Some(hint));
                None
            }
        };
        task.trigger_rule = written.trigger_rule.unwrap_or(match task.teardown {
            true => TriggerRule::AllDoneSetupSuccess,
            false => TriggerRule::AllSuccess,
        });
        task.wait_for_downstream = written.wait_for_downstream.unwrap_or(false);
        task.depends_on_past = written.depends_on_past.unwrap_or(false) || task.wait_for_downstream;
        task.keeps_xcom = !written.do_xcom_push.unwrap_or(true);
        task.multiple_outputs = written.multiple_outputs.unwrap_or(false);
        task.callbacks = Callbacks {
            on_failure: notifiers(written.on_failure_callback.as_ref()),
            on_retry: notifiers(written.on_retry_callback.as_ref()),
            on_success: notifiers(written.on_success_callback.as_ref()),
            on_skipped: notifiers(written.on_skipped_callback.as_ref()),
            deadline: self.deadline(&place("deadline"), written.deadline.as_ref()),
        };
        if let Some(email) = written.email {
            let email = Notifier::Email(email);
            for (wanted, told) in [
                (written.email_on_failure, &mut task.callbacks.on_failure),
                (written.email_on_retry, &mut task.callbacks.on_retry),
            ] {
                if wanted.unwrap_or(true) && !told.contains(&email) {
                    told.push(email.clone());
                }
            }
        }
        for (key, name) in [("pool", &written.pool), ("queue", &written.queue)] {
            if let Some(Err(reason)) = name.as_deref().map(check_id) {
                self.faults.add(&place(key), reason, None);
            }
        }
        let mut limit = |key: &str, written: Option<u32>| {
            written.map(|limit| self.at_least_one(&place(key), Some(limit), limit))
        };
        task.placement = Placement {
            pool: written.pool.unwrap_or_else(|| DEFAULT_POOL.to_owned()),
            pool_slots: limit("pool_slots", written.pool_slots).unwrap_or(1),
            priority_weight: written.priority_weight.unwrap_or(1),
            weight_rule: written.weight_rule.unwrap_or_default(),
            queue: written.queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            max_active_tis_per_dag: limit("max_active_tis_per_dag", written.max_active_tis_per_dag),
            max_active_tis_per_dagrun: limit("max_active_tis_per_dagrun", written.max_active_tis_per_dagrun),
        };
        Some(())
    }

    /// Finds the one key of a task that names an operator.
    fn operator(&mut self, pointer: &str, mapping: &Map<String, Value>) -> Option<(String, Value)> {
        let named: Vec<(&String, &Value)> = mapping
            .iter()
            .filter(|(key, _)| !TaskFile::KEYS.contains(&key.as_str()))
            .filter(|(key, _)| !TaskSettings::KEYS.contains(&key.as_str()))
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
            .chain(TaskSettings::KEYS.iter().copied())
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

    /// Puts the text of template files where their names stand.
    fn read_template_files(&mut self, pointer: &str, value: &mut Value, endings: &[&str]) {
        match value {
            Value::String(text) if TemplateFiles::is_name(text, endings) => {
                match self.template_files.read(text) {
                    Ok(content) => *text = content,
                    Err(message) => {
                        let hint =
                            "put it beside the DAG file; what is no template file needs a space".to_owned();
                        self.faults.add(pointer, message, Some(hint));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.read_template_files(&format!("{pointer}/{index}"), item, endings);
                }
            }
            Value::Object(mapping) => {
                for (key, item) in mapping {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.read_template_files(&format!("{pointer}/{key}"), item, endings);
                }
            }
            _ => {}
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

fn notifiers(written: Option<&WrittenNotifiers>) -> Vec<Notifier> {
    written.map(|written| written.0.clone()).unwrap_or_default()
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

pub(super) fn check_id(id: &str) -> Result<(), String> {
    let fits = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if id.is_empty() || id.chars().count() > LONGEST_ID || !id.chars().all(fits) || id.starts_with('.') {
        return Err(format!(
            "{id:?} cannot be a name: use up to {LONGEST_ID} letters, digits, dashes, dots and underscores, not a dot first"
        ));
    }
    Ok(())
}

/// Says what serde says about the value at `pointer` in the words of a DAG file.
pub(crate) fn plain(pointer: &str, message: &str) -> String {
    let message = message
        .replace("missing field", "missing key")
        .replace("unknown field", "unknown key")
        .replace("expected u32", "expected a whole number")
        .replace("expected usize", "expected a whole number")
        .replace("expected u64", "expected a whole number")
        .replace("expected f64", "expected a number")
        .replace("expected a string", "expected a text")
        .replace("expected a sequence", "expected a list such as [a, b]");
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
    match nearest(word, known) {
        Some(candidate) => format!("did you mean {candidate}?"),
        None => {
            // Such as `bash_command`, where `bash` is enough.
            let is_begun = |candidate: &&&str| {
                word.strip_prefix(**candidate)
                    .is_some_and(|rest| rest.starts_with('_'))
            };
            match known.iter().find(is_begun) {
                Some(begun) => format!("did you mean {begun}?"),
                None => format!("{what} are {}", known.join(", ")),
            }
        }
    }
}

/// Returns the nearest of some words if it is near.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, candidate) = known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min()?;
    let begins_alike = candidate.chars().next() == word.chars().next();
    let is_near = distance <= 2 || (begins_alike && distance <= word.chars().count() * 3 / 5);
    is_near.then_some(candidate)
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
