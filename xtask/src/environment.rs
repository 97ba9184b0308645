//! What the tests run against, and the variables that tell them where it is.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::server::{Kind, MARIADB, POSTGRES, Server, program, text};
use crate::{packages, python};

/// Redis, without a file on disk.
const REDIS: Kind = Kind {
    name: "Redis",
    user: "redis",
    prepare: |_, _| Ok(()),
    command: |folder, port| {
        let program = text(&program("redis-server", &["/usr/bin"])?);
        let folder = folder.display();
        let settings = format!("--bind 127.0.0.1 --port {port} --dir {folder} --appendonly no");
        let settings = settings.split(' ').map(str::to_owned);
        Ok([program]
            .into_iter()
            .chain(settings)
            .chain(["--save".to_owned(), String::new()])
            .collect())
    },
    ready: "Ready to accept connections",
    signal: "KILL",
    url: |port| format!("redis://127.0.0.1:{port}"),
};

/// Running servers; they stop when this is dropped or the process ends.
pub(crate) struct Environment {
    variables: Vec<(&'static str, String)>,
    _servers: Vec<Server>,
}

impl Environment {
    /// Installs what is missing and starts one server of each kind.
    pub(crate) fn start() -> Result<Self> {
        packages::install(packages::TESTS)?;
        let mut variables = vec![
            ("FRAGUA_TEST_PYTHON", text(&python::environment(python::CLIENTS)?)),
            (
                "FRAGUA_TEST_PYTHON_MLFLOW_2",
                text(&python::environment(python::MLFLOW_2)?),
            ),
            (
                "FRAGUA_TEST_PYTHON_CONVERTERS",
                text(&python::environment(python::CONVERTERS)?),
            ),
            (
                "FRAGUA_TEST_PYTHON_AIRFLOW",
                text(&python::environment(python::AIRFLOW)?),
            ),
            (
                "FRAGUA_TEST_PYTHON_SCHEMATHESIS",
                text(&python::environment(python::SCHEMATHESIS)?),
            ),
            ("FRAGUA_TEST_PYTHON_S3", text(&python::environment(python::S3)?)),
            ("FRAGUA_TEST_CHROMIUM", found("chromium")?),
            ("FRAGUA_TEST_CHROMEDRIVER", found("chromedriver")?),
        ];
        let kinds = [
            ("FRAGUA_TEST_POSTGRES_URL", POSTGRES),
            ("FRAGUA_TEST_MARIADB_URL", MARIADB),
            ("FRAGUA_TEST_REDIS_URL", REDIS),
        ];
        let mut servers = Vec::new();
        for (variable, kind) in &kinds {
            let server = Server::start(kind).map_err(|reason| anyhow!(reason))?;
            variables.push((variable, server.url.clone()));
            servers.push(server);
        }
        Ok(Self {
            variables,
            _servers: servers,
        })
    }

    /// Returns the variables by which the tests find everything.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

fn found(name: &str) -> Result<String> {
    let path = program(name, &["/usr/bin"]).map_err(|reason| anyhow!(reason))?;
    Ok(text(Path::new(&path)))
}
