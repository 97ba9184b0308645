//! The Debian packages that the tests and the benches need.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// What `cargo xtask test` needs.
pub(crate) const TESTS: &[&str] = &[
    "chromium",
    "chromium-driver",
    "fonts-liberation",
    "mariadb-server",
    "postgresql",
    "python3-venv",
    "rclone",
    "redis-server",
    "s3cmd",
];

/// Installs quietly. Servers of packages that come now are not started, and one that a person keeps running is not
/// touched: `policy-rc.d` is what Debian asks before it starts a service.
const INSTALL: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update --quiet -o Acquire::Retries=3
apt-get install --quiet --quiet --yes -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
"#;

/// Installs those of the packages that are missing, as root or through `sudo`.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if find("dpkg-query").is_none() {
        eprintln!(
            "This is no Debian system: {} have to be there already.",
            packages.join(", ")
        );
        return Ok(());
    }
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("Installing {} …", missing.join(", "));
    let status = as_root(&missing)?
        .args(["sh", "-c", INSTALL, "install"])
        .args(&missing)
        .stdin(Stdio::null())
        // Standard output may be read by a program.
        .stdout(std::io::stderr())
        .status()
        .context("cannot run apt-get")?;
    ensure!(
        status.success(),
        "cannot install {}: apt-get failed with {status}",
        missing.join(", ")
    );
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let status = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Status}", package])
        .output();
    status.is_ok_and(|output| output.stdout == b"install ok installed")
}

/// Returns the beginning of a command line that runs the rest as root, to install what is missing.
fn as_root(missing: &[&str]) -> Result<Command> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root {
        return Ok(Command::new("env"));
    }
    if find("sudo").is_none() {
        bail!(
            "packages are missing, and installing them takes root or sudo: {}",
            missing.join(", ")
        );
    }
    let mut command = Command::new("sudo");
    command.arg("--non-interactive");
    Ok(command)
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    crate::server::program(program, &["/usr/bin"]).ok()
}
