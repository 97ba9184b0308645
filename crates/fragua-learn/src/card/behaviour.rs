//! What the model looks at.

use super::chart::{self, Bar, Line, SERIES};
use super::{ModelCard, Page};
use crate::config::{Language, Task};
use crate::judge::{PartialDependence, PartialGrid};
use crate::picture::escape;

/// Bars of a picture.
const MAX_BARS: usize = 12;
/// Contributions of the example.
const MAX_PARTS: usize = 10;
/// Texts of a picture of partial dependence.
const MAX_TEXTS: usize = 14;

impl ModelCard<'_> {
    pub(super) fn importance_section(&self, page: &mut Page) {
        let words = page.words;
        let lead = page.say(
            "Answers to the question which columns matter. They describe this model, not what causes what; columns that \
             go together share what they tell.",
            "Respuestas a la pregunta de qué columnas importan. Describen este modelo, no qué causa qué; las columnas que \
             van juntas se reparten lo que dicen.",
        );
        page.open("importance", page.say("What it looks at", "En qué se fija"), lead);
        page.open_grid();
        if let Some(permutation) = &self.judgement.permutation {
            let bars: Vec<Bar> = permutation
                .columns
                .iter()
                .take(MAX_BARS)
                .map(|column| Bar {
                    name: column.feature.clone(),
                    value: column.mean,
                    spread: column.std,
                    shown: words.figure(column.mean),
                })
                .collect();
            let name = page.say("Shuffled", "Al barajarla");
            let metric = escape(&words.metric(permutation.scoring.name()));
            let rows = words.rows(permutation.rows);
            let below = match words.0 {
                Language::English => format!(
                    "How much worse “{metric}” gets when the column is shuffled among {rows}, {} times over; the thin line is the \
                     standard deviation.",
                    permutation.repeats
                ),
                Language::Spanish => format!(
                    "Cuánto empeora «{metric}» cuando la columna se baraja entre {rows}, {} veces; la línea fina es la desviación \
                     típica.",
                    permutation.repeats
                ),
            };
            page.picture(name, &chart::bars(name, &bars), &below);
        }
        if let Some(contributions) = &self.judgement.contributions {
            // Three digits of the greatest one, and as many decimals for the others.
            let greatest = contributions
                .columns
                .first()
                .map_or(1.0, |column| column.mean_absolute);
            let decimals = (2.0 - greatest.max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
            let bars: Vec<Bar> = contributions
                .columns
                .iter()
                .take(MAX_BARS)
                .map(|column| Bar {
                    name: column.feature.clone(),
                    value: column.mean_absolute,
                    spread: 0.0,
                    shown: words.decimals(column.mean_absolute, decimals),
                })
                .collect();
            let name = page.say("Contribution", "Contribución");
            let rows = words.rows(contributions.rows);
            let below = match words.0 {
                Language::English => format!(
                    "How far the column moves {} on average, over {rows} (Shapley values).",
                    self.score(page)
                ),
                Language::Spanish => {
                    format!(
                        "Cuánto mueve la columna {} en promedio, con {rows} (valores de Shapley).",
                        self.score(page)
                    )
                }
            };
            page.picture(name, &chart::bars(name, &bars), &below);
        }
        // A kernel mixes the columns: there is no share of each to draw.
        if self.pipeline.has_kernel() {
            page.close_grid();
            self.example(page);
            page.close();
            return;
        }
        let gains = self.pipeline.feature_importance();
        let bars: Vec<Bar> = gains
            .iter()
            .take(MAX_BARS)
            .map(|item| Bar {
                name: item.feature.clone(),
                value: item.importance,
                spread: 0.0,
                shown: words.percent(item.importance),
            })
            .collect();
        let (name, below) = if self.pipeline.is_linear() {
            (
                page.say("Size of coefficients", "Tamaño de los coeficientes"),
                page.say(
                    "Share of the column in the coefficients, each times the standard deviation of its column.",
                    "Parte de la columna en los coeficientes, cada uno por la desviación típica de su columna.",
                ),
            )
        } else if !self.pipeline.has_trees() {
            (
                page.say("Distance of the classes", "Distancia entre las clases"),
                page.say(
                    "Share of the column in how much of the variance of all columns lies between the classes.",
                    "Parte de la columna en la varianza de todas las columnas que está entre las clases.",
                ),
            )
        } else {
            (
                page.say("Gain", "Ganancia"),
                page.say(
                    "Share of the column in what the splits of all trees gain on the rows that were learned from.",
                    "Parte de la columna en lo que ganan las divisiones de todos los árboles con las filas de las que aprendió.",
                ),
            )
        };
        page.picture(name, &chart::bars(name, &bars), below);
        page.close_grid();
        self.example(page);
        page.close();
    }

    /// What contributions are parts of.
    fn score(&self, page: &Page) -> &'static str {
        match (self.pipeline.task(), self.pipeline.model_name()) {
            (Task::Regression, _) => page.say("the prediction", "la predicción"),
            (_, "gradient_boosting") => page.say("the raw margin of a class", "el margen bruto de una clase"),
            (_, "logistic_regression") => page.say("the logit of a class", "el logit de una clase"),
            (_, "linear_svm") => page.say("the decision for a class", "la decisión de una clase"),
            _ => page.say("the probability of a class", "la probabilidad de una clase"),
        }
    }

    /// One row taken apart.
    fn example(&self, page: &mut Page) {
        let words = page.words;
        let Some(example) = self
            .judgement
            .contributions
            .as_ref()
            .and_then(|found| found.example.as_ref())
        else {
            return;
        };
        let mut bars: Vec<Bar> = example
            .columns
            .iter()
            .take(MAX_PARTS)
            .map(|part| {
                let value = match (part.value.as_str(), part.value.parse::<f64>()) {
                    ("", _) => page.say("missing", "falta").to_owned(),
                    (_, Ok(number)) => words.number(number),
                    (text, Err(_)) => text.to_owned(),
                };
                Bar {
                    name: format!("{} = {value}", part.feature),
                    value: part.contribution,
                    spread: 0.0,
                    shown: signed(part.contribution, words.figure(part.contribution)),
                }
            })
            .collect();
        if example.columns.len() > MAX_PARTS {
            let rest: f64 = example.columns[MAX_PARTS..]
                .iter()
                .map(|part| part.contribution)
                .sum();
            let others = example.columns.len() - MAX_PARTS;
            bars.push(Bar {
                name: format!("{others} {}", page.say("others", "más")),
                value: rest,
                spread: 0.0,
                shown: signed(rest, words.figure(rest)),
            });
        }
        let title = page.say("One row as an example", "Una fila como ejemplo");
        let (base, score) = (words.figure(example.base), words.figure(example.score));
        let label = example
            .label
            .as_ref()
            .map(|label| format!("<strong>{}</strong>", escape(&label.to_string())));
        let is_margin = self.pipeline.model_name() == "gradient_boosting";
        let below = match (words.0, label) {
            (Language::English, Some(label)) => format!(
                "Predicted {label}. Its {} is {base} on average over training; the values of this row move it to {score}.",
                if is_margin { "raw margin" } else { "probability" }
            ),
            (Language::Spanish, Some(label)) => format!(
                "Predicho {label}. Su {} es {base} en promedio en el entrenamiento; los valores de esta fila {} llevan a {score}.",
                if is_margin { "margen bruto" } else { "probabilidad" },
                if is_margin { "lo" } else { "la" }
            ),
            (Language::English, None) => format!(
                "The prediction is {base} on average over training; the values of this row move it to {score}."
            ),
            (Language::Spanish, None) => format!(
                "La predicción es {base} en promedio en el entrenamiento; los valores de esta fila la llevan a {score}."
            ),
        };
        page.body.push_str("<div class=\"beside\">");
        page.picture(title, &chart::bars(title, &bars), "");
        page.body
            .push_str(&format!("<p class=\"below\">{below}</p></div>"));
    }

    /// The classes whose partial dependence is drawn: those that change most, at most as many as there are colours.
    fn drawn_classes(&self) -> Vec<usize> {
        match self.pipeline.labels().len() {
            0 => vec![0],
            2 => vec![1],
            count => {
                let reach = |class: usize| -> f64 {
                    let of_column = |found: &PartialDependence| {
                        let means = &found.means[class];
                        means.iter().copied().fold(f64::MIN, f64::max)
                            - means.iter().copied().fold(f64::MAX, f64::min)
                    };
                    self.judgement.partial_dependence.iter().map(of_column).sum()
                };
                let mut classes: Vec<usize> = (0..count).collect();
                classes.sort_by(|&one, &two| reach(two).total_cmp(&reach(one)));
                classes.truncate(SERIES);
                classes.sort_unstable();
                classes
            }
        }
    }

    pub(super) fn dependence_section(&self, page: &mut Page) {
        let words = page.words;
        let found = &self.judgement.partial_dependence;
        let Some(first) = found.first() else {
            return;
        };
        let classes = self.drawn_classes();
        let rows = words.rows(first.rows);
        let what = match (words.0, self.pipeline.labels().len()) {
            (Language::English, 0) => "The mean prediction".to_owned(),
            (Language::Spanish, 0) => "La predicción media".to_owned(),
            (Language::English, 2) => format!(
                "The mean probability of <strong>{}</strong>",
                escape(&self.label(1))
            ),
            (Language::Spanish, 2) => format!(
                "La probabilidad media de <strong>{}</strong>",
                escape(&self.label(1))
            ),
            (Language::English, _) => "The mean probability of each class".to_owned(),
            (Language::Spanish, _) => "La probabilidad media de cada clase".to_owned(),
        };
        let lead = match words.0 {
            Language::English => format!(
                "{what} when a column has the same value in all of {rows} and the others stay as they are. Small marks are \
                 quantiles: where they are far apart, there were few rows."
            ),
            Language::Spanish => format!(
                "{what} cuando una columna tiene el mismo valor en {rows} y las demás quedan como están. Las marcas pequeñas son \
                 cuantiles: donde están lejos unas de otras, hubo pocas filas."
            ),
        };
        page.open(
            "dependence",
            page.say("Partial dependence", "Dependencia parcial"),
            &lead,
        );
        if classes.len() > 1 {
            // A class keeps its colour in all pictures.
            let series: Vec<(usize, String)> = classes
                .iter()
                .enumerate()
                .map(|(position, &class)| (position, self.label(class)))
                .collect();
            page.legend(&series);
        }
        let drawn = || {
            found
                .iter()
                .flat_map(|found| classes.iter().flat_map(|&class| &found.means[class]))
        };
        let (low, high) = (
            drawn().copied().fold(f64::MAX, f64::min),
            drawn().copied().fold(f64::MIN, f64::max),
        );
        let room = (0.06 * (high - low)).max(1e-9);
        let mut range = (low - room, high + room);
        if !self.pipeline.labels().is_empty() {
            range = (range.0.max(0.0), range.1.min(1.0));
        }
        page.open_grid();
        for found in found {
            let lines: Vec<Line> = classes
                .iter()
                .enumerate()
                .map(|(position, &class)| Line {
                    series: position,
                    name: self.label(class),
                    points: match &found.grid {
                        PartialGrid::Numbers(numbers) => numbers
                            .iter()
                            .copied()
                            .zip(found.means[class].iter().copied())
                            .collect(),
                        PartialGrid::Texts(_) => found.means[class].iter().map(|&mean| (0.0, mean)).collect(),
                    },
                })
                .collect();
            let (svg, below) = match &found.grid {
                PartialGrid::Numbers(_) => (
                    chart::dependence(&found.feature, &lines, range, words),
                    String::new(),
                ),
                PartialGrid::Texts(texts) => {
                    let shown = &texts[..texts.len().min(MAX_TEXTS)];
                    let below = match texts.len() - shown.len() {
                        0 => String::new(),
                        more => format!(
                            "{more} {}",
                            page.say(
                                "rarer texts are not shown",
                                "textos menos frecuentes no se muestran"
                            )
                        ),
                    };
                    (chart::dots(&found.feature, shown, &lines, range, words), below)
                }
            };
            page.picture(&found.feature, &svg, &below);
        }
        page.close_grid();
        page.close();
    }
}

fn signed(number: f64, shown: String) -> String {
    if number > 0.0 { format!("+{shown}") } else { shown }
}
