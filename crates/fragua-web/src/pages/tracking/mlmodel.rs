//! What an `MLmodel` file says, for people: flavors, signature, example.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::format;

pub(in crate::pages) const FILE_NAME: &str = "MLmodel";
/// A larger file is no description of a model.
pub(in crate::pages) const MOST_BYTES: u64 = 2 * 1024 * 1024;
const MOST_COLUMNS: usize = 1_000;

/// A description of a model.
#[derive(Debug, Default, PartialEq)]
pub(in crate::pages) struct ModelCard {
    /// The key of each word, and the value.
    pub(in crate::pages) facts: Vec<(&'static str, String)>,
    /// Name and version of the library it is loaded with.
    pub(in crate::pages) flavors: Vec<(String, String)>,
    pub(in crate::pages) inputs: Vec<SignatureColumn>,
    pub(in crate::pages) outputs: Vec<SignatureColumn>,
    pub(in crate::pages) params: Vec<SignatureColumn>,
    /// The file of the example inside the folder.
    pub(in crate::pages) example_file: Option<String>,
}

/// A column, tensor or parameter that a model takes or gives.
#[derive(Debug, PartialEq, Clone)]
pub(in crate::pages) struct SignatureColumn {
    pub(in crate::pages) name: String,
    pub(in crate::pages) kind: String,
    pub(in crate::pages) is_required: bool,
}

impl SignatureColumn {
    /// Returns the text that says what a type of MLflow is, for those that are one word.
    pub(in crate::pages) fn word(&self) -> Option<&'static str> {
        let name = self.kind.split(' ').next().unwrap_or_default();
        Some(match name {
            "boolean" => "type-boolean",
            "integer" | "long" => "type-whole",
            "float" | "double" => "type-fraction",
            "string" => "type-string",
            "datetime" => "type-datetime",
            "binary" => "type-binary",
            _ => return None,
        })
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    flavors: Map<String, Value>,
    signature: Option<Signature>,
    saved_input_example_info: Option<Map<String, Value>>,
    mlflow_version: Option<String>,
    model_id: Option<String>,
    model_size_bytes: Option<u64>,
    model_uuid: Option<String>,
    run_id: Option<String>,
    utc_time_created: Option<String>,
}

#[derive(Deserialize, Default)]
struct Signature {
    inputs: Option<String>,
    outputs: Option<String>,
    params: Option<String>,
}

/// Reads an `MLmodel` file; nothing when it is not one.
pub(in crate::pages) fn read(text: &str) -> Option<ModelCard> {
    let file: File = serde_saphyr::from_str(text).ok()?;
    // MLflow 3 writes the id of the logged model as both.
    let uuid = file
        .model_uuid
        .filter(|uuid| file.model_id.as_ref() != Some(uuid));
    let facts = [
        ("model-id", file.model_id),
        ("model-uuid", uuid),
        ("run-id", file.run_id),
        ("created", file.utc_time_created),
        ("size", file.model_size_bytes.map(format::bytes)),
        ("mlflow-version", file.mlflow_version),
    ];
    let version = |flavor: &Value| {
        let versions = flavor
            .as_object()?
            .iter()
            .find(|(key, _)| key.ends_with("_version"));
        let of_loader = flavor.get("loader_module").and_then(Value::as_str);
        let version = versions.and_then(|(_, version)| version.as_str());
        version.or(of_loader).map(str::to_owned)
    };
    let signature = file.signature.unwrap_or_default();
    Some(ModelCard {
        facts: facts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)))
            .collect(),
        flavors: file
            .flavors
            .iter()
            .map(|(name, flavor)| (name.clone(), version(flavor).unwrap_or_default()))
            .collect(),
        inputs: columns(signature.inputs.as_deref()),
        outputs: columns(signature.outputs.as_deref()),
        params: columns(signature.params.as_deref()),
        example_file: file.saved_input_example_info.and_then(|info| {
            let path = info.get("artifact_path")?.as_str()?;
            Some(path.to_owned())
        }),
    })
}

/// Reads the columns of a signature: a list in JSON, or one object for a single column without a name.
fn columns(text: Option<&str>) -> Vec<SignatureColumn> {
    let list = match serde_json::from_str(text.unwrap_or_default()) {
        Ok(Value::Array(list)) => list,
        Ok(one @ Value::Object(_)) => vec![one],
        _ => return Vec::new(),
    };
    list.iter()
        .take(MOST_COLUMNS)
        .map(|column| SignatureColumn {
            name: column["name"].as_str().unwrap_or_default().to_owned(),
            kind: kind(column),
            is_required: column["required"]
                .as_bool()
                .unwrap_or(column.get("default").is_none()),
        })
        .collect()
}

/// Writes a type as people say it: `double`, `Array(string)`, `float64 [-1, 4]`, `object {a, b}`.
fn kind(column: &Value) -> String {
    let name = column["type"].as_str().unwrap_or("?");
    let base = match name {
        "tensor" => {
            let spec = &column["tensor-spec"];
            format!("{} {}", spec["dtype"].as_str().unwrap_or("?"), spec["shape"])
        }
        "array" => format!("Array({})", kind(&column["items"])),
        "object" => {
            let properties = column["properties"].as_object();
            let names: Vec<&str> = properties
                .map(|properties| properties.keys().map(String::as_str).collect())
                .unwrap_or_default();
            format!("object {{{}}}", names.join(", "))
        }
        other => other.to_owned(),
    };
    match column.get("default") {
        Some(default) if !default.is_null() => format!("{base} = {default}"),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_mlflow_writes() {
        let text = "\
artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
    python_version: 3.12.3
  sklearn:
    sklearn_version: 1.5.0
mlflow_version: 3.17.2
model_id: m-1
model_size_bytes: 2048
saved_input_example_info:
  artifact_path: input_example.json
  type: dataframe
signature:
  inputs: '[{\"type\": \"double\", \"name\": \"x\", \"required\": true}, {\"type\": \"string\", \"name\": \"y\", \"required\": false}]'
  outputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1]}}]'
  params: '[{\"name\": \"t\", \"type\": \"float\", \"default\": 0.5, \"shape\": null}]'
utc_time_created: '2025-04-02 06:00:00'
";
        let card = read(text).unwrap();
        let column = |name: &str, kind: &str, is_required| SignatureColumn {
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_required,
        };
        assert_eq!(
            card.inputs,
            [column("x", "double", true), column("y", "string", false)]
        );
        assert_eq!(card.outputs, [column("", "int64 [-1]", true)]);
        assert_eq!(card.params, [column("t", "float = 0.5", false)]);
        let words = [&card.inputs[1], &card.outputs[0], &card.params[0]].map(SignatureColumn::word);
        assert_eq!(words, [Some("type-string"), None, Some("type-fraction")]);
        assert_eq!(
            card.flavors[0],
            ("python_function".to_owned(), "3.12.3".to_owned())
        );
        assert_eq!(card.example_file.as_deref(), Some("input_example.json"));
        assert!(card.facts.contains(&("size", "2.0 KiB".to_owned())));
    }

    #[test]
    fn foreign_texts_do_no_harm() {
        for text in ["", "- a", "x: [", "flavors: 3", "\0"] {
            assert!(read(text).is_none_or(|card| card.inputs.is_empty()), "{text}");
        }
        assert!(columns(Some("7")).is_empty());
        assert_eq!(columns(Some("[{}]"))[0].kind, "?");
        assert_eq!(
            columns(Some("{\"type\":\"array\",\"items\":{\"type\":\"long\"}}"))[0].kind,
            "Array(long)"
        );
    }
}
