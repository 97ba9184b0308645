//! What a piece of work reads and writes through, on any engine.

use std::borrow::Cow;
use std::future::Future;

use rusqlite::types::ValueRef;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement,
    StatementBuilder,
};

use crate::embedded::{self, Embedded};

/// Running statements. Rows are read one by one, each value by its place in the selection, without an object for
/// each row.
pub trait Statements: Sync {
    /// Returns the dialect that statements are built for.
    fn backend(&self) -> DbBackend;

    /// Runs a statement that was built, and returns how many rows it changed.
    fn run(&self, statement: Statement) -> impl Future<Output = Result<u64, DbErr>> + Send;

    /// Runs a selection that was built, and calls `each` with every row.
    fn read<F>(&self, statement: Statement, each: F) -> impl Future<Output = Result<(), DbErr>> + Send
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send;

    /// Runs a statement, and returns how many rows it changed.
    fn execute(&self, statement: &impl StatementBuilder) -> impl Future<Output = Result<u64, DbErr>> + Send {
        self.run(self.backend().build(statement))
    }

    /// Calls `each` with every row of a selection.
    fn each_row<F>(
        &self,
        select: &impl StatementBuilder,
        each: F,
    ) -> impl Future<Output = Result<(), DbErr>> + Send
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send,
    {
        self.read(self.backend().build(select), each)
    }

    /// Returns what `convert` makes of every row of a selection.
    fn rows<T, F>(
        &self,
        select: &impl StatementBuilder,
        convert: F,
    ) -> impl Future<Output = Result<Vec<T>, DbErr>> + Send
    where
        T: Send,
        F: FnMut(&Row<'_>) -> Result<T, DbErr> + Send,
    {
        self.rows_of(self.backend().build(select), convert)
    }

    /// Returns what `convert` makes of every row of a selection that was built.
    fn rows_of<T, F>(
        &self,
        statement: Statement,
        mut convert: F,
    ) -> impl Future<Output = Result<Vec<T>, DbErr>> + Send
    where
        T: Send,
        F: FnMut(&Row<'_>) -> Result<T, DbErr> + Send,
    {
        async move {
            let mut rows = Vec::new();
            let keep = |row: &Row<'_>| {
                rows.push(convert(row)?);
                Ok(())
            };
            self.read(statement, keep).await?;
            Ok(rows)
        }
    }
}

/// A connection lent to one piece of work by [`Database::read`](crate::Database::read) and
/// [`Database::write`](crate::Database::write). On SQLite its statements run in place.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'c>(Way<'c>);

#[derive(Debug, Clone, Copy)]
enum Way<'c> {
    Embedded(&'c Embedded),
    Pool(&'c DatabaseConnection),
    Transaction(&'c DatabaseTransaction),
}

impl<'c> Connection<'c> {
    pub(crate) const fn embedded(embedded: &'c Embedded) -> Self {
        Self(Way::Embedded(embedded))
    }

    pub(crate) const fn pool(pool: &'c DatabaseConnection) -> Self {
        Self(Way::Pool(pool))
    }

    pub(crate) const fn transaction(transaction: &'c DatabaseTransaction) -> Self {
        Self(Way::Transaction(transaction))
    }
}

impl Statements for Connection<'_> {
    fn backend(&self) -> DbBackend {
        match self.0 {
            Way::Embedded(_) => DbBackend::Sqlite,
            Way::Pool(pool) => pool.backend(),
            Way::Transaction(transaction) => transaction.backend(),
        }
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        match self.0 {
            Way::Embedded(embedded) => embedded.execute(&statement),
            Way::Pool(pool) => pool.run(statement).await,
            Way::Transaction(transaction) => transaction.run(statement).await,
        }
    }

    async fn read<F>(&self, statement: Statement, each: F) -> Result<(), DbErr>
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send,
    {
        match self.0 {
            Way::Embedded(embedded) => embedded.each_row(&statement, each),
            Way::Pool(pool) => pool.read(statement, each).await,
            Way::Transaction(transaction) => transaction.read(statement, each).await,
        }
    }
}

impl Statements for DatabaseConnection {
    fn backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        Ok(self.execute_raw(statement).await?.rows_affected())
    }

    async fn read<F>(&self, statement: Statement, each: F) -> Result<(), DbErr>
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send,
    {
        received(self.query_all_raw(statement).await?, each)
    }
}

impl Statements for DatabaseTransaction {
    fn backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        Ok(self.execute_raw(statement).await?.rows_affected())
    }

    async fn read<F>(&self, statement: Statement, each: F) -> Result<(), DbErr>
    where
        F: FnMut(&Row<'_>) -> Result<(), DbErr> + Send,
    {
        received(self.query_all_raw(statement).await?, each)
    }
}

fn received(
    rows: Vec<QueryResult>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), DbErr>,
) -> Result<(), DbErr> {
    rows.iter().try_for_each(|row| each(&Row(Kept::Received(row))))
}

/// A row that is being read. What is empty is `None`.
#[derive(Debug)]
pub struct Row<'r>(Kept<'r>);

#[derive(Debug)]
enum Kept<'r> {
    Embedded(&'r rusqlite::Row<'r>),
    Received(&'r QueryResult),
}

impl<'r> Row<'r> {
    pub(crate) const fn embedded(row: &'r rusqlite::Row<'r>) -> Self {
        Self(Kept::Embedded(row))
    }

    /// Returns a text.
    ///
    /// # Errors
    /// When there is something else.
    pub fn text(&self, at: usize) -> Result<Option<Cow<'_, str>>, DbErr> {
        match self.0 {
            Kept::Embedded(row) => match value(row, at)? {
                ValueRef::Null => Ok(None),
                ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Ok(Some(Cow::Borrowed(text))),
                    Err(_) => Err(unexpected(at, "UTF-8")),
                },
                _ => Err(unexpected(at, "a text")),
            },
            Kept::Received(row) => Ok(row.try_get_by_index::<Option<String>>(at)?.map(Cow::Owned)),
        }
    }

    /// Returns bytes.
    ///
    /// # Errors
    /// When there is something else.
    pub fn bytes(&self, at: usize) -> Result<Option<Cow<'_, [u8]>>, DbErr> {
        match self.0 {
            Kept::Embedded(row) => match value(row, at)? {
                ValueRef::Null => Ok(None),
                ValueRef::Blob(bytes) => Ok(Some(Cow::Borrowed(bytes))),
                _ => Err(unexpected(at, "bytes")),
            },
            Kept::Received(row) => Ok(row.try_get_by_index::<Option<Vec<u8>>>(at)?.map(Cow::Owned)),
        }
    }

    /// Returns an integer of any width.
    ///
    /// # Errors
    /// When there is something else.
    pub fn integer(&self, at: usize) -> Result<Option<i64>, DbErr> {
        match self.0 {
            Kept::Embedded(row) => match value(row, at)? {
                ValueRef::Null => Ok(None),
                ValueRef::Integer(number) => Ok(Some(number)),
                _ => Err(unexpected(at, "an integer")),
            },
            Kept::Received(row) => match row.try_get_by_index(at) {
                Ok(number) => Ok(number),
                Err(_) => Ok(row.try_get_by_index::<Option<i32>>(at)?.map(i64::from)),
            },
        }
    }

    /// Returns a number.
    ///
    /// # Errors
    /// When there is something else.
    pub fn float(&self, at: usize) -> Result<Option<f64>, DbErr> {
        match self.0 {
            Kept::Embedded(row) => match value(row, at)? {
                ValueRef::Null => Ok(None),
                ValueRef::Real(number) => Ok(Some(number)),
                #[expect(clippy::cast_precision_loss, reason = "what SQLite itself does")]
                ValueRef::Integer(number) => Ok(Some(number as f64)),
                _ => Err(unexpected(at, "a number")),
            },
            Kept::Received(row) => row.try_get_by_index(at),
        }
    }

    /// Returns whether something is so.
    ///
    /// # Errors
    /// When there is something else.
    pub fn boolean(&self, at: usize) -> Result<Option<bool>, DbErr> {
        match self.0 {
            Kept::Embedded(_) => Ok(self.integer(at)?.map(|number| number != 0)),
            Kept::Received(row) => row.try_get_by_index(at),
        }
    }
}

fn value<'r>(row: &'r rusqlite::Row<'r>, at: usize) -> Result<ValueRef<'r>, DbErr> {
    row.get_ref(at).map_err(embedded::failure)
}

fn unexpected(at: usize, wanted: &str) -> DbErr {
    DbErr::Type(format!("column {at} is not {wanted}"))
}
