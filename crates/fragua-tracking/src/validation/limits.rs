//! How much of each thing there may be. Lengths count characters unless they say bytes.

use crate::search::PageLimits;

/// How many of the newest runs are looked at for the keys in use, and how many keys of each sort are told.
pub(crate) const RUNS_FOR_KEYS: u64 = 500;
pub(crate) const KNOWN_KEYS: u64 = 1_000;
/// A key of a metric, parameter or tag.
pub(crate) const KEY: usize = 250;
/// The value of a parameter; what is longer is cut off.
pub(crate) const PARAM_VALUE: usize = 6_000;
/// The value of a run's tag; what is longer is cut off.
pub(crate) const RUN_TAG_VALUE: usize = 8_000;
/// The value of an experiment's tag.
pub(crate) const EXPERIMENT_TAG_VALUE: usize = 20_000;
/// The value of a registered model's tag: the width of its column.
pub(crate) const MODEL_TAG_VALUE: usize = 5_000;
/// The value of a version's tag, in bytes: what MySQL's `TEXT` holds.
pub(crate) const VERSION_TAG_VALUE_BYTES: usize = 65_535;
/// The name of an experiment: the width of its column.
pub(crate) const EXPERIMENT_NAME: usize = 256;
/// The name of a run: the width of its column.
pub(crate) const RUN_NAME: usize = 250;
/// The name of a registered model: the width of its column.
pub(crate) const MODEL_NAME: usize = 256;
/// The description of a model or version.
pub(crate) const DESCRIPTION: usize = 5_000;
/// An alias.
pub(crate) const ALIAS: usize = 255;
/// The name of a logged model.
pub(crate) const LOGGED_MODEL_NAME: usize = 500;
/// The type of a logged model.
pub(crate) const LOGGED_MODEL_TYPE: usize = 500;
/// The value of a tag of a logged model.
pub(crate) const LOGGED_MODEL_TAG_VALUE: usize = 8_000;
/// The name of a data set.
pub(crate) const DATASET_NAME: usize = 500;
/// The digest and the type of source of a data set.
pub(crate) const DATASET_DIGEST: usize = 36;
/// The source of a data set, in bytes.
pub(crate) const DATASET_SOURCE_BYTES: usize = 65_535;
/// The columns of a data set, in bytes.
pub(crate) const DATASET_SCHEMA_BYTES: usize = 1_048_575;
/// The figures of a data set, in bytes.
pub(crate) const DATASET_PROFILE_BYTES: usize = 16_777_215;
/// The key of an input's tag.
pub(crate) const INPUT_TAG_KEY: usize = 255;
/// The value of an input's tag.
pub(crate) const INPUT_TAG_VALUE: usize = 500;
/// A URI of an artifact in its column.
pub(crate) const SOURCE: usize = 500;

/// Metrics of one batch.
pub(crate) const METRICS_PER_BATCH: usize = 1_000;
/// Parameters of one batch.
pub(crate) const PARAMS_PER_BATCH: usize = 100;
/// Tags of one batch.
pub(crate) const TAGS_PER_BATCH: usize = 100;
/// Metrics, parameters and tags of one batch.
pub(crate) const ENTITIES_PER_BATCH: usize = 1_000;
/// The body of one batch, in bytes.
pub(crate) const BATCH_BODY_BYTES: usize = 1_000_000;
/// Data sets of one request.
pub(crate) const DATASETS_PER_REQUEST: usize = 1_000;

/// Runs of one chart.
pub(crate) const CHART_RUNS: usize = 100;
/// Points of one run in a chart.
pub(crate) const CHART_POINTS: u64 = 25_000;
/// Points of one run in a chart that a client asks for.
pub(crate) const INTERVAL_POINTS: u64 = 2_500;
/// Experiments whose data sets are asked for at once.
pub(crate) const DATASET_EXPERIMENTS: usize = 20;
/// Data sets in one answer.
pub(crate) const DATASETS_PER_ANSWER: u64 = 1_000;
/// Children shown of one run.
pub(crate) const CHILD_RUNS: u64 = 1_000;
/// A filter or an order, in bytes.
pub(crate) const FILTER_BYTES: usize = 32_768;
/// Conditions of one filter; each costs a look into a table.
pub(crate) const CLAUSES: usize = 50;
/// Keys of one order.
pub(crate) const ORDER_KEYS: usize = 10;
/// The body of one JSON request, in bytes: a data set may carry 16 MiB of figures.
pub(crate) const JSON_BODY_BYTES: usize = 20 * 1024 * 1024;

pub(crate) const EXPERIMENTS_PER_PAGE: PageLimits = PageLimits {
    default: 1_000,
    most: 50_000,
};
pub(crate) const RUNS_PER_PAGE: PageLimits = PageLimits {
    default: 1_000,
    most: 50_000,
};
pub(crate) const MODELS_PER_PAGE: PageLimits = PageLimits {
    default: 100,
    most: 1_000,
};
pub(crate) const VERSIONS_PER_PAGE: PageLimits = PageLimits {
    default: 10_000,
    most: 200_000,
};
pub(crate) const LOGGED_MODELS_PER_PAGE: PageLimits = PageLimits {
    default: 100,
    most: 1_000,
};
