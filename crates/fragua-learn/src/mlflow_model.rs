//! A pipeline as a folder that MLflow loads.

use crate::feature::FeatureKind;
use crate::onnx::{self, Outputs};
use crate::table::{Cell, TableBuilder};
use crate::{Error, Label, Pipeline, TrainingProfile, pipeline_file};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Name of the pipeline's own file in the folder.
pub const PIPELINE_FILE: &str = "pipeline.fragua";
/// Name of the file in the folder that tells what the training rows were like.
pub const PROFILE_FILE: &str = "training_profile.json";
/// Name of the ONNX file in the folder.
pub const ONNX_FILE: &str = "model.onnx";

const PYTHON: &str = "3.11.7";
const REQUIREMENTS: [&str; 5] = [
    "mlflow==3.17.2",
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "pandas==3.1.1",
];

/// The Python module that `python_function` loads the ONNX file with.
const LOADER: &str = include_str!("mlflow_loader.py");

/// What MLflow wants to know about a model besides the model itself.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// The run that made it.
    pub run_id: Option<String>,
    /// The logged model it is, such as `m-0123…`.
    pub model_id: Option<String>,
    /// Its folder among the run's artifacts.
    pub artifact_path: Option<String>,
    /// What its training rows were like.
    pub profile: Option<TrainingProfile>,
    /// When it was made, as `2026-01-31 12:00:00.000000` in UTC.
    pub created_at: String,
}

/// One file of the folder.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Path in the folder, with forward slashes.
    pub name: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Returns the files of the folder: `MLmodel` with its signature, the ONNX file, the pipeline's own file, an
/// example of the input, the Python environment and the module that Python loads it with.
///
/// The flavors are `python_function` and `onnx` for Python, and `fragua` for this program; that alone, with no files for
/// Python, where [`without_onnx`] tells why.
pub fn files(pipeline: &Pipeline, info: &ModelInfo) -> Vec<ModelFile> {
    let onnx = match without_onnx(pipeline) {
        None => onnx::export(pipeline),
        Some(_) => Vec::new(),
    };
    let own = pipeline.to_bytes();
    let example = example_row(pipeline);
    let size = onnx.len() + own.len();
    let digest = hex::encode(Sha256::digest(&own));
    let mut files = vec![
        file(
            "MLmodel",
            mlmodel(pipeline, info, example.as_deref(), size, &digest[..32]),
        ),
        ModelFile {
            name: PIPELINE_FILE,
            bytes: own,
        },
    ];
    if !onnx.is_empty() {
        files.extend([
            ModelFile {
                name: ONNX_FILE,
                bytes: onnx,
            },
            file("requirements.txt", REQUIREMENTS.join("\n") + "\n"),
            file("python_env.yaml", python_env()),
            file("conda.yaml", conda()),
            file("code/fragua_onnx_model.py", LOADER.to_owned()),
        ]);
    }
    if let Some(profile) = &info.profile {
        files.push(file(PROFILE_FILE, profile.to_json()));
    }
    if let Some(row) = example {
        let names: Vec<&str> = pipeline
            .features
            .iter()
            .map(|feature| feature.name.as_str())
            .collect();
        let split = json!({ "columns": names, "data": [row] });
        files.push(file("input_example.json", split.to_string()));
        files.push(file(
            "serving_input_example.json",
            json!({ "dataframe_split": split }).to_string(),
        ));
    }
    files
}

/// Tells why a pipeline has no ONNX file, and so cannot be loaded by Python; `None` when it has one.
pub fn without_onnx(pipeline: &Pipeline) -> Option<&'static str> {
    let reason = "the date encoding cannot be written as ONNX, so Python cannot load this model; Fragua serves it all the same";
    pipeline.preparation.has_dates().then_some(reason)
}

/// Writes the files into a folder, which is made when it is absent.
///
/// # Errors
/// [`Error::Io`] with the file that could not be written.
pub fn write(folder: &Path, pipeline: &Pipeline, info: &ModelInfo) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for file in files(pipeline, info) {
        let path = folder.join(file.name);
        let parent = path.parent().expect("a file in a folder");
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
        std::fs::write(&path, file.bytes).map_err(failed(&path))?;
    }
    Ok(())
}

/// Returns the signature: the columns that go in and come out, each list as MLflow's JSON.
pub fn signature(pipeline: &Pipeline) -> (Value, Value) {
    let input = |feature: &crate::Feature| {
        let kind = match feature.kind {
            FeatureKind::Integer => "long",
            FeatureKind::Number => "double",
            FeatureKind::Category => "string",
        };
        json!({ "type": kind, "name": feature.name, "required": true })
    };
    let label_kind = match pipeline.labels.first() {
        Some(Label::Integer(_)) => "long",
        Some(Label::Text(_)) => "string",
        Some(Label::Number(_)) | None => "double",
    };
    let outputs = Outputs::of(pipeline);
    let mut columns = vec![json!({ "type": label_kind, "name": outputs.label, "required": true })];
    columns.extend(
        outputs
            .probabilities
            .into_iter()
            .map(|name| json!({ "type": "float", "name": name, "required": true })),
    );
    (
        pipeline.features.iter().map(input).collect(),
        Value::Array(columns),
    )
}

/// Returns the names of the columns that come out: the label and the probability of each class, or the prediction.
pub fn output_names(pipeline: &Pipeline) -> Vec<String> {
    let outputs = Outputs::of(pipeline);
    std::iter::once(outputs.label)
        .chain(outputs.probabilities)
        .collect()
}

/// The example value of each column; `None` when training saw no row without gaps.
fn example_row(pipeline: &Pipeline) -> Option<Vec<&Value>> {
    let examples = pipeline.features.iter().map(|feature| &feature.example);
    examples
        .map(|example| Some(example).filter(|example| !example.is_null()))
        .collect()
}

/// What the model answers for its example row, so that who loads it elsewhere can tell that it still does: the label, and
/// the probability of each class.
fn answer(pipeline: &Pipeline, row: &[&Value]) -> Option<Value> {
    let names = pipeline.features.iter().map(|feature| feature.name.clone());
    let mut builder = TableBuilder::new(names);
    let cells: Option<Vec<Cell<'_>>> = row.iter().map(|value| Cell::from_json(value)).collect();
    builder.push_row(cells?).ok()?;
    let predictions = pipeline.predict(&builder.finish().ok()?).ok()?;
    Some(json!({ "label": predictions.labels.first()?, "probabilities": predictions.probabilities }))
}

fn file(name: &'static str, text: String) -> ModelFile {
    ModelFile {
        name,
        bytes: text.into_bytes(),
    }
}

/// JSON is YAML, so the file is written as one JSON value a line of its top level.
fn mlmodel(
    pipeline: &Pipeline,
    info: &ModelInfo,
    example: Option<&[&Value]>,
    size: usize,
    uuid: &str,
) -> String {
    let (inputs, outputs) = signature(pipeline);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if let Some(path) = &info.artifact_path {
        put("artifact_path", json!(path));
    }
    let mut flavors = json!({
        "fragua": {
            "data": PIPELINE_FILE,
            "example_answer": example.and_then(|row| answer(pipeline, row)),
            "format_version": pipeline_file::VERSION,
            "model": pipeline.model_name,
            "training_profile": info.profile.as_ref().map(|_| PROFILE_FILE),
            "target": pipeline.target,
            "version": env!("CARGO_PKG_VERSION"),
            "without_onnx": without_onnx(pipeline),
        },
        "onnx": {
            "code": null,
            "data": ONNX_FILE,
            "onnx_version": "1.23.2",
            "providers": ["CPUExecutionProvider"],
        },
        "python_function": {
            "data": ONNX_FILE,
            "env": { "conda": "conda.yaml", "virtualenv": "python_env.yaml" },
            "code": "code",
            "loader_module": "fragua_onnx_model",
            "python_version": PYTHON,
        },
    });
    if let (Some(flavors), Some(_)) = (flavors.as_object_mut(), without_onnx(pipeline)) {
        flavors.retain(|name, _| name == "fragua");
    }
    put("flavors", flavors);
    put("is_signature_from_type_hint", json!(false));
    put("mlflow_version", json!("3.17.2"));
    put("model_id", json!(info.model_id));
    put("model_size_bytes", json!(size));
    put("model_uuid", json!(uuid));
    put("prompts", Value::Null);
    if let Some(run_id) = &info.run_id {
        put("run_id", json!(run_id));
    }
    if example.is_some() {
        put(
            "saved_input_example_info",
            json!({
                "artifact_path": "input_example.json",
                "pandas_orient": "split",
                "serving_input_path": "serving_input_example.json",
                "type": "dataframe",
            }),
        );
    }
    put(
        "signature",
        json!({ "inputs": inputs.to_string(), "outputs": outputs.to_string(), "params": null }),
    );
    put("type_hint_from_example", json!(false));
    put("utc_time_created", json!(info.created_at));
    fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

fn python_env() -> String {
    format!(
        "python: {PYTHON}\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n- -r requirements.txt\n"
    )
}

fn conda() -> String {
    let pip: String = REQUIREMENTS
        .iter()
        .map(|requirement| format!("  - {requirement}\n"))
        .collect();
    format!(
        "channels:\n- conda-forge\ndependencies:\n- python={PYTHON}\n- pip\n- pip:\n{pip}name: mlflow-env\n"
    )
}
