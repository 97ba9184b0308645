//! What the model looks at, and where it fails.

use super::chart::{self, Bar, Line, SERIES, strip};
use super::{ModelCard, Page};
use crate::config::{Language, Task};
use crate::judge::{PartialDependence, PartialGrid, Slice, SliceRows, SlicedColumn};
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
            let bars: Vec<Bar> = contributions
                .columns
                .iter()
                .take(MAX_BARS)
                .map(|column| Bar {
                    name: column.feature.clone(),
                    value: column.mean_absolute,
                    spread: 0.0,
                    shown: words.number(column.mean_absolute),
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
        let is_linear = ["logistic_regression", "linear_regression"].contains(&self.pipeline.model_name());
        let (name, below) = if is_linear {
            (
                page.say("Size of coefficients", "Tamaño de los coeficientes"),
                page.say(
                    "Share of the column in the coefficients, each times the standard deviation of its column.",
                    "Parte de la columna en los coeficientes, cada uno por la desviación típica de su columna.",
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

    pub(super) fn slices_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(first) = self.judgement.slices.first() else {
            return;
        };
        let metric = escape(&words.metric(first.scoring.name()));
        let is_turned = first.scoring.name().starts_with("neg_");
        let overall = first.overall.map_or(String::new(), |overall| {
            words.figure(if is_turned { -overall } else { overall })
        });
        let less = if is_turned {
            page.say(" (less is better)", " (menos es mejor)")
        } else {
            ""
        };
        let lead = match words.0 {
            Language::English => format!(
                "“{metric}”{less} for parts of the rows, with intervals; the thin mark is that of all rows, {overall}. A part whose \
                 whole interval is worse is marked."
            ),
            Language::Spanish => format!(
                "«{metric}»{less} para partes de las filas, con intervalos; la marca fina es la de todas las filas, {overall}. Una \
                 parte cuyo intervalo entero es peor lleva una señal."
            ),
        };
        page.open("slices", page.say("Slices", "Segmentos"), &lead);
        page.body.push_str("<div class=\"grid slices\">");
        for column in &self.judgement.slices {
            self.slice_table(page, column);
        }
        page.close_grid();
        page.close();
    }

    fn slice_table(&self, page: &mut Page, column: &SlicedColumn) {
        let words = page.words;
        let turn = |score: f64| {
            if column.scoring.name().starts_with("neg_") {
                -score
            } else {
                score
            }
        };
        let ends = |slice: &Slice| {
            let interval = slice
                .interval
                .map(|interval| [turn(interval.low), turn(interval.high)]);
            [
                slice.score.map(turn),
                interval.map(|ends| ends[0]),
                interval.map(|ends| ends[1]),
            ]
        };
        let all = || {
            column
                .slices
                .iter()
                .flat_map(ends)
                .flatten()
                .chain(column.overall.map(turn))
        };
        let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        let rows: Vec<Vec<String>> = column
            .slices
            .iter()
            .map(|slice| {
                let marks = [
                    (slice.is_worse, page.say("worse", "peor"), "bad"),
                    (slice.is_small, page.say("few rows", "pocas filas"), "dim"),
                ];
                let marks: String = marks
                    .iter()
                    .filter(|(holds, ..)| *holds)
                    .map(|(_, word, class)| format!(" <span class=\"badge {class}\">{word}</span>"))
                    .collect();
                let interval = slice.interval.map(|interval| {
                    let (one, two) = (turn(interval.low), turn(interval.high));
                    crate::metrics::Interval {
                        low: one.min(two),
                        high: one.max(two),
                    }
                });
                vec![
                    format!("{}{marks}", self.slice_name(page, &slice.of)),
                    words.count(slice.rows),
                    slice
                        .score
                        .map_or("–".to_owned(), |score| words.figure(turn(score))),
                    slice.score.map_or(String::new(), |score| {
                        strip((low, high), turn(score), interval, column.overall.map(turn))
                    }),
                ]
            })
            .collect();
        page.body.push_str(&format!(
            "<div class=\"slice\"><h3>{}</h3>",
            escape(&column.column)
        ));
        let heads = [
            page.say("Part", "Parte"),
            page.say("#Rows", "#Filas"),
            page.say("#Metric", "#Métrica"),
            "",
        ];
        page.table(&heads, &rows);
        page.body.push_str("</div>");
    }

    pub(super) fn slice_name(&self, page: &Page, of: &SliceRows) -> String {
        let words = page.words;
        match of {
            SliceRows::Text(text) => escape(text),
            SliceRows::OtherTexts(count) => match words.0 {
                Language::English => format!("<em>{count} others</em>"),
                Language::Spanish => format!("<em>otros {count}</em>"),
            },
            SliceRows::Range(low, high) if low == high => words.number(*low),
            SliceRows::Range(low, high) => {
                format!(
                    "{} {} {}",
                    words.number(*low),
                    page.say("to", "a"),
                    words.number(*high)
                )
            }
            SliceRows::Missing => format!("<em>{}</em>", page.say("missing", "falta")),
        }
    }

    pub(super) fn learning_curve_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(curve) = &self.judgement.learning_curve else {
            return;
        };
        let metric = escape(&words.metric(curve.scoring.name()));
        let is_turned = curve.scoring.name().starts_with("neg_");
        let turn = |score: f64| if is_turned { -score } else { score };
        let lead = match words.0 {
            Language::English => format!(
                "“{metric}” in cross-validation with fewer rows to learn from; the band is a standard deviation over the folds, the \
                 dashed line the rows that were learned from. While the line still climbs, more rows would help."
            ),
            Language::Spanish => format!(
                "«{metric}» en validación cruzada con menos filas de las que aprender; la banda es una desviación típica entre \
                 pliegues, la línea discontinua las filas de las que aprendió. Mientras la línea siga subiendo, más filas \
                 ayudarían."
            ),
        };
        page.open(
            "learning-curve",
            page.say("Learning curve", "Curva de aprendizaje"),
            &lead,
        );
        let points: Vec<(f64, f64, f64, f64)> = curve
            .points
            .iter()
            .filter(|point| point.mean.is_finite() && point.learned_mean.is_finite())
            .map(|point| {
                (
                    point.rows as f64,
                    turn(point.mean),
                    point.std,
                    turn(point.learned_mean),
                )
            })
            .collect();
        if points.is_empty() {
            page.body.push_str("<p>–</p>");
            return page.close();
        }
        let name = page.say(
            "Score by rows learned from",
            "Métrica según las filas de las que aprende",
        );
        let axis = (page.say("rows learned from", "filas de las que aprende"), "");
        page.open_grid();
        page.picture(name, &chart::learning_curve(name, &points, axis, words), "");
        page.close_grid();
        page.close();
    }
}

fn signed(number: f64, shown: String) -> String {
    if number > 0.0 { format!("+{shown}") } else { shown }
}
