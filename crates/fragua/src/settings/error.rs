//! What can be wrong with settings.

use std::fmt;
use std::path::PathBuf;

use super::layer::Origin;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// A file that cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: String },
    /// A file that is not written in its language.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    /// A key that nothing reads.
    #[error("{key} ({origin}): there is no such setting{}", hint(.suggestion))]
    UnknownKey {
        key: String,
        origin: Origin,
        suggestion: Option<String>,
    },
    /// A value that its key cannot take.
    #[error("{key} ({origin}): {message}")]
    BadValue {
        key: String,
        origin: Origin,
        message: String,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|key| format!("; did you mean {key}?"))
        .unwrap_or_default()
}

/// Everything that is wrong with the settings, so that one start tells all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) problems: Vec<Problem>,
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(formatter, "bad setting {problem}"),
            problems => {
                write!(formatter, "{} bad settings", problems.len())?;
                for problem in problems {
                    write!(formatter, "\n  {problem}")?;
                }
                Ok(())
            }
        }
    }
}
