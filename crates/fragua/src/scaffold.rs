//! Example projects, compiled into the program.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rust_embed::RustEmbed;

use crate::settings::FILE_NAME;

#[derive(RustEmbed)]
#[folder = "../../examples/covertype"]
#[exclude = ".fragua/*"]
#[exclude = ".env"]
#[exclude = "logs/*"]
struct Covertype;

/// What a project needs, and one DAG to begin with.
#[derive(RustEmbed)]
#[folder = "../../examples/empty"]
#[exclude = ".fragua/*"]
#[exclude = ".env"]
#[exclude = "logs/*"]
struct Empty;

/// An example project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Example {
    /// Forest cover types: load rows, train, predict.
    Covertype,
    /// No example: settings and one small DAG.
    None,
}

impl Example {
    /// Returns every file: its path in the project and its content.
    fn files(self) -> Vec<(String, Cow<'static, [u8]>)> {
        match self {
            Self::Covertype => embedded::<Covertype>(),
            Self::None => embedded::<Empty>(),
        }
    }
}

fn embedded<Files: RustEmbed>() -> Vec<(String, Cow<'static, [u8]>)> {
    let files = Files::iter().filter_map(|path| {
        let file = Files::get(&path)?;
        Some((path.into_owned(), file.data))
    });
    files.collect()
}

/// What happens to files that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing is written when one of them exists.
    Refuse,
    /// They are replaced.
    Replace,
    /// They are kept as they are.
    Keep,
}

/// Writes the files of an example into `folder` and returns the paths written.
///
/// # Errors
/// When a file exists and `existing` refuses that, or when one cannot be written.
pub(crate) fn write(example: Example, folder: &Path, existing: Existing) -> anyhow::Result<Vec<PathBuf>> {
    let files = example.files();
    let is_there = |path: &str| folder.join(path).exists();
    if existing == Existing::Refuse {
        let there: Vec<&str> = files
            .iter()
            .map(|(path, _)| path.as_str())
            .filter(|path| is_there(path))
            .collect();
        if let [first, others @ ..] = there.as_slice() {
            let others = match others.len() {
                0 => String::new(),
                count => format!(" and {count} more files"),
            };
            anyhow::bail!(
                "{} already has {first}{others}: give another folder, or --force to replace them",
                folder.display()
            );
        }
    }
    let mut written = Vec::new();
    for (path, content) in files {
        if existing == Existing::Keep && is_there(&path) {
            continue;
        }
        let target = folder.join(&path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        fs::write(&target, content).with_context(|| format!("{} cannot be written", target.display()))?;
        written.push(target);
    }
    Ok(written)
}

/// Returns whether a folder holds a project.
pub(crate) fn is_project(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn an_example_is_a_whole_project() {
        let folder = TempDir::new().unwrap();
        let written = write(Example::Covertype, &folder.path().join("new"), Existing::Refuse).unwrap();
        assert!(is_project(&folder.path().join("new")));
        for name in [
            "dags/data_loading_dag.yaml",
            "dags/model_training_dag.yaml",
            "dags/data_clearing_dag.yaml",
        ] {
            assert!(written.contains(&folder.path().join("new").join(name)), "{name}");
        }
        assert!(!written.iter().any(|path| path.ends_with(".env")));
    }

    #[test]
    fn without_an_example_a_project_has_settings_and_one_dag_alone() {
        let folder = TempDir::new().unwrap();
        let written = write(Example::None, folder.path(), Existing::Refuse).unwrap();
        let expected = ["dags/hello_dag.yaml", FILE_NAME].map(|name| folder.path().join(name));
        assert_eq!(written, expected);
    }

    #[test]
    fn existing_files_are_refused_replaced_or_kept() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(FILE_NAME);
        fs::write(&file, "mine").unwrap();
        let error = write(Example::Covertype, folder.path(), Existing::Refuse).unwrap_err();
        assert!(error.to_string().contains("already has fragua.toml"), "{error}");
        assert!(!folder.path().join("dags").exists(), "nothing is written then");
        write(Example::Covertype, folder.path(), Existing::Keep).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert!(folder.path().join("dags/data_loading_dag.yaml").exists());
        write(Example::Covertype, folder.path(), Existing::Replace).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
