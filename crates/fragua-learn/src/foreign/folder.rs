use super::ModelFormat;

/// The flavors of `MLmodel` files whose models are served, with what their `data` holds.
const FLAVORS: [(&str, ModelFormat); 3] = [
    ("onnx", ModelFormat::Onnx),
    ("lightgbm", ModelFormat::LightGbm),
    ("xgboost", ModelFormat::XgBoost),
];
/// Endings of files that hold Python objects, which run as code when they are opened.
const PICKLES: [&str; 5] = [".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"];

/// The file of a model folder that holds a model from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// What it holds.
    pub format: ModelFormat,
    /// Its path in the folder, as the `MLmodel` file names it; not checked.
    pub path: String,
}

/// Says which file of a model folder is to be loaded. `flavors` are the names of the flavors in the folder's `MLmodel` file,
/// each with its `data` where it has one.
///
/// # Errors
/// One sentence, such as "its …", on why no file can be loaded, with what to log the model with.
pub fn foreign_file<'a>(
    flavors: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<ForeignFile, String> {
    let flavors: Vec<(&str, Option<&str>)> = flavors.into_iter().collect();
    let find = |name: &str| flavors.iter().find(|(known, _)| *known == name);
    let mut refusal = None;
    for (name, format) in FLAVORS {
        let Some((_, data)) = find(name) else {
            continue;
        };
        match data {
            Some(path) if is_pickle(path) => refusal = Some(pickle(name, path)),
            Some(path) => {
                return Ok(ForeignFile {
                    format,
                    path: (*path).to_owned(),
                });
            }
            None => refusal = Some(format!("its flavor {name} names no file")),
        }
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let names: Vec<&str> = flavors.iter().map(|(name, _)| *name).collect();
    if names.iter().any(|name| *name != "python_function") {
        let name = names.iter().find(|name| **name != "python_function").copied();
        let name = name.unwrap_or_default();
        return Err(match name {
            "sklearn" => "its only model is scikit-learn's pickle, and a pickle is never opened: it could run anything. Convert \
                          it with skl2onnx and log it with mlflow.onnx.log_model"
                .to_owned(),
            name => format!(
                "models of the flavor {name} cannot be served; log it with mlflow.onnx, mlflow.lightgbm or mlflow.xgboost"
            ),
        });
    }
    Err("it is Python code alone, which is never run; log it with mlflow.onnx, mlflow.lightgbm or mlflow.xgboost".to_owned())
}

fn is_pickle(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    PICKLES.iter().any(|ending| path.ends_with(ending))
}

fn pickle(flavor: &str, path: &str) -> String {
    let advice = match flavor {
        "lightgbm" => "log the booster itself: mlflow.lightgbm.log_model(model.booster_)",
        "xgboost" => "log it with model_format=\"json\" or \"ubj\"",
        _ => "convert it with skl2onnx and log it with mlflow.onnx.log_model",
    };
    format!("its file {path} is a pickle, and a pickle is never opened: it could run anything; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_known_flavor_is_loaded() {
        let check = |flavors: &[(&str, Option<&str>)], format, path: &str| {
            let expected = ForeignFile {
                format,
                path: path.to_owned(),
            };
            assert_eq!(foreign_file(flavors.iter().copied()), Ok(expected));
        };
        let python = ("python_function", Some("model.onnx"));
        check(
            &[python, ("onnx", Some("model.onnx"))],
            ModelFormat::Onnx,
            "model.onnx",
        );
        check(
            &[("lightgbm", Some("model.lgb"))],
            ModelFormat::LightGbm,
            "model.lgb",
        );
        check(
            &[("xgboost", Some("model.ubj"))],
            ModelFormat::XgBoost,
            "model.ubj",
        );
        let both = [("lightgbm", Some("model.pkl")), ("onnx", Some("model.onnx"))];
        check(&both, ModelFormat::Onnx, "model.onnx");
    }

    #[test]
    fn a_pickle_is_never_opened() {
        let check = |flavors: &[(&str, Option<&str>)], needle: &str| {
            let reason = foreign_file(flavors.iter().copied()).unwrap_err();
            assert!(reason.contains(needle), "{reason}");
        };
        let python = ("python_function", Some("model.pkl"));
        check(&[python, ("sklearn", None)], "skl2onnx");
        check(&[("lightgbm", Some("model.pkl"))], "model.booster_");
        check(&[("xgboost", Some("model.pkl"))], "model_format");
        check(&[("onnx", None)], "names no file");
        check(&[("pytorch", Some("data"))], "flavor pytorch");
        check(&[python], "Python code alone");
        check(&[], "Python code alone");
    }
}
