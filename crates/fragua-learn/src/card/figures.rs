//! How good the model is.

use super::chart::{self, strip};
use super::words::{ORDER, is_loss};
use super::{ModelCard, Page};
use crate::config::Language;
use crate::picture::escape;

/// Classes that a confusion matrix has room for.
const MAX_MATRIX: usize = 20;
/// Rows of a table that are seen at once.
const MAX_ROWS: usize = 16;
/// Mistakes that are listed.
const MAX_MISTAKES: usize = 6;

impl ModelCard<'_> {
    pub(super) fn figures_section(&self, page: &mut Page) {
        let words = page.words;
        let level = self
            .training
            .map_or(0.95, |training| training.config.intervals.level);
        let level = words.decimals(level * 100.0, 0);
        let lead = match (words.0, self.figures.intervals.is_empty()) {
            (Language::English, false) => format!(
                "On {} the model did not learn from. The interval is where a metric lies in {level} of 100 draws of those rows; \
                 the thin mark is the baseline, an answer that looks at no column.",
                words.rows(self.judgement.rows)
            ),
            (Language::Spanish, false) => format!(
                "Con {} de las que el modelo no aprendió. El intervalo es donde cae una métrica en {level} de cada 100 \
                 extracciones de esas filas; la marca fina es la referencia, una respuesta que no mira ninguna columna.",
                words.rows(self.judgement.rows)
            ),
            (Language::English, true) => format!(
                "On {} the model did not learn from, beside the baseline, an answer that looks at no column.",
                words.rows(self.judgement.rows)
            ),
            (Language::Spanish, true) => format!(
                "Con {} de las que el modelo no aprendió, junto a la referencia, una respuesta que no mira ninguna columna.",
                words.rows(self.judgement.rows)
            ),
        };
        page.open("metrics", page.say("Metrics", "Métricas"), &lead);
        let main = self.main_figure();
        let names = std::iter::once(main).chain(ORDER.into_iter().filter(|name| *name != main));
        let rows: Vec<Vec<String>> = names
            .filter_map(|name| {
                let value = *self.figures.metrics.get(name)?;
                let interval = self.figures.intervals.get(name).copied();
                let baseline = self.figures.baseline.get(name).copied();
                let direction = if is_loss(name) {
                    page.say("less is better", "menos es mejor")
                } else {
                    ""
                };
                let highest = [Some(value), baseline, interval.map(|interval| interval.high)];
                let highest = highest.into_iter().flatten().fold(f64::MIN, f64::max);
                let lowest = [Some(value), baseline, interval.map(|interval| interval.low)];
                let lowest = lowest.into_iter().flatten().fold(f64::MAX, f64::min);
                let range = if is_loss(name) {
                    (0.0, highest * 1.05)
                } else {
                    (lowest.clamp(-1.0, 0.0), 1.0)
                };
                Some(vec![
                    format!(
                        "{}<span class=\"note\">{direction}</span>",
                        if name == main {
                            format!("<strong>{}</strong>", escape(&words.metric(name)))
                        } else {
                            escape(&words.metric(name))
                        }
                    ),
                    format!("<strong>{}</strong>", words.figure(value)),
                    strip(range, value, interval, baseline),
                    interval.map_or(String::new(), |interval| {
                        format!("{} – {}", words.figure(interval.low), words.figure(interval.high))
                    }),
                    baseline.map_or(String::new(), |baseline| words.figure(baseline)),
                ])
            })
            .collect();
        let heads = [
            page.say("Metric", "Métrica"),
            page.say("#Value", "#Valor"),
            "",
            page.say("#Interval", "#Intervalo"),
            page.say("#Baseline", "#Referencia"),
        ];
        page.table(&heads, &rows);
        page.close();
    }

    pub(super) fn classes_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(matrix) = self.figures.confusion_matrix else {
            return;
        };
        let lead = page.say(
            "Which classes are taken for which. Rows are the true class, columns the predicted one; the colour is the share of \
             the true class.",
            "Qué clases se confunden con cuáles. Las filas son la clase verdadera, las columnas la predicha; el color es la \
             parte de la clase verdadera.",
        );
        page.open("classes", page.say("Classes", "Clases"), lead);
        let labels: Vec<String> = matrix.labels.iter().map(ToString::to_string).collect();
        page.body.push_str("<div class=\"pair\">");
        if labels.len() <= MAX_MATRIX {
            let axis = (page.say("true", "verdadera"), page.say("predicted", "predicha"));
            let name = page.say("Confusion matrix", "Matriz de confusión");
            let svg = chart::confusion(name, &labels, &matrix.counts, axis, words);
            page.body.push_str("<div class=\"scroll\">");
            page.body.push_str(&svg);
            page.body.push_str("</div>");
        }
        page.body.push_str("<div>");
        let rows: Vec<Vec<String>> = labels
            .iter()
            .zip(self.figures.classes)
            .map(|(label, class)| {
                vec![
                    escape(label),
                    words.count(class.support as usize),
                    words.percent(class.precision),
                    words.percent(class.recall),
                    words.figure(class.f1),
                ]
            })
            .collect();
        let heads = [
            page.say("Class", "Clase"),
            page.say("#Rows", "#Filas"),
            page.say("#Precision", "#Precisión"),
            page.say("#Recall", "#Exhaustividad"),
            "#F1",
        ];
        if rows.len() > MAX_ROWS {
            let summary = page.say("All classes", "Todas las clases");
            page.body
                .push_str(&format!("<details><summary>{summary}</summary>"));
            page.table(&heads, &rows);
            page.body.push_str("</details>");
        } else {
            page.table(&heads, &rows);
        }
        self.mistakes(page, &labels, &matrix.counts);
        page.body.push_str("</div></div>");
        page.close();
    }

    fn mistakes(&self, page: &mut Page, labels: &[String], counts: &[Vec<u64>]) {
        let words = page.words;
        let mut mistakes: Vec<(usize, usize, u64)> = Vec::new();
        for (truth, counts) in counts.iter().enumerate() {
            let wrong = counts
                .iter()
                .enumerate()
                .filter(|(predicted, count)| *predicted != truth && **count > 0);
            mistakes.extend(wrong.map(|(predicted, &count)| (truth, predicted, count)));
        }
        mistakes.sort_by(|one, two| two.2.cmp(&one.2).then(one.0.cmp(&two.0)));
        mistakes.truncate(MAX_MISTAKES);
        if mistakes.is_empty() {
            return;
        }
        let title = page.say("Most frequent mistakes", "Errores más frecuentes");
        page.body
            .push_str(&format!("<h3>{title}</h3><ul class=\"plain\">"));
        for (truth, predicted, count) in mistakes {
            let total = counts[truth].iter().sum::<u64>().max(1) as f64;
            let share = words.percent(count as f64 / total);
            let [truth, predicted] =
                [truth, predicted].map(|class| format!("<strong>{}</strong>", escape(&labels[class])));
            let rows = words.rows(count as usize);
            page.body.push_str(&match words.0 {
                Language::English => {
                    format!("<li>{truth} taken for {predicted}: {rows}, {share} of the class</li>")
                }
                Language::Spanish => {
                    format!("<li>{truth} tomada por {predicted}: {rows}, {share} de la clase</li>")
                }
            });
        }
        page.body.push_str("</ul>");
    }

    pub(super) fn residuals_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(residuals) = &self.judgement.residuals else {
            return;
        };
        let [low, middle, high] = residuals.quantiles.map(|error| words.number(error));
        let lead = match words.0 {
            Language::English => format!(
                "Predicted less true: nine of ten rows lie between {low} and {high}, half of them below {middle}."
            ),
            Language::Spanish => format!(
                "Predicho menos verdadero: nueve de cada diez filas caen entre {low} y {high}, la mitad por debajo de {middle}."
            ),
        };
        page.open("errors", page.say("Errors", "Errores"), &lead);
        page.open_grid();
        let name = page.say("Predicted against true", "Predicho frente a verdadero");
        let axis = (page.say("true", "verdadero"), page.say("predicted", "predicho"));
        page.picture(name, &chart::scatter(name, &residuals.points, axis, words), "");
        let name = page.say("Predicted less true", "Predicho menos verdadero");
        let ranges: Vec<(f64, f64, usize)> = residuals
            .errors
            .iter()
            .map(|range| (range.low, range.high, range.rows))
            .collect();
        let axis = (page.say("error", "error"), page.say("rows", "filas"));
        page.picture(name, &chart::histogram(name, &ranges, axis, words), "");
        page.close_grid();
        page.close();
    }

    pub(super) fn reliability_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(reliability) = &self.judgement.reliability else {
            return;
        };
        let gap = words.percent(reliability.expected_calibration_error);
        let brier = words.figure(reliability.brier_score);
        let lead = match words.0 {
            Language::English => format!(
                "Of the rows given a probability of 70%, about 70% should be right: then the dots lie on the dashed line. \
                 Below it the model is too sure, above it not sure enough. Expected calibration error {gap}, Brier score {brier}."
            ),
            Language::Spanish => format!(
                "De las filas con una probabilidad del 70\u{202f}%, debería acertar cerca del 70\u{202f}%: entonces los puntos caen \
                 en la línea discontinua. Por debajo el modelo está demasiado seguro; por encima, demasiado poco. Error de \
                 calibración esperado {gap}, puntuación de Brier {brier}."
            ),
        };
        page.open("calibration", page.say("Calibration", "Calibración"), &lead);
        page.open_grid();
        let axis = (
            page.say("probability", "probabilidad"),
            page.say("came true", "se cumplió"),
        );
        let points = |bins: &[crate::judge::ReliabilityBin]| -> Vec<(f64, f64, usize)> {
            bins.iter()
                .map(|bin| (bin.probability, bin.share, bin.rows))
                .collect()
        };
        let name = page.say("The predicted class", "La clase predicha");
        let below = page.say(
            "The larger a dot, the more rows.",
            "Cuanto más grande el punto, más filas.",
        );
        let svg = chart::reliability(name, &points(&reliability.predicted), 0, axis, words);
        page.picture(name, &svg, below);
        let of_two = usize::from(self.pipeline.labels().len() == 2);
        if reliability.classes.len() <= chart::SERIES {
            for (position, curve) in reliability.classes.iter().enumerate() {
                let name = format!("{} {}", page.say("Class", "Clase"), curve.label);
                let gap = words.percent(curve.expected_calibration_error);
                let below = format!("{} {gap}", page.say("Off by", "Error de"));
                let series = (position + of_two) % chart::SERIES;
                page.picture(
                    &name,
                    &chart::reliability(&name, &points(&curve.bins), series, axis, words),
                    &below,
                );
            }
        }
        page.close_grid();
        page.close();
    }
}
