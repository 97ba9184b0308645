//! Which database each part uses: its own by URL, the shared one by URL, or a SQLite file under `.fragua/`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use fragua_base::Secret;
use fragua_database::Database;
use futures::future::join_all;
use tokio::sync::{Mutex, OnceCell};

use crate::project::Project;
use crate::settings::{Loaded, Origin};

/// A part that keeps its state in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Auth,
    Storage,
    Tracking,
    Orchestrator,
    Serving,
}

impl Component {
    /// Every part with a database.
    pub(crate) const ALL: [Self; 5] = [
        Self::Auth,
        Self::Storage,
        Self::Tracking,
        Self::Orchestrator,
        Self::Serving,
    ];

    /// Returns the part's name, which is the stem of its SQLite file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Storage => "storage",
            Self::Tracking => "tracking",
            Self::Orchestrator => "orchestrator",
            Self::Serving => "serving",
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Self::Auth => "auth.database_url",
            Self::Storage => "storage.database_url",
            Self::Tracking => "tracking.database_url",
            Self::Orchestrator => "orchestrator.database_url",
            Self::Serving => "serving.database_url",
        }
    }

    fn own_url(self, loaded: &Loaded) -> Option<&Secret> {
        let settings = &loaded.settings;
        match self {
            Self::Auth => settings.auth.database_url.as_ref(),
            Self::Storage => settings.storage.database_url.as_ref(),
            Self::Tracking => settings.tracking.database_url.as_ref(),
            Self::Orchestrator => settings.orchestrator.database_url.as_ref(),
            Self::Serving => settings.serving.database_url.as_ref(),
        }
    }
}

/// Opens the databases of a project, each one once however many parts share it.
pub(crate) struct Databases<'a> {
    loaded: &'a Loaded,
    project: &'a Project,
    opened: Mutex<HashMap<String, Arc<OnceCell<Database>>>>,
}

impl<'a> Databases<'a> {
    /// Opens nothing yet.
    pub(crate) fn new(loaded: &'a Loaded, project: &'a Project) -> Self {
        Self {
            loaded,
            project,
            opened: Mutex::default(),
        }
    }

    /// Returns the key of the setting that decides about a part's database.
    pub(crate) fn setting(&self, component: Component) -> &'static str {
        let shared = self.loaded.settings.database.url.is_some();
        match component.own_url(self.loaded) {
            None if shared => "database.url",
            _ => component.setting(),
        }
    }

    /// Returns the URL of a part's database.
    pub(crate) fn url(&self, component: Component) -> String {
        let shared = self.loaded.settings.database.url.as_ref();
        let given = component.own_url(self.loaded).or(shared);
        let given = given.map(|url| in_project(url.expose(), self.project.folder()));
        // Reading makes no file.
        let is_there = |url: &String| !self.project.is_scratch() || sqlite_file(url).is_none_or(Path::exists);
        given
            .filter(is_there)
            .unwrap_or_else(|| default_url(self.project, component.name()))
    }

    /// Opens the database of a part.
    ///
    /// # Errors
    /// Names the setting and where it was given.
    pub(crate) async fn open(&self, component: Component) -> anyhow::Result<Database> {
        let setting = self.setting(component);
        let url = self.url(component);
        let origin = self.loaded.origin(setting);
        let cell = Arc::clone(self.opened.lock().await.entry(url.clone()).or_default());
        let database = cell
            .get_or_try_init(|| open(&url, setting, origin))
            .await
            .with_context(|| match origin {
                origin if origin.is_default() => {
                    format!("the database of {} cannot be opened", component.name())
                }
                origin => format!(
                    "the database of {} cannot be opened ({setting} comes from: {origin})",
                    component.name()
                ),
            })?;
        Ok(database.clone())
    }

    /// Returns every database opened so far.
    pub(crate) async fn opened(&self) -> Vec<Database> {
        let opened = self.opened.lock().await;
        opened.values().filter_map(|cell| cell.get().cloned()).collect()
    }
}

/// Opens a database, and tells when that made a file that a setting names: its path may be mistyped.
async fn open(url: &str, setting: &'static str, origin: &Origin) -> Result<Database, fragua_database::Error> {
    let is_new = !origin.is_default() && sqlite_file(url).is_some_and(|file| !file.exists());
    let database = Database::open(url, setting).await?;
    if is_new {
        tracing::info!(
            "made a new database at {} ({setting} comes from: {origin})",
            database.describe()
        );
    }
    Ok(database)
}

/// Returns the file that a URL made by [`in_project`] names.
pub(crate) fn sqlite_file(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?;
    Some(Path::new(path.split('?').next().unwrap_or(path)))
}

/// Closes databases; SQLite folds what was written into the file.
pub(crate) async fn close(databases: Vec<Database>) {
    join_all(databases.iter().map(Database::close)).await;
}

/// Returns the URL of a SQLite file under `.fragua/`.
pub(crate) fn default_url(project: &Project, name: &str) -> String {
    fragua_database::sqlite_url(&project.state_folder().join(format!("{name}.db")))
}

/// Returns the URL with a relative path of SQLite made absolute: `sqlite:a.db`, and SQLAlchemy's `sqlite:///a.db`,
/// start at the project's folder, wherever the program was started.
pub(crate) fn in_project(url: &str, folder: &Path) -> String {
    let Some((scheme, path)) = url.split_once(':') else {
        return url.to_owned();
    };
    if scheme.split('+').next() != Some("sqlite") {
        return url.to_owned();
    }
    let path = match path.strip_prefix("///") {
        Some(path) => path,
        None => path,
    };
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    if path.is_empty() || path.starts_with(":memory:") {
        return url.to_owned();
    }
    let absolute = folder.join(path);
    match query {
        Some(query) => format!("sqlite:{}?{query}", absolute.display()),
        None => format!("sqlite:{}", absolute.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_project() {
        let check = |url: &str, expected: &str| {
            assert_eq!(in_project(url, Path::new("/project")), expected, "{url}");
        };
        check("sqlite:a.db", "sqlite:/project/a.db");
        check("sqlite:///a.db", "sqlite:/project/a.db");
        check("sqlite:////data/a.db", "sqlite:/data/a.db");
        check("sqlite:/data/a.db", "sqlite:/data/a.db");
        check("sqlite:a.db?mode=ro", "sqlite:/project/a.db?mode=ro");
        check("sqlite::memory:", "sqlite::memory:");
        check("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d");
    }
}
