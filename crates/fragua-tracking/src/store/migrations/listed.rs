//! Makes tables from a list. A line names a table, or says one thing of the table above it:
//!
//! ```text
//! table NAME
//!   COLUMN TYPE [required] [default VALUE] [computed EXPRESSION]
//!   primary NAME COLUMN…
//!   unique NAME COLUMN…
//!   foreign NAME COLUMN… -> TABLE COLUMN… [updates ACTION] [deletes ACTION]
//!   index NAME COLUMN…
//!   unique_index NAME COLUMN…
//! ```

use fragua_database::Engine;
use fragua_database::dialect::{create_index, create_table};
use sea_orm::DbErr;
use sea_orm::sea_query::{
    ColumnDef, ColumnType, Expr, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index,
    IndexCreateStatement, Table, TableCreateStatement,
};
use sea_orm_migration::SchemaManager;

/// Makes those of the tables that are missing.
pub(super) async fn create(manager: &SchemaManager<'_>, list: &'static str) -> Result<(), DbErr> {
    let engine = Engine::from(manager.get_database_backend());
    for entry in list.trim().split("\n\n") {
        let mut lines = entry.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let Some(table) = lines.next().and_then(|line| line.strip_prefix("table ")) else {
            continue;
        };
        let is_index = |line: &&str| line.starts_with("index ") || line.starts_with("unique_index ");
        let (indexes, parts): (Vec<&str>, Vec<&str>) = lines.partition(is_index);
        let mut definition = definition(table, &parts, engine);
        let mut indexes: Vec<_> = indexes.into_iter().map(index).collect();
        if engine == Engine::MySql {
            // There each statement that changes the schema is a commit of its own: one a table is quickest.
            for (name, mut index) in indexes.drain(..) {
                definition.index(index.name(name));
            }
        }
        create_table(manager, definition).await?;
        for (name, index) in indexes {
            create_index(manager, table, name, index).await?;
        }
    }
    Ok(())
}

fn index(line: &'static str) -> (&'static str, IndexCreateStatement) {
    let mut words = line.split(' ');
    let mut index = Index::create();
    if words.next() == Some("unique_index") {
        index.unique();
    }
    let name = words.next().unwrap_or_default();
    words.for_each(|column| {
        index.col(column);
    });
    (name, index)
}

fn definition(name: &'static str, parts: &[&'static str], engine: Engine) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for line in parts {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "primary" | "unique" => {
                let mut words = rest.split(' ');
                let mut key = Index::create();
                key.name(words.next().unwrap_or_default());
                words.for_each(|column| {
                    key.col(column);
                });
                if word == "primary" {
                    table.primary_key(&mut key);
                } else {
                    table.index(key.unique());
                }
            }
            "foreign" => {
                table.foreign_key(&mut foreign(name, rest));
            }
            _ if rest.starts_with("serial") => {
                let mut column = ColumnDef::new(word);
                match engine {
                    // There a key that is one integer numbers the rows by itself.
                    Engine::Sqlite => column.integer(),
                    Engine::Postgres | Engine::MySql => column.big_integer().auto_increment(),
                };
                table.col(column.not_null());
            }
            _ => {
                table.col(column(word, rest, engine));
            }
        }
    }
    table
}

fn column(name: &'static str, definition: &'static str, engine: Engine) -> ColumnDef {
    let (definition, computed) = match definition.split_once(" computed ") {
        Some((definition, expression)) => (definition, Some(expression)),
        None => (definition, None),
    };
    let (definition, default) = match definition.split_once(" default ") {
        Some((definition, value)) => (definition, Some(value)),
        None => (definition, None),
    };
    let kind = definition.trim_end_matches(" required");
    let length = |text: &str| text.strip_prefix("text(")?.strip_suffix(')')?.parse().ok();
    let mut column = ColumnDef::new_with_type(
        name,
        match (kind, engine) {
            ("bigint", _) => ColumnType::BigInteger,
            ("integer", _) => ColumnType::Integer,
            ("boolean", _) => ColumnType::Boolean,
            ("date", _) => ColumnType::custom("date"),
            ("double", _) | ("float", Engine::Sqlite | Engine::Postgres) => ColumnType::Double,
            ("float", Engine::MySql) => ColumnType::Float,
            ("bytes", _) => ColumnType::Blob,
            ("json", _) => ColumnType::custom("JSON"),
            ("long_text", Engine::MySql) => ColumnType::custom("longtext"),
            (kind, _) => length(kind).map_or(ColumnType::Text, |length| ColumnType::string(Some(length))),
        },
    );
    if definition.ends_with(" required") {
        column.not_null();
    }
    match (default, kind) {
        (Some(value), "boolean") => {
            column.default(value == "true");
        }
        (Some(value), "integer") => {
            column.default(Expr::cust(value));
        }
        (Some(value), _) => {
            column.default(value);
        }
        (None, _) => {}
    }
    if let Some(expression) = computed {
        column.generated(Expr::cust(expression), true);
    }
    column
}

fn foreign(table: &'static str, definition: &'static str) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    let (from, to) = definition.split_once(" -> ").unwrap_or((definition, ""));
    let mut from = from.split(' ');
    key.name(from.next().unwrap_or_default());
    from.for_each(|column| {
        key.from(table, column);
    });
    let mut to = to.split(' ');
    let other = to.next().unwrap_or_default();
    while let Some(word) = to.next() {
        match word {
            "updates" => key.on_update(action(to.next())),
            "deletes" => key.on_delete(action(to.next())),
            column => key.to(other, column),
        };
    }
    key
}

fn action(word: Option<&str>) -> ForeignKeyAction {
    match word {
        Some("cascade") => ForeignKeyAction::Cascade,
        Some("set_null") => ForeignKeyAction::SetNull,
        _ => ForeignKeyAction::NoAction,
    }
}
