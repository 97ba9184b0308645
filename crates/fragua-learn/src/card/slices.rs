//! Where the model fails, and whether more rows would help.

use super::chart::{self, strip};
use super::{ModelCard, Page};
use crate::config::Language;
use crate::judge::{Slice, SliceRows, SlicedColumn};
use crate::picture::escape;

impl ModelCard<'_> {
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
