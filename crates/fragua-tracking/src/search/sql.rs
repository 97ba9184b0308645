//! Plan to SQL.

use fragua_database::Engine;
use sea_orm::sea_query::{
    Alias, Condition as Conditions, Expr, ExprTrait as _, Func, JoinType, Order, Query, SelectStatement,
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

/// Adds the conditions. Metric conditions look only at values measured on one of `datasets`, when there are any.
pub(crate) fn filter(
    select: &mut SelectStatement,
    plan: &Plan,
    engine: Engine,
    datasets: &[(String, Option<String>)],
) {
    for condition in &plan.conditions {
        select.and_where(where_clause(plan.target, condition, engine, datasets));
    }
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
        Subject::Metric(key) => {
            let Some(values) = &target.metrics else {
                return Expr::val(false);
            };
            let mut matching = of_key(target, values, key);
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

/// The values of one key that belong to the row outside.
fn of_key(target: &'static Target, values: &Values, key: &str) -> SelectStatement {
    let mut select = Query::select();
    select
        .expr(Expr::val(1))
        .from(values.table)
        .and_where(Expr::col((values.table, values.key)).eq(key));
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
    let mut matching = of_key(target, values, key);
    match wanted {
        Test::Null { negated: true } => Expr::exists(matching),
        Test::Null { negated: false } => Expr::not_exists(matching),
        Test::Text(Operator::NotEqual, value) if target.has_prompts && key == PROMPT_TAG => {
            let equal = Test::Text(Operator::Equal, value.clone());
            matching.and_where(test(
                Expr::col((values.table, values.value)),
                &equal,
                Kind::Text,
                engine,
            ));
            Expr::not_exists(matching)
        }
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

/// Only "not equal" is true of a value that is none; the number kept in its place never counts.
fn number_test(values: &Values, wanted: &Test) -> Expr {
    let Test::Number(operator, number) = wanted else {
        return Expr::val(false);
    };
    let compared = compare(Expr::col((values.table, values.value)), *operator, *number);
    match (values.is_nan, operator) {
        (None, _) => compared,
        (Some(is_nan), Operator::NotEqual) => Expr::col((values.table, is_nan)).eq(true).or(compared),
        (Some(is_nan), _) => Expr::col((values.table, is_nan)).eq(false).and(compared),
    }
}

fn of_datasets(values: &Values, datasets: &[(String, Option<String>)]) -> Conditions {
    datasets.iter().fold(Conditions::any(), |any, (name, digest)| {
        let mut one = Conditions::all().add(Expr::col((values.table, "dataset_name")).eq(name.as_str()));
        if let Some(digest) = digest {
            one = one.add(Expr::col((values.table, "dataset_digest")).eq(digest.as_str()));
        }
        any.add(one)
    })
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
            let numbers: Vec<i64> = values.iter().filter_map(|value| value.parse().ok()).collect();
            if *negated {
                value.is_not_in(numbers)
            } else {
                value.is_in(numbers)
            }
        }
        Test::In { negated, values } => {
            let values = values.iter().map(String::as_str);
            let value = exact(value, engine);
            if *negated {
                value.is_not_in(values)
            } else {
                value.is_in(values)
            }
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
        Operator::NotEqual => exact(value, engine).ne(text),
        Operator::Like => exact(value, engine).like(text),
        Operator::Ilike => Expr::expr(Func::lower(value)).like(text.to_lowercase()),
        _ => exact(value, engine).eq(text),
    }
}

/// A MySQL database made by MLflow compares without case; a filter does not.
fn exact(value: Expr, engine: Engine) -> Expr {
    if engine == Engine::MySql {
        Expr::cust_with_expr("BINARY ?", value)
    } else {
        value
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
    for (column, ascending) in plan.target.tail {
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
        Subject::Dataset(_) | Subject::DatasetContext => return (Expr::val(0), Expr::val(0)),
    };
    let Some(values) = values else {
        return (Expr::val(0), Expr::val(0));
    };
    if !values.newest.is_empty() {
        let newest = newest_value(target, values, name, key.dataset.as_ref());
        return (missing_last(newest.clone()), newest);
    }
    let alias = Alias::new(format!("order_{at}"));
    let mut on = Conditions::all().add(Expr::col((alias.clone(), values.key)).eq(name.as_str()));
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

fn newest_value(
    target: &'static Target,
    values: &Values,
    key: &str,
    dataset: Option<&(String, Option<String>)>,
) -> Expr {
    let mut select = of_key(target, values, key);
    select.clear_selects().column((values.table, values.value));
    if let Some(dataset) = dataset {
        select.cond_where(of_datasets(values, std::slice::from_ref(dataset)));
    }
    for column in values.newest {
        select.order_by((values.table, *column), Order::Desc);
    }
    select.limit(1);
    Expr::SubQuery(None, Box::new(select.into()))
}
