//! Which database a URL names.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// A database URL, understood.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// Query parameters that the PostgreSQL driver understands; others, such as psycopg2's own, are left out.
const POSTGRES_PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Query parameters of MySQL drivers and the names that ours gives them.
const MYSQL_PARAMETERS: &[(&str, &str)] = &[
    ("ssl-mode", "ssl-mode"),
    ("ssl_mode", "ssl-mode"),
    ("sslmode", "ssl-mode"),
    ("ssl-ca", "ssl-ca"),
    ("ssl_ca", "ssl-ca"),
    ("ssl-cert", "ssl-cert"),
    ("ssl_cert", "ssl-cert"),
    ("ssl-key", "ssl-key"),
    ("ssl_key", "ssl-key"),
    ("socket", "socket"),
    ("unix_socket", "socket"),
];

/// Returns the URL of the SQLite file at `path`, to be given to [`Database::open`](crate::Database::open).
pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

impl Address {
    /// Understands `url`.
    ///
    /// # Errors
    /// The reason, which never repeats the URL because that may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let url = url.trim();
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(format!("is not a URL; {KNOWN_FORMS}"));
        };
        let dialect = scheme
            .split_once('+')
            .map_or(scheme, |(dialect, _driver)| dialect);
        match dialect.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest).map(Self::Sqlite),
            "postgres" | "postgresql" => postgres(rest),
            "mysql" | "mariadb" => mysql(rest),
            other => Err(format!(
                "names the database `{other}`, which this program cannot use; {KNOWN_FORMS}"
            )),
        }
    }

    /// Returns the address as people may see it: user, host and database, no password, no parameters.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Sqlite(path) => sqlite_url(path),
            Self::Postgres(options) => public(
                "postgresql",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database(),
            ),
            Self::MySql(options) => public(
                "mysql",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database(),
            ),
        }
    }
}

const KNOWN_FORMS: &str =
    "write sqlite:FILE, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE";

fn public(scheme: &str, user: &str, host: &str, port: u16, database: Option<&str>) -> String {
    format!("{scheme}://{user}@{host}:{port}/{}", database.unwrap_or_default())
}

/// SQLAlchemy writes `sqlite:///relative` and `sqlite:////absolute`; without slashes the rest is the path itself.
fn sqlite(rest: &str) -> Result<PathBuf, String> {
    let path = match rest.strip_prefix("//") {
        Some("" | "/") => "",
        Some(after_host) => after_host.strip_prefix('/').ok_or(
            "names a host, and SQLite has none; write sqlite:///relative/path or sqlite:////absolute/path",
        )?,
        None => rest,
    };
    let path = path.split_once('?').map_or(path, |(path, _parameters)| path);
    if path.is_empty() || path == ":memory:" || path.starts_with("file:") {
        return Err("does not name a file; data must outlive the process, so write sqlite:FILE".to_owned());
    }
    Ok(PathBuf::from(path))
}

fn postgres(rest: &str) -> Result<Address, String> {
    let mut url = server_url("postgres", rest)?;
    keep_parameters(&mut url, |name| {
        POSTGRES_PARAMETERS.contains(&name).then(|| name.to_owned())
    });
    let options = PgConnectOptions::from_url(&url).map_err(|error| format!("is not usable: {error}"))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err("does not name a database; add /DATABASE at its end".to_owned());
    }
    Ok(Address::Postgres(Box::new(options.application_name("fragua"))))
}

fn mysql(rest: &str) -> Result<Address, String> {
    let mut url = server_url("mysql", rest)?;
    keep_parameters(&mut url, |name| {
        MYSQL_PARAMETERS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, ours)| (*ours).to_owned())
    });
    let options = MySqlConnectOptions::from_url(&url).map_err(|error| format!("is not usable: {error}"))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err("does not name a database; add /DATABASE at its end".to_owned());
    }
    // Clients' `charset` parameters are often `utf8`, which is three bytes a character in MySQL.
    Ok(Address::MySql(Box::new(options.charset("utf8mb4"))))
}

fn server_url(scheme: &str, rest: &str) -> Result<Url, String> {
    if !rest.starts_with("//") {
        return Err(format!("lacks the two slashes after the scheme; {KNOWN_FORMS}"));
    }
    Url::from_str(&format!("{scheme}:{rest}")).map_err(|error| {
        format!(
            "is not a URL ({error}); in the password write / as %2F, # as %23, ? as %3F, % as %25, @ as %40"
        )
    })
}

fn keep_parameters(url: &mut Url, name_here: impl Fn(&str) -> Option<String>) {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter_map(|(name, value)| name_here(&name).map(|name| (name, value.into_owned())))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let found =
            Address::parse(url).map_or_else(|reason| format!("error: {reason}"), |address| address.public());
        assert!(
            found.starts_with(expected),
            "{url}: expected {expected}, found {found}"
        );
    }

    #[test]
    fn sqlite_paths() {
        check("sqlite:data.db", "sqlite:data.db");
        check("sqlite:/var/lib/data.db", "sqlite:/var/lib/data.db");
        check("sqlite:///mlflow.db", "sqlite:mlflow.db");
        check("sqlite:////var/lib/mlflow.db", "sqlite:/var/lib/mlflow.db");
        check(
            "sqlite+pysqlite:////tmp/x.db?check_same_thread=false",
            "sqlite:/tmp/x.db",
        );
        check("sqlite://x.db", "error: names a host");
        for memory in [
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite::memory:",
            "sqlite:///:memory:",
            "sqlite:file:x",
        ] {
            check(memory, "error: does not name a file");
        }
        let path = Path::new("/tmp/a folder/ñ.db");
        check(&sqlite_url(path), "sqlite:/tmp/a folder/ñ.db");
    }

    #[test]
    fn server_urls() {
        check(
            "postgresql+psycopg2://airflow:airflow@db/airflow",
            "postgresql://airflow@db:5432/airflow",
        );
        check(
            "postgres://u:p%40ss%2F@10.0.0.1:6000/x?sslmode=disable&gssencmode=disable",
            "postgresql://u@10.0.0.1:6000/x",
        );
        check("POSTGRESQL://u@h/x", "postgresql://u@h:5432/x");
        check(
            "mysql+pymysql://root:p@ss@db:3307/mlflow?charset=utf8",
            "mysql://root@db:3307/mlflow",
        );
        check(
            "mysql+mysqlconnector://u@h/x?ssl_mode=DISABLED",
            "mysql://u@h:3306/x",
        );
        check("mariadb://u:@h/x", "mysql://u@h:3306/x");
        check("mysql://u@h", "error: does not name a database");
        check("postgresql://u@h/", "error: does not name a database");
    }

    #[test]
    fn foreign_schemes() {
        check("oracle://u@h/x", "error: names the database `oracle`");
        check("tracking.db", "error: is not a URL");
        check("mysql:u@h/x", "error: lacks the two slashes");
    }

    #[test]
    fn no_reason_repeats_the_password() {
        for url in [
            "postgres://u:hunter2#x@h/d",
            "mysql://u:hunter2@h:port/d",
            "postgres://u:hunter2@h/d?sslmode=x",
            "hunter2",
        ] {
            if let Err(reason) = Address::parse(url) {
                assert!(!reason.contains("hunter2"), "{url}: {reason}");
            }
        }
    }
}
