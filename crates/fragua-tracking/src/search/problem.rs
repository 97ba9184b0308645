//! What can be wrong with a filter or an order, and where.

use std::fmt;
use std::ops::Range;

/// A part of the text, in bytes.
pub(super) type Span = Range<usize>;

/// What is wrong with a filter or an order. As a text it is the reason that MLflow's clients get.
///
/// Each `offered` is a list of names in single quotes; each `found` is a part of the text as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchProblem {
    /// A character that begins nothing.
    #[error("unexpected {0:?}")]
    Unexpected(char),
    /// A number that is none, or too large to be one.
    #[error("'{found}' is not a number")]
    NotANumber {
        /// What begins like a number.
        found: String,
    },
    /// A text in quotes that has no end.
    #[error("a closing {0} is missing")]
    OpenQuote(char),
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(Expected),
    /// The filter is too long to be read.
    #[error("The filter is longer than {most_bytes} bytes")]
    TooLong {
        /// The longest filter in bytes.
        most_bytes: usize,
    },
    /// The filter has too many conditions.
    #[error("The filter has more than {most} conditions")]
    TooManyConditions {
        /// How many it may have.
        most: usize,
    },
    /// The first part of a key names nothing that the list has.
    #[error("Invalid entity type '{name}'. Valid values are {offered}")]
    Entity {
        /// The first part of the key.
        name: String,
        /// What the list has.
        offered: String,
    },
    /// The list has no such attribute.
    #[error("Invalid attribute key '{name}' specified. Valid keys are {offered}")]
    Attribute {
        /// The name.
        name: String,
        /// What the list has.
        offered: String,
    },
    /// A data set has no such property.
    #[error("Invalid dataset key '{name}' specified. Valid keys are {offered}")]
    DatasetKey {
        /// The name.
        name: String,
        /// What data sets have.
        offered: String,
    },
    /// `IS NULL` for what always has a value.
    #[error(
        "IS NULL / IS NOT NULL is only supported for tags and params of runs and tags of experiments, not for \
         '{entity}' '{key}'"
    )]
    NullTest {
        /// What the key names, such as `metric`.
        entity: &'static str,
        /// The key.
        key: String,
    },
    /// `IN` for an attribute that does not take it.
    #[error("Only {offered} attributes support comparison with a list of quoted string values")]
    ListOfAttribute {
        /// The attributes that do.
        offered: String,
    },
    /// `IN` for what takes one value.
    #[error("Invalid comparator 'IN' for '{entity}': it takes one value")]
    ListOf {
        /// What the key names, such as `metric`.
        entity: &'static str,
    },
    /// An operator that values of this kind do not take.
    #[error("Invalid comparator '{operator}' not one of {offered}")]
    Comparator {
        /// The operator.
        operator: &'static str,
        /// Those they do.
        offered: String,
    },
    /// A metric is compared with a text.
    #[error("Expected numeric value type for metric. Found {found}")]
    MetricValue {
        /// The text.
        found: String,
    },
    /// An attribute that is a number is compared with a text.
    #[error("Expected numeric value type for numeric attribute: {key}. Found {found}")]
    NumericValue {
        /// The attribute.
        key: String,
        /// The text.
        found: String,
    },
    /// A text that has to be a whole number.
    #[error("Expected a whole number for attribute: {key}. Found {found}")]
    WholeNumber {
        /// The attribute.
        key: String,
        /// The text.
        found: String,
    },
    /// A logged model never has this status.
    #[error("Unknown model status: {name:?}. Use PENDING, READY or UPLOAD_FAILED")]
    ModelStatus {
        /// The status.
        name: String,
    },
    /// A text is compared with a number.
    #[error("Expected a quoted string value for {entity} (e.g. 'my-value'). Got value {found}")]
    QuotedValue {
        /// What is compared, such as `tag`.
        entity: &'static str,
        /// The number.
        found: String,
    },
    /// The list cannot be ordered by this attribute.
    #[error("Invalid order by key '{name}' specified. Valid keys are {offered}")]
    OrderKey {
        /// The name.
        name: String,
        /// What it can be ordered by.
        offered: String,
    },
    /// The list cannot be ordered by values of this kind.
    #[error("Invalid order_by entity: {entity}")]
    OrderEntity {
        /// What the key names, such as `metric`.
        entity: &'static str,
    },
}

/// What a filter or an order had to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A key.
    Key,
    /// A name behind a dot.
    Name,
    /// An operator.
    Operator,
    /// What `IS` has behind it.
    Null,
    /// A number or a text.
    Value,
    /// A list of values.
    List,
    /// The rest of a list.
    RestOfList,
    /// What joins two conditions.
    And,
    /// The direction of an order.
    Direction,
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Key => "a key such as metrics.accuracy",
            Self::Name => "a name after the dot",
            Self::Operator => "one of =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL",
            Self::Null => "NULL or NOT NULL",
            Self::Value => "a number or a quoted text",
            Self::List => "a list such as ('a', 'b')",
            Self::RestOfList => ", or )",
            Self::And => "AND; OR, parentheses and functions are not offered",
            Self::Direction => "ASC, DESC or nothing",
        })
    }
}

impl SearchProblem {
    /// Whether the text is no clause at all; else the clause is read and refused.
    fn is_unreadable(&self) -> bool {
        use SearchProblem::{Expected, NotANumber, OpenQuote, Unexpected};
        matches!(
            self,
            Unexpected(_) | NotANumber { .. } | OpenQuote(_) | Expected(_)
        )
    }

    pub(super) fn at(self, span: Span) -> SearchError {
        SearchError { span, problem: self }
    }
}

/// A place that cannot be read, or asks for what is not offered.
#[derive(Debug, PartialEq)]
pub(super) struct SearchError {
    pub(super) span: Span,
    pub(super) problem: SearchProblem,
}

impl SearchError {
    /// Says what is wrong and where in `text`, which is a `what`, beginning as MLflow does.
    pub(super) fn message(&self, what: &str, text: &str) -> String {
        const SHOWN: usize = 60;
        let before = text.get(..self.span.start).unwrap_or(text);
        let rest = text.get(self.span.start..).unwrap_or("");
        let quoted: String = rest.chars().take(SHOWN).collect();
        let place = if rest.is_empty() {
            "at its end".to_owned()
        } else {
            format!("at character {}", before.chars().count() + 1)
        };
        let problem = &self.problem;
        if problem.is_unreadable() {
            format!("Invalid clause(s) in {what}: '{quoted}' ({place}): {problem}")
        } else {
            format!("{problem} ({place}: '{quoted}')")
        }
    }
}
