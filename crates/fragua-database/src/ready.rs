//! Statements whose text is built once.

use std::fmt::Write as _;
use std::sync::OnceLock;

use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, Statement};

use crate::database::Engine;

/// A statement that is built once for each dialect and then filled with values: building it each time anew costs
/// more than SQLite needs to run it.
#[derive(Debug)]
pub struct Ready {
    build: fn(DbBackend) -> Statement,
    texts: [OnceLock<String>; 3],
}

impl Ready {
    /// Makes a statement of what `build` returns for each dialect, whose own values do not matter.
    pub const fn new(build: fn(DbBackend) -> Statement) -> Self {
        Self {
            build,
            texts: [const { OnceLock::new() }; 3],
        }
    }

    /// Fills the statement with values, in the order of their places.
    pub fn with(&self, backend: DbBackend, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(backend, self.text(backend), values)
    }

    /// Fills a statement that inserts one row, and has no other values, with several rows.
    pub fn with_rows<const COLUMNS: usize>(
        &self,
        backend: DbBackend,
        rows: impl ExactSizeIterator<Item = [Value; COLUMNS]>,
    ) -> Statement {
        let text = repeated(self.text(backend), backend, COLUMNS, rows.len());
        Statement::from_sql_and_values(backend, text, rows.flatten())
    }

    fn text(&self, backend: DbBackend) -> &str {
        let place = match Engine::from(backend) {
            Engine::Sqlite => 0,
            Engine::Postgres => 1,
            Engine::MySql => 2,
        };
        self.texts[place].get_or_init(|| (self.build)(backend).sql)
    }
}

/// Returns the text of an insert of so many rows, from that of an insert of one.
fn repeated(one: &str, backend: DbBackend, columns: usize, rows: usize) -> String {
    let (head, tail) = one
        .split_once(&row(backend, columns, 0))
        .expect("a statement that inserts one row has places for its values");
    let mut text = String::with_capacity(one.len() + rows * columns * 8);
    text.push_str(head);
    for at in 0..rows {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&row(backend, columns, at));
    }
    text.push_str(tail);
    text
}

/// Returns the places of one row's values, as SeaQuery writes them.
fn row(backend: DbBackend, columns: usize, at: usize) -> String {
    let mut text = String::with_capacity(columns * 8);
    for column in 0..columns {
        text.push_str(if column == 0 { "(" } else { ", " });
        match backend {
            // Writing to a text cannot fail.
            DbBackend::Postgres => drop(write!(text, "${}", at * columns + column + 1)),
            _ => text.push('?'),
        }
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{Expr, ExprTrait as _, Query};

    use super::*;
    use crate::dialect::insert_if_absent;

    const BACKENDS: [DbBackend; 3] = [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql];

    #[test]
    fn a_filled_statement_is_the_one_that_would_have_been_built() {
        static FIND: Ready = Ready::new(|backend| backend.build(&find("", 0)));
        fn find(name: &str, age: i32) -> sea_orm::sea_query::SelectStatement {
            Query::select()
                .column("id")
                .from("people")
                .and_where(Expr::col("name").eq(name))
                .and_where(Expr::col("age").gt(age))
                .take()
        }
        for backend in BACKENDS {
            let filled = FIND.with(backend, ["Ada".into(), 36.into()]);
            assert_eq!(filled, backend.build(&find("Ada", 36)));
        }
    }

    #[test]
    fn rows_are_those_that_would_have_been_built() {
        static INSERT: Ready = Ready::new(|backend| backend.build(&insert(&[("", 0)])));
        fn insert(rows: &[(&str, i32)]) -> sea_orm::sea_query::InsertStatement {
            let mut insert = Query::insert();
            insert.into_table("people").columns(["name", "age"]);
            for (name, age) in rows {
                insert.values_panic([Expr::val(*name), Expr::val(*age)]);
            }
            insert.on_conflict(insert_if_absent(&["name"])).take()
        }
        let people = [("Ada", 36), ("Grace", 85), ("Edsger", 72)];
        for backend in BACKENDS {
            for count in 1..=people.len() {
                let rows = people[..count].iter();
                let rows = rows.map(|(name, age)| [(*name).into(), (*age).into()]);
                assert_eq!(
                    INSERT.with_rows(backend, rows),
                    backend.build(&insert(&people[..count])),
                    "{count} {backend:?}"
                );
            }
        }
    }
}
