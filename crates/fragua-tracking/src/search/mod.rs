//! `filter_string` and `order_by`: text to plan to SQL.

mod lex;
mod parse;
pub(crate) mod sql;
pub(crate) mod targets;
pub(crate) mod token;

use crate::Error;
use crate::experiments::ViewType;
use crate::logged_models::LoggedModelOrder;
use crate::validation::limits;

use parse::{Clause, Comparison, Key};
pub(crate) use parse::{Literal, Operator};
use targets::{Attribute, Entity, Kind, Place, Target};

/// Which items of a list to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What they must match, in MLflow's filter language; empty for all.
    pub filter: String,
    /// The order, such as `metrics.accuracy DESC`; what is equal keeps the list's own order.
    pub order_by: Vec<String>,
    /// Which lifecycle stages, where the list has them.
    pub view: ViewType,
    /// How many; `None` for the list's own default.
    pub max_results: Option<u64>,
    /// Where the page begins.
    pub page_token: Option<String>,
}

/// How many items one page has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimits {
    pub(crate) default: u64,
    pub(crate) most: u64,
}

/// A query that has been understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) target: &'static Target,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) order: Vec<OrderKey>,
    pub(crate) limit: u64,
    pub(crate) offset: u64,
}

/// What a condition or an order looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    Column {
        name: &'static str,
        kind: Kind,
    },
    Metric(String),
    Param(String),
    Tag(String),
    /// A column of the data sets a run read.
    Dataset(&'static str),
    /// The role of a data set that a run read.
    DatasetContext,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) subject: Subject,
    pub(crate) test: Test,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Test {
    Number(Operator, f64),
    Text(Operator, String),
    In { negated: bool, values: Vec<String> },
    Null { negated: bool },
}

#[derive(Debug, PartialEq)]
pub(crate) struct OrderKey {
    pub(crate) subject: Subject,
    pub(crate) ascending: bool,
    pub(crate) dataset: Option<(String, Option<String>)>,
}

/// Reads a query against what its target offers.
pub(crate) fn plan(target: &'static Target, query: &Query, limits: PageLimits) -> Result<Plan, Error> {
    let limit = query.max_results.unwrap_or(limits.default);
    if limit == 0 || limit > limits.most {
        return Err(Error::invalid(format!(
            "Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer and at most \
             {}.",
            limits.most
        )));
    }
    Ok(Plan {
        target,
        conditions: conditions(target, &query.filter)?,
        order: order(target, &query.order_by)?,
        limit,
        offset: token::offset(query.page_token.as_deref())?,
    })
}

fn conditions(target: &'static Target, filter: &str) -> Result<Vec<Condition>, Error> {
    if filter.len() > limits::FILTER_BYTES {
        return Err(Error::invalid(format!(
            "The filter is longer than {} bytes",
            limits::FILTER_BYTES
        )));
    }
    let clauses = parse::filter(filter).map_err(|error| error.in_text("filter string", filter))?;
    if clauses.len() > limits::CLAUSES {
        return Err(Error::invalid(format!(
            "The filter has more than {} conditions",
            limits::CLAUSES
        )));
    }
    clauses
        .into_iter()
        .map(|clause| condition(target, clause))
        .collect()
}

fn order(target: &'static Target, terms: &[String]) -> Result<Vec<OrderKey>, Error> {
    if terms.len() > limits::ORDER_KEYS {
        return Err(Error::invalid(format!(
            "order_by has more than {} keys",
            limits::ORDER_KEYS
        )));
    }
    let mut keys: Vec<OrderKey> = Vec::with_capacity(terms.len());
    for term in terms {
        let (key, ascending) = parse::order(term).map_err(|error| error.in_text("order_by clause", term))?;
        let subject = match entity(target, &key)? {
            Entity::Attribute => {
                let invalid = || {
                    Error::invalid(format!(
                        "Invalid order by key '{}' specified. Valid keys are: {}",
                        key.name,
                        {
                            let names: Vec<_> = target.order_names().collect();
                            names.join(", ")
                        }
                    ))
                };
                let attribute = target
                    .attribute(&key.name)
                    .filter(|found| found.orders)
                    .ok_or_else(invalid)?;
                subject_of(attribute)
            }
            Entity::Dataset => {
                return Err(Error::invalid(
                    "Invalid order_by entity: datasets cannot be ordered by",
                ));
            }
            entity if target.orders_by_values => subject_of_entity(entity, key.name),
            _ => {
                return Err(Error::invalid(format!(
                    "Invalid order_by entity type in '{term}'"
                )));
            }
        };
        if keys.iter().any(|earlier| earlier.subject == subject) {
            return Err(Error::invalid(format!(
                "`order_by` contains duplicate fields: {terms:?}"
            )));
        }
        keys.push(OrderKey {
            subject,
            ascending,
            dataset: None,
        });
    }
    Ok(keys)
}

/// Reads the order of logged models, which comes in fields and not in a text.
pub(crate) fn logged_model_order(terms: &[LoggedModelOrder]) -> Result<Vec<OrderKey>, Error> {
    let target = &targets::LOGGED_MODELS;
    if terms.len() > limits::ORDER_KEYS {
        return Err(Error::invalid(format!(
            "order_by has more than {} keys",
            limits::ORDER_KEYS
        )));
    }
    terms
        .iter()
        .map(|term| {
            let dataset = term
                .dataset_name
                .clone()
                .map(|name| (name, term.dataset_digest.clone()));
            if dataset.is_none() && term.dataset_digest.is_some() {
                return Err(Error::invalid("order_by: dataset_digest needs dataset_name"));
            }
            let subject = match term.field_name.strip_prefix("metrics.") {
                Some(key) => Subject::Metric(key.trim_matches(['`', '"']).to_owned()),
                None if dataset.is_some() => {
                    return Err(Error::invalid("order_by: only metrics belong to a dataset"));
                }
                None => {
                    let name = term
                        .field_name
                        .strip_prefix("attributes.")
                        .unwrap_or(&term.field_name);
                    let attribute = target.attribute(name).filter(|found| found.orders);
                    subject_of(attribute.ok_or_else(|| {
                        Error::invalid(format!("Invalid order by field name: {:?}", term.field_name))
                    })?)
                }
            };
            Ok(OrderKey {
                subject,
                ascending: term.ascending,
                dataset,
            })
        })
        .collect()
}

fn entity(target: &Target, key: &Key) -> Result<Entity, Error> {
    let Some(name) = &key.entity else {
        return Ok(Entity::Attribute);
    };
    target.entity(name).ok_or_else(|| {
        let names: Vec<_> = target.entity_names().collect();
        Error::invalid(format!(
            "Invalid entity type '{name}'. Valid values are: {}",
            names.join(", ")
        ))
    })
}

fn subject_of(attribute: &'static Attribute) -> Subject {
    match attribute.place {
        Place::Column(name) => Subject::Column {
            name,
            kind: attribute.kind,
        },
        Place::Tag(key) => Subject::Tag(key.to_owned()),
    }
}

fn subject_of_entity(entity: Entity, key: String) -> Subject {
    match entity {
        Entity::Metric => Subject::Metric(key),
        Entity::Param => Subject::Param(key),
        Entity::Tag | Entity::Attribute | Entity::Dataset => Subject::Tag(key),
    }
}

fn condition(target: &'static Target, clause: Clause) -> Result<Condition, Error> {
    let what = clause.key.to_string();
    let (subject, kind, nullable, memberships) = match entity(target, &clause.key)? {
        Entity::Metric => (Subject::Metric(clause.key.name), Kind::Number, false, false),
        Entity::Param => (
            Subject::Param(clause.key.name),
            Kind::Text,
            target.null_tests,
            false,
        ),
        Entity::Tag => (
            Subject::Tag(clause.key.name),
            Kind::Text,
            target.null_tests,
            false,
        ),
        Entity::Dataset => (dataset_subject(&clause.key.name)?, Kind::Text, false, true),
        Entity::Attribute => {
            let found = target
                .attribute(&clause.key.name)
                .filter(|attribute| attribute.filters);
            let attribute = found.ok_or_else(|| {
                let names: Vec<_> = target.attribute_names().collect();
                Error::invalid(format!(
                    "Invalid attribute key '{}' specified. Valid keys are: {}",
                    clause.key.name,
                    names.join(", ")
                ))
            })?;
            (
                subject_of(attribute),
                attribute.kind,
                false,
                attribute.memberships,
            )
        }
    };
    let test = match clause.comparison {
        Comparison::Null { negated } if nullable => Test::Null { negated },
        Comparison::Null { .. } => {
            return Err(Error::invalid(format!(
                "IS NULL and IS NOT NULL are not offered for {what}"
            )));
        }
        Comparison::In { negated, values } if memberships => {
            let values = values
                .into_iter()
                .map(|value| text(&what, value))
                .collect::<Result<Vec<_>, _>>()?;
            Test::In { negated, values }
        }
        Comparison::In { .. } => {
            return Err(Error::invalid(format!(
                "IN and NOT IN are not offered for {what}"
            )));
        }
        Comparison::Compare(operator, value) => compare(&what, kind, operator, value)?,
    };
    Ok(Condition { subject, test })
}

fn compare(what: &str, kind: Kind, operator: Operator, value: Literal) -> Result<Test, Error> {
    let offered = match kind {
        Kind::Number => !matches!(operator, Operator::Like | Operator::Ilike),
        Kind::Text => operator.is_textual(),
        Kind::Identity | Kind::LoggedModelStatus => matches!(operator, Operator::Equal | Operator::NotEqual),
    };
    if !offered {
        return Err(Error::invalid(format!(
            "Invalid comparator '{operator}' for {what}"
        )));
    }
    match (kind, value) {
        (Kind::Number | Kind::Identity, Literal::Number(number)) => Ok(Test::Number(operator, number)),
        // MLflow takes the number of an experiment in quotes too.
        (Kind::Identity, Literal::Text(text)) => match text.parse::<i32>() {
            Ok(number) => Ok(Test::Number(operator, f64::from(number))),
            Err(_) => Err(Error::invalid(format!("Expected a whole number for {what}"))),
        },
        (Kind::Number, Literal::Text(_)) => Err(Error::invalid(format!(
            "Expected numeric value type for {what}. Found a quoted string; write the number without quotes."
        ))),
        (Kind::LoggedModelStatus, value) => {
            let name = text(what, value)?;
            let number = targets::logged_model_status_number(&name).ok_or_else(|| {
                Error::invalid(format!(
                    "Unknown model status: {name:?}. Use PENDING, READY or UPLOAD_FAILED."
                ))
            })?;
            Ok(Test::Number(operator, f64::from(number)))
        }
        (Kind::Text, value) => Ok(Test::Text(operator, text(what, value)?)),
    }
}

fn text(what: &str, value: Literal) -> Result<String, Error> {
    match value {
        Literal::Text(text) => Ok(text),
        Literal::Number(_) => Err(Error::invalid(format!(
            "Expected a quoted string value for {what}, such as 'text'"
        ))),
    }
}

fn dataset_subject(name: &str) -> Result<Subject, Error> {
    match name {
        "name" => Ok(Subject::Dataset("name")),
        "digest" => Ok(Subject::Dataset("digest")),
        "context" => Ok(Subject::DatasetContext),
        _ => Err(Error::invalid(format!(
            "Invalid dataset key '{name}' specified. Valid keys are: name, digest, context"
        ))),
    }
}
