//! Makes a model that answers out of a model folder, or says why that is impossible.

use std::collections::BTreeMap;
use std::sync::Arc;

use fragua_base::Timestamp;
use fragua_learn::{FeatureKind, ForeignModel, Label, Pipeline, Predictor, TrainingProfile};
use serde_json::{Map, Value, json};

use crate::manifest::{self, ExampleAnswer, Manifest, SignatureColumn};
use crate::metrics::VersionCounters;
use crate::model::ServedModel;
use crate::signature::{DataType, Feature, Range};
use crate::source::{Located, ModelSource, SourceError};

/// Largest `MLmodel` file and input example.
const MAX_TEXT_BYTES: u64 = 4 * 1024 * 1024;

/// Largest training profile: some hundred rows of a wide table.
const MAX_PROFILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a version is not in memory.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// Its files say so; trying again is of no use.
    Unservable(String),
    /// Its files could not be read.
    Source(SourceError),
}

impl From<SourceError> for LoadError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFound(file) => Self::Unservable(format!("its folder has no file {file}")),
            SourceError::TooLarge { .. } | SourceError::Foreign(_) => Self::Unservable(error.to_string()),
            SourceError::Unreachable(_) => Self::Source(error),
        }
    }
}

/// The files of a model folder that serving needs.
pub(crate) struct Folder {
    manifest: Manifest,
    example: Option<Vec<u8>>,
    profile: Option<Vec<u8>>,
    model: Vec<u8>,
}

pub(crate) async fn read_folder(
    source: &ModelSource,
    located: &Located,
    max_model_bytes: u64,
) -> Result<Folder, LoadError> {
    let text = source.read(located, manifest::FILE_NAME, MAX_TEXT_BYTES).await?;
    let text = String::from_utf8(text)
        .map_err(|_| LoadError::Unservable("its MLmodel file is not UTF-8".to_owned()))?;
    let manifest = manifest::parse(&text).map_err(LoadError::Unservable)?;
    let example = match &manifest.example_file {
        Some(file) => Some(source.read(located, file, MAX_TEXT_BYTES).await?),
        None => None,
    };
    let profile = match &manifest.profile_file {
        Some(file) => Some(source.read(located, file, MAX_PROFILE_BYTES).await?),
        None => None,
    };
    let model = source
        .read(located, &manifest.model_file, max_model_bytes)
        .await?;
    Ok(Folder {
        manifest,
        example,
        profile,
        model,
    })
}

/// Everything about a version that its folder does not say.
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) located: Located,
    pub(crate) loaded_at: Timestamp,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) counters: Arc<VersionCounters>,
}

impl Build {
    /// Reads the model and predicts the example row with it, so that the first request finds it warm.
    pub(crate) fn finish(self, folder: Folder) -> Result<ServedModel, LoadError> {
        let manifest = &folder.manifest;
        let unreadable = |error| LoadError::Unservable(format!("its model file cannot be read: {error}"));
        let predictor: Predictor = match manifest.foreign {
            None => Pipeline::load(&folder.model).map_err(unreadable)?.into(),
            Some(format) => {
                let names: Vec<String> = manifest
                    .columns
                    .iter()
                    .map(|column| column.name.clone())
                    .collect();
                let loaded = ForeignModel::load(format, &folder.model, &names);
                loaded.map_err(unreadable)?.into()
            }
        };
        let example = match folder.example.as_deref().map(manifest::parse_example) {
            Some(Ok(example)) => example,
            // Elsewhere examples have other forms, too.
            Some(Err(_)) if manifest.foreign.is_some() => Map::new(),
            Some(Err(reason)) => return Err(LoadError::Unservable(reason)),
            None => Map::new(),
        };
        let has_example = !example.is_empty() || manifest.foreign.is_none();
        let profile = match &folder.profile {
            Some(json) => {
                let profile = TrainingProfile::parse(json).map_err(|error| {
                    LoadError::Unservable(format!("its training profile cannot be read: {error}"))
                })?;
                Some(Arc::new(profile))
            }
            None => None,
        };
        let columns = match manifest.columns.as_slice() {
            [] => predictor.features().iter().map(SignatureColumn::from).collect(),
            named => named.to_vec(),
        };
        let features = features(&columns, predictor.features(), &example).map_err(LoadError::Unservable)?;
        let position =
            |known: &fragua_learn::Feature| features.iter().position(|feature| feature.name == known.name);
        let positions = predictor.features().iter().filter_map(position).collect();
        let model = Arc::new(ServedModel {
            name: self.name,
            version: self.located.version,
            run_id: self.located.run_id,
            features,
            outputs: match manifest.foreign {
                None => outputs(manifest.outputs.clone(), predictor.labels())?,
                Some(_) => predictor.output_names(),
            },
            labels: predictor.labels().to_vec(),
            created_at: self.located.created_at,
            loaded_at: self.loaded_at,
            metrics: self.metrics,
            profile,
            predictor,
            positions,
            counters: self.counters,
            identity: self.located.identity,
        });
        if has_example {
            warm(&model, manifest.example_answer.as_ref())?;
        }
        Arc::into_inner(model)
            .ok_or_else(|| LoadError::Unservable("its first prediction did not end".to_owned()))
    }
}

/// Answers the example row, so that the first request finds the model warm, and compares with what it answered when it was
/// saved.
fn warm(model: &Arc<ServedModel>, stored: Option<&ExampleAnswer>) -> Result<(), LoadError> {
    let row = model.check_record(&model.example()).map_err(|errors| {
        let fields: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.kind.message()))
            .collect();
        let fields = fields.join("; ");
        LoadError::Unservable(format!("its example row does not fit its signature ({fields})"))
    })?;
    let predictions = model
        .predict(&[row])
        .map_err(|error| LoadError::Unservable(format!("it fails on its example row: {error}")))?;
    let [label] = predictions.labels.as_slice() else {
        return Err(LoadError::Unservable(
            "it does not answer its example row".to_owned(),
        ));
    };
    let label = json!(label);
    match stored {
        Some(stored) if !is_close(stored, &label, predictions.probabilities(0)) => {
            Err(LoadError::Unservable(format!(
                "it answers its example row with {label} where it answered {} when it was saved, or with other \
                 probabilities; train or save it again",
                stored.label
            )))
        }
        _ => Ok(()),
    }
}

/// Whether two answers are the same but for the last digits, which differ between processors.
fn is_close(stored: &ExampleAnswer, label: &Value, probabilities: &[f32]) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * a.abs().max(1.0);
    let same_label = match (stored.label.as_f64(), label.as_f64()) {
        (Some(stored), Some(label)) => near(stored, label),
        _ => stored.label == *label,
    };
    let pairs = stored.probabilities.iter().zip(probabilities);
    same_label
        && stored.probabilities.len() == probabilities.len()
        && pairs.fold(true, |same, (a, b)| same && near((*a).into(), (*b).into()))
}

fn outputs(names: Vec<String>, labels: &[Label]) -> Result<Vec<String>, LoadError> {
    if names.len() == labels.len() + 1 {
        return Ok(names);
    }
    let reason = format!(
        "its signature has {} outputs where its pipeline gives a class and {} probabilities",
        names.len(),
        labels.len()
    );
    Err(LoadError::Unservable(reason))
}

/// Joins what the signature says about each column with what training saw in it.
fn features(
    columns: &[SignatureColumn],
    taken: &[fragua_learn::Feature],
    example: &Map<String, Value>,
) -> Result<Vec<Feature>, String> {
    let unnamed: Vec<&str> = taken
        .iter()
        .map(|known| known.name.as_str())
        .filter(|name| !columns.iter().any(|column| column.name == *name))
        .collect();
    if !unnamed.is_empty() {
        return Err(format!(
            "its signature lacks columns that its pipeline takes: {}",
            unnamed.join(", ")
        ));
    }
    let joined = columns.iter().map(|column| {
        let known = taken.iter().find(|known| known.name == column.name);
        let is_text = column.data_type == DataType::Text;
        if known.is_some_and(|known| (known.kind == FeatureKind::Category) != is_text) {
            return Err(format!(
                "its signature and its pipeline disagree on the type of column {}",
                column.name
            ));
        }
        Ok(Feature {
            name: column.name.clone(),
            data_type: column.data_type,
            required: column.required,
            range: known.and_then(range),
            categories: known.map(|known| known.categories.clone()).unwrap_or_default(),
            example: example_value(column, known, example),
        })
    });
    joined.collect()
}

impl From<&fragua_learn::Feature> for SignatureColumn {
    fn from(known: &fragua_learn::Feature) -> Self {
        Self {
            name: known.name.clone(),
            data_type: match known.kind {
                FeatureKind::Integer => DataType::Long,
                FeatureKind::Number => DataType::Double,
                FeatureKind::Category => DataType::Text,
            },
            required: true,
        }
    }
}

fn range(known: &fragua_learn::Feature) -> Option<Range> {
    Some(Range {
        min: known.minimum?,
        max: known.maximum?,
        median: known.median?,
    })
}

/// The stored example's value, else training's, else the middle of what training saw.
fn example_value(
    column: &SignatureColumn,
    known: Option<&fragua_learn::Feature>,
    example: &Map<String, Value>,
) -> Value {
    let stored = example.get(&column.name).filter(|value| !value.is_null());
    if let Some(stored) = stored {
        return stored.clone();
    }
    let Some(known) = known else {
        return Value::Null;
    };
    if !known.example.is_null() {
        return known.example.clone();
    }
    match (known.median, known.categories.first()) {
        (Some(median), _) if column.data_type.is_integer() => Value::from(median.round() as i64),
        (Some(median), _) => Value::from(median),
        (None, Some(category)) => Value::from(category.as_str()),
        (None, None) => Value::Null,
    }
}
