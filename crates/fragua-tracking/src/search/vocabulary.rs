//! What a filter or an order can name: the words a completion offers.

use super::targets::{self, DATASET_KEYS, Entity, Kind, Target};

/// A list that can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searchable {
    /// Runs.
    Runs,
    /// Experiments.
    Experiments,
    /// Registered models.
    RegisteredModels,
    /// Versions of registered models.
    ModelVersions,
    /// Logged models; their order has fields of its own.
    LoggedModels,
}

impl Searchable {
    pub(super) fn target(self) -> &'static Target {
        match self {
            Self::Runs => &targets::RUNS,
            Self::Experiments => &targets::EXPERIMENTS,
            Self::RegisteredModels => &targets::MODELS,
            Self::ModelVersions => &targets::VERSIONS,
            Self::LoggedModels => &targets::LOGGED_MODELS,
        }
    }
}

/// A word that begins a clause, and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// An attribute such as `status`, or `metrics.`, which a key must follow.
    pub text: String,
    /// The operators of a filter, such as `=` and `NOT IN`; empty for what can only be ordered by.
    pub operators: Vec<&'static str>,
    /// Whether values are numbers, which stand without quotes.
    pub is_number: bool,
    /// Whether `order_by` can name it.
    pub orders: bool,
}

/// Returns the words of a list: first its attributes, then what has keys.
pub fn vocabulary(list: Searchable) -> Vec<Term> {
    let target = list.target();
    let attributes = target.attributes.iter().map(|attribute| Term {
        text: attribute.names[0].to_owned(),
        operators: if attribute.filters {
            operators(attribute.kind, attribute.memberships, false)
        } else {
            Vec::new()
        },
        is_number: attribute.kind == Kind::Number,
        orders: attribute.orders,
    });
    let values = target.entities.iter().flat_map(|entity| {
        let (text, kind, memberships, null_tests) = match entity {
            Entity::Attribute => return Vec::new(),
            Entity::Dataset => {
                let term = |key| Term {
                    text: format!("datasets.{key}"),
                    operators: operators(Kind::Text, true, false),
                    is_number: false,
                    orders: false,
                };
                return DATASET_KEYS.into_iter().map(term).collect();
            }
            Entity::Metric => ("metrics.", Kind::Number, false, false),
            Entity::Param => ("params.", Kind::Text, target.value_memberships, target.null_tests),
            Entity::Tag => ("tags.", Kind::Text, target.value_memberships, target.null_tests),
        };
        vec![Term {
            text: text.to_owned(),
            operators: operators(kind, memberships, null_tests),
            is_number: kind == Kind::Number,
            orders: target.orders_by_values,
        }]
    });
    attributes.chain(values).collect()
}

fn operators(kind: Kind, memberships: bool, null_tests: bool) -> Vec<&'static str> {
    let mut names: Vec<_> = kind
        .operators()
        .iter()
        .map(|operator| operator.as_str())
        .collect();
    if memberships {
        names.extend(["IN", "NOT IN"]);
    }
    if null_tests {
        names.extend(["IS NULL", "IS NOT NULL"]);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::conditions::conditions;

    const LISTS: [Searchable; 5] = [
        Searchable::Runs,
        Searchable::Experiments,
        Searchable::RegisteredModels,
        Searchable::ModelVersions,
        Searchable::LoggedModels,
    ];

    #[test]
    fn every_word_makes_a_filter_that_is_read() {
        for list in LISTS {
            for term in vocabulary(list) {
                let key = if term.text.ends_with('.') { "key" } else { "" };
                for operator in &term.operators {
                    let value = match (*operator, term.text.as_str()) {
                        ("IS NULL" | "IS NOT NULL", _) => "",
                        ("IN" | "NOT IN", _) => "('1')",
                        (_, "status") => "'READY'",
                        _ if term.is_number => "1",
                        _ => "'1'",
                    };
                    let filter = format!("{}{key} {operator} {value}", term.text);
                    let read = conditions(list.target(), &filter);
                    assert!(read.is_ok(), "{list:?}: {filter}: {read:?}");
                }
            }
        }
    }

    #[test]
    fn words_of_runs() {
        let of = |text: &str| {
            let terms = vocabulary(Searchable::Runs);
            let term = terms.into_iter().find(|term| term.text == text).unwrap();
            (term.operators.join(" "), term.is_number, term.orders)
        };
        assert_eq!(
            of("run_id"),
            ("= != LIKE ILIKE IN NOT IN".to_owned(), false, true)
        );
        assert_eq!(of("status"), ("= != LIKE ILIKE".to_owned(), false, true));
        assert_eq!(of("metrics."), ("= != < <= > >=".to_owned(), true, true));
        assert_eq!(
            of("tags."),
            ("= != LIKE ILIKE IS NULL IS NOT NULL".to_owned(), false, true)
        );
        assert_eq!(
            of("datasets.context"),
            ("= != LIKE ILIKE IN NOT IN".to_owned(), false, false)
        );
    }
}
