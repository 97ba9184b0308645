//! Texts that a DAG file keeps in files of their own: `report.sql` in place of a statement, as Airflow's template files.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::parse::LARGEST_FILE_BYTES;

/// Where template files are looked for, with those that were looked at.
#[derive(Debug, Default)]
pub(crate) struct TemplateFiles {
    /// The folder of DAG files, which they must be in; where there is none, that of the DAG file.
    root: PathBuf,
    /// The folder of the DAG file.
    beside: PathBuf,
    pub(crate) seen: Vec<PathBuf>,
}

impl TemplateFiles {
    /// Looks beside a DAG file, then in the folder of DAG files.
    pub(crate) fn of(root: Option<&Path>, path: &Path) -> Self {
        let folder = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let beside = match root {
            Some(root) => folder(&root.join(path)),
            None => folder(path),
        };
        Self {
            root: root.map_or_else(|| beside.clone(), Path::to_owned),
            beside,
            seen: Vec::new(),
        }
    }

    /// Returns whether a text is the name of a template file: one word that ends as such names do.
    pub(crate) fn is_name(text: &str, endings: &[&str]) -> bool {
        let ends = endings
            .iter()
            .any(|ending| text.len() > ending.len() && text.ends_with(ending));
        ends && !text.contains(|character: char| character.is_whitespace() || "{;|&$`'\"".contains(character))
    }

    /// Reads a template file, or says in words why it cannot be.
    pub(crate) fn read(&mut self, name: &str) -> Result<String, String> {
        let is_inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(format!(
                "the template file {name:?} is not in the folder of DAG files"
            ));
        }
        for folder in [&self.beside, &self.root] {
            let path = folder.join(name);
            if !self.seen.contains(&path) {
                self.seen.push(path.clone());
            }
            match self.read_inside(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("the template file {name:?} cannot be read: {error}")),
                Ok(text) => return Ok(text),
            }
        }
        Err(format!("there is no template file {name:?}"))
    }

    fn read_inside(&self, path: &Path) -> std::io::Result<String> {
        // Where links lead is what counts.
        let root = match self.root.as_os_str().is_empty() {
            true => fs::canonicalize(".")?,
            false => fs::canonicalize(&self.root)?,
        };
        let real = fs::canonicalize(path)?;
        if !real.starts_with(root) {
            return Err(std::io::Error::other("it leads out of the folder of DAG files"));
        }
        let length = fs::metadata(&real)?.len();
        if length > LARGEST_FILE_BYTES {
            let message = format!("it has {length} bytes, more than {LARGEST_FILE_BYTES}");
            return Err(std::io::Error::other(message));
        }
        fs::read_to_string(real)
    }
}
