//! Brings the tables of one component up to date.

use std::collections::BTreeSet;

use fragua_base::{Clock as _, SystemClock};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, Statement};
use sea_orm_migration::{IntoSchemaManagerConnection, MigrationTrait, SchemaManager};

use crate::database::{Database, Engine};
use crate::dialect;
use crate::error::Error;

/// How long a start waits for another one that is migrating the same tables.
const LOCK_TIMEOUT_SECONDS: u32 = 60;

impl Database {
    /// Runs those of `migrations`, in order, that this database has not seen. What has run is kept in the table
    /// `fragua_COMPONENT_migrations`, so several components can share a database. Several processes may start at
    /// once: one migrates, the others wait.
    ///
    /// On SQLite and PostgreSQL a migration and its version row are one transaction (`use_transaction` of the trait is
    /// not asked). MySQL commits schema changes at once: there a migration must tolerate what it did before.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] when the database has a migration that is not among `migrations`, before anything is
    /// changed; [`Error::Migration`] when a migration fails; [`Error::Full`] and the like when the database does.
    pub async fn migrate(
        &self,
        component: &'static str,
        migrations: Vec<Box<dyn MigrationTrait>>,
    ) -> Result<(), Error> {
        let ledger = Ledger::new(self, component);
        if ledger
            .pending_of(&migrations, &ledger.applied_if_any().await?)?
            .is_empty()
        {
            return Ok(());
        }
        match self.dedicated_mysql_connection().await? {
            None => ledger.run_in_transactions(&migrations).await,
            Some(connection) => {
                let result = ledger.run_under_named_lock(&connection, &migrations).await;
                // Closing releases the lock, whatever happened before.
                connection.close().await.map_err(|error| self.error(error))?;
                result
            }
        }
    }
}

impl Database {
    /// Returns whether this database has ever been brought up to date for the component.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like when the database does not answer.
    pub async fn was_migrated(&self, component: &'static str) -> Result<bool, Error> {
        Ledger::new(self, component).is_there().await
    }
}

/// The table of what has run for one component.
struct Ledger<'a> {
    database: &'a Database,
    component: &'static str,
    table: String,
}

impl<'a> Ledger<'a> {
    fn new(database: &'a Database, component: &'static str) -> Self {
        debug_assert!(
            component
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{component}"
        );
        Self {
            database,
            component,
            table: format!("fragua_{component}_migrations"),
        }
    }

    async fn is_there(&self) -> Result<bool, Error> {
        SchemaManager::new(self.database.reader())
            .has_table(&self.table)
            .await
            .map_err(|error| self.error(error))
    }

    async fn applied_if_any(&self) -> Result<BTreeSet<String>, Error> {
        match self.is_there().await? {
            true => self.applied(self.database.reader()).await,
            false => Ok(BTreeSet::new()),
        }
    }

    async fn applied(&self, connection: &impl ConnectionTrait) -> Result<BTreeSet<String>, Error> {
        let sql = format!("SELECT name FROM {}", self.table);
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let rows = connection
            .query_all_raw(statement)
            .await
            .map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, DbErr>>()
            .map_err(|error| self.error(error))
    }

    fn pending_of<'m>(
        &self,
        migrations: &'m [Box<dyn MigrationTrait>],
        applied: &BTreeSet<String>,
    ) -> Result<Vec<&'m dyn MigrationTrait>, Error> {
        let unknown = applied.iter().find(|name| {
            !migrations
                .iter()
                .any(|migration| migration.name() == name.as_str())
        });
        if let Some(unknown) = unknown {
            return Err(Error::NewerSchema {
                place: self.database.place().clone(),
                component: self.component,
                migration: unknown.clone(),
            });
        }
        let pending = migrations
            .iter()
            .filter(|migration| !applied.contains(migration.name()));
        Ok(pending.map(AsRef::as_ref).collect())
    }

    /// SQLite and PostgreSQL: each migration is a transaction that holds the lock and looks again at what has run.
    async fn run_in_transactions(&self, migrations: &[Box<dyn MigrationTrait>]) -> Result<(), Error> {
        loop {
            let transaction = self.database.begin().await?;
            self.lock(&transaction).await.map_err(|error| self.error(error))?;
            self.create_table(&transaction).await?;
            let pending = self.pending_of(migrations, &self.applied(&transaction).await?)?;
            let Some(next) = pending.first() else {
                return transaction.rollback().await.map_err(|error| self.error(error));
            };
            self.apply(&transaction, *next).await?;
            transaction.commit().await.map_err(|error| self.error(error))?;
        }
    }

    /// The writer's lock is enough on SQLite; on PostgreSQL an advisory lock lasts until the transaction ends.
    async fn lock(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        if self.database.engine() == Engine::Postgres {
            let lock = format!(
                "SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'; \
                 SELECT pg_advisory_xact_lock(hashtext('{}'), hashtext(current_schema()))",
                self.table
            );
            transaction.execute_unprepared(&lock).await?;
        }
        Ok(())
    }

    /// MySQL: one connection holds a named lock while it runs all that is missing.
    async fn run_under_named_lock(
        &self,
        connection: &DatabaseConnection,
        migrations: &[Box<dyn MigrationTrait>],
    ) -> Result<(), Error> {
        // A lock's name counts for the whole server and has at most 64 characters.
        let lock = format!(
            "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.{}')), {LOCK_TIMEOUT_SECONDS})",
            self.table
        );
        let statement = Statement::from_string(connection.get_database_backend(), lock);
        let row = connection
            .query_one_raw(statement)
            .await
            .map_err(|error| self.error(error))?;
        let locked: Option<i64> = row.and_then(|row| row.try_get_by_index(0).ok());
        if locked != Some(1) {
            return Err(Error::Busy);
        }
        self.compare_texts_exactly(connection).await;
        self.create_table(connection).await?;
        let applied = self.applied(connection).await?;
        for migration in self.pending_of(migrations, &applied)? {
            self.apply(connection, migration).await?;
        }
        Ok(())
    }

    /// Makes an empty MySQL database compare texts by their bytes, as the other engines do. One that has tables
    /// already belongs to somebody else too and is left as it is.
    async fn compare_texts_exactly(&self, connection: &DatabaseConnection) {
        let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
        let statement = Statement::from_string(connection.get_database_backend(), count);
        let tables = connection.query_one_raw(statement).await.ok().flatten();
        if tables.and_then(|row| row.try_get_by_index::<i64>(0).ok()) != Some(0) {
            return;
        }
        let alter = format!(
            "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE {}",
            dialect::MYSQL_EXACT_COLLATION
        );
        if let Err(error) = connection.execute_unprepared(&alter).await {
            tracing::warn!(%error, "cannot set the collation of the empty database; columns made with `text_key` are exact anyway");
        }
    }

    async fn create_table(&self, connection: &impl ConnectionTrait) -> Result<(), Error> {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (name VARCHAR(190) NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)",
            self.table
        );
        connection
            .execute_unprepared(&sql)
            .await
            .map_err(|error| self.error(error))?;
        Ok(())
    }

    async fn apply<'c, C>(&self, connection: &'c C, migration: &dyn MigrationTrait) -> Result<(), Error>
    where
        C: ConnectionTrait,
        &'c C: IntoSchemaManagerConnection<'c>,
    {
        let name = migration.name();
        let run = async {
            migration.up(&SchemaManager::new(connection)).await?;
            let applied_at = SystemClock.now().as_millis();
            let sql = format!(
                "INSERT INTO {} (name, applied_at) VALUES ('{name}', {applied_at})",
                self.table
            );
            connection.execute_unprepared(&sql).await
        };
        let result = run.await;
        result.map(drop).map_err(|error| self.failed(name, error))?;
        tracing::info!(
            database.component = self.component,
            migration.name = name,
            "migration applied"
        );
        Ok(())
    }

    /// A fault of the migration is told with its name; a fault of the database is told as such.
    fn failed(&self, migration: &str, error: DbErr) -> Error {
        let reason = error.to_string();
        match self.error(error) {
            Error::Unique { .. } | Error::ForeignKey | Error::Other(_) => Error::Migration {
                place: self.database.place().clone(),
                component: self.component,
                migration: migration.to_owned(),
                reason,
            },
            fault_of_the_database => fault_of_the_database,
        }
    }

    fn error(&self, error: DbErr) -> Error {
        self.database.error(error)
    }
}
