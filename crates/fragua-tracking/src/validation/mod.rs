//! Checks of what clients send. Every limit is in one table, [`limits`], and every text of a refusal in another,
//! [`texts`].

pub(crate) mod limits;
pub(crate) mod texts;

use std::collections::HashSet;

use fragua_base::Timestamp;

use crate::Error;
use crate::artifacts::ArtifactPath;
use crate::metrics::Metric;
use crate::runs::{Batch, DatasetInput, Param, Tag};

pub(crate) use texts::shorten;

pub(crate) fn max_chars(field: &str, text: &str, most: usize) -> Result<(), Error> {
    // A text has at most as many characters as bytes: most texts need no counting.
    if text.len() <= most || text.chars().count() <= most {
        return Ok(());
    }
    Err(Error::invalid(texts::too_long(field, most)))
}

fn max_bytes(field: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Error::invalid(texts::too_many_bytes(field, most)))
}

fn cut(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
}

/// NUL is the one character PostgreSQL cannot keep.
pub(crate) fn no_nul(field: &str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::invalid(texts::no_nul(field)));
    }
    Ok(())
}

/// Checks a key: letters, digits, and `_ - . space : /`, and nothing that works as a path out of its folder.
pub(crate) fn key(field: &str, key: &str) -> Result<(), Error> {
    key_called(field, field, key)
}

/// Checks a key that the text about its length calls something else than the name of its field.
fn key_called(field: &str, called: &str, key: &str) -> Result<(), Error> {
    let allowed = |character: char| character.is_alphanumeric() || "_-. :/".contains(character);
    if !key.chars().all(allowed) {
        return Err(Error::invalid(texts::bad_characters(field, key)));
    }
    not_path_like(field, key)?;
    max_chars(called, key, limits::KEY)
}

/// Refuses a name that, taken as a path, is another name.
fn not_path_like(field: &str, name: &str) -> Result<(), Error> {
    let path_like = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    if path_like {
        return Err(Error::invalid(texts::path_like(field, name)));
    }
    Ok(())
}

/// Returns the path that a name is when it is taken as one, by the rules of POSIX.
fn normal_path(name: &str) -> String {
    let slashes = name.bytes().take_while(|byte| *byte == b'/').count();
    // Two slashes at the beginning have a meaning of their own there, three have not.
    let root = match slashes {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    match (root, parts.is_empty()) {
        ("", true) => ".".to_owned(),
        _ => format!("{root}{}", parts.join("/")),
    }
}

pub(crate) fn experiment_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid(format!("Invalid experiment name: '{name}'")));
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
        return Err(Error::invalid(texts::missing("name")));
    }
    if name.contains(['/', ':']) {
        return Err(Error::invalid(texts::bad_model_name(name)));
    }
    not_path_like("name", name)?;
    no_nul("name", name)?;
    max_chars("name", name, limits::MODEL_NAME)
}

pub(crate) fn logged_model_name(name: &str) -> Result<(), Error> {
    if name.contains(['/', ':', '.', '%', '"', '\'', '\0']) {
        return Err(Error::invalid(texts::bad_logged_model_name(name)));
    }
    max_chars("name", name, limits::LOGGED_MODEL_NAME)
}

/// Parses the number of a version.
pub(crate) fn version_number(text: &str) -> Result<i32, Error> {
    text.parse()
        .map_err(|_| Error::invalid(texts::not_a_version(text)))
}

pub(crate) fn alias(alias: &str) -> Result<(), Error> {
    if alias.is_empty() {
        return Err(Error::invalid("Registered model alias name cannot be empty."));
    }
    if !alias
        .chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
    {
        return Err(Error::invalid(format!(
            "Invalid alias name: '{}'. Names may only contain alphanumerics, underscores (_), and dashes (-).",
            shorten(alias)
        )));
    }
    max_chars("Registered model alias name", alias, limits::ALIAS)?;
    if alias.eq_ignore_ascii_case("latest") {
        return Err(Error::invalid(
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let digits = alias.strip_prefix(['v', 'V']);
    if digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(Error::invalid(format!(
            "Version alias name '{alias}' is reserved."
        )));
    }
    Ok(())
}

pub(crate) fn description(text: Option<&str>) -> Result<(), Error> {
    let text = text.unwrap_or("");
    no_nul("description", text)?;
    max_chars("description", text, limits::DESCRIPTION)
}

pub(crate) fn experiment_tag(tag: &Tag) -> Result<(), Error> {
    key("key", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("value", &tag.value, limits::EXPERIMENT_TAG_VALUE)
}

pub(crate) fn run_tag(tag: Tag) -> Result<Tag, Error> {
    tag_at("", tag)
}

/// Checks a tag of a run and cuts its value. `path` names its place in a list, such as `tags[3].`.
fn tag_at(path: &str, mut tag: Tag) -> Result<Tag, Error> {
    key(&format!("{path}key"), &tag.key)?;
    no_nul("value", &tag.value)?;
    cut(&mut tag.value, limits::RUN_TAG_VALUE);
    Ok(tag)
}

pub(crate) fn model_tag(tag: &Tag) -> Result<(), Error> {
    key("key", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("value", &tag.value, limits::MODEL_TAG_VALUE)
}

pub(crate) fn version_tag(tag: &Tag) -> Result<(), Error> {
    key("key", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_bytes("value", &tag.value, limits::VERSION_TAG_VALUE_BYTES)
}

pub(crate) fn logged_model_tag(tag: &Tag) -> Result<(), Error> {
    key("key", &tag.key)?;
    no_nul("value", &tag.value)?;
    max_chars("value", &tag.value, limits::LOGGED_MODEL_TAG_VALUE)
}

pub(crate) fn logged_model_params(params: Vec<Param>) -> Result<Vec<Param>, Error> {
    unique_params(params.into_iter().map(|param| param_at("", param)))
}

/// Checks a parameter and cuts its value. `path` names its place in a list, such as `params[3].`.
fn param_at(path: &str, mut param: Param) -> Result<Param, Error> {
    key_called(&format!("{path}key"), "Param key", &param.key)?;
    no_nul("value", &param.value)?;
    cut(&mut param.value, limits::PARAM_VALUE);
    Ok(param)
}

fn unique_params(params: impl Iterator<Item = Result<Param, Error>>) -> Result<Vec<Param>, Error> {
    let params = params.collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    let twice: Vec<String> = params
        .iter()
        .filter(|param| !seen.insert(param.key.as_str()))
        .map(|param| param.key.clone())
        .collect();
    if twice.is_empty() {
        return Ok(params);
    }
    Err(Error::invalid(texts::params_twice(&twice)))
}

pub(crate) fn timestamp(field: &str, instant: Timestamp) -> Result<(), Error> {
    if instant.as_millis() >= 0 {
        return Ok(());
    }
    let why = "it must be a nonnegative long (64-bit integer)";
    Err(Error::invalid(texts::invalid(
        field,
        &instant.as_millis().into(),
        why,
    )))
}

/// Checks a value of a metric and brings it into the form that is kept. `path` names its place in a list, such as
/// `metrics[3].`.
fn metric_at(path: &str, mut metric: Metric) -> Result<Metric, Error> {
    key_called(&format!("{path}name"), "Metric name", &metric.key)?;
    if metric.timestamp.as_millis() < 0 {
        let (field, millis) = (format!("{path}timestamp"), metric.timestamp.as_millis());
        let text = texts::negative_timestamp(&field, millis, &metric.key, metric.value);
        return Err(Error::invalid(text));
    }
    if metric.value.is_infinite() {
        metric.value = if metric.value > 0.0 { f64::MAX } else { f64::MIN };
    }
    for (field, text, most) in [
        ("dataset_name", &metric.dataset_name, limits::DATASET_NAME),
        ("dataset_digest", &metric.dataset_digest, limits::DATASET_DIGEST),
    ] {
        let text = text.as_deref().unwrap_or("");
        no_nul(field, text)?;
        max_chars(field, text, most)?;
    }
    Ok(metric)
}

/// Checks what is logged alone, outside of a batch: the texts name its fields and not its place in a list.
pub(crate) fn alone(batch: Batch) -> Result<Batch, Error> {
    let Batch {
        metrics,
        params,
        tags,
    } = batch;
    Ok(Batch {
        metrics: metrics
            .into_iter()
            .map(|metric| metric_at("", metric))
            .collect::<Result<_, _>>()?,
        params: params
            .into_iter()
            .map(|param| param_at("", param))
            .collect::<Result<_, _>>()?,
        tags: tags.into_iter().map(run_tag).collect::<Result<_, _>>()?,
    })
}

/// Checks a batch and brings its values into the form that is kept.
pub(crate) fn batch(batch: Batch) -> Result<Batch, Error> {
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
            return Err(Error::invalid(texts::too_many_in_batch(what, count, most)));
        }
    }
    let metrics = batch.metrics.into_iter().enumerate();
    let params = batch.params.into_iter().enumerate();
    let tags = batch.tags.into_iter().enumerate();
    Ok(Batch {
        metrics: metrics
            .map(|(at, metric)| metric_at(&format!("metrics[{at}]."), metric))
            .collect::<Result<_, _>>()?,
        params: unique_params(params.map(|(at, param)| param_at(&format!("params[{at}]."), param)))?,
        tags: tags
            .map(|(at, tag)| tag_at(&format!("tags[{at}]."), tag))
            .collect::<Result<_, _>>()?,
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
    for (at, input) in inputs.iter().enumerate() {
        let dataset = &input.dataset;
        let (schema, profile) = (
            dataset.schema.as_deref().unwrap_or(""),
            dataset.profile.as_deref().unwrap_or(""),
        );
        for (field, text) in [
            ("name", &dataset.name),
            ("digest", &dataset.digest),
            ("source_type", &dataset.source_type),
        ] {
            if text.is_empty() {
                return Err(Error::invalid(texts::missing(&format!(
                    "datasets[{at}].dataset.{field}"
                ))));
            }
        }
        for (field, text) in [
            ("name", dataset.name.as_str()),
            ("digest", &dataset.digest),
            ("source_type", &dataset.source_type),
            ("source", &dataset.source),
            ("schema", schema),
            ("profile", profile),
        ] {
            no_nul(field, text)?;
        }
        max_chars("name", &dataset.name, limits::DATASET_NAME)?;
        max_chars("digest", &dataset.digest, limits::DATASET_DIGEST)?;
        max_chars("source_type", &dataset.source_type, limits::DATASET_DIGEST)?;
        max_bytes("source", &dataset.source, limits::DATASET_SOURCE_BYTES)?;
        max_bytes("schema", schema, limits::DATASET_SCHEMA_BYTES)?;
        max_bytes("profile", profile, limits::DATASET_PROFILE_BYTES)?;
        for tag in &input.tags {
            max_chars("key", &tag.key, limits::INPUT_TAG_KEY)?;
            max_chars("value", &tag.value, limits::INPUT_TAG_VALUE)?;
            no_nul("key", &tag.key)?;
            no_nul("value", &tag.value)?;
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
            assert_eq!(key("name", text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn paths_are_made_normal_as_posix_does() {
        for (name, expected) in [
            ("", "."),
            (".", "."),
            ("a/./b", "a/b"),
            ("a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("../../a/..", "../.."),
            ("/..", "/"),
            ("//a", "//a"),
            ("///a", "/a"),
        ] {
            assert_eq!(normal_path(name), expected, "{name:?}");
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
