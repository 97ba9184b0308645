//! The `MLmodel` file and the input example of a model folder: foreign text, checked here.

use fragua_learn::ModelFormat;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::signature::{ColumnSpec, DataType};

/// Where a model folder describes itself.
pub(crate) const FILE_NAME: &str = "MLmodel";

/// What is read out of an `MLmodel` file.
#[derive(Debug, PartialEq)]
pub(crate) struct Manifest {
    /// File of the model inside the folder.
    pub(crate) model_file: String,
    /// What the file holds; `None` for a pipeline of ours.
    pub(crate) foreign: Option<ModelFormat>,
    /// File of the input example inside the folder, where there is one.
    pub(crate) example_file: Option<String>,
    /// Columns of the signature, in order; none where a model from elsewhere has a signature without names, or none.
    pub(crate) columns: Vec<SignatureColumn>,
    /// Names of the columns that a pipeline of ours gives back, in order.
    pub(crate) outputs: Vec<String>,
    /// File inside the folder that tells what the training rows were like, where there is one.
    pub(crate) profile_file: Option<String>,
    /// What it answered for its example row when it was saved.
    pub(crate) example_answer: Option<ExampleAnswer>,
}

/// An answer as it was when the model was saved.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ExampleAnswer {
    pub(crate) label: Value,
    #[serde(default)]
    pub(crate) probabilities: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignatureColumn {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) required: bool,
}

#[derive(Deserialize)]
struct ManifestFile {
    #[serde(default)]
    flavors: Flavors,
    signature: Option<SignatureText>,
    saved_input_example_info: Option<ExampleInfo>,
}

#[derive(Deserialize, Default)]
struct Flavors {
    fragua: Option<FraguaFlavor>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct FraguaFlavor {
    data: String,
    #[serde(default)]
    training_profile: Option<String>,
    #[serde(default)]
    example_answer: Option<ExampleAnswer>,
}

#[derive(Deserialize)]
struct SignatureText {
    inputs: String,
    outputs: Option<String>,
}

#[derive(Deserialize)]
struct ExampleInfo {
    artifact_path: String,
}

/// Reads an `MLmodel` file.
///
/// # Errors
/// One sentence on why the model cannot be served.
pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
    let file: ManifestFile = serde_saphyr::from_str(text).map_err(|error| {
        format!(
            "its MLmodel file cannot be read: {}",
            first_line(&error.to_string())
        )
    })?;
    let example_file = file
        .saved_input_example_info
        .map(|info| inside_folder(info.artifact_path))
        .transpose()?;
    let Some(flavor) = file.flavors.fragua else {
        let others = file.flavors.others.iter();
        let others = others.map(|(name, flavor)| (name.as_str(), flavor["data"].as_str()));
        let found = fragua_learn::foreign_file(others)?;
        let columns = file.signature.map(|signature| columns(&signature.inputs));
        return Ok(Manifest {
            model_file: inside_folder(found.path)?,
            foreign: Some(found.format),
            example_file,
            // Tensors have no names; the model's own are taken then.
            columns: columns.and_then(Result::ok).unwrap_or_default(),
            outputs: Vec::new(),
            profile_file: None,
            example_answer: None,
        });
    };
    let signature = file.signature.ok_or("its MLmodel file has no signature")?;
    Ok(Manifest {
        model_file: inside_folder(flavor.data)?,
        foreign: None,
        example_file,
        columns: columns(&signature.inputs)?,
        outputs: outputs(signature.outputs.as_deref().unwrap_or("[]"))?,
        profile_file: flavor.training_profile.map(inside_folder).transpose()?,
        example_answer: flavor.example_answer,
    })
}

fn outputs(text: &str) -> Result<Vec<String>, String> {
    let unnamed = || "the outputs of its signature are no list of named columns".to_owned();
    let specs: Vec<ColumnSpec> = serde_json::from_str(text).map_err(|_| unnamed())?;
    specs
        .into_iter()
        .map(|spec| spec.name.ok_or_else(unnamed))
        .collect()
}

fn columns(inputs: &str) -> Result<Vec<SignatureColumn>, String> {
    let specs: Vec<ColumnSpec> =
        serde_json::from_str(inputs).map_err(|_| "its signature is no list of named columns".to_owned())?;
    let mut columns: Vec<SignatureColumn> = Vec::with_capacity(specs.len());
    for spec in specs {
        let name = spec.name.ok_or("its signature has a column without a name")?;
        if columns.iter().any(|column| column.name == name) {
            return Err(format!("its signature names column {name} twice"));
        }
        let data_type = serde_json::from_value(Value::from(spec.data_type.as_str())).map_err(|_| {
            let kind = &spec.data_type;
            format!("its signature gives column {name} the type {kind}, which cannot be served")
        })?;
        columns.push(SignatureColumn {
            name,
            data_type,
            required: spec.required,
        });
    }
    if columns.is_empty() {
        return Err("its signature has no columns".to_owned());
    }
    Ok(columns)
}

/// Files of a model lie inside its folder; a name that leads elsewhere is refused.
fn inside_folder(file: String) -> Result<String, String> {
    let is_plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if file.split('/').all(is_plain) {
        return Ok(file);
    }
    Err(format!(
        "its MLmodel file names {file:?}, which is no file of the model's folder"
    ))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Reads the first row of an input example in MLflow's `dataframe_split` form.
///
/// # Errors
/// One sentence on why the model cannot be served.
pub(crate) fn parse_example(text: &[u8]) -> Result<Map<String, Value>, String> {
    #[derive(Deserialize)]
    struct Split {
        columns: Vec<String>,
        data: Vec<Vec<Value>>,
    }
    let unreadable = || "its input example is no data frame in split form".to_owned();
    let split: Split = serde_json::from_slice(text).map_err(|_| unreadable())?;
    let row = split.data.into_iter().next().ok_or_else(unreadable)?;
    if row.len() != split.columns.len() {
        return Err(unreadable());
    }
    Ok(split.columns.into_iter().zip(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &str = r#"[{"type":"double","name":"a","required":true},{"type":"long","name":"b"},{"type":"string","name":"c","required":false}]"#;

    fn manifest(flavors: &str, inputs: &str, example: &str) -> String {
        format!(
            "artifact_path: model\nflavors:\n{flavors}\nmlflow_version: 3.17.2\nsaved_input_example_info:\n  \
             artifact_path: {example}\n  type: dataframe\nsignature:\n  inputs: '{inputs}'\n  \
             outputs: '[{{\"type\":\"long\",\"name\":\"label\"}}]'\n"
        )
    }

    const FRAGUA: &str = "  fragua:\n    data: pipeline.bin\n  onnx:\n    data: model.onnx";

    #[test]
    fn a_manifest_is_read() {
        let manifest = parse(&manifest(FRAGUA, INPUTS, "input_example.json")).unwrap();
        assert_eq!(manifest.model_file, "pipeline.bin");
        assert_eq!(manifest.foreign, None);
        assert_eq!(manifest.example_file.as_deref(), Some("input_example.json"));
        assert_eq!(manifest.outputs, ["label"]);
        let columns: Vec<_> = manifest
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.data_type, column.required))
            .collect();
        assert_eq!(
            columns,
            [
                ("a", DataType::Double, true),
                ("b", DataType::Long, true),
                ("c", DataType::Text, false)
            ]
        );
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        fn check(text: &str, needle: &str) {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains(needle), "{reason}");
            assert!(!reason.contains('\n'), "{reason}");
        }
        check("flavors: [", "cannot be read");
        check("", "Python code alone");
        check("flavors: {}", "Python code alone");
        check(
            &manifest(
                "  sklearn:\n    data: model.pkl\n  python_function: {}",
                INPUTS,
                "e.json",
            ),
            "a pickle is never opened",
        );
        check("flavors: {fragua: {data: p}}", "no signature");
        check(
            &manifest(FRAGUA, "nonsense", "e.json"),
            "no list of named columns",
        );
        check(&manifest(FRAGUA, "[]", "e.json"), "no columns");
        check(
            &manifest(FRAGUA, r#"[{"type":"double"}]"#, "e.json"),
            "without a name",
        );
        check(
            &manifest(FRAGUA, r#"[{"type":"binary","name":"x"}]"#, "e.json"),
            "column x the type binary",
        );
        check(
            &manifest(
                FRAGUA,
                r#"[{"type":"long","name":"x"},{"type":"long","name":"x"}]"#,
                "e.json",
            ),
            "column x twice",
        );
        for path in ["../secret", "/etc/passwd", "a//b", "a/./b", "''"] {
            check(&manifest(FRAGUA, INPUTS, path), "no file of the model's folder");
        }
    }

    #[test]
    fn models_from_elsewhere_need_no_named_signature() {
        let tensors = r#"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1,4]}}]"#;
        let found = parse(&manifest("  onnx:\n    data: model.onnx", tensors, "e.json")).unwrap();
        assert_eq!(
            (found.model_file.as_str(), found.foreign),
            ("model.onnx", Some(ModelFormat::Onnx))
        );
        assert_eq!(found.columns, []);
        let found = parse("flavors: {lightgbm: {data: model.lgb}}").unwrap();
        assert_eq!(found.foreign, Some(ModelFormat::LightGbm));
        assert!(parse("flavors: {onnx: {data: ../model.onnx}}").is_err());
    }

    #[test]
    fn an_example_is_its_first_row() {
        let example = parse_example(br#"{"columns":["a","c"],"data":[[1.5,"x"],[2,"y"]]}"#).unwrap();
        assert_eq!(serde_json::to_string(&example).unwrap(), r#"{"a":1.5,"c":"x"}"#);
        for text in [
            "",
            "{}",
            r#"{"columns":["a"],"data":[]}"#,
            r#"{"columns":["a"],"data":[[1,2]]}"#,
        ] {
            assert!(parse_example(text.as_bytes()).is_err(), "{text}");
        }
    }
}
