//! The stores, each with an empty folder of its own on the same disk and the same keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bench::process::{self, Running, free_ports, output, status_of};
use crate::{packages, server};

/// What every store is told that its keys are; Garage asks for this form.
pub(super) const ACCESS_KEY: &str = "GK6672616775612d62656e63";
pub(super) const SECRET_KEY: &str = "6672616775612d62656e63682d6e6f742d612d7365637265742d6f662d616e79";
pub(super) const BUCKET: &str = "bench";

/// Who keeps the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Fragua,
    Seaweed,
    Garage,
    /// Serves files that lie there: the most that reading can give.
    Nginx,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fragua => "Fragua",
            Self::Seaweed => "SeaweedFS",
            Self::Garage => "Garage",
            Self::Nginx => "nginx",
        }
    }

    pub(super) fn region(self) -> &'static str {
        match self {
            Self::Garage => "garage",
            _ => "us-east-1",
        }
    }
}

/// Where the programs are.
pub(super) struct Programs {
    pub(super) fragua: PathBuf,
    /// The interpreter beside which `weed` lies.
    pub(super) python: PathBuf,
    pub(super) garage: Option<PathBuf>,
}

/// A store that answers.
pub(super) struct Server {
    pub(super) side: Side,
    pub(super) running: Running,
    pub(super) address: String,
    /// Where its requests lie, and its data.
    pub(super) folder: PathBuf,
}

impl Programs {
    /// Starts a store and waits until it answers.
    pub(super) fn start(&self, side: Side, folder: &Path) -> Result<Server> {
        let folder = folder.join(side.name());
        fs::create_dir_all(folder.join("data"))?;
        let (running, address) = match side {
            Side::Fragua => self.fragua(&folder),
            Side::Seaweed => self.seaweed(&folder),
            Side::Garage => self.garage(&folder),
            Side::Nginx => nginx(&folder),
        }
        .with_context(|| format!("starting {}", side.name()))?;
        Ok(Server {
            side,
            running,
            address,
            folder,
        })
    }

    fn fragua(&self, folder: &Path) -> Result<(Running, String)> {
        let settings =
            format!("[storage]\naccess_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n");
        fs::write(folder.join("fragua.toml"), settings)?;
        let endpoints = folder.join(".fragua/endpoints.json");
        let mut command = Command::new(&self.fragua);
        command.arg("up").arg("--project").arg(folder);
        command.args(["--roles", "storage", "--ports", "auto"]);
        start("fragua", command, || {
            let addresses: Value = serde_json::from_slice(&fs::read(&endpoints).ok()?).ok()?;
            addresses["storage"].as_str().map(str::to_owned)
        })
    }

    fn seaweed(&self, folder: &Path) -> Result<(Running, String)> {
        let ports = free_ports::<9>()?;
        let identity = json!({
            "name": "bench",
            "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        });
        let config = folder.join("identities.json");
        fs::write(&config, json!({ "identities": [identity] }).to_string())?;
        let weed = self.python.with_file_name("weed");
        let mut command = Command::new(weed);
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-volume.max=0",
        ]);
        command.arg(format!("-dir={}", folder.join("data").display()));
        command.arg(format!("-s3.config={}", config.display()));
        let names = [
            "s3.port",
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.iceberg",
        ];
        command.args(
            names
                .iter()
                .zip(&ports)
                .map(|(name, port)| format!("-{name}={port}")),
        );
        command.current_dir(folder);
        let address = format!("http://127.0.0.1:{}", ports[0]);
        start("weed", command, || Some(address.clone()))
    }

    fn garage(&self, folder: &Path) -> Result<(Running, String)> {
        let program = self.garage.as_ref().context("it was not built")?;
        let ports = free_ports::<3>()?;
        let data = folder.join("data");
        let settings = format!(
            "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"lmdb\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{}\"\nrpc_public_addr = \"127.0.0.1:{}\"\nrpc_secret = \"{SECRET_KEY}\"\n\
             [s3_api]\ns3_region = \"{}\"\napi_bind_addr = \"127.0.0.1:{}\"\nroot_domain = \".s3.garage\"\n\
             [admin]\napi_bind_addr = \"127.0.0.1:{}\"\n",
            data.join("meta"),
            data.join("blocks"),
            ports[0],
            ports[0],
            Side::Garage.region(),
            ports[1],
            ports[2],
        );
        let config = folder.join("garage.toml");
        fs::write(&config, settings)?;
        let garage = |arguments: &[&str]| -> Result<String> {
            let mut command = Command::new(program);
            command.arg("-c").arg(&config).args(arguments);
            output(&mut command).with_context(|| arguments.join(" "))
        };
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).arg("server");
        let address = format!("http://127.0.0.1:{}", ports[1]);
        // It answers before it may store anything: the node has to be given a place first.
        let (running, address) = start("garage", command, || Some(address.clone()))?;
        let node = garage(&["node", "id", "-q"])?;
        let node = node.trim().split('@').next().unwrap_or_default();
        garage(&["layout", "assign", "-z", "dc1", "-c", "50G", node])?;
        garage(&["layout", "apply", "--version", "1"])?;
        garage(&["key", "import", "--yes", "-n", BUCKET, ACCESS_KEY, SECRET_KEY])?;
        garage(&["key", "allow", "--create-bucket", ACCESS_KEY])?;
        Ok((running, address))
    }
}

fn nginx(folder: &Path) -> Result<(Running, String)> {
    packages::install(&["nginx-light"])?;
    let program = server::program("nginx", &["/usr/sbin"]).map_err(anyhow::Error::msg)?;
    let [port] = free_ports()?;
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "daemon off; worker_processes 2; pid {pid}; error_log {errors}; events {{ worker_connections 256; }}\n\
         http {{ access_log off; sendfile on; tcp_nodelay on; open_file_cache max=10000; keepalive_requests 1000000;\n\
         client_body_temp_path {temporary}; proxy_temp_path {temporary}; fastcgi_temp_path {temporary};\n\
         uwsgi_temp_path {temporary}; scgi_temp_path {temporary};\n\
         server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n",
        pid = at("pid"),
        errors = at("errors"),
        temporary = at("temporary"),
        root = at("data"),
    );
    let config = folder.join("nginx.conf");
    fs::write(&config, settings)?;
    let mut command = Command::new(program);
    command.arg("-e").arg(at("errors")).arg("-c").arg(&config);
    let address = format!("http://127.0.0.1:{port}");
    start("nginx", command, || Some(address.clone()))
}

fn start(
    name: &'static str,
    command: Command,
    address: impl Fn() -> Option<String>,
) -> Result<(Running, String)> {
    let answering = || {
        let address = address()?;
        status_of(&address, "/").is_ok().then_some(address)
    };
    let (running, address, _) = process::start(name, command, answering)?;
    Ok((running, address))
}
