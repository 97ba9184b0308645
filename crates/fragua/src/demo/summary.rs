//! What the demo did, with figures and addresses.

use std::time::Duration;

use fragua_base::Endpoints;
use serde::{Serialize, Serializer};

use crate::cli::output;

/// The closing summary. Its JSON form is read by programs: keys stay.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Rows in the table.
    pub(super) rows_loaded: u64,
    /// On the held-out rows.
    pub(super) accuracy: f64,
    /// On the held-out rows.
    pub(super) f1_macro: f64,
    pub(super) model: Model,
    /// The whole answer of the inference API for the example row.
    pub(super) prediction: serde_json::Value,
    pub(super) endpoints: Endpoints,
    /// From the start of the program.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(super) took: Duration,
}

/// The model that answered.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    pub(super) name: String,
    /// A number, as the inference API gives it.
    pub(super) version: serde_json::Value,
    pub(super) alias: String,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 10.0).round() / 10.0)
}

impl Summary {
    /// Prints the summary on standard output.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        match as_json {
            true => output::json(self),
            false => output::line(&self.text()),
        }
    }

    fn text(&self) -> String {
        let Model { name, version, alias } = &self.model;
        let prediction = match &self.prediction["Prediction"] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut text = format!(
            "\n  rows loaded     {}\n  accuracy        {:.4}\n  macro F1        {:.4}\n  model           {name} version {version}, \
             alias {alias}\n  prediction      cover type {prediction} for the example row\n  took            {:.1} s\n\n",
            grouped(self.rows_loaded),
            self.accuracy,
            self.f1_macro,
            self.took.as_secs_f64(),
        );
        for (role, address) in self.endpoints.iter() {
            let (path, what) = match role {
                "orchestrator" => ("", "DAGs, runs, logs"),
                "tracking" => ("", "experiments and models"),
                "storage" => ("", "S3"),
                "console" => ("", "buckets and objects"),
                "serving" => ("/docs", "inference API"),
                "app" => ("", "a form that predicts"),
                _ => ("", "the example's data API"),
            };
            text.push_str(&format!(
                "  {role:<15} {:<46} {what}\n",
                format!("{address}{path}")
            ));
        }
        text
    }
}

/// Writes a number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Summary {
        Summary {
            rows_loaded: 11620,
            accuracy: 0.91234,
            f1_macro: 0.85,
            model: Model {
                name: "cover_type_class".to_owned(),
                version: json!(1),
                alias: "champion".to_owned(),
            },
            prediction: json!({ "Prediction": 4, "Model Version": 1 }),
            endpoints: Endpoints {
                serving: Some("http://127.0.0.1:8085".to_owned()),
                source: Some("http://127.0.0.1:8087".to_owned()),
                ..Endpoints::default()
            },
            took: Duration::from_millis(31_416),
        }
    }

    #[test]
    fn the_json_form_has_the_agreed_keys() {
        assert_eq!(
            serde_json::to_value(summary()).unwrap(),
            json!({
                "rows_loaded": 11620,
                "accuracy": 0.91234,
                "f1_macro": 0.85,
                "model": { "name": "cover_type_class", "version": 1, "alias": "champion" },
                "prediction": { "Prediction": 4, "Model Version": 1 },
                "endpoints": { "serving": "http://127.0.0.1:8085", "source": "http://127.0.0.1:8087" },
                "seconds": 31.4,
            })
        );
    }

    #[test]
    fn the_text_shows_figures_and_addresses() {
        let text = summary().text();
        for part in [
            "11,620",
            "0.9123",
            "0.8500",
            "version 1, alias champion",
            "cover type 4",
            "8085/docs",
            "8087 ",
            "31.4 s",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn thousands_are_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
