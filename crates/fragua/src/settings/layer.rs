//! A layer of settings: values by key, each with the place it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

/// Where a value was given, in the words a person needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The reference compiled into the program.
    Default,
    /// A line of a TOML file.
    File { path: PathBuf, line: usize },
    /// A line of a `.env` file.
    DotEnv {
        path: PathBuf,
        line: usize,
        name: String,
    },
    /// A variable of the environment.
    Environment { name: String },
    /// An option of the command line.
    CommandLine { option: String },
    /// A file named by a variable that ends in `_FILE`.
    SecretFile { path: PathBuf, named_by: Box<Origin> },
}

impl Origin {
    /// Returns whether a person chose the value.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", shown(path)),
            Self::DotEnv { path, line, name } => {
                write!(formatter, "{name} in {}:{line}", shown(path))
            }
            Self::Environment { name } => write!(formatter, "environment variable {name}"),
            Self::CommandLine { option } => write!(formatter, "command line, {option}"),
            Self::SecretFile { path, named_by } => {
                write!(formatter, "{}, named by {named_by}", path.display())
            }
        }
    }
}

/// Drops a leading `./`, which says nothing.
fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(".").unwrap_or(path).display()
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// Values by dotted key, such as `serving.port`.
pub(crate) type Layer = BTreeMap<String, Entry>;
