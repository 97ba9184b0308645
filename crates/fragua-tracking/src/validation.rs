//! Checks of what clients send. Every limit is in one table: [`limits`].

use std::collections::HashSet;

use fragua_base::Timestamp;

use crate::Error;
use crate::artifacts::ArtifactPath;
use crate::metrics::Metric;
use crate::runs::{Batch, DatasetInput, Param, Tag};

/// How much of each thing there may be. Lengths count characters unless they say bytes.
pub(crate) mod limits {
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
    /// The key of a parameter or tag of a logged model.
    pub(crate) const LOGGED_MODEL_KEY: usize = 255;
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
    /// Data sets of one request.
    pub(crate) const DATASETS_PER_REQUEST: usize = 1_000;

    /// Runs of one chart.
    pub(crate) const CHART_RUNS: usize = 100;
    /// Points of one run in a chart.
    pub(crate) const CHART_POINTS: u64 = 25_000;
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
}

/// Returns the beginning of a foreign text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 100;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

pub(crate) fn max_chars(field: &str, text: &str, most: usize) -> Result<(), Error> {
    // A text has at most as many characters as bytes: most texts need no counting.
    if text.len() <= most || text.chars().count() <= most {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'{field}' exceeds the maximum length of {most} characters"
    )))
}

fn max_bytes(field: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'{field}' exceeds the maximum length of {most} bytes"
    )))
}

fn cut(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
}

/// NUL is the one character PostgreSQL cannot keep.
fn no_nul(field: &str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("'{field}' must not hold a NUL character")));
    }
    Ok(())
}

/// Checks a key: letters, digits, and `_ - . space : /`, and nothing that works as a path out of its folder.
pub(crate) fn key(what: &str, key: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::invalid(format!(
            "A key name must be provided for the {what}."
        )));
    }
    max_chars(&format!("{what} name"), key, limits::KEY)?;
    let allowed = |character: char| character.is_alphanumeric() || "_-. :/".contains(character);
    if !key.chars().all(allowed) {
        return Err(Error::invalid(format!(
            "Invalid value \"{}\" for parameter '{what} name' supplied: Names may only contain alphanumerics, \
             underscores (_), dashes (-), periods (.), spaces ( ), colon(:), and slashes (/).",
            shorten(key)
        )));
    }
    let path_like = key.split('/').any(|name| matches!(name, "" | "." | ".."));
    if path_like {
        return Err(Error::invalid(format!(
            "Invalid value \"{}\" for parameter '{what} name' supplied: Names may be treated as files in certain \
             cases, and must not resolve to other names when treated as such.",
            shorten(key)
        )));
    }
    Ok(())
}

pub(crate) fn experiment_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("Invalid experiment name: it must not be empty."));
    }
    no_nul("name", name)?;
    max_chars("name", name, limits::EXPERIMENT_NAME)
}

pub(crate) fn run_name(name: &str) -> Result<(), Error> {
    no_nul("run_name", name)?;
    max_chars("run_name", name, limits::RUN_NAME)
}

pub(crate) fn run_id(run_id: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if run_id.is_empty() || run_id.len() > 32 || !run_id.bytes().all(allowed) {
        return Err(Error::invalid(format!("Invalid run ID: '{}'", shorten(run_id))));
    }
    Ok(())
}

pub(crate) fn model_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("Registered model name cannot be empty."));
    }
    if name.contains(['/', ':']) || matches!(name, "." | "..") {
        return Err(Error::invalid(format!(
            "Invalid name: '{}'. Registered model name must not contain '/' or ':'.",
            shorten(name)
        )));
    }
    no_nul("name", name)?;
    max_chars("name", name, limits::MODEL_NAME)
}

pub(crate) fn logged_model_name(name: &str) -> Result<(), Error> {
    if name.contains(['/', ':', '.', '%', '"', '\'', '\0']) {
        return Err(Error::invalid(format!(
            "Invalid model name ({}) provided. Model name must be a non-empty string and cannot contain the \
             following characters: / : . % \" '",
            shorten(name)
        )));
    }
    max_chars("name", name, limits::LOGGED_MODEL_NAME)
}

/// Parses the number of a version.
pub(crate) fn version_number(text: &str) -> Result<i32, Error> {
    text.parse().ok().filter(|version| *version >= 0).ok_or_else(|| {
        Error::invalid(format!(
            "Model version must be an integer, got '{}'",
            shorten(text)
        ))
    })
}

pub(crate) fn alias(alias: &str) -> Result<(), Error> {
    if alias.is_empty() {
        return Err(Error::invalid("Registered model alias name cannot be empty."));
    }
    max_chars("alias", alias, limits::ALIAS)?;
    let refused = |why: &str| Error::invalid(format!("Invalid alias name: '{}'. {why}", shorten(alias)));
    if !alias
        .chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
    {
        return Err(refused(
            "Names may only contain alphanumerics, underscores (_), and dashes (-).",
        ));
    }
    if alias.eq_ignore_ascii_case("latest") {
        return Err(refused("'latest' alias name (case insensitive) is reserved."));
    }
    let digits = alias.strip_prefix(['v', 'V']);
    if digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(refused("Version alias name such as 'v1' is reserved."));
    }
    Ok(())
}

pub(crate) fn description(text: Option<&str>) -> Result<(), Error> {
    let text = text.unwrap_or("");
    no_nul("description", text)?;
    max_chars("description", text, limits::DESCRIPTION)
}

pub(crate) fn experiment_tag(tag: &Tag) -> Result<(), Error> {
    key("tag", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("value", &tag.value, limits::EXPERIMENT_TAG_VALUE)
}

pub(crate) fn run_tag(mut tag: Tag) -> Result<Tag, Error> {
    key("tag", &tag.key)?;
    no_nul("value", &tag.value)?;
    cut(&mut tag.value, limits::RUN_TAG_VALUE);
    Ok(tag)
}

pub(crate) fn model_tag(tag: &Tag) -> Result<(), Error> {
    key("tag", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("value", &tag.value, limits::MODEL_TAG_VALUE)
}

pub(crate) fn version_tag(tag: &Tag) -> Result<(), Error> {
    key("tag", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_bytes("value", &tag.value, limits::VERSION_TAG_VALUE_BYTES)
}

pub(crate) fn logged_model_tag(tag: &Tag) -> Result<(), Error> {
    key("tag", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("key", &tag.key, limits::LOGGED_MODEL_KEY)?;
    max_chars("value", &tag.value, limits::LOGGED_MODEL_TAG_VALUE)
}

pub(crate) fn logged_model_params(mut params: Vec<Param>) -> Result<Vec<Param>, Error> {
    let mut seen = HashSet::new();
    for param in &mut params {
        key("param", &param.key)?;
        no_nul("value", &param.value)?;
        cut(&mut param.value, limits::PARAM_VALUE);
        if !seen.insert(param.key.clone()) {
            return Err(Error::invalid(format!(
                "Duplicate parameter key: '{}'",
                param.key
            )));
        }
    }
    Ok(params)
}

pub(crate) fn timestamp(field: &str, instant: Timestamp) -> Result<(), Error> {
    if instant.as_millis() >= 0 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid value {} for parameter '{field}' supplied: it must be a nonnegative long",
        instant.as_millis()
    )))
}

fn metric(mut metric: Metric) -> Result<Metric, Error> {
    key("metric", &metric.key)?;
    timestamp("timestamp", metric.timestamp)?;
    if metric.value.is_infinite() {
        metric.value = if metric.value > 0.0 { f64::MAX } else { f64::MIN };
    }
    max_chars(
        "dataset_name",
        metric.dataset_name.as_deref().unwrap_or(""),
        limits::DATASET_NAME,
    )?;
    max_chars(
        "dataset_digest",
        metric.dataset_digest.as_deref().unwrap_or(""),
        limits::DATASET_DIGEST,
    )?;
    Ok(metric)
}

/// Checks a batch and brings its values into the form that is kept.
pub(crate) fn batch(batch: Batch) -> Result<Batch, Error> {
    let too_many = |what: &str, count: usize, most: usize| {
        Err(Error::invalid(format!(
            "A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} \
             across multiple requests and try again."
        )))
    };
    let (metrics, params, tags) = (batch.metrics.len(), batch.params.len(), batch.tags.len());
    for (what, count, most) in [
        ("metrics", metrics, limits::METRICS_PER_BATCH),
        ("params", params, limits::PARAMS_PER_BATCH),
        ("tags", tags, limits::TAGS_PER_BATCH),
        (
            "metrics, params, and tags",
            metrics + params + tags,
            limits::ENTITIES_PER_BATCH,
        ),
    ] {
        if count > most {
            return too_many(what, count, most);
        }
    }
    let mut seen = HashSet::new();
    let mut checked_params = Vec::with_capacity(params);
    for mut param in batch.params {
        key("param", &param.key)?;
        no_nul("value", &param.value)?;
        cut(&mut param.value, limits::PARAM_VALUE);
        if !seen.insert(param.key.clone()) {
            return Err(Error::invalid(format!(
                "Duplicate parameter keys have been submitted: ['{}'].",
                param.key
            )));
        }
        checked_params.push(param);
    }
    Ok(Batch {
        metrics: batch.metrics.into_iter().map(metric).collect::<Result<_, _>>()?,
        params: checked_params,
        tags: batch.tags.into_iter().map(run_tag).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn dataset_inputs(inputs: &[DatasetInput]) -> Result<(), Error> {
    if inputs.len() > limits::DATASETS_PER_REQUEST {
        return Err(Error::invalid(format!(
            "A request can contain at most {} datasets. Got {}.",
            limits::DATASETS_PER_REQUEST,
            inputs.len()
        )));
    }
    for input in inputs {
        let dataset = &input.dataset;
        for (field, text) in [
            ("dataset.name", &dataset.name),
            ("dataset.digest", &dataset.digest),
            ("dataset.source_type", &dataset.source_type),
        ] {
            if text.is_empty() {
                return Err(Error::invalid(format!(
                    "Missing value for required parameter '{field}'."
                )));
            }
            no_nul(field, text)?;
        }
        max_chars("dataset.name", &dataset.name, limits::DATASET_NAME)?;
        max_chars("dataset.digest", &dataset.digest, limits::DATASET_DIGEST)?;
        max_chars(
            "dataset.source_type",
            &dataset.source_type,
            limits::DATASET_DIGEST,
        )?;
        max_bytes("dataset.source", &dataset.source, limits::DATASET_SOURCE_BYTES)?;
        let (schema, profile) = (
            dataset.schema.as_deref().unwrap_or(""),
            dataset.profile.as_deref().unwrap_or(""),
        );
        max_bytes("dataset.schema", schema, limits::DATASET_SCHEMA_BYTES)?;
        max_bytes("dataset.profile", profile, limits::DATASET_PROFILE_BYTES)?;
        for (field, text) in [
            ("dataset.source", dataset.source.as_str()),
            ("dataset.schema", schema),
            ("dataset.profile", profile),
        ] {
            no_nul(field, text)?;
        }
        for tag in &input.tags {
            max_chars("tag.key", &tag.key, limits::INPUT_TAG_KEY)?;
            max_chars("tag.value", &tag.value, limits::INPUT_TAG_VALUE)?;
            no_nul("tag.key", &tag.key)?;
            no_nul("tag.value", &tag.value)?;
        }
    }
    Ok(())
}

/// Checks an `s3://` URI: a bucket, no query, no fragment, nothing that leaves the prefix, also when decoded.
pub(crate) fn object_store_uri(field: &str, uri: &str) -> Result<(), Error> {
    let refused = || Error::invalid(format!("Invalid {field}: '{}'", shorten(uri)));
    max_chars(field, uri, limits::SOURCE)?;
    let rest = uri.strip_prefix("s3://").ok_or_else(refused)?;
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let good_bucket = !bucket.is_empty()
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && !bucket.contains("..");
    if !good_bucket || path.contains('?') || ArtifactPath::parse(path).is_err() {
        return Err(refused());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let longest = "k".repeat(250);
        let too_long = "k".repeat(251);
        for (text, good) in [
            ("accuracy", true),
            ("val/accuracy", true),
            ("año: 1.5 - x_y", true),
            ("精度", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("/x", false),
            ("x/", false),
            ("a//b", false),
            ("../x", false),
            ("a/./b", false),
            (".", false),
            ("a\nb", false),
            ("a'b", false),
            ("a%b", false),
        ] {
            assert_eq!(key("metric", text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn aliases() {
        for (text, good) in [
            ("champion", true),
            ("Champion_2-b", true),
            ("v1x", true),
            ("v", true),
            ("v1", false),
            ("V12", false),
            ("latest", false),
            ("Latest", false),
            ("a b", false),
            ("a/b", false),
            ("", false),
        ] {
            assert_eq!(alias(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let tag = run_tag(Tag::new("k", "ñ".repeat(9_000))).unwrap();
        assert_eq!(tag.value.chars().count(), limits::RUN_TAG_VALUE);
        let params = vec![Param::new("k", "é".repeat(9_000))];
        let batch = batch(Batch {
            params,
            ..Batch::default()
        })
        .unwrap();
        assert_eq!(batch.params[0].value.chars().count(), limits::PARAM_VALUE);
    }

    #[test]
    fn a_batch_is_bounded_and_names_each_parameter_once() {
        let params = |count: usize| {
            (0..count)
                .map(|at| Param::new(format!("p{at}"), "1"))
                .collect::<Vec<_>>()
        };
        let tags = |count: usize| {
            (0..count)
                .map(|at| Tag::new(format!("t{at}"), "1"))
                .collect::<Vec<_>>()
        };
        let metrics = |count: usize| {
            (0..count)
                .map(|at| Metric::new("m", at as f64, Timestamp::from_millis(0), 0))
                .collect::<Vec<_>>()
        };
        for (metrics, params, tags, good) in [
            (metrics(1000), vec![], vec![], true),
            (metrics(1001), vec![], vec![], false),
            (vec![], params(100), tags(100), true),
            (vec![], params(101), vec![], false),
            (vec![], vec![], tags(101), false),
            (metrics(950), params(50), tags(1), false),
            (
                vec![],
                vec![Param::new("a", "1"), Param::new("a", "1")],
                vec![],
                false,
            ),
            (
                vec![Metric::new("m", 1.0, Timestamp::from_millis(-1), 0)],
                vec![],
                vec![],
                false,
            ),
        ] {
            assert_eq!(
                batch(Batch {
                    metrics,
                    params,
                    tags
                })
                .is_ok(),
                good
            );
        }
    }

    #[test]
    fn infinities_become_the_largest_numbers() {
        let values = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let metrics = values
            .map(|value| Metric::new("m", value, Timestamp::from_millis(0), 0))
            .to_vec();
        let kept = batch(Batch {
            metrics,
            ..Batch::default()
        })
        .unwrap()
        .metrics;
        assert_eq!((kept[0].value, kept[1].value), (f64::MAX, f64::MIN));
        assert!(kept[2].value.is_nan());
    }
}
