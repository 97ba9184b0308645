//! Words and numbers in the reader's language.

use crate::config::Language;

/// Says things in one language.
#[derive(Clone, Copy)]
pub(super) struct Words(pub(super) Language);

impl Words {
    pub(super) fn say<'a>(self, english: &'a str, spanish: &'a str) -> &'a str {
        match self.0 {
            Language::English => english,
            Language::Spanish => spanish,
        }
    }

    /// The code of the language in HTML.
    pub(super) fn code(self) -> &'static str {
        match self.0 {
            Language::English => "en",
            Language::Spanish => "es",
        }
    }

    /// A number with so many decimals, in groups of three digits.
    pub(super) fn decimals(self, number: f64, decimals: usize) -> String {
        let plain = format!("{number:.decimals$}");
        let (sign, plain) = match plain.strip_prefix('-') {
            // A rounded nothing has no sign.
            Some(rest) if rest.contains(|digit: char| ('1'..='9').contains(&digit)) => ("−", rest),
            Some(rest) => ("", rest),
            None => ("", plain.as_str()),
        };
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let (group, point) = match self.0 {
            Language::English => (",", "."),
            Language::Spanish => ("\u{202f}", ","),
        };
        // Spanish leaves four digits together.
        let grouped = whole.len() > if self.0 == Language::Spanish { 4 } else { 3 };
        let mut text = sign.to_owned();
        for (position, digit) in whole.chars().enumerate() {
            if grouped && position > 0 && (whole.len() - position).is_multiple_of(3) {
                text.push_str(group);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push_str(point);
            text.push_str(fraction);
        }
        text
    }

    pub(super) fn count(self, count: usize) -> String {
        self.decimals(count as f64, 0)
    }

    /// A number of any size with about four digits that matter.
    pub(super) fn number(self, number: f64) -> String {
        let size = number.abs();
        if !number.is_finite() {
            return "–".to_owned();
        }
        if size != 0.0 && !(1e-4..1e9).contains(&size) {
            let text = format!("{number:.2e}").replace('-', "−");
            return match self.0 {
                Language::English => text,
                Language::Spanish => text.replace('.', ","),
            };
        }
        let decimals = match size {
            0.0..1e-3 if size > 0.0 => 6,
            0.0..10.0 => 3,
            10.0..100.0 => 2,
            100.0..1_000.0 => 1,
            _ => 0,
        };
        let text = self.decimals(number, decimals);
        let point = self.say(".", ",");
        if decimals > 0 && text.contains(point) {
            return text.trim_end_matches('0').trim_end_matches(point).to_owned();
        }
        text
    }

    /// A figure, with the same decimals for those of a table.
    pub(super) fn figure(self, number: f64) -> String {
        match number.abs() {
            0.0..10.0 => self.decimals(number, 3),
            10.0..1_000.0 => self.decimals(number, 1),
            _ => self.number(number),
        }
    }

    pub(super) fn percent(self, share: f64) -> String {
        let text = self.decimals(share * 100.0, 1);
        match self.0 {
            Language::English => text + "%",
            Language::Spanish => text + "\u{202f}%",
        }
    }

    pub(super) fn rows(self, count: usize) -> String {
        let word = match count {
            1 => self.say("row", "fila"),
            _ => self.say("rows", "filas"),
        };
        format!("{} {word}", self.count(count))
    }

    pub(super) fn model(self, name: &str) -> String {
        match name {
            "random_forest" => self.say("Random forest", "Bosque aleatorio"),
            "extra_trees" => self.say("Extra trees", "Árboles extremadamente aleatorios"),
            "gradient_boosting" => self.say("Gradient boosting", "Potenciación del gradiente"),
            "logistic_regression" => self.say("Logistic regression", "Regresión logística"),
            "linear_svm" => self.say(
                "Linear support vector machine",
                "Máquina de vectores de soporte lineal",
            ),
            "svc" => self.say("Support vector machine", "Máquina de vectores de soporte"),
            "naive_bayes" => self.say("Naive Bayes", "Bayes ingenuo"),
            "linear_regression" => self.say("Linear regression", "Regresión lineal"),
            other => other,
        }
        .to_owned()
    }

    /// The name of a figure, without the sign that a search turns.
    pub(super) fn metric(self, name: &str) -> String {
        match name.strip_prefix("neg_").unwrap_or(name) {
            "accuracy" => self.say("Accuracy", "Exactitud"),
            "balanced_accuracy" => self.say("Balanced accuracy", "Exactitud equilibrada"),
            "precision_macro" => self.say("Precision, macro average", "Precisión, promedio macro"),
            "precision_weighted" => self.say("Precision, weighted average", "Precisión, promedio ponderado"),
            "recall_macro" => self.say("Recall, macro average", "Exhaustividad, promedio macro"),
            "recall_weighted" => self.say("Recall, weighted average", "Exhaustividad, promedio ponderado"),
            "f1_macro" => self.say("F1, macro average", "F1, promedio macro"),
            "f1_weighted" => self.say("F1, weighted average", "F1, promedio ponderado"),
            "matthews_corrcoef" => self.say("Matthews’ correlation", "Correlación de Matthews"),
            "cohen_kappa" => self.say("Cohen’s kappa", "Kappa de Cohen"),
            "log_loss" => self.say("Log loss", "Pérdida logarítmica"),
            "brier_score" => self.say("Brier score", "Puntuación de Brier"),
            "roc_auc_ovr" => self.say("Area under the ROC curve", "Área bajo la curva ROC"),
            "average_precision" => self.say("Average precision", "Precisión media"),
            "top_2_accuracy" => self.say("Top-2 accuracy", "Exactitud entre las 2 más probables"),
            "top_3_accuracy" => self.say("Top-3 accuracy", "Exactitud entre las 3 más probables"),
            "top_5_accuracy" => self.say("Top-5 accuracy", "Exactitud entre las 5 más probables"),
            "r2" => self.say("R²", "R²"),
            "explained_variance" => self.say("Explained variance", "Varianza explicada"),
            "mean_squared_error" => self.say("Mean squared error", "Error cuadrático medio"),
            "root_mean_squared_error" => {
                self.say("Root mean squared error", "Raíz del error cuadrático medio")
            }
            "mean_absolute_error" => self.say("Mean absolute error", "Error absoluto medio"),
            "median_absolute_error" => self.say("Median absolute error", "Error absoluto mediano"),
            "mean_absolute_percentage_error" => self.say(
                "Mean absolute percentage error",
                "Error porcentual absoluto medio",
            ),
            other => other,
        }
        .to_owned()
    }
}

/// The figures in the order of the card; the main one comes first all the same.
pub(super) const ORDER: [&str; 24] = [
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "precision_macro",
    "precision_weighted",
    "recall_macro",
    "recall_weighted",
    "roc_auc_ovr",
    "average_precision",
    "matthews_corrcoef",
    "cohen_kappa",
    "top_2_accuracy",
    "top_3_accuracy",
    "top_5_accuracy",
    "log_loss",
    "brier_score",
    "r2",
    "explained_variance",
    "root_mean_squared_error",
    "mean_absolute_error",
    "median_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
];

/// Tells whether less of a figure is better.
pub(super) fn is_loss(name: &str) -> bool {
    name.ends_with("_error") || ["log_loss", "brier_score"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_their_language_does() {
        let (english, spanish) = (Words(Language::English), Words(Language::Spanish));
        assert_eq!(english.count(1_234_567), "1,234,567");
        assert_eq!(spanish.count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (english.count(1_234).as_str(), spanish.count(1_234).as_str()),
            ("1,234", "1234")
        );
        assert_eq!(spanish.figure(0.5), "0,500");
        assert_eq!(english.decimals(-0.0001, 2), "0.00");
        assert_eq!(english.decimals(-2.5, 1), "−2.5");
        assert_eq!(english.number(0.000_02), "2.00e−5");
        assert_eq!(
            (english.number(2.5).as_str(), english.number(100.0).as_str()),
            ("2.5", "100")
        );
        assert_eq!(spanish.percent(0.1234), "12,3\u{202f}%");
    }
}
