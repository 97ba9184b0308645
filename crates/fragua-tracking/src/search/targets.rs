//! What each list can be searched and ordered by.

use super::Operator;
use crate::logged_models::LoggedModelStatus;
use crate::runs::RUN_NAME_TAG;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// A number that is only a name: no greater and smaller.
    Identity,
    /// A name in a filter, a number in the table.
    LoggedModelStatus,
}

impl Kind {
    /// Returns what values of this kind can be compared by.
    pub(super) const fn operators(self) -> &'static [Operator] {
        use Operator::{Equal, Greater, GreaterOrEqual, Ilike, Less, LessOrEqual, Like, NotEqual};
        match self {
            Self::Number => &[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual],
            Self::Text => &[Equal, NotEqual, Like, Ilike],
            Self::Identity | Self::LoggedModelStatus => &[Equal, NotEqual],
        }
    }
}

/// Where an attribute is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Column(&'static str),
    Tag(&'static str),
    /// Between the columns `start_time` and `end_time`.
    Duration,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) names: &'static [&'static str],
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    /// Whether `IN` is offered.
    pub(crate) memberships: bool,
    pub(crate) filters: bool,
    pub(crate) orders: bool,
}

impl Attribute {
    const fn text(names: &'static [&'static str], column: &'static str) -> Self {
        let place = Place::Column(column);
        Self {
            names,
            place,
            kind: Kind::Text,
            memberships: false,
            filters: true,
            orders: true,
        }
    }

    const fn number(names: &'static [&'static str], column: &'static str) -> Self {
        Self {
            kind: Kind::Number,
            ..Self::text(names, column)
        }
    }

    const fn with_in(self) -> Self {
        Self {
            memberships: true,
            ..self
        }
    }

    const fn order_only(self) -> Self {
        Self {
            filters: false,
            ..self
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entity {
    Attribute,
    Metric,
    Param,
    Tag,
    Dataset,
}

impl Entity {
    /// Returns the words for it, MLflow's own first.
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Attribute => &["attribute", "attributes", "attr", "run"],
            Self::Metric => &["metric", "metrics"],
            Self::Param => &["parameter", "parameters", "param", "params"],
            Self::Tag => &["tag", "tags"],
            Self::Dataset => &["dataset", "datasets"],
        }
    }
}

/// What can be asked of the data sets of a run.
pub(super) const DATASET_KEYS: [&str; 3] = ["name", "digest", "context"];

/// A table of keys and values that belong to the rows of the list. Both have the `join` columns.
#[derive(Debug, PartialEq)]
pub(crate) struct Values {
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    /// The column that says that a number is none.
    pub(crate) is_nan: Option<&'static str>,
    /// The columns that tell the newest of several values of one key, ascending or not; none where there is only one.
    pub(crate) newest: &'static [(&'static str, bool)],
}

const fn values(table: &'static str, key: &'static str, value: &'static str) -> Values {
    Values {
        table,
        key,
        value,
        is_nan: None,
        newest: &[],
    }
}

/// A list that can be searched.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) table: &'static str,
    pub(crate) join: &'static [&'static str],
    pub(crate) entities: &'static [Entity],
    pub(crate) attributes: &'static [Attribute],
    pub(crate) metrics: Option<Values>,
    pub(crate) params: Option<Values>,
    pub(crate) tags: Option<Values>,
    /// Whether `IS NULL` is offered for parameters and tags.
    pub(crate) null_tests: bool,
    /// Whether `IN` is offered for parameters and tags.
    pub(crate) value_memberships: bool,
    /// Whether a number may stand for a text without quotes.
    pub(crate) bare_texts: bool,
    /// Whether a whole number may stand in quotes.
    pub(crate) quoted_numbers: bool,
    /// Whether metrics, parameters and tags can be ordered by.
    pub(crate) orders_by_values: bool,
    /// Whether a missing `mlflow.prompt.is_prompt` means "no".
    pub(crate) has_prompts: bool,
    /// The order where none is asked for: column, ascending.
    pub(crate) default_order: &'static [(&'static str, bool)],
    /// The order of what is otherwise equal: column, ascending. Ends with what is unique.
    pub(crate) tail: &'static [(&'static str, bool)],
}

impl Target {
    pub(super) fn entity(&self, name: &str) -> Option<Entity> {
        let by_name = |entity: &&Entity| {
            entity
                .names()
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        self.entities.iter().find(by_name).copied()
    }

    pub(super) fn entity_names(&self) -> impl Iterator<Item = &'static str> {
        self.entities.iter().map(|entity| entity.names()[0])
    }

    pub(super) fn attribute(&'static self, name: &str) -> Option<&'static Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.names.contains(&name))
    }

    pub(super) fn attribute_names(&self) -> impl Iterator<Item = &'static str> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.filters)
            .map(|attribute| attribute.names[0])
    }

    pub(super) fn membership_names(&self) -> impl Iterator<Item = &'static str> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.memberships)
            .map(|attribute| attribute.names[0])
    }

    pub(super) fn order_names(&self) -> impl Iterator<Item = &'static str> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.orders)
            .map(|attribute| attribute.names[0])
    }
}

pub(crate) static RUNS: Target = Target {
    table: "runs",
    join: &["run_uuid"],
    entities: &[
        Entity::Attribute,
        Entity::Metric,
        Entity::Param,
        Entity::Tag,
        Entity::Dataset,
    ],
    attributes: &[
        Attribute::text(&["run_id"], "run_uuid").with_in(),
        Attribute {
            place: Place::Tag(RUN_NAME_TAG),
            ..Attribute::text(&["run_name", "run name", "Run name", "Run Name"], "name")
        },
        Attribute::text(&["user_id"], "user_id"),
        Attribute::text(&["status"], "status"),
        Attribute::text(&["artifact_uri"], "artifact_uri"),
        Attribute::number(&["start_time", "created", "Created"], "start_time"),
        Attribute::number(&["end_time"], "end_time"),
        // MLflow has it in its table and cannot order by it.
        Attribute {
            place: Place::Duration,
            ..Attribute::number(&["duration"], "").order_only()
        },
    ],
    metrics: Some(Values {
        is_nan: Some("is_nan"),
        ..values("latest_metrics", "key", "value")
    }),
    params: Some(values("params", "key", "value")),
    tags: Some(values("tags", "key", "value")),
    null_tests: true,
    value_memberships: false,
    bare_texts: false,
    quoted_numbers: false,
    orders_by_values: true,
    has_prompts: false,
    default_order: &[],
    tail: &[("start_time", false), ("run_uuid", true)],
};

pub(crate) static EXPERIMENTS: Target = Target {
    table: "experiments",
    join: &["experiment_id"],
    entities: &[Entity::Attribute, Entity::Tag],
    attributes: &[
        Attribute::text(&["name"], "name"),
        Attribute {
            kind: Kind::Identity,
            ..Attribute::text(&["experiment_id"], "experiment_id").with_in()
        },
        Attribute::number(&["creation_time"], "creation_time"),
        Attribute::number(&["last_update_time"], "last_update_time"),
    ],
    metrics: None,
    params: None,
    tags: Some(values("experiment_tags", "key", "value")),
    null_tests: true,
    value_memberships: false,
    bare_texts: false,
    quoted_numbers: false,
    orders_by_values: false,
    has_prompts: false,
    default_order: &[("creation_time", false), ("experiment_id", true)],
    tail: &[("experiment_id", false)],
};

pub(crate) static MODELS: Target = Target {
    table: "registered_models",
    join: &["name"],
    entities: &[Entity::Attribute, Entity::Tag],
    attributes: &[
        Attribute::text(&["name"], "name").with_in(),
        Attribute::number(&["timestamp", "last_updated_timestamp"], "last_updated_time").order_only(),
        Attribute::number(&["creation_timestamp"], "creation_time").order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(values("registered_model_tags", "key", "value")),
    null_tests: false,
    value_memberships: false,
    bare_texts: false,
    quoted_numbers: false,
    orders_by_values: false,
    has_prompts: true,
    default_order: &[],
    tail: &[("name", true)],
};

pub(crate) static VERSIONS: Target = Target {
    table: "model_versions",
    join: &["name", "version"],
    entities: &[Entity::Attribute, Entity::Tag],
    attributes: &[
        Attribute::text(&["name"], "name").with_in(),
        Attribute::text(&["run_id"], "run_id").with_in(),
        Attribute::text(&["source_path"], "source"),
        Attribute::number(&["version_number"], "version"),
        Attribute::number(&["last_updated_timestamp"], "last_updated_time").order_only(),
        Attribute::number(&["creation_timestamp"], "creation_time").order_only(),
    ],
    metrics: None,
    params: None,
    tags: Some(values("model_version_tags", "key", "value")),
    null_tests: false,
    value_memberships: false,
    bare_texts: false,
    quoted_numbers: true,
    orders_by_values: false,
    has_prompts: true,
    default_order: &[],
    tail: &[("name", true), ("version", false)],
};

pub(crate) static LOGGED_MODELS: Target = Target {
    table: "logged_models",
    join: &["model_id"],
    entities: &[Entity::Attribute, Entity::Metric, Entity::Param, Entity::Tag],
    attributes: &[
        Attribute::text(&["name"], "name").with_in(),
        Attribute::text(&["model_id"], "model_id").with_in(),
        Attribute::text(&["model_type"], "model_type").with_in(),
        Attribute {
            kind: Kind::LoggedModelStatus,
            ..Attribute::text(&["status"], "status")
        },
        Attribute::text(&["source_run_id"], "source_run_id").with_in(),
        Attribute::number(
            &["creation_timestamp", "creation_time", "creation_timestamp_ms"],
            "creation_timestamp_ms",
        ),
        Attribute::number(
            &[
                "last_updated_timestamp",
                "last_updated_time",
                "last_updated_timestamp_ms",
            ],
            "last_updated_timestamp_ms",
        ),
    ],
    metrics: Some(Values {
        newest: &[
            ("metric_timestamp_ms", false),
            ("metric_step", false),
            ("run_id", true),
        ],
        ..values("logged_model_metrics", "metric_name", "metric_value")
    }),
    params: Some(values("logged_model_params", "param_key", "param_value")),
    tags: Some(values("logged_model_tags", "tag_key", "tag_value")),
    null_tests: false,
    value_memberships: true,
    bare_texts: true,
    quoted_numbers: false,
    orders_by_values: true,
    has_prompts: false,
    default_order: &[],
    tail: &[("creation_timestamp_ms", false), ("model_id", true)],
};

/// Returns the number of a status, by its name with or without its prefix.
pub(super) fn logged_model_status_number(name: &str) -> Option<i32> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("LOGGED_MODEL_") {
        upper
    } else {
        format!("LOGGED_MODEL_{upper}")
    };
    LoggedModelStatus::from_name(&full).map(LoggedModelStatus::number)
}
