//! Settings: what the user decided, from five places, each value with its origin.
//!
//! `default.toml` is the reference; every layer above it is read into [`layer::Layer`], checked against
//! the reference, laid one over the other and then read into [`Settings`].

mod environment;
mod error;
mod file;
mod foreign;
mod layer;
mod peers;
mod schema;
mod sections;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

pub(crate) use error::{Error, Problem};
pub(crate) use foreign::Notice;
pub(crate) use layer::{Entry, Layer, Origin};
use schema::NAMED;
pub(crate) use schema::{DEFAULTS, is_secret};
pub(crate) use sections::{
    Executor, LogFilter, LogFormat, LogSettings, ObjectWebhookSettings, Role, Settings, SmtpSettings,
};

use environment::Variables;
use schema::Schema;

/// Name of the project's settings file.
pub(crate) const FILE_NAME: &str = "fragua.toml";

/// Where settings are read from, apart from the project's folder.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The environment of the process.
    environment: Variables,
    /// Keys and values given on the command line, with the option that gave each.
    command_line: Vec<(String, String, String)>,
}

impl Sources {
    /// Reads the environment of the process. Variables that are not Unicode cannot be settings and are left out.
    pub(crate) fn process() -> Self {
        let pairs = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_pairs(pairs)
    }

    /// Takes `pairs` for the environment.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            environment: environment::from_pairs(pairs),
            command_line: Vec::new(),
        }
    }

    /// Adds a value that the command line gave with `option`.
    pub(crate) fn command_line(mut self, key: &str, value: &str, option: &str) -> Self {
        self.command_line
            .push((key.to_owned(), value.to_owned(), option.to_owned()));
        self
    }
}

/// Settings as they were loaded, with where each came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values; many, and every command holds them while it waits.
    pub(crate) settings: Box<Settings>,
    /// Every entry by key.
    pub(crate) entries: Layer,
    /// What should be told about foreign names.
    pub(crate) notices: Vec<Notice>,
    /// The folder of the project, as given.
    pub(crate) project: PathBuf,
}

impl Loaded {
    /// Returns where the value of `key` was given.
    pub(crate) fn origin(&self, key: &str) -> &Origin {
        self.entries
            .get(key)
            .map_or(&Origin::Default, |entry| &entry.origin)
    }

    /// Returns whether the project's folder has the settings file that makes it one.
    pub(crate) fn has_file(&self) -> bool {
        self.project.join(FILE_NAME).is_file()
    }

    /// Returns the project's folder, absolute if it is there.
    pub(crate) fn folder(&self) -> PathBuf {
        std::fs::canonicalize(&self.project).unwrap_or_else(|_| self.project.clone())
    }

    /// Returns what the project is called: as settings say, else as its folder.
    pub(crate) fn project_name(&self) -> String {
        let folder = || {
            let folder = std::fs::canonicalize(&self.project).ok()?;
            Some(folder.file_name()?.to_string_lossy().into_owned())
        };
        self.settings
            .project
            .name
            .clone()
            .or_else(folder)
            .unwrap_or_default()
    }
}

/// Loads the settings of the project in the folder `project`.
///
/// # Errors
/// Names every wrong key with the place it was given at.
pub(crate) fn load(project: &Path, sources: &Sources) -> Result<Loaded, Error> {
    let schema = Schema::builtin();
    let mut stack = Stack {
        schema: &schema,
        entries: schema.defaults().clone(),
        problems: Vec::new(),
        notices: Vec::new(),
    };
    match file::read(&project.join(FILE_NAME)) {
        Ok(layer) => stack.lay(layer),
        Err(problem) => stack.problems.push(problem),
    }
    match environment::read_dot_env(&project.join(".env")) {
        Ok(variables) => stack.lay_variables(&variables),
        Err(problem) => stack.problems.push(problem),
    }
    stack.lay_variables(&sources.environment);
    for (key, value, option) in &sources.command_line {
        let entry = Entry {
            value: Value::String(value.clone()),
            origin: Origin::CommandLine {
                option: option.clone(),
            },
        };
        stack.lay(Layer::from([(key.clone(), entry)]));
    }
    stack.finish(project)
}

/// The layers laid so far.
struct Stack<'a> {
    schema: &'a Schema,
    entries: Layer,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl Stack<'_> {
    fn lay_variables(&mut self, variables: &Variables) {
        let translated = environment::translate(variables, self.schema);
        self.problems.extend(translated.problems);
        self.notices.extend(translated.notices);
        self.lay(translated.layer);
    }

    fn lay(&mut self, layer: Layer) {
        for (key, entry) in layer {
            match self.schema.check(&key, entry) {
                Ok(entry) => {
                    self.entries.insert(key, entry);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn finish(mut self, project: &Path) -> Result<Loaded, Error> {
        // The checked layers are read even when a key was wrong, so that one start tells everything.
        let settings = read(&self.entries).map_err(|problem| self.problems.push(problem));
        match settings {
            Ok(settings) if self.problems.is_empty() => Ok(Loaded {
                settings: Box::new(settings),
                entries: self.entries,
                notices: self.notices,
                project: project.to_owned(),
            }),
            _ => Err(Error {
                problems: self.problems,
            }),
        }
    }
}

/// Reads the entries into the typed settings.
fn read(entries: &Layer) -> Result<Settings, Problem> {
    let tree = Value::Table(tree(entries));
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let path = error.path().to_string();
        // The path stops at the key, or inside its list: `server.roles[1]`.
        let key = path.split('[').next().unwrap_or(&path).to_owned();
        let origin = entries
            .get(&key)
            .map_or(Origin::Default, |entry| entry.origin.clone());
        let message = error.into_inner().message().to_owned();
        Problem::BadValue { key, origin, message }
    })
}

/// Makes a tree of dotted keys. Names that people choose may hold dots, so they are put in whole.
fn tree(entries: &Layer) -> Table {
    let mut root = Table::new();
    for (key, entry) in entries {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let is_named = NAMED.iter().any(|(named, _)| *named == section);
        let mut table = table_in(&mut root, section);
        let mut field = name;
        if let Some((id, of_id)) = name.rsplit_once('.').filter(|_| is_named) {
            table = table.and_then(|table| table_in(table, id));
            field = of_id;
        }
        if let Some(table) = table {
            table.insert(field.to_owned(), entry.value.clone());
        }
    }
    for section in NAMED.iter().map(|(named, _)| *named).chain(["variables"]) {
        root.entry(section).or_insert_with(|| Value::Table(Table::new()));
    }
    root
}

fn table_in<'a>(table: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    table
        .entry(name)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
}

/// Returns what `fragua settings` lists: key, value as it may be shown, origin.
pub(crate) fn listed(loaded: &Loaded) -> BTreeMap<&str, (String, &Origin)> {
    let shown = |key: &str, value: &Value| match value {
        Value::String(text) if text.is_empty() => String::new(),
        _ if is_secret(key) => "***".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    loaded
        .entries
        .iter()
        .map(|(key, entry)| (key.as_str(), (shown(key, &entry.value), &entry.origin)))
        .collect()
}

#[cfg(test)]
mod tests;
