//! The database that a task reads and writes.

use std::fmt;

use fragua_database::{Database, Engine};
use sea_orm::sea_query::Alias;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::{TaskContext, TaskError};

/// Opens the database of a connection.
pub(super) async fn open(context: &TaskContext, connection: &str) -> Result<Database, TaskError> {
    let url = context.connection_url(connection)?;
    Database::open(url.expose(), "the connection's url")
        .await
        .map_err(|error| TaskError::Failed(format!("connection {connection}: {error}")))
}

/// Says what a database complained about.
pub(super) fn failed(what: &str) -> impl Fn(DbErr) -> TaskError + '_ {
    move |error| TaskError::Failed(format!("{what}: {}", fragua_database::Error::from(error)))
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers of 64 bits.
    Float,
    /// Texts.
    Text,
    /// A type that rows of JSON cannot fill, by its name.
    Other(String),
}

impl Kind {
    /// Reads the name of a type as the three engines write it.
    pub(super) fn of(type_name: &str) -> Self {
        let name = type_name.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if has(&["interval", "point"]) {
            Self::Other(name)
        } else if has(&["int", "serial"]) {
            Self::Integer
        } else if has(&["double", "float", "real", "numeric", "decimal"]) {
            Self::Float
        } else if has(&["char", "text", "clob"]) {
            Self::Text
        } else {
            Self::Other(name)
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => formatter.write_str("whole numbers"),
            Self::Float => formatter.write_str("numbers"),
            Self::Text => formatter.write_str("texts"),
            Self::Other(name) => formatter.write_str(name),
        }
    }
}

/// Returns the columns of a table with what they hold, in the table's order; nothing where there is no such table.
///
/// # Errors
/// The database refuses or does not answer.
pub async fn table_columns(database: &Database, table: &str) -> Result<Vec<(String, Kind)>, TaskError> {
    let reason = failed("the table cannot be looked at");
    columns(database.writer(), table).await.map_err(reason)
}

async fn columns(connection: &impl ConnectionTrait, table: &str) -> Result<Vec<(String, Kind)>, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match Engine::from(backend) {
        Engine::Sqlite => "SELECT name, type FROM pragma_table_info(?) ORDER BY cid",
        Engine::Postgres => {
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
        Engine::MySql => {
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
        }
    };
    let statement = Statement::from_sql_and_values(backend, sql, [table.into()]);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            let type_name: String = row.try_get_by_index(1)?;
            Ok((row.try_get_by_index(0)?, Kind::of(&type_name)))
        })
        .collect()
}

/// Checks that a text can be the name of a table on each engine.
pub(super) fn check_table_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first_fits = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if name.len() > 63 || !first_fits || !name.bytes().all(fits) {
        return Err(format!(
            "{name:?} cannot be a table's name: use up to 63 letters, digits and underscores, not a digit first"
        ));
    }
    Ok(())
}

/// Makes an identifier of a name from outside, which is quoted where it is written.
pub(super) fn name(name: &str) -> Alias {
    Alias::new(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_three_engines_are_known() {
        let check = |name: &str, expected: Kind| assert_eq!(Kind::of(name), expected, "{name}");
        check("BIGINT", Kind::Integer);
        check("INTEGER", Kind::Integer);
        check("double precision", Kind::Float);
        check("REAL", Kind::Float);
        check("decimal", Kind::Float);
        check("character varying", Kind::Text);
        check("longtext", Kind::Text);
        check("date", Kind::Other("date".to_owned()));
        check("interval", Kind::Other("interval".to_owned()));
    }

    #[test]
    fn table_names_are_checked() {
        for fine in ["cover_type", "_x", "T2"] {
            assert_eq!(check_table_name(fine), Ok(()));
        }
        for wrong in ["", "2x", "a b", "a.b", "a\"b", "é", &"x".repeat(64)] {
            assert!(check_table_name(wrong).is_err(), "{wrong}");
        }
    }
}
