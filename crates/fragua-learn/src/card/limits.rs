//! What the model cannot do.

use super::{ModelCard, Page, code};
use crate::config::{Folds, Language};
use crate::feature::FeatureKind;
use crate::judge::Slice;
use crate::metrics::Interval;
use crate::picture::escape;

/// Held-out rows of a class or slice below which its figures say little.
const FEW_ROWS: u64 = 30;
/// A gap of probabilities that is worth a warning.
const LARGE_GAP: f64 = 0.05;
/// Most warnings of a kind.
const MAX_WARNINGS: usize = 3;

impl ModelCard<'_> {
    pub(super) fn limits_section(&self, page: &mut Page) {
        page.open("limits", page.say("Limits", "Límites"), "");
        let mut limits = self.limits_of_figures(page);
        limits.extend(self.limits_of_use(page));
        page.body.push_str("<ul class=\"limits\">");
        for limit in limits {
            page.body.push_str(&format!("<li>{limit}</li>"));
        }
        page.body.push_str("</ul>");
        page.close();
    }

    /// What the figures themselves warn of.
    fn limits_of_figures(&self, page: &Page) -> Vec<String> {
        let words = page.words;
        let mut limits = Vec::new();
        let main = self.main_figure();
        let (value, baseline) = (self.figures.metrics.get(main), self.figures.baseline.get(main));
        if let (Some(&value), Some(&baseline)) = (value, baseline) {
            let interval = self.figures.intervals.get(main).copied();
            let Interval { low, high } = interval.unwrap_or(Interval {
                low: value,
                high: value,
            });
            let is_better = if super::words::is_loss(main) {
                high < baseline
            } else {
                low > baseline
            };
            if !is_better {
                limits.push(page.say(
                    "<strong>The model is not surely better than an answer that looks at no column.</strong>",
                    "<strong>No es seguro que el modelo sea mejor que una respuesta que no mira ninguna columna.</strong>",
                ).to_owned());
            }
        }
        let gap = self.judgement.reliability.as_ref();
        let gap = gap.map(|reliability| reliability.expected_calibration_error);
        if let Some(gap) = gap.filter(|&gap| gap > LARGE_GAP) {
            let gap = words.percent(gap);
            let help = match self.pipeline.calibration() {
                Some(_) => String::new(),
                None => format!(
                    " {} {}.",
                    code("calibrate: isotonic"),
                    page.say("may help", "puede ayudar")
                ),
            };
            limits.push(match words.0 {
                Language::English => {
                    format!("Probabilities are off by {gap} on average: use them to rank, not as chances.{help}")
                }
                Language::Spanish => format!(
                    "Las probabilidades fallan por {gap} en promedio: sirven para ordenar, no como frecuencias.{help}"
                ),
            });
        }
        let classes = self.pipeline.labels().iter().zip(self.figures.classes);
        let mut missed: Vec<(String, f64)> = classes
            .clone()
            .filter(|(_, class)| class.support >= FEW_ROWS && class.recall < 0.5)
            .map(|(label, class)| (label.to_string(), class.recall))
            .collect();
        missed.sort_by(|one, two| one.1.total_cmp(&two.1));
        for (label, recall) in missed.into_iter().take(MAX_WARNINGS) {
            let (label, share) = (escape(&label), words.percent(recall));
            limits.push(match words.0 {
                Language::English => {
                    format!("Of class <strong>{label}</strong> only {share} of the rows are found.")
                }
                Language::Spanish => {
                    format!("De la clase <strong>{label}</strong> solo se encuentra el {share} de las filas.")
                }
            });
        }
        let few: Vec<String> = classes
            .filter(|(_, class)| class.support < FEW_ROWS)
            .map(|(label, class)| {
                format!(
                    "<strong>{}</strong> ({})",
                    escape(&label.to_string()),
                    class.support
                )
            })
            .collect();
        if !few.is_empty() {
            let shown = few.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            let shown = if few.len() > 8 { shown + ", …" } else { shown };
            limits.push(match words.0 {
                Language::English => format!("Too few held-out rows to be sure of some classes: {shown}."),
                Language::Spanish => {
                    format!("Hay pocas filas apartadas para estar seguro de algunas clases: {shown}.")
                }
            });
        }
        // The worst slice of each column.
        let worse = self.judgement.slices.iter().filter_map(|column| {
            let slices = column
                .slices
                .iter()
                .filter(|slice| slice.is_worse && !slice.is_small);
            let score = |slice: &&Slice| slice.score.unwrap_or(f64::INFINITY);
            let worst = slices.min_by(|one, two| score(one).total_cmp(&score(two)))?;
            Some((column, worst))
        });
        for (column, slice) in worse.take(MAX_WARNINGS) {
            let (Some(score), Some(overall)) = (slice.score, column.overall) else {
                continue;
            };
            let (score, overall) = (words.figure(score.abs()), words.figure(overall.abs()));
            let part = format!("{}: {}", code(&column.column), self.slice_name(page, &slice.of));
            let metric = escape(&words.metric(column.scoring.name()));
            limits.push(match words.0 {
                Language::English => {
                    format!("Worse for {part} than for all rows: {metric} {score} against {overall}.")
                }
                Language::Spanish => {
                    format!("Peor para {part} que para todas las filas: {metric} {score} frente a {overall}.")
                }
            });
        }
        limits
    }

    /// What holds for any model of this kind.
    fn limits_of_use(&self, page: &Page) -> Vec<String> {
        let pipeline = self.pipeline;
        let mut limits = vec![page.say(
            "The figures hold for rows like those held out, which were drawn at random from the same table. Rows of another time \
             or place may differ.",
            "Las métricas valen para filas como las apartadas, extraídas al azar de la misma tabla. Filas de otro momento o lugar \
             pueden ser distintas.",
        ).to_owned()];
        match self.training.map(|training| &training.config.search.folds) {
            Some(Folds::Time(_)) => {
                limits[0] = page.say(
                    "The figures hold for rows like those held out, the latest of the same table. Rows of a later time or another \
                     place may differ.",
                    "Las métricas valen para filas como las apartadas, las últimas de la misma tabla. Filas de un momento posterior \
                     o de otro lugar pueden ser distintas.",
                ).to_owned();
            }
            Some(Folds::Group(_)) => {
                limits[0] = page.say(
                    "The figures hold for rows like those held out, which are of other groups of the same table. Rows of another \
                     time or place may differ.",
                    "Las métricas valen para filas como las apartadas, que son de otros grupos de la misma tabla. Filas de otro \
                     momento o lugar pueden ser distintas.",
                ).to_owned();
            }
            Some(Folds::Stratified) | None => {}
        }
        if self.training.is_none() {
            limits[0] = page
                .say(
                    "The figures hold for rows like those it was judged on here.",
                    "Las métricas valen para filas como aquellas con que se juzga aquí.",
                )
                .to_owned();
        }
        limits.push(if pipeline.is_linear() {
            page.say(
                "Beyond the numbers of training a linear model goes on in a straight line.",
                "Más allá de los números del entrenamiento, un modelo lineal sigue en línea recta.",
            )
        } else if !pipeline.has_trees() {
            page.say(
                "Beyond the numbers of training the model is sure of itself without having seen anything there.",
                "Más allá de los números del entrenamiento, el modelo está seguro de sí mismo sin haber visto nada allí.",
            )
        } else {
            page.say(
                "Beyond the numbers of training trees answer as at the nearest one they know: they do not go on with a trend.",
                "Más allá de los números del entrenamiento, los árboles responden como en el más cercano que conocen: no continúan \
                 una tendencia.",
            )
        }.to_owned());
        if pipeline
            .features()
            .iter()
            .any(|feature| feature.kind == FeatureKind::Category)
        {
            limits.push(
                page.say(
                    "A text that training never saw is answered as one of unknown kind.",
                    "Un texto que el entrenamiento no vio se trata como de clase desconocida.",
                )
                .to_owned(),
            );
        }
        limits
    }
}
