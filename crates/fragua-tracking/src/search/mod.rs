//! `filter_string` and `order_by`: text to plan to SQL.

mod conditions;
#[cfg(test)]
mod fuzz;
mod lex;
mod order;
mod parse;
mod problem;
pub(crate) mod sql;
pub(crate) mod targets;
pub(crate) mod token;
mod vocabulary;

use crate::Error;
use crate::experiments::ViewType;

use conditions::conditions;
pub(crate) use order::logged_model_order;
use order::order;
pub(crate) use parse::{Literal, Operator};
pub use problem::{Expected, SearchProblem};
use targets::{Attribute, Kind, Place, Target};
pub use vocabulary::{Searchable, Term, vocabulary};

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
    /// How long a run took, in milliseconds; nothing while it runs.
    Duration,
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
    /// For the metric of a logged model: only values measured on the data set of this name and digest.
    pub(crate) dataset: DatasetScope,
}

/// The name and the digest of a data set, as far as they are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DatasetScope {
    pub(crate) name: Option<String>,
    pub(crate) digest: Option<String>,
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

/// Reads a filter of a list alone.
#[cfg(test)]
pub(crate) fn conditions_of(list: Searchable, filter: &str) -> Result<Vec<Condition>, Error> {
    conditions(list.target(), filter)
}

fn subject_of(attribute: &'static Attribute) -> Subject {
    match attribute.place {
        Place::Column(name) => Subject::Column {
            name,
            kind: attribute.kind,
        },
        Place::Tag(key) => Subject::Tag(key.to_owned()),
        Place::Duration => Subject::Duration,
    }
}

/// Returns names as a message lists them.
fn listed(names: impl IntoIterator<Item = &'static str>) -> String {
    names
        .into_iter()
        .map(|name| format!("'{name}'"))
        .collect::<Vec<_>>()
        .join(", ")
}
