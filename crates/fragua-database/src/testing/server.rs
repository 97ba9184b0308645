//! Private database servers for tests: a temporary folder, a free port of the loopback interface, gone with the
//! process that started them.
//!
//! This file uses the standard library alone, because `xtask` includes it too.

use std::fs::{self, DirBuilder};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take to say that it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often another port is tried when somebody took the free one first.
const ATTEMPTS: u32 = 5;

/// Runs the server in its arguments after the folder and the signal, until standard input ends: the process that
/// started it closed it or died, however it died. Then it stops the server and removes the folder.
const LIFELINE: &str = r#"
folder=$1 signal=$2
shift 2
"$@" </dev/null >&2 &
server=$!
exec >/dev/null 2>&1
read -r _
kill -s "$signal" "$server"
wait "$server"
cd /
rm -rf "$folder"
"#;

/// A running server, stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where an administrator without a password logs in.
    pub(crate) url: String,
    lifeline: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.stdin.take());
        let _ = self.lifeline.wait();
    }
}

/// How to start one kind of server.
pub(crate) struct Kind {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The user it runs as when we are root; `nobody` where the system has none of that name.
    pub(crate) user: &'static str,
    /// Fills the folder, before the first start.
    pub(crate) prepare: fn(&Path, &Account) -> Result<(), String>,
    /// Returns the program and its arguments.
    pub(crate) command: fn(&Path, u16) -> Result<Vec<String>, String>,
    /// What it prints once it takes connections.
    pub(crate) ready: &'static str,
    /// The signal that stops it at once.
    pub(crate) signal: &'static str,
    /// Returns the administrator's URL.
    pub(crate) url: fn(u16) -> String,
}

/// PostgreSQL, of any version that the system has.
pub(crate) const POSTGRES: Kind = Kind {
    name: "PostgreSQL",
    user: "postgres",
    prepare: |folder, account| {
        let initdb = postgres_program("initdb")?;
        let data = folder.join("data");
        let arguments = [
            "--username=fragua",
            "--auth-local=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let mut command = Command::new(initdb);
        command.arg("--pgdata").arg(&data).args(arguments);
        account.run(&mut command, folder)?;
        // Tests of refused logins need users with a password.
        let access = "host all fragua 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), access)
            .map_err(|error| format!("cannot write pg_hba.conf: {error}"))
    },
    command: |folder, port| {
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "shared_buffers=32MB".to_owned(),
            "max_connections=500".to_owned(),
            "lc_messages=C".to_owned(),
        ];
        let program = text(&postgres_program("postgres")?);
        let start = [program, "-D".to_owned(), text(&folder.join("data"))];
        Ok(start
            .into_iter()
            .chain(
                settings
                    .into_iter()
                    .flat_map(|setting| ["-c".to_owned(), setting]),
            )
            .collect())
    },
    ready: "database system is ready to accept connections",
    signal: "QUIT",
    url: |port| format!("postgresql://fragua@127.0.0.1:{port}/postgres"),
};

/// MariaDB, with the collation that Debian gives it.
pub(crate) const MARIADB: Kind = Kind {
    name: "MariaDB",
    user: "mysql",
    prepare: |folder, account| {
        // Anonymous users would be found before named ones.
        let init = "DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n";
        fs::write(folder.join("init.sql"), init)
            .map_err(|error| format!("cannot write init.sql: {error}"))?;
        let mut command = Command::new(program("mariadb-install-db", &["/usr/bin"])?);
        command.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        command.arg(format!("--datadir={}", folder.join("data").display()));
        account.run(&mut command, folder)
    },
    command: |folder, port| {
        let program = program("mariadbd", &["/usr/sbin", "/usr/libexec"])?;
        Ok(vec![
            text(&program),
            "--no-defaults".to_owned(),
            format!("--datadir={}", folder.join("data").display()),
            format!("--init-file={}", folder.join("init.sql").display()),
            format!("--socket={}", folder.join("socket").display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--tmpdir={}", folder.display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--character-set-server=utf8mb4".to_owned(),
            "--collation-server=utf8mb4_general_ci".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--skip-log-bin".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-doublewrite=0".to_owned(),
            "--innodb-buffer-pool-size=64M".to_owned(),
            "--innodb-log-file-size=32M".to_owned(),
            "--max-connections=500".to_owned(),
        ])
    },
    ready: "ready for connections",
    signal: "KILL",
    url: |port| format!("mysql://root@127.0.0.1:{port}/mysql"),
};

impl Server {
    /// Starts a server of this kind and waits until it takes connections.
    ///
    /// # Errors
    /// What is missing on this system, or what the server printed before it gave up.
    pub(crate) fn start(kind: &Kind) -> Result<Self, String> {
        let account = Account::for_server(kind.user);
        let mut last_output = String::new();
        for _ in 0..ATTEMPTS {
            let folder = new_folder(&account)?;
            (kind.prepare)(&folder, &account).inspect_err(|_| {
                let _ = fs::remove_dir_all(&folder);
            })?;
            let port = free_port()?;
            match Self::start_in(kind, &folder, port, &account)? {
                Started::Ready(server) => return Ok(server),
                Started::GaveUp(output) => last_output = output,
            }
        }
        Err(format!("{} does not start:\n{last_output}", kind.name))
    }

    fn start_in(kind: &Kind, folder: &Path, port: u16, account: &Account) -> Result<Started, String> {
        let server = (kind.command)(folder, port)?;
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", LIFELINE, "lifeline"])
            .arg(folder)
            .arg(kind.signal)
            .args(server);
        // A process group of its own: Ctrl-C ends the tests, and the lifeline then ends the server.
        shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        account.apply(&mut shell, folder);
        let mut lifeline = shell
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", kind.name))?;
        let output = lifeline.stderr.take().expect("standard error is piped");
        let server = Self {
            url: (kind.url)(port),
            lifeline,
        };

        let (lines, heard) = mpsc::channel();
        std::thread::spawn(move || {
            // Goes on to the end, so that a full pipe never stops the server.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut printed = String::new();
        loop {
            match heard.recv_timeout(START_TIMEOUT) {
                Ok(line) if line.contains(kind.ready) => return Ok(Started::Ready(server)),
                Ok(line) => printed = printed + &line + "\n",
                Err(_) => return Ok(Started::GaveUp(printed)),
            }
        }
    }
}

enum Started {
    Ready(Server),
    GaveUp(String),
}

/// Who runs a server: PostgreSQL and MariaDB refuse to be root.
pub(crate) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    fn for_server(user: &str) -> Self {
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        Self {
            ids: is_root.then(|| {
                ids_of(user)
                    .or_else(|| ids_of("nobody"))
                    .unwrap_or((65534, 65534))
            }),
        }
    }

    fn apply(&self, command: &mut Command, folder: &Path) {
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("LC_ALL", "C.UTF-8");
    }

    fn run(&self, command: &mut Command, folder: &Path) -> Result<(), String> {
        self.apply(command, folder);
        let program = text(Path::new(command.get_program()));
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        Err(format!("{program} failed with {status}:\n{stdout}{stderr}"))
    }
}

fn ids_of(user: &str) -> Option<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let fields: Vec<&str> = accounts
        .lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields[0] == user)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn new_folder(account: &Account) -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("fragua-server-{}-{count}", std::process::id()));
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    if let Some((user, group)) = account.ids {
        let given = chown(&folder, Some(user), Some(group));
        given.map_err(|error| format!("cannot give away {}: {error}", folder.display()))?;
    }
    Ok(folder)
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(|error| format!("no free port: {error}"))?.port())
}

/// Debian keeps PostgreSQL's programs out of the path, by version; the newest is taken.
fn postgres_program(name: &str) -> Result<PathBuf, String> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort();
    let folders: Vec<String> = versions
        .into_iter()
        .rev()
        .map(|(_, folder)| text(&folder))
        .collect();
    program(name, &folders.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Finds a program in the path or in `folders`.
pub(crate) fn program(name: &str, folders: &[&str]) -> Result<PathBuf, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut candidates = folders
        .iter()
        .copied()
        .chain(path.split(':'))
        .map(|folder| Path::new(folder).join(name));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("{name} is not installed; `cargo xtask test` installs what the tests need"))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
