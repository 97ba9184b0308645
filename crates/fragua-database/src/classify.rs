//! Turns what drivers report into [`Error`]. The only place that knows the engines' error codes.

use std::sync::Arc;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::embedded::Failure;
use crate::error::{Error, Place};

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let known = match &error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => driver(cause),
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => Some(Self::Busy),
            DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => {
                Some(unreachable("it was closed".to_owned()))
            }
            _ => None,
        };
        known.unwrap_or(Self::Other(error))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        driver(&error).unwrap_or_else(|| Self::Other(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))))
    }
}

fn unreachable(reason: String) -> Error {
    Error::Unreachable {
        place: Place::default(),
        reason,
    }
}

fn driver(error: &sqlx::Error) -> Option<Error> {
    match error {
        sqlx::Error::Database(cause) => database(cause.as_ref()),
        sqlx::Error::Io(cause) => Some(unreachable(cause.to_string())),
        sqlx::Error::Tls(cause) => Some(unreachable(format!("no TLS connection: {cause}"))),
        sqlx::Error::PoolClosed => Some(unreachable("it was closed".to_owned())),
        sqlx::Error::PoolTimedOut => Some(Error::Busy),
        _ => None,
    }
}

fn database(error: &dyn DatabaseError) -> Option<Error> {
    if error.try_downcast_ref::<SqliteError>().is_some() || error.try_downcast_ref::<Failure>().is_some() {
        return sqlite(error);
    }
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return postgres(error);
    }
    error.try_downcast_ref::<MySqlDatabaseError>().and_then(mysql)
}

/// By extended result code, whose low byte is the primary one (<https://www.sqlite.org/rescode.html>).
fn sqlite(error: &dyn DatabaseError) -> Option<Error> {
    let code: i32 = error.code()?.parse().ok()?;
    let (place, reason) = (Place::default(), error.message().to_owned());
    match code {
        1555 | 2067 | 2579 => {
            let constraint = reason
                .split_once(": ")
                .map_or(reason.as_str(), |(_, columns)| columns);
            return Some(Error::Unique {
                constraint: constraint.to_owned(),
            });
        }
        787 | 1811 => return Some(Error::ForeignKey),
        _ => {}
    }
    match code & 0xff {
        5 | 6 => Some(Error::Busy),
        8 => Some(Error::ReadOnly { place, reason }),
        13 => Some(Error::Full { place, reason }),
        11 | 14 | 26 => Some(Error::CannotOpen { place, reason }),
        _ => None,
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn postgres(error: &PgDatabaseError) -> Option<Error> {
    let (place, reason) = (Place::default(), error.message().to_owned());
    match error.code() {
        "23505" => Some(Error::Unique {
            constraint: error.constraint().unwrap_or("key").to_owned(),
        }),
        "23503" => Some(Error::ForeignKey),
        "40001" | "40P01" | "55P03" => Some(Error::Busy),
        "28P01" | "28000" => Some(Error::Login { place, reason }),
        "3D000" => Some(Error::UnknownDatabase { place, reason }),
        "42501" => Some(Error::Privilege { place, reason }),
        "25006" => Some(Error::ReadOnly { place, reason }),
        "53100" => Some(Error::Full { place, reason }),
        "53300" | "57P01" | "57P02" | "57P03" => Some(Error::Unreachable { place, reason }),
        code if code.starts_with("08") => Some(Error::Unreachable { place, reason }),
        _ => None,
    }
}

/// By error number (<https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>).
fn mysql(error: &MySqlDatabaseError) -> Option<Error> {
    let (place, reason) = (Place::default(), error.message().to_owned());
    match error.number() {
        1062 | 1586 => Some(Error::Unique {
            constraint: mysql_key(&reason),
        }),
        1216 | 1217 | 1451 | 1452 => Some(Error::ForeignKey),
        1205 | 1213 | 3572 => Some(Error::Busy),
        1045 | 1698 => Some(Error::Login { place, reason }),
        1049 => Some(Error::UnknownDatabase { place, reason }),
        1044 | 1142 | 1143 | 1227 => Some(Error::Privilege { place, reason }),
        1036 | 1290 | 1792 | 1836 => Some(Error::ReadOnly { place, reason }),
        1021 | 1114 => Some(Error::Full { place, reason }),
        1040 | 1053 | 1203 => Some(Error::Unreachable { place, reason }),
        _ => None,
    }
}

/// Takes the name of the key out of `Duplicate entry 'x' for key 'table.name'`; MariaDB leaves the table out.
fn mysql_key(message: &str) -> String {
    let quoted = message.rsplit_once("for key ").map_or("key", |(_, key)| key);
    let key = quoted.trim_matches('\'');
    key.rsplit_once('.').map_or(key, |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::mysql_key;

    #[test]
    fn the_key_of_a_duplicate_entry() {
        let check = |message, expected: &str| assert_eq!(mysql_key(message), expected);
        check("Duplicate entry 'a' for key 'PRIMARY'", "PRIMARY");
        check("Duplicate entry 'a' for key 'runs.runs_by_name'", "runs_by_name");
        check("Duplicate entry 'for key ' for key 'idx'", "idx");
    }
}
