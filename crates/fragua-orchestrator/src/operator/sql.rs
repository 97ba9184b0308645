//! `sql`: statements on a connection, in one transaction.

use async_trait::async_trait;
use fragua_database::Engine;
use schemars::{JsonSchema, Schema};
use sea_orm::{ConnectionTrait, Statement};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ArgumentError, Operator, Outcome, TaskContext, TaskError, Text, check_arguments, parse_arguments,
    warehouse,
};

/// Runs statements in one transaction: all take effect, or none. MySQL commits `CREATE`, `ALTER` and `DROP` at once,
/// whatever follows. Hands on how many rows each statement changed.
#[derive(Debug)]
pub(super) struct Sql;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The name of the connection.
    connection: Text,
    /// The statements, in order.
    statements: Vec<Written>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a statement, or a mapping with statement and parameters, was expected"
)]
enum Written {
    Plain(String),
    WithParameters(Parameterized),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameterized {
    /// A statement with a `?` for each parameter.
    statement: String,
    /// The values of the `?`, in order. What comes from outside belongs here, not into the statement's text.
    parameters: Vec<Value>,
}

impl Written {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::WithParameters(written) => &written.statement,
        }
    }

    fn parameters(&self) -> &[Value] {
        match self {
            Self::Plain(_) => &[],
            Self::WithParameters(written) => &written.parameters,
        }
    }

    /// Returns the statement with the engine's placeholders, or what is wrong with it.
    fn statement(&self, engine: Engine) -> Result<(String, Vec<sea_orm::Value>), String> {
        if self.text().trim().is_empty() {
            return Err("the statement is empty".to_owned());
        }
        if matches!(self, Self::Plain(_)) {
            return Ok((self.text().to_owned(), Vec::new()));
        }
        let (text, count) = number_placeholders(self.text(), engine);
        if count != self.parameters().len() {
            return Err(format!(
                "the statement has {count} ?, and {} parameters are given",
                self.parameters().len()
            ));
        }
        let values: Result<Vec<_>, String> = self.parameters().iter().map(bind).collect();
        Ok((text, values?))
    }
}

fn bind(value: &Value) -> Result<sea_orm::Value, String> {
    match value {
        Value::Null => Ok(sea_orm::Value::String(None)),
        Value::Bool(flag) => Ok((*flag).into()),
        Value::String(text) => Ok(text.clone().into()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Ok(integer.into()),
            None => number
                .as_f64()
                .map(Into::into)
                .ok_or_else(|| format!("{number} is too large")),
        },
        Value::Array(_) | Value::Object(_) => {
            Err("a parameter is a text, a number, true, false or null".to_owned())
        }
    }
}

/// Counts the `?` outside of quotes and comments, and writes them as the engine does.
fn number_placeholders(text: &str, engine: Engine) -> (String, usize) {
    let (mut written, mut count) = (String::with_capacity(text.len()), 0);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '?' => {
                count += 1;
                if engine == Engine::Postgres {
                    written.push_str(&format!("${count}"));
                } else {
                    written.push('?');
                }
            }
            '\'' | '"' | '`' => {
                written.push(character);
                for inner in characters.by_ref() {
                    written.push(inner);
                    if inner == character {
                        break;
                    }
                }
            }
            '-' if characters.peek() == Some(&'-') => {
                written.push(character);
                for inner in characters.by_ref() {
                    written.push(inner);
                    if inner == '\n' {
                        break;
                    }
                }
            }
            other => written.push(other),
        }
    }
    (written, count)
}

#[async_trait]
impl Operator for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(Arguments)
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        let Some(arguments): Option<Arguments> = check_arguments(arguments)? else {
            return Ok(());
        };
        if arguments.statements.is_empty() {
            return Err(ArgumentError::at("/statements", "give at least one statement"));
        }
        for (index, written) in arguments.statements.iter().enumerate() {
            let checked = written.statement(Engine::Sqlite);
            checked.map_err(|message| ArgumentError::at(format!("/statements/{index}"), message))?;
        }
        Ok(())
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments: Arguments = parse_arguments(&arguments)?;
        let database = warehouse::open(context, arguments.connection.as_str()).await?;
        let transaction = database.begin().await.map_err(TaskError::failed)?;
        let backend = transaction.get_database_backend();
        let mut changed = Vec::new();
        for (index, written) in arguments.statements.iter().enumerate() {
            let number = index + 1;
            let (text, values) = written
                .statement(database.engine())
                .map_err(|message| TaskError::FailedForGood(format!("statement {number}: {message}")))?;
            let statement = Statement::from_sql_and_values(backend, text, values);
            let what = format!("statement {number} failed, nothing was changed");
            let result = transaction
                .execute_raw(statement)
                .await
                .map_err(warehouse::failed(&what))?;
            println!("statement {number}: {} rows changed", result.rows_affected());
            changed.push(result.rows_affected());
        }
        transaction
            .commit()
            .await
            .map_err(warehouse::failed("the transaction cannot be committed"))?;
        database.close().await;
        Ok(Outcome::with_xcom(json!({ "rows_changed": changed })))
    }
}

#[cfg(test)]
mod tests {
    use fragua_database::testing::TestDatabase;

    use super::*;
    use crate::operator::Connection;
    use crate::operator::testing::attempt;

    #[test]
    fn arguments_are_checked() {
        let check = |statements: Value, expected: Result<(), &str>| {
            let result = Sql.check(&json!({ "connection": "warehouse", "statements": statements }));
            assert_eq!(
                result.as_ref().map_err(|error| error.pointer.as_str()).copied(),
                expected,
                "{result:?}"
            );
        };
        check(json!(["DELETE FROM a"]), Ok(()));
        check(
            json!([{"statement": "DELETE FROM a WHERE b = ? AND c = '?' -- ?", "parameters": ["{{ ds }}"]}]),
            Ok(()),
        );
        check(
            json!([{"statement": "DELETE FROM a WHERE b = ?", "parameters": []}]),
            Err("/statements/0"),
        );
        check(json!(["DELETE FROM a", " "]), Err("/statements/1"));
        check(
            json!([{"statement": "SELECT ?", "parameters": [[1]]}]),
            Err("/statements/0"),
        );
        check(json!([]), Err("/statements"));
        check(json!([3]), Err("/statements/0"));
        check(json!("DELETE FROM a"), Err("/statements"));
    }

    #[test]
    fn placeholders_are_numbered_outside_of_quotes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(number_placeholders(text, Engine::Postgres).0, expected);
        };
        check("a = ? AND b = ?", "a = $1 AND b = $2");
        check(
            "a = '?' AND \"?\" = ? -- ?\n AND c = ?",
            "a = '?' AND \"?\" = $1 -- ?\n AND c = $2",
        );
        check("a = 'it''s ?' AND b = ?", "a = 'it''s ?' AND b = $1");
    }

    async fn statements_are_one_transaction(test: TestDatabase) {
        let mut attempt = attempt();
        attempt
            .context
            .connections
            .insert("warehouse".to_owned(), Connection::new(test.url.clone()));
        let run = async |statements: Value| {
            Sql.run(
                &attempt.context,
                json!({ "connection": "warehouse", "statements": statements }),
            )
            .await
        };
        run(json!(["CREATE TABLE t (a VARCHAR(20), b BIGINT)"]))
            .await
            .unwrap();
        let insert = json!({ "statement": "INSERT INTO t (a, b) VALUES (?, ?)", "parameters": ["it's", 5] });
        let outcome = run(json!([insert, insert, "DELETE FROM t WHERE b = 5"]))
            .await
            .unwrap();
        assert_eq!(outcome.xcom, Some(json!({ "rows_changed": [1, 1, 2] })));

        let error = run(json!([insert, "DELETE FROM nothing"])).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("statement 2 failed, nothing was changed"),
            "{error}"
        );
        let outcome = run(json!(["DELETE FROM t"])).await.unwrap();
        assert_eq!(outcome.xcom, Some(json!({ "rows_changed": [0] })));
    }

    #[tokio::test]
    async fn sqlite() {
        statements_are_one_transaction(TestDatabase::sqlite().await).await;
    }

    #[tokio::test]
    async fn postgres() {
        statements_are_one_transaction(TestDatabase::postgres().await).await;
    }

    #[tokio::test]
    async fn mariadb() {
        statements_are_one_transaction(TestDatabase::mariadb().await).await;
    }
}
