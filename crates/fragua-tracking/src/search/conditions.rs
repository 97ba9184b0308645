//! What the clauses of a filter mean for a target.

use super::parse::{self, Clause, Comparison, Key};
use super::problem::{SearchError, SearchProblem, Span};
use super::targets::{self, Entity, Kind, Target};
use super::{Condition, Literal, Operator, Subject, Test, listed, subject_of};
use crate::Error;
use crate::validation::limits;

/// Reads a filter. An error carries the place in the text.
pub(super) fn conditions(target: &'static Target, filter: &str) -> Result<Vec<Condition>, Error> {
    read(target, filter).map_err(|error| Error::Filter {
        message: error.message("filter string", filter),
        span: error.span,
        problem: error.problem,
    })
}

fn read(target: &'static Target, filter: &str) -> Result<Vec<Condition>, SearchError> {
    if filter.len() > limits::FILTER_BYTES {
        let most_bytes = limits::FILTER_BYTES;
        let over = filter.ceil_char_boundary(most_bytes);
        return Err(SearchProblem::TooLong { most_bytes }.at(over..filter.len()));
    }
    let clauses = parse::filter(filter)?;
    if let Some(over) = clauses.get(limits::CLAUSES) {
        let most = limits::CLAUSES;
        return Err(SearchProblem::TooManyConditions { most }.at(over.key.span.clone()));
    }
    clauses
        .into_iter()
        .map(|clause| condition(target, clause, filter))
        .collect()
}

/// What can be asked of the thing that a clause names.
struct Offer {
    subject: Subject,
    kind: Kind,
    null_tests: bool,
    memberships: bool,
}

fn condition(target: &'static Target, clause: Clause, filter: &str) -> Result<Condition, SearchError> {
    let Clause {
        key,
        comparison,
        operator: operator_at,
        value: value_at,
    } = clause;
    let entity = entity(target, &key)?;
    let offer = offer(target, entity, &key)?;
    let reading = Reading {
        target,
        entity,
        key: &key,
        kind: offer.kind,
        value_at: &value_at,
        filter,
    };
    let test = match comparison {
        Comparison::Null { negated } if offer.null_tests => Test::Null { negated },
        Comparison::Null { .. } => {
            let (entity, key) = (entity.names()[0], key.name);
            return Err(SearchProblem::NullTest { entity, key }.at(operator_at));
        }
        Comparison::In { negated, values } if offer.memberships => Test::In {
            negated,
            values: values
                .into_iter()
                .map(|value| reading.member(value))
                .collect::<Result<_, _>>()?,
        },
        Comparison::In { .. } if entity == Entity::Attribute => {
            let offered = listed(target.membership_names());
            return Err(SearchProblem::ListOfAttribute { offered }.at(operator_at));
        }
        Comparison::In { .. } => {
            let entity = entity.names()[0];
            return Err(SearchProblem::ListOf { entity }.at(operator_at));
        }
        Comparison::Compare(operator, value) => {
            let offered = offer.kind.operators();
            if !offered.contains(&operator) {
                let offered = listed(offered.iter().map(|operator| operator.as_str()));
                let operator = operator.as_str();
                return Err(SearchProblem::Comparator { operator, offered }.at(operator_at));
            }
            reading.compared(operator, value)?
        }
    };
    Ok(Condition {
        subject: offer.subject,
        test,
    })
}

/// Finds what a key's first part names; a key without one is an attribute.
pub(super) fn entity(target: &Target, key: &Key) -> Result<Entity, SearchError> {
    let Some(name) = &key.entity else {
        return Ok(Entity::Attribute);
    };
    target.entity(name).ok_or_else(|| {
        let (name, offered) = (name.clone(), listed(target.entity_names()));
        SearchProblem::Entity { name, offered }.at(key.span.clone())
    })
}

fn offer(target: &'static Target, entity: Entity, key: &Key) -> Result<Offer, SearchError> {
    let name = || key.name.clone();
    let (subject, kind, null_tests, memberships) = match entity {
        Entity::Metric => (Subject::Metric(name()), Kind::Number, false, false),
        Entity::Param => (
            Subject::Param(name()),
            Kind::Text,
            target.null_tests,
            target.value_memberships,
        ),
        Entity::Tag => (
            Subject::Tag(name()),
            Kind::Text,
            target.null_tests,
            target.value_memberships,
        ),
        Entity::Dataset => (dataset_subject(key)?, Kind::Text, false, true),
        Entity::Attribute => {
            let attribute = target
                .attribute(&key.name)
                .filter(|attribute| attribute.filters)
                .ok_or_else(|| {
                    let offered = listed(target.attribute_names());
                    SearchProblem::Attribute {
                        name: name(),
                        offered,
                    }
                    .at(key.span.clone())
                })?;
            (
                subject_of(attribute),
                attribute.kind,
                false,
                attribute.memberships,
            )
        }
    };
    Ok(Offer {
        subject,
        kind,
        null_tests,
        memberships,
    })
}

fn dataset_subject(key: &Key) -> Result<Subject, SearchError> {
    match key.name.as_str() {
        "name" => Ok(Subject::Dataset("name")),
        "digest" => Ok(Subject::Dataset("digest")),
        "context" => Ok(Subject::DatasetContext),
        other => {
            let (name, offered) = (other.to_owned(), listed(targets::DATASET_KEYS));
            Err(SearchProblem::DatasetKey { name, offered }.at(key.span.clone()))
        }
    }
}

/// A value being read, with what a message about it needs.
struct Reading<'a> {
    target: &'static Target,
    entity: Entity,
    key: &'a Key,
    kind: Kind,
    value_at: &'a Span,
    filter: &'a str,
}

impl Reading<'_> {
    fn compared(&self, operator: Operator, value: Literal) -> Result<Test, SearchError> {
        match (self.kind, value) {
            (Kind::Number | Kind::Identity, Literal::Number(number)) => Ok(Test::Number(operator, number)),
            // MLflow takes the number of an experiment in quotes too, and that of a version.
            (Kind::Identity, Literal::Text(text)) => {
                Ok(Test::Number(operator, f64::from(self.whole(&text)?)))
            }
            (Kind::Number, Literal::Text(text)) if self.target.quoted_numbers => {
                Ok(Test::Number(operator, f64::from(self.whole(&text)?)))
            }
            (Kind::Number, Literal::Text(_)) if self.entity == Entity::Metric => {
                let found = self.found();
                Err(self.refused(SearchProblem::MetricValue { found }))
            }
            (Kind::Number, Literal::Text(_)) => {
                let (key, found) = (self.key.name.clone(), self.found());
                Err(self.refused(SearchProblem::NumericValue { key, found }))
            }
            (Kind::LoggedModelStatus, value) => {
                let name = self.text(value)?;
                let number = targets::logged_model_status_number(&name)
                    .ok_or_else(|| self.refused(SearchProblem::ModelStatus { name }))?;
                Ok(Test::Number(operator, f64::from(number)))
            }
            (Kind::Text, value) => Ok(Test::Text(operator, self.text(value)?)),
        }
    }

    fn member(&self, value: Literal) -> Result<String, SearchError> {
        let text = self.text(value)?;
        if self.kind == Kind::Identity {
            self.whole(&text)?;
        }
        Ok(text)
    }

    fn whole(&self, text: &str) -> Result<i32, SearchError> {
        text.trim().parse().map_err(|_| {
            let (key, found) = (self.key.name.clone(), self.found());
            self.refused(SearchProblem::WholeNumber { key, found })
        })
    }

    fn text(&self, value: Literal) -> Result<String, SearchError> {
        match value {
            Literal::Text(text) => Ok(text),
            // A list has no place of each of its values, and no target takes numbers in one.
            Literal::Number(_) if self.target.bare_texts && !self.source().starts_with('(') => {
                Ok(self.found())
            }
            Literal::Number(_) => {
                let entity = match self.entity {
                    Entity::Attribute => "attributes",
                    Entity::Dataset => "dataset attributes",
                    entity => entity.names()[0],
                };
                let found = self.found();
                Err(self.refused(SearchProblem::QuotedValue { entity, found }))
            }
        }
    }

    fn source(&self) -> &str {
        self.filter.get(self.value_at.clone()).unwrap_or("")
    }

    fn found(&self) -> String {
        self.source().to_owned()
    }

    fn refused(&self, problem: SearchProblem) -> SearchError {
        problem.at(self.value_at.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of a filter of runs, and the part of it that the span marks.
    #[track_caller]
    fn refusal(filter: &str) -> (String, &str) {
        match conditions(&targets::RUNS, filter) {
            Err(Error::Filter { message, span, .. }) => (message, &filter[span]),
            other => panic!("{filter}: {other:?}"),
        }
    }

    #[test]
    fn messages_begin_as_those_of_mlflow_and_quote_the_place() {
        for (filter, message, marked) in [
            (
                "metrics.x BETWEEN 1 AND 2",
                "Invalid clause(s) in filter string: 'BETWEEN 1 AND 2' (at character 11): expected one of =,",
                "BETWEEN",
            ),
            (
                "params.x = 'a' OR params.y = 'b'",
                "Invalid clause(s) in filter string: 'OR params.y = 'b'' (at character 16): expected AND;",
                "OR",
            ),
            (
                "metrics.año > ",
                "Invalid clause(s) in filter string: '' (at its end): expected a number or a quoted text",
                "",
            ),
            (
                "params.a = 'ñ' and what.x = '1'",
                "Invalid entity type 'what'. Valid values are 'attribute', 'metric', 'parameter', 'tag', 'dataset' \
                 (at character 20: 'what.x = '1'')",
                "what.x",
            ),
            (
                "lifecycle_stage = 'active'",
                "Invalid attribute key 'lifecycle_stage' specified. Valid keys are 'run_id', 'run_name', 'user_id', \
                 'status', 'artifact_uri', 'start_time', 'end_time' (at character 1:",
                "lifecycle_stage",
            ),
            (
                "datasets.size = 'x'",
                "Invalid dataset key 'size' specified. Valid keys are 'name', 'digest', 'context' (at character 1:",
                "datasets.size",
            ),
            (
                "metrics.x LIKE 'a'",
                "Invalid comparator 'LIKE' not one of '=', '!=', '<', '<=', '>', '>=' (at character 11:",
                "LIKE",
            ),
            (
                "metrics.x > '0.5'",
                "Expected numeric value type for metric. Found '0.5' (at character 13:",
                "'0.5'",
            ),
            (
                "start_time > '5'",
                "Expected numeric value type for numeric attribute: start_time. Found '5' (at character 14:",
                "'5'",
            ),
            (
                "tags.x = 5",
                "Expected a quoted string value for tag (e.g. 'my-value'). Got value 5 (at character 10:",
                "5",
            ),
            (
                "status IN ('RUNNING')",
                "Only 'run_id' attributes support comparison with a list of quoted string values (at character 8:",
                "IN",
            ),
            (
                "run_id NOT IN ('a', 1)",
                "Expected a quoted string value for attributes (e.g. 'my-value'). Got value ('a', 1) (at character 15:",
                "('a', 1)",
            ),
            (
                "metrics.x IS NOT NULL",
                "IS NULL / IS NOT NULL is only supported for tags and params of runs and tags of experiments, not for \
                 'metric' 'x' (at character 11:",
                "IS NOT NULL",
            ),
        ] {
            let (found, place) = refusal(filter);
            assert!(found.starts_with(message), "{filter}: {found}");
            assert_eq!(place, marked, "{filter}: {found}");
        }
    }

    #[test]
    fn what_is_too_long_is_marked_where_it_becomes_so() {
        let many = "params.a = 'b' AND ".repeat(limits::CLAUSES + 1);
        let (message, place) = refusal(&many);
        assert!(message.starts_with("The filter has more than"), "{message}");
        assert_eq!(place, "params.a");
        let long = format!("params.a = '{}'", "ñ".repeat(limits::FILTER_BYTES));
        assert!(refusal(&long).0.starts_with("The filter is longer than"));
    }

    proptest::proptest! {
        #[test]
        fn no_filter_breaks_any_target(
            filter in "((metrics|params|tags|attr|dataset)\\.[a-z`\"]{1,4}|status|name|[='<>]{1,2}| |AND|IN|\\(|\\)|'\\PC?'|[0-9.eE-]{1,4}|\\PC){0,14}"
        ) {
            for target in [
                &targets::RUNS,
                &targets::EXPERIMENTS,
                &targets::MODELS,
                &targets::VERSIONS,
                &targets::LOGGED_MODELS,
            ] {
                if let Err(Error::Filter { message, span, .. }) = conditions(target, &filter) {
                    proptest::prop_assert!(filter.get(span.clone()).is_some(), "{message} {span:?}");
                    proptest::prop_assert!(message.contains("at character") || message.contains("at its end"));
                }
            }
        }
    }
}
