//! `fragua doctor`: tries every connection between the parts, and says what to do about each broken one.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use fragua_base::{Endpoints, SystemClock};
use fragua_database::Database;
use futures::future::join_all;
use serde::Serialize;

use super::{Common, output};
use crate::app;
use crate::databases::{Component, Databases, default_url, in_project, sqlite_file};
use crate::project::{Project, user};
use crate::settings::Loaded;
use crate::surface::Surface;
use crate::{http, roles};

/// Options of `fragua doctor`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// One connection that was tried.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at, such as `tracking` or `database of tracking`.
    name: String,
    ok: bool,
    /// What was done.
    tried: String,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    /// Makes a check of the result; `fix` is what to do if it failed.
    fn of<E: Display>(
        name: impl Into<String>,
        tried: String,
        result: Result<(), E>,
        fix: impl Into<String>,
    ) -> Self {
        let problem = result.err().map(|error| error.to_string());
        Self {
            name: name.into(),
            ok: problem.is_none(),
            tried,
            fix: problem.is_some().then(|| fix.into()),
            problem,
        }
    }

    /// What the first start makes, which is still to come.
    fn to_come(name: impl Into<String>) -> Self {
        let tried = "is made at the first start".to_owned();
        Self::of(name, tried, Ok::<(), String>(()), "")
    }

    fn line(&self) -> String {
        let Self { name, tried, .. } = self;
        match (&self.problem, &self.fix) {
            (Some(problem), Some(fix)) => format!("FAIL  {name:<26} {tried}: {problem}; fix: {fix}"),
            _ => format!("ok    {name:<26} {tried}"),
        }
    }
}

/// Runs every check and prints a line for each. The status is 1 when one failed.
///
/// # Errors
/// When a setting is wrong or the project's folder cannot be opened.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let loaded = common.load()?;
    let project = Project::open_to_read(&loaded.project)?;
    let patient = Patient {
        loaded: &loaded,
        project: &project,
    };
    let mut checks = patient.roles().await?;
    checks.extend(patient.databases().await);
    checks.push(patient.warehouse().await);
    checks.push(patient.objects().await);
    let all_ok = checks.iter().all(|check| check.ok);
    if options.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            output::line(&check.line())?;
        }
    }
    if project.is_scratch() {
        eprintln!(
            "note: this project was never started: its own databases and objects are made at the first start"
        );
    }
    for notice in &loaded.notices {
        eprintln!("note: {notice}");
    }
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Patient<'a> {
    loaded: &'a Loaded,
    project: &'a Project,
}

impl Patient<'_> {
    /// Returns whether the first start makes what a setting names, and is still to come.
    fn is_to_come(&self, setting: &str) -> bool {
        self.project.is_scratch() && self.loaded.origin(setting).is_default()
    }

    /// Every port of the roles that this project should have, and the servers in the place of some.
    async fn roles(&self) -> anyhow::Result<Vec<Check>> {
        let expected = roles::chosen(self.loaded, &BTreeSet::new());
        let running = self.project.live_endpoints()?;
        let client = http::client()?;
        let own = Surface::ALL
            .into_iter()
            .filter(|surface| expected.contains(&surface.role()))
            .map(|surface| self.role(surface, running.clone(), &client));
        let mut checks = join_all(own).await;
        if self.loaded.uses_other_tracking() {
            checks.push(self.other_tracking(&client).await);
        }
        Ok(checks)
    }

    async fn role(&self, surface: Surface, mut running: Endpoints, client: &reqwest::Client) -> Check {
        let settings = &self.loaded.settings;
        let started = surface.address_in(&mut running).take();
        let is_started = started.is_some();
        let address = started.unwrap_or_else(|| {
            let address = std::net::SocketAddr::new(settings.server.bind, surface.port(settings));
            format!("http://{address}")
        });
        let url = format!("{address}{}", surface.health_path());
        let folder = self.project.folder().display();
        let setting = surface.setting();
        let (from, mut fix) = match is_started {
            true => (
                self.project.endpoints_path().display().to_string(),
                format!(
                    "the process runs but does not answer: end it and start it again with `fragua up --project {folder}`"
                ),
            ),
            false => (
                format!("{setting}, {}", self.loaded.origin(&setting)),
                format!("start it with `fragua up --project {folder}`"),
            ),
        };
        let result = http::expect_ok(client, &url).await;
        let result = match (is_started, result) {
            // Something answers there, but it is not this project's.
            (false, Ok(())) => {
                fix.push_str(", with --ports auto beside the other");
                Err("another project's role answers there, this one is not started".to_owned())
            }
            (_, result) => result,
        };
        Check::of(surface.name(), format!("GET {url} ({from})"), result, fix)
    }

    async fn other_tracking(&self, client: &reqwest::Client) -> Check {
        let uri = self.loaded.settings.tracking.uri.as_ref();
        let (url, shown) = uri.map_or_else(Default::default, |uri| (uri.expose().to_owned(), uri.shown()));
        let origin = self.loaded.origin("tracking.uri");
        let result = http::expect_ok(client, &format!("{url}/health")).await;
        Check::of(
            "tracking (other server)",
            format!("GET {shown}/health (tracking.uri, {origin})"),
            result,
            "start that MLflow server, or take tracking.uri away to use the role tracking",
        )
    }

    async fn databases(&self) -> Vec<Check> {
        let databases = Databases::new(self.loaded, self.project);
        let databases = &databases;
        let uses_other = |component| match component {
            Component::Tracking => self.loaded.uses_other_tracking(),
            Component::Storage => self.loaded.uses_other_storage(),
            Component::Auth | Component::Orchestrator | Component::Serving => false,
        };
        let components = Component::ALL
            .into_iter()
            .filter(|component| !uses_other(*component));
        join_all(components.map(|component| async move {
            let setting = databases.setting(component);
            let origin = self.loaded.origin(setting);
            let name = format!("database of {}", component.name());
            if self.is_to_come(setting) {
                return Check::to_come(name);
            }
            match databases.open(component).await {
                Ok(database) => Check::of(
                    name,
                    format!("write to {} ({setting}, {origin})", database.describe()),
                    database.ping_write().await,
                    database_fix(&databases.url(component), setting),
                ),
                Err(error) => Check::of(
                    name,
                    format!("open the database of {setting} ({origin})"),
                    Err::<(), _>(innermost(&error)),
                    database_fix(&databases.url(component), setting),
                ),
            }
        }))
        .await
    }

    /// The table of rows that loads write to and training reads.
    async fn warehouse(&self) -> Check {
        const NAME: &str = "connection warehouse";
        const SETTING: &str = "connections.warehouse.url";
        if self.is_to_come(SETTING) {
            return Check::to_come(NAME);
        }
        let connection = self.loaded.settings.connections.get("warehouse");
        let url = match connection.and_then(|connection| connection.url.as_ref()) {
            Some(url) => in_project(url.expose(), self.project.folder()),
            None => default_url(self.project, "warehouse"),
        };
        let origin = self.loaded.origin(SETTING);
        let fix = database_fix(&url, SETTING);
        match Database::open(&url, SETTING).await {
            Ok(database) => Check::of(
                NAME,
                format!("write to {} ({SETTING}, {origin})", database.describe()),
                database.ping_write().await,
                fix,
            ),
            Err(error) => Check::of(
                NAME,
                format!("open the database of {SETTING} ({origin})"),
                Err::<(), _>(error),
                fix,
            ),
        }
    }

    async fn objects(&self) -> Check {
        const NAME: &str = "object store";
        if self.is_to_come("storage.root") && !self.loaded.uses_other_storage() {
            return Check::to_come(NAME);
        }
        let (key, place) = match (
            &self.loaded.settings.storage.endpoint,
            self.loaded.uses_other_storage(),
        ) {
            (Some(endpoint), true) => ("storage.endpoint", endpoint.shown()),
            _ => {
                let root = self.project.path(&self.loaded.settings.storage.root);
                ("storage.root", root.display().to_string())
            }
        };
        let origin = self.loaded.origin(key);
        let result = match app::open_storage(self.loaded, self.project, Arc::new(SystemClock)).await {
            Ok(storage) => storage.check_writable().await.map_err(|error| error.to_string()),
            Err(error) => Err(innermost(&error)),
        };
        Check::of(
            NAME,
            format!("write an object to {place} ({key}, {origin})"),
            result,
            format!("make the place writable and reachable, or name another one in {key}"),
        )
    }
}

/// Returns what to do about a database that cannot be opened or written.
fn database_fix(url: &str, setting: &str) -> String {
    match sqlite_file(url) {
        Some(file) => format!(
            "let the user {} write the file {} and its folder, or name another one in {setting}",
            user().unwrap_or_default(),
            file.display()
        ),
        None => format!("start that database and let its user write, or name another one in {setting}"),
    }
}

/// Returns the cause at the bottom, which is the one to mend.
fn innermost(error: &anyhow::Error) -> String {
    error.root_cause().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_tried_and_the_fix_only_when_it_failed() {
        let fine = Check::of("app", "GET x".to_owned(), Ok::<(), String>(()), "start it");
        assert_eq!(fine.line(), "ok    app                        GET x");
        let broken = Check::of("app", "GET x".to_owned(), Err("connection refused"), "start it");
        assert_eq!(
            broken.line(),
            "FAIL  app                        GET x: connection refused; fix: start it"
        );
    }
}
