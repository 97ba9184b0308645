//! Why a filter cannot be read, in the reader's language.

use fragua_tracking::{Error, Expected, SearchProblem};

use crate::page::Page;

/// Why a filter cannot be read, and where.
pub(super) struct FilterError {
    pub(super) message: String,
    /// The text before the place, the place, and the text after it.
    pub(super) place: Option<(String, String, String)>,
}

impl FilterError {
    pub(super) fn new(page: &Page, error: &Error, filter: &str) -> Self {
        let (message, place) = match error {
            Error::Filter { span, problem, .. } => {
                let split = filter.split_at_checked(span.start);
                let place = split.and_then(|(before, rest)| {
                    let (wrong, after) = rest.split_at_checked(span.len())?;
                    Some((before.to_owned(), wrong.to_owned(), after.to_owned()))
                });
                (words(page, problem), place)
            }
            other => (other.to_string(), None),
        };
        Self { message, place }
    }
}

fn words(page: &Page, problem: &SearchProblem) -> String {
    use SearchProblem as Problem;
    match problem {
        Problem::Unexpected(found) => page.t1("filter-unexpected", "found", &found.to_string()),
        Problem::NotANumber { found } => page.t1("filter-not-a-number", "found", found),
        Problem::OpenQuote(found) => page.t1("filter-open-quote", "found", &found.to_string()),
        Problem::Expected(expected) => page.t(match expected {
            Expected::Key => "filter-expected-key",
            Expected::Name => "filter-expected-name",
            Expected::Operator => "filter-expected-operator",
            Expected::Null => "filter-expected-null",
            Expected::Value => "filter-expected-value",
            Expected::List => "filter-expected-list",
            Expected::RestOfList => "filter-expected-rest-of-list",
            Expected::And => "filter-expected-and",
            Expected::Direction => return problem.to_string(),
        }),
        Problem::TooLong { most_bytes } => page.t1("filter-too-long", "most", &most_bytes.to_string()),
        Problem::TooManyConditions { most } => page.t1("filter-too-many", "most", &most.to_string()),
        Problem::Entity { name, offered } => {
            page.text_with("filter-entity", &[("name", name), ("offered", offered)])
        }
        Problem::Attribute { name, offered } => {
            page.text_with("filter-attribute", &[("name", name), ("offered", offered)])
        }
        Problem::DatasetKey { name, offered } => {
            page.text_with("filter-dataset-key", &[("name", name), ("offered", offered)])
        }
        Problem::NullTest { key, .. } => page.t1("filter-null-test", "key", key),
        Problem::ListOfAttribute { offered } => page.t1("filter-list-of-attribute", "offered", offered),
        Problem::ListOf { .. } => page.t("filter-list-of"),
        Problem::Comparator { operator, offered } => page.text_with(
            "filter-comparator",
            &[("operator", operator), ("offered", offered)],
        ),
        Problem::MetricValue { found } => page.t1("filter-metric-value", "found", found),
        Problem::NumericValue { key, found } => {
            page.text_with("filter-numeric-value", &[("key", key), ("found", found)])
        }
        Problem::WholeNumber { key, found } => {
            page.text_with("filter-whole-number", &[("key", key), ("found", found)])
        }
        Problem::ModelStatus { name } => page.t1("filter-model-status", "name", name),
        Problem::QuotedValue { found, .. } => page.t1("filter-quoted-value", "found", found),
        // Pages order lists by what is there.
        Problem::OrderKey { .. } | Problem::OrderEntity { .. } => problem.to_string(),
    }
}
