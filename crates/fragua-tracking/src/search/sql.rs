//! Plan to SQL.

use fragua_database::Engine;
use sea_orm::sea_query::{
    Alias, BinOper, Condition as Conditions, Expr, ExprTrait as _, Func, JoinType, Order, Query,
    SelectStatement,
};

use super::targets::{Kind, Target, Values};
use super::{Condition, Operator, OrderKey, Plan, Subject, Test};

/// MLflow's mark of a prompt; what lacks it is none.
const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// Adds conditions, order and page to a selection from the target's table. One row more than the page is asked for.
pub(crate) fn apply(select: &mut SelectStatement, plan: &Plan, engine: Engine) {
    filter(select, plan, engine, &[]);
    order(select, plan, engine);
    select.limit(plan.limit + 1).offset(plan.offset);
}

/// Adds the conditions. Metric conditions look only at values measured on one of `datasets`, when there are any;
/// without such a condition anything measured on them counts. Prompts, which the registry keeps beside models, are
/// left out unless they are what is asked for.
pub(crate) fn filter(
    select: &mut SelectStatement,
    plan: &Plan,
    engine: Engine,
    datasets: &[(String, Option<String>)],
) {
    let only_models = plan.target.has_prompts && !asks_for_prompts(plan);
    if only_models {
        select.and_where(Expr::not_exists(prompts(plan.target, engine)));
    }
    let mut conditions: Vec<&Condition> = plan.conditions.iter().collect();
    conditions.sort_by_key(|condition| effort(condition));
    for condition in conditions {
        if !(only_models && is_about_prompts(condition)) {
            select.and_where(where_clause(plan.target, condition, engine, datasets));
        }
    }
    let asks_metric = |condition: &Condition| matches!(condition.subject, Subject::Metric(_));
    if let Some(values) = &plan.target.metrics
        && !datasets.is_empty()
        && !plan.conditions.iter().any(asks_metric)
    {
        let mut measured = belonging(plan.target, values);
        measured.cond_where(of_datasets(values, datasets));
        select.and_where(Expr::exists(measured));
    }
}

/// What is tried first: SQLite takes the conditions in the order they are written. A column costs no look into another
/// table, and few rows have the very value that a parameter or tag is asked for.
fn effort(condition: &Condition) -> u8 {
    match (&condition.subject, &condition.test) {
        (Subject::Column { .. } | Subject::Duration, _) => 0,
        (
            Subject::Param(_) | Subject::Tag(_),
            Test::Text(Operator::Equal, _) | Test::In { negated: false, .. },
        ) => 1,
        _ => 2,
    }
}

fn is_about_prompts(condition: &Condition) -> bool {
    matches!(&condition.subject, Subject::Tag(key) if key == PROMPT_TAG)
}

/// Whether the first condition on the mark wants prompts. MLflow's client asks for `!= 'true'` wherever it wants
/// models, which lack the mark: all else means models alone, and the conditions on the mark say nothing more.
fn asks_for_prompts(plan: &Plan) -> bool {
    let first = plan
        .conditions
        .iter()
        .find(|condition| is_about_prompts(condition));
    match first.map(|condition| &condition.test) {
        Some(Test::Text(Operator::Equal, value)) => value.eq_ignore_ascii_case("true"),
        Some(Test::Text(Operator::NotEqual, value)) => value.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// The marks that make the row outside a prompt, or a version of one.
fn prompts(target: &'static Target, engine: Engine) -> SelectStatement {
    let mut select = Query::select();
    select.expr(Expr::val(1));
    let Some(tags) = &target.tags else {
        return select;
    };
    let column = |name: &'static str| Expr::col((tags.table, name));
    select
        .from(tags.table)
        .and_where(exactly(|| column(tags.key), PROMPT_TAG, engine))
        .and_where(exactly(|| column(tags.value), "true", engine))
        .and_where(column("name").equals((target.table, "name")));
    select
}

fn where_clause(
    target: &'static Target,
    condition: &Condition,
    engine: Engine,
    datasets: &[(String, Option<String>)],
) -> Expr {
    match &condition.subject {
        Subject::Column { name, kind } => {
            let column = Expr::col((target.table, *name));
            test(column, &condition.test, *kind, engine)
        }
        Subject::Duration => test(duration(target), &condition.test, Kind::Number, engine),
        Subject::Metric(key) => {
            let Some(values) = &target.metrics else {
                return Expr::val(false);
            };
            let mut matching = of_key(target, values, key, engine);
            matching.and_where(number_test(values, &condition.test));
            if !datasets.is_empty() {
                matching.cond_where(of_datasets(values, datasets));
            }
            Expr::exists(matching)
        }
        Subject::Param(key) => key_value(target, target.params.as_ref(), key, &condition.test, engine),
        Subject::Tag(key) => key_value(target, target.tags.as_ref(), key, &condition.test, engine),
        Subject::Dataset(column) => {
            let test = test(
                Expr::col(("datasets", *column)),
                &condition.test,
                Kind::Text,
                engine,
            );
            Expr::exists(dataset_inputs().and_where(test).take())
        }
        Subject::DatasetContext => {
            let mut select = dataset_inputs();
            select.join(
                JoinType::InnerJoin,
                "input_tags",
                Expr::col(("input_tags", "input_uuid")).equals(("inputs", "input_uuid")),
            );
            select.and_where(Expr::col(("input_tags", "name")).eq("mlflow.data.context"));
            select.and_where(test(
                Expr::col(("input_tags", "value")),
                &condition.test,
                Kind::Text,
                engine,
            ));
            Expr::exists(select)
        }
    }
}

fn duration(target: &'static Target) -> Expr {
    let column = |name: &'static str| Expr::col((target.table, name));
    column("end_time").sub(column("start_time"))
}

/// The values of one key that belong to the row outside.
fn of_key(target: &'static Target, values: &Values, key: &str, engine: Engine) -> SelectStatement {
    let mut select = belonging(target, values);
    select.and_where(exactly(|| Expr::col((values.table, values.key)), key, engine));
    select
}

/// All values that belong to the row outside.
fn belonging(target: &'static Target, values: &Values) -> SelectStatement {
    let mut select = Query::select();
    select.expr(Expr::val(1)).from(values.table);
    for column in target.join {
        select.and_where(Expr::col((values.table, *column)).equals((target.table, *column)));
    }
    select
}

fn key_value(
    target: &'static Target,
    values: Option<&Values>,
    key: &str,
    wanted: &Test,
    engine: Engine,
) -> Expr {
    let Some(values) = values else {
        return Expr::val(false);
    };
    let mut matching = of_key(target, values, key, engine);
    match wanted {
        Test::Null { negated: true } => Expr::exists(matching),
        Test::Null { negated: false } => Expr::not_exists(matching),
        other => {
            matching.and_where(test(
                Expr::col((values.table, values.value)),
                other,
                Kind::Text,
                engine,
            ));
            Expr::exists(matching)
        }
    }
}

/// Only "not equal" is true of a value that is none; the number kept in its place never counts. A table without a
/// mark for it has no number there.
fn number_test(values: &Values, wanted: &Test) -> Expr {
    let Test::Number(operator, number) = wanted else {
        return Expr::val(false);
    };
    let value = || Expr::col((values.table, values.value));
    let compared = compare(value(), *operator, *number);
    match (values.is_nan, operator) {
        (None, Operator::NotEqual) => value().is_null().or(compared),
        (None, _) => compared,
        (Some(is_nan), Operator::NotEqual) => Expr::col((values.table, is_nan)).eq(true).or(compared),
        (Some(is_nan), _) => Expr::col((values.table, is_nan)).eq(false).and(compared),
    }
}

fn of_datasets(values: &Values, datasets: &[(String, Option<String>)]) -> Conditions {
    datasets.iter().fold(Conditions::any(), |any, (name, digest)| {
        any.add(of_dataset(values, Some(name), digest.as_deref()))
    })
}

fn of_dataset(values: &Values, name: Option<&str>, digest: Option<&str>) -> Conditions {
    [("dataset_name", name), ("dataset_digest", digest)]
        .into_iter()
        .filter_map(|(column, value)| Some(Expr::col((values.table, column)).eq(value?)))
        .fold(Conditions::all(), Conditions::add)
}

/// The data sets that the run outside read.
fn dataset_inputs() -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from("inputs")
        .join(
            JoinType::InnerJoin,
            "datasets",
            Expr::col(("datasets", "dataset_uuid")).equals(("inputs", "source_id")),
        )
        .and_where(Expr::col(("inputs", "source_type")).eq("DATASET"))
        .and_where(Expr::col(("inputs", "destination_type")).eq("RUN"))
        .and_where(Expr::col(("inputs", "destination_id")).equals(("runs", "run_uuid")))
        .take()
}

fn test(value: Expr, wanted: &Test, kind: Kind, engine: Engine) -> Expr {
    match wanted {
        Test::Number(operator, number) => compare(value, *operator, *number),
        Test::Text(operator, text) => compare_text(value, *operator, text, engine),
        Test::In { negated, values } if kind == Kind::Identity => {
            // A name that is no number belongs to nothing.
            let numbers: Vec<i64> = values
                .iter()
                .filter_map(|value| value.trim().parse().ok())
                .collect();
            if *negated {
                value.is_not_in(numbers)
            } else {
                value.is_in(numbers)
            }
        }
        Test::In { negated, values } => {
            let found = one_of(value, values, engine);
            if *negated { found.not() } else { found }
        }
        Test::Null { negated: true } => value.is_not_null(),
        Test::Null { negated: false } => value.is_null(),
    }
}

fn compare(value: Expr, operator: Operator, number: f64) -> Expr {
    match operator {
        Operator::NotEqual => value.ne(number),
        Operator::Less => value.lt(number),
        Operator::LessOrEqual => value.lte(number),
        Operator::Greater => value.gt(number),
        Operator::GreaterOrEqual => value.gte(number),
        Operator::Equal | Operator::Like | Operator::Ilike => value.eq(number),
    }
}

fn compare_text(value: Expr, operator: Operator, text: &str, engine: Engine) -> Expr {
    match operator {
        Operator::NotEqual => exactly(|| value.clone(), text, engine).not(),
        Operator::Like => binary(value, engine).like(pattern(text, engine)),
        // The engine's own `lower` on both sides: what one of them does not know stays as it is on both.
        Operator::Ilike => {
            let lowered = Func::lower(Expr::val(pattern(text, engine)));
            Expr::expr(Func::lower(value)).binary(BinOper::Like, Expr::expr(lowered))
        }
        _ => exactly(|| value.clone(), text, engine),
    }
}

/// A backslash is itself, as in SQLite; the other engines would take it as an escape.
fn pattern(text: &str, engine: Engine) -> String {
    match engine {
        Engine::Sqlite => text.to_owned(),
        Engine::Postgres | Engine::MySql => text.replace('\\', "\\\\"),
    }
}

/// A MySQL database made by MLflow compares without case; a filter does not.
fn binary(value: Expr, engine: Engine) -> Expr {
    if engine == Engine::MySql {
        Expr::cust_with_expr("BINARY ?", value)
    } else {
        value
    }
}

/// Compares with case. MySQL also compares in its own way, which an index serves.
fn exactly(value: impl Fn() -> Expr, text: &str, engine: Engine) -> Expr {
    if engine == Engine::MySql {
        value().eq(text).and(binary(value(), engine).eq(text))
    } else {
        value().eq(text)
    }
}

fn one_of(value: Expr, texts: &[String], engine: Engine) -> Expr {
    let texts = || texts.iter().map(String::as_str);
    if engine == Engine::MySql {
        let exact = binary(value.clone(), engine).is_in(texts());
        value.is_in(texts()).and(exact)
    } else {
        value.is_in(texts())
    }
}

/// Adds the order: what was asked for, then the target's own. What is missing comes last in both directions, after
/// numbers that are none.
pub(crate) fn order(select: &mut SelectStatement, plan: &Plan, engine: Engine) {
    for (at, key) in plan.order.iter().enumerate() {
        let direction = if key.ascending { Order::Asc } else { Order::Desc };
        let (rank, value) = order_value(select, plan.target, key, at, engine);
        select.order_by_expr(rank, Order::Asc);
        select.order_by_expr(value, direction);
    }
    let default = if plan.order.is_empty() {
        plan.target.default_order
    } else {
        &[]
    };
    for (column, ascending) in default.iter().chain(plan.target.tail) {
        let given = |key: &OrderKey| matches!(key.subject, Subject::Column { name, .. } if name == *column);
        if !plan.order.iter().any(given) {
            let direction = if *ascending { Order::Asc } else { Order::Desc };
            let value = Expr::col((plan.target.table, *column));
            let value = if *column == "name" {
                by_bytes(value, engine)
            } else {
                value
            };
            select.order_by_expr(value, direction);
        }
    }
}

/// Returns where a row stands among present, not-a-number and missing, and the value itself.
fn order_value(
    select: &mut SelectStatement,
    target: &'static Target,
    key: &OrderKey,
    at: usize,
    engine: Engine,
) -> (Expr, Expr) {
    let (values, name) = match &key.subject {
        Subject::Metric(name) => (target.metrics.as_ref(), name),
        Subject::Param(name) => (target.params.as_ref(), name),
        Subject::Tag(name) => (target.tags.as_ref(), name),
        Subject::Column { name, kind } => {
            let column = || Expr::col((target.table, *name));
            let value = if *kind == Kind::Text {
                by_bytes(column(), engine)
            } else {
                column()
            };
            return (missing_last(column()), value);
        }
        Subject::Duration => return (missing_last(duration(target)), duration(target)),
        Subject::Dataset(_) | Subject::DatasetContext => return (Expr::val(0), Expr::val(0)),
    };
    let Some(values) = values else {
        return (Expr::val(0), Expr::val(0));
    };
    if !values.newest.is_empty() {
        let mut measured = of_key(target, values, name, engine);
        measured.cond_where(of_dataset(
            values,
            key.dataset.name.as_deref(),
            key.dataset.digest.as_deref(),
        ));
        let newest = newest_value(values, measured.clone());
        let rank = Expr::case(newest.clone().is_not_null(), 0)
            .case(Expr::exists(measured), 1)
            .finally(2);
        return (rank.into(), newest);
    }
    let alias = Alias::new(format!("order_{at}"));
    let mut on = Conditions::all().add(exactly(|| Expr::col((alias.clone(), values.key)), name, engine));
    for column in target.join {
        on = on.add(Expr::col((alias.clone(), *column)).equals((target.table, *column)));
    }
    select.join_as(JoinType::LeftJoin, values.table, alias.clone(), on);
    let value = Expr::col((alias.clone(), values.value));
    let rank = match values.is_nan {
        None => missing_last(value.clone()),
        Some(is_nan) => Expr::case(value.clone().is_null(), 2)
            .case(Expr::col((alias, is_nan)).eq(true), 1)
            .finally(0)
            .into(),
    };
    let value = if matches!(key.subject, Subject::Metric(_)) {
        value
    } else {
        by_bytes(value, engine)
    };
    (rank, value)
}

/// PostgreSQL sorts texts by the language of the database; the other engines, and pages that compare them, by bytes.
fn by_bytes(value: Expr, engine: Engine) -> Expr {
    if engine == Engine::Postgres {
        Expr::cust_with_expr("$1 COLLATE \"C\"", value)
    } else {
        value
    }
}

fn missing_last(value: Expr) -> Expr {
    Expr::case(value.is_null(), 1).finally(0).into()
}

fn newest_value(values: &Values, mut measured: SelectStatement) -> Expr {
    measured
        .clear_selects()
        .column((values.table, values.value))
        .limit(1);
    for (column, ascending) in values.newest {
        let direction = if *ascending { Order::Asc } else { Order::Desc };
        measured.order_by((values.table, *column), direction);
    }
    Expr::SubQuery(None, Box::new(measured.into()))
}
