//! What can go wrong with a database.

use std::fmt;
use std::sync::Arc;

use fragua_base::ErrorKind;
use sea_orm::DbErr;

/// Which database an error is about: the setting that names it, and its address without the password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    setting: Option<&'static str>,
    address: Option<Arc<str>>,
}

impl Place {
    pub(crate) fn new(setting: &'static str, address: &str) -> Self {
        Self {
            setting: Some(setting),
            address: Some(address.into()),
        }
    }

    /// Returns the key of the setting, such as `tracking.database_url`, when it is known.
    pub fn setting(&self) -> Option<&'static str> {
        self.setting
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.setting, &self.address) {
            (Some(setting), Some(address)) => write!(formatter, "{setting} ({address})"),
            (Some(setting), None) => formatter.write_str(setting),
            (None, _) => formatter.write_str("the database"),
        }
    }
}

/// A failure of the database. Messages name the setting where it is known and never hold a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The setting does not hold a usable URL.
    #[error("{setting} {reason}")]
    InvalidUrl {
        /// The key of the setting.
        setting: &'static str,
        /// What is wrong with it, to follow the key.
        reason: String,
    },
    /// The server does not answer, or stopped answering.
    #[error("{place} does not answer: {reason}; check that the server runs and that host and port are right")]
    Unreachable {
        /// Which database.
        place: Place,
        /// What was seen.
        reason: String,
    },
    /// User name or password are refused.
    #[error("{place} refuses the login: {reason}; check the user name and the password")]
    Login {
        /// Which database.
        place: Place,
        /// What the server said.
        reason: String,
    },
    /// The server has no database of that name.
    #[error("{place} does not exist: {reason}; create it, or correct the name at the end of the URL")]
    UnknownDatabase {
        /// Which database.
        place: Place,
        /// What the server said.
        reason: String,
    },
    /// The user may log in but not do this.
    #[error(
        "{place} forbids this to its user: {reason}; grant all privileges on the database and its schema"
    )]
    Privilege {
        /// Which database.
        place: Place,
        /// What the server said.
        reason: String,
    },
    /// The server is older than what is supported.
    #[error("{place} runs {found}, and {needed} or newer is needed")]
    TooOld {
        /// Which database.
        place: Place,
        /// The version found.
        found: String,
        /// The oldest version that is supported.
        needed: &'static str,
    },
    /// The SQLite file cannot be opened.
    #[error("{place} cannot be opened: {reason}")]
    CannotOpen {
        /// Which database.
        place: Place,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The database, its file or the file's folder cannot be written.
    #[error(
        "{place} is read-only: {reason}; make it writable (for SQLite the file and its folder) or name another"
    )]
    ReadOnly {
        /// Which database.
        place: Place,
        /// What the engine said.
        reason: String,
    },
    /// The disk, or the space granted to the database, is full.
    #[error("{place} is full: {reason}; free space on its disk, nothing of the last change was kept")]
    Full {
        /// Which database.
        place: Place,
        /// What the engine said.
        reason: String,
    },
    /// The tables were made by a newer version of this program.
    #[error(
        "{place} was written by a newer version: migration {migration} of {component} is unknown here; \
         start that version, or name another database"
    )]
    NewerSchema {
        /// Which database.
        place: Place,
        /// Whose tables.
        component: &'static str,
        /// The first migration that is not known.
        migration: String,
    },
    /// A migration failed. It can be tried again: nothing of it was kept, or (on MySQL) it continues where it stopped.
    #[error("{place}: migration {migration} of {component} failed: {reason}")]
    Migration {
        /// Which database.
        place: Place,
        /// Whose tables.
        component: &'static str,
        /// The migration's name.
        migration: String,
        /// What the engine said.
        reason: String,
    },
    /// A unique key or primary key exists already.
    #[error("a row with this {constraint} exists already")]
    Unique {
        /// The name of the constraint or index; on SQLite its columns as `table.column, table.column`.
        /// [`Error::violates`] compares both.
        constraint: String,
    },
    /// A row is referred to that does not exist, or a row that others refer to would go away.
    #[error("the row refers to one that does not exist, or others still refer to it")]
    ForeignKey,
    /// The database was busy for too long, or two transactions waited for each other; trying again may succeed.
    #[error("the database did not become free in time; try again")]
    Busy,
    /// Anything else: a fault of this program or of the engine.
    #[error("the database failed: {0}")]
    Other(DbErr),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl { .. } => ErrorKind::InvalidInput,
            Self::Unreachable { .. }
            | Self::Login { .. }
            | Self::UnknownDatabase { .. }
            | Self::Privilege { .. }
            | Self::TooOld { .. }
            | Self::CannotOpen { .. }
            | Self::ReadOnly { .. }
            | Self::Full { .. }
            | Self::NewerSchema { .. }
            | Self::Busy => ErrorKind::Unavailable,
            Self::Unique { .. } | Self::ForeignKey => ErrorKind::Conflict,
            Self::Migration { .. } | Self::Other(_) => ErrorKind::Internal,
        }
    }

    /// Tells whether this is a violation of the unique index `index` over `columns` of `table`.
    ///
    /// Servers report the name of the index and SQLite its columns; a primary key has the name
    /// `TABLE_pkey` on PostgreSQL and `PRIMARY` on MySQL, and is asked for with the index name `PRIMARY`.
    pub fn violates(&self, index: &str, table: &str, columns: &[&str]) -> bool {
        let Self::Unique { constraint } = self else {
            return false;
        };
        let in_sqlite = columns
            .iter()
            .map(|column| format!("{table}.{column}"))
            .collect::<Vec<_>>()
            .join(", ");
        let is_primary = index == "PRIMARY" && *constraint == format!("{table}_pkey");
        constraint == index || *constraint == in_sqlite || is_primary
    }

    /// Returns this failure with the database it is about filled in.
    pub(crate) fn at(mut self, here: &Place) -> Self {
        match &mut self {
            Self::Unreachable { place, .. }
            | Self::Login { place, .. }
            | Self::UnknownDatabase { place, .. }
            | Self::Privilege { place, .. }
            | Self::CannotOpen { place, .. }
            | Self::ReadOnly { place, .. }
            | Self::Full { place, .. }
                if place.setting.is_none() =>
            {
                *place = here.clone();
            }
            _ => {}
        }
        self
    }
}
