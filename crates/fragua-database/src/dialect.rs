//! The statements and column types that differ between engines.
//!
//! Functions take `impl Into<Engine>`: an [`Engine`] or the [`DbBackend`](sea_orm::DbBackend) that a
//! [`SchemaManager`] or connection tells.

use sea_orm::DbErr;
use sea_orm::sea_query::{
    Alias, ColumnDef, ColumnType, Expr, ExprTrait as _, IndexCreateStatement, LikeExpr, LockBehavior,
    LockType, OnConflict, SelectStatement, SimpleExpr, Table, TableCreateStatement,
};
use sea_orm_migration::SchemaManager;

use crate::database::Engine;

/// The collation of MySQL and of MariaDB that compares by bytes and does not pad with spaces. Each server reads
/// its own name and takes the other for a comment.
pub(crate) const MYSQL_EXACT_COLLATION: &str = "/*M!100200 utf8mb4_nopad_bin *//*!80017 utf8mb4_0900_bin */";

/// Returns the type of a text column of at most `length` characters that can be part of a key: compared and sorted
/// by bytes. MySQL's keys hold at most 768 characters in all.
pub fn text_key(engine: impl Into<Engine>, length: u32) -> ColumnType {
    ColumnType::custom(match engine.into() {
        Engine::Sqlite => format!("varchar({length})"),
        Engine::Postgres => format!("varchar({length}) COLLATE \"C\""),
        Engine::MySql => format!("varchar({length}) CHARACTER SET utf8mb4 COLLATE {MYSQL_EXACT_COLLATION}"),
    })
}

/// Returns the type of a text column without a limit, such as JSON; it cannot be part of a key. MySQL's `TEXT` ends
/// at 64 kB, so it is `LONGTEXT` there.
pub fn long_text(engine: impl Into<Engine>) -> ColumnType {
    ColumnType::custom(match engine.into() {
        Engine::Sqlite => "text".to_owned(),
        Engine::Postgres => "text COLLATE \"C\"".to_owned(),
        Engine::MySql => format!("longtext CHARACTER SET utf8mb4 COLLATE {MYSQL_EXACT_COLLATION}"),
    })
}

/// Returns the type of a column of bytes without a limit.
pub fn long_bytes(engine: impl Into<Engine>) -> ColumnType {
    ColumnType::custom(match engine.into() {
        Engine::Sqlite => "blob",
        Engine::Postgres => "bytea",
        Engine::MySql => "longblob",
    })
}

/// Creates `table` unless it exists. On MySQL its texts compare by bytes even where the database's own setting is another.
///
/// # Errors
/// What the engine reports.
pub async fn create_table(manager: &SchemaManager<'_>, mut table: TableCreateStatement) -> Result<(), DbErr> {
    table.if_not_exists();
    if Engine::from(manager.get_database_backend()) == Engine::MySql {
        table.character_set("utf8mb4").collate(MYSQL_EXACT_COLLATION);
    }
    manager.create_table(table).await
}

/// Creates the index `name` on `table` unless it exists, which MySQL cannot say in one statement.
/// `index` needs no name and no table yet.
///
/// # Errors
/// What the engine reports.
pub async fn create_index(
    manager: &SchemaManager<'_>,
    table: &str,
    name: &str,
    mut index: IndexCreateStatement,
) -> Result<(), DbErr> {
    if manager.has_index(table, name).await? {
        return Ok(());
    }
    manager
        .create_index(index.name(name).table(Alias::new(table)).to_owned())
        .await
}

/// Adds `column` to `table` unless it exists.
///
/// # Errors
/// What the engine reports.
pub async fn add_column(manager: &SchemaManager<'_>, table: &str, column: ColumnDef) -> Result<(), DbErr> {
    if manager.has_column(table, column.get_column_name()).await? {
        return Ok(());
    }
    manager
        .alter_table(
            Table::alter()
                .table(Alias::new(table))
                .add_column(column)
                .to_owned(),
        )
        .await
}

fn aliases(names: &[&str]) -> Vec<Alias> {
    names.iter().map(|name| Alias::new(*name)).collect()
}

/// Returns the clause that replaces `columns` of a row whose unique `keys` exist already.
pub fn upsert(keys: &[&str], columns: &[&str]) -> OnConflict {
    OnConflict::columns(aliases(keys))
        .update_columns(aliases(columns))
        .to_owned()
}

/// Returns the clause that leaves a row whose unique `keys` exist already as it is. Other failures stay failures,
/// unlike with MySQL's `INSERT IGNORE`. Use `exec_without_returning`: it counts the rows that were new
/// (on MySQL too), where `exec` reports a failure when there were none.
pub fn insert_if_absent(keys: &[&str]) -> OnConflict {
    OnConflict::columns(aliases(keys))
        .do_nothing_on(aliases(keys))
        .to_owned()
}

/// Returns the clause that replaces `columns` of a row of `table` whose unique `keys` exist already, but only if
/// `condition` holds. It is given two functions from a column's name to its value: in the row that is stored, and in
/// the row that comes.
pub fn upsert_when(
    engine: impl Into<Engine>,
    table: &str,
    keys: &[&str],
    columns: &[&str],
    condition: impl FnOnce(&dyn Fn(&str) -> SimpleExpr, &dyn Fn(&str) -> SimpleExpr) -> SimpleExpr,
) -> OnConflict {
    let is_mysql = engine.into() == Engine::MySql;
    let stored = |column: &str| Expr::col((Alias::new(table), Alias::new(column)));
    let coming = |column: &str| {
        if is_mysql {
            Expr::cust(format!("VALUES(`{column}`)"))
        } else {
            Expr::col((Alias::new("excluded"), Alias::new(column)))
        }
    };
    let condition = condition(&stored, &coming);
    let mut clause = OnConflict::columns(aliases(keys));
    if !is_mysql {
        return clause
            .update_columns(aliases(columns))
            .action_and_where(condition)
            .to_owned();
    }
    // MySQL has no condition here, and assigns from left to right: the condition would see columns that are new
    // already. So it is computed once for each row, with the first assignment.
    let mut condition = Some(condition);
    for column in columns {
        let value = match condition.take() {
            Some(condition) => Expr::cust_with_expr(
                format!("IF(@fragua_replaces := (?), VALUES(`{column}`), `{column}`)"),
                condition,
            ),
            None => Expr::cust(format!("IF(@fragua_replaces, VALUES(`{column}`), `{column}`)")),
        };
        clause.value(Alias::new(*column), value);
    }
    clause
}

/// Locks the selected rows until the transaction ends and skips those that another transaction holds. On SQLite
/// nothing is needed: a write transaction is alone.
pub fn claim_for_update(engine: impl Into<Engine>, select: &mut SelectStatement) {
    if engine.into() != Engine::Sqlite {
        select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
}

/// Locks the selected rows until the transaction ends and waits for those that another transaction holds. On SQLite
/// nothing is needed: a write transaction is alone.
pub fn lock_for_update(engine: impl Into<Engine>, select: &mut SelectStatement) {
    if engine.into() != Engine::Sqlite {
        select.lock(LockType::Update);
    }
}

/// Returns the condition that `column` begins with `prefix`, taken literally. It is a range, so that an index helps,
/// and needs a column of type [`text_key`] or [`long_text`].
pub fn starts_with(column: SimpleExpr, prefix: &str) -> SimpleExpr {
    let from = column.clone().gte(prefix);
    match text_after(prefix) {
        Some(end) => from.and(column.lt(end)),
        None => from,
    }
}

/// Returns the smallest text that sorts after every text with this prefix, unless there is none.
fn text_after(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The range of `char` steps over the surrogates, which no text holds.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Returns the condition that `column` contains `part`, taken literally.
pub fn contains(column: SimpleExpr, part: &str) -> SimpleExpr {
    like(column, "%", part, "%")
}

/// The escape character is none that MySQL's string literals give a meaning to.
fn like(column: SimpleExpr, before: &str, part: &str, after: &str) -> SimpleExpr {
    let mut pattern = before.to_owned();
    for character in part.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push_str(after);
    column.like(LikeExpr::new(pattern).escape('!'))
}
