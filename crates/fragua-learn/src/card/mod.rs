//! A model's card: one HTML file, without scripts and without anything from outside, that tells people what a model is,
//! how good it is, what it looks at and where it fails.

mod behaviour;
mod chart;
mod figures;
mod limits;
mod making;
mod slices;
mod svg;
mod words;

use crate::config::{Language, Task};
use crate::judge::Judgement;
use crate::metrics::{ClassMetrics, ConfusionMatrix, Interval};
use crate::picture::escape;
use crate::{Evaluation, Pipeline, TrainConfig, TrainReport};
use std::collections::BTreeMap;
use std::fmt::Write;
use words::Words;

const STYLE: &str = include_str!("style.css");

/// What a card tells.
#[derive(Clone, Debug)]
pub struct ModelCard<'a> {
    title: String,
    made_at: String,
    facts: Vec<(Fact, String)>,
    language: Language,
    pipeline: &'a Pipeline,
    figures: Figures<'a>,
    judgement: &'a Judgement,
    training: Option<Training<'a>>,
}

/// Where a model or its rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The tracking run that made the model.
    Run,
    /// The experiment of the run.
    Experiment,
    /// The DAG run that trained.
    DagRun,
    /// The table or file that the rows come from.
    Rows,
    /// What tells whether the rows are the same.
    Digest,
    /// The folder or file of the model.
    Model,
}

#[derive(Clone, Copy, Debug)]
struct Figures<'a> {
    metrics: &'a BTreeMap<String, f64>,
    intervals: &'a BTreeMap<String, Interval>,
    baseline: &'a BTreeMap<String, f64>,
    classes: &'a [ClassMetrics],
    confusion_matrix: Option<&'a ConfusionMatrix>,
}

#[derive(Clone, Copy, Debug)]
struct Training<'a> {
    config: &'a TrainConfig,
    report: &'a TrainReport,
}

impl<'a> ModelCard<'a> {
    /// The card of a training: with its search, its data and what was found out by [`crate::judge()`]. The language is that
    /// of the configuration.
    pub fn of_training(
        title: impl Into<String>,
        config: &'a TrainConfig,
        report: &'a TrainReport,
        judgement: &'a Judgement,
    ) -> Self {
        Self {
            title: title.into(),
            made_at: String::new(),
            facts: Vec::new(),
            language: config.judge.language,
            pipeline: &report.pipeline,
            figures: Figures {
                metrics: &report.metrics,
                intervals: &report.intervals,
                baseline: &report.baseline,
                classes: &report.classes,
                confusion_matrix: report.confusion_matrix.as_ref(),
            },
            judgement,
            training: Some(Training { config, report }),
        }
    }

    /// The card of a model on other rows than those of its training.
    pub fn of_evaluation(
        title: impl Into<String>,
        pipeline: &'a Pipeline,
        evaluation: &'a Evaluation,
        judgement: &'a Judgement,
        language: Language,
    ) -> Self {
        Self {
            title: title.into(),
            made_at: String::new(),
            facts: Vec::new(),
            language,
            pipeline,
            figures: Figures {
                metrics: &evaluation.metrics,
                intervals: &evaluation.intervals,
                baseline: &evaluation.baseline,
                classes: &evaluation.classes,
                confusion_matrix: evaluation.confusion_matrix.as_ref(),
            },
            judgement,
            training: None,
        }
    }

    /// Says when the card was made, as people read it.
    #[must_use]
    pub fn made_at(mut self, made_at: impl Into<String>) -> Self {
        self.made_at = made_at.into();
        self
    }

    /// Says where the model or its rows come from.
    #[must_use]
    pub fn fact(mut self, fact: Fact, value: impl Into<String>) -> Self {
        self.facts.push((fact, value.into()));
        self
    }

    /// Returns the page. Every text that comes from rows, names or the configuration is escaped.
    pub fn to_html(&self) -> String {
        let mut page = Page {
            words: Words(self.language),
            body: String::new(),
            sections: Vec::new(),
        };
        self.figures_section(&mut page);
        match self.pipeline.task() {
            Task::Classification => self.classes_section(&mut page),
            Task::Regression => self.residuals_section(&mut page),
        }
        self.reliability_section(&mut page);
        self.importance_section(&mut page);
        self.dependence_section(&mut page);
        self.slices_section(&mut page);
        self.learning_curve_section(&mut page);
        self.limits_section(&mut page);
        self.search_section(&mut page);
        self.data_section(&mut page);
        self.origin_section(&mut page);
        self.whole(&page)
    }

    fn whole(&self, page: &Page) -> String {
        let words = page.words;
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · {}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n",
            words.code(),
            words.say("Model card", "Ficha del modelo"),
        );
        self.header(&mut html, words);
        let _ = write!(
            html,
            "<nav aria-label=\"{}\"><ul>",
            words.say("Contents", "Contenido")
        );
        for (id, name) in &page.sections {
            let _ = write!(html, "<li><a href=\"#{id}\">{name}</a></li>");
        }
        html.push_str("</ul></nav>\n<main>\n");
        html.push_str(&page.body);
        let _ = write!(
            html,
            "</main>\n<footer>{} fragua-learn {}</footer>\n</body>\n</html>\n",
            words.say("Written by", "Escrita por"),
            env!("CARGO_PKG_VERSION")
        );
        html
    }

    fn header(&self, html: &mut String, words: Words) {
        let pipeline = self.pipeline;
        let target = format!("<code>{}</code>", escape(pipeline.target()));
        let columns = pipeline.features().len();
        let what = match pipeline.task() {
            Task::Classification => {
                let classes = pipeline.labels().len();
                match words.0 {
                    Language::English => format!("predicts {target}, one of {classes} classes,"),
                    Language::Spanish => format!("predice {target}, una de {classes} clases,"),
                }
            }
            Task::Regression => format!(
                "{} {target}, {},",
                words.say("predicts", "predice"),
                words.say("a number", "un número")
            ),
        };
        let from = match (words.0, columns) {
            (Language::English, 1) => "from 1 column".to_owned(),
            (Language::English, _) => format!("from {columns} columns"),
            (Language::Spanish, 1) => "a partir de 1 columna".to_owned(),
            (Language::Spanish, _) => format!("a partir de {columns} columnas"),
        };
        let _ = write!(
            html,
            "<header><p class=\"eyebrow\">{}</p><h1>{}</h1><p class=\"lead\">{} {} {what} {from}.</p>",
            words.say("Model card", "Ficha del modelo"),
            escape(&self.title),
            escape(&words.model(pipeline.model_name())),
            words.say("that", "que"),
        );
        self.tiles(html, words);
        html.push_str("</header>\n");
    }

    /// The figures that come first.
    fn tiles(&self, html: &mut String, words: Words) {
        html.push_str("<div class=\"tiles\">");
        let mut tile = |class: &str, name: &str, value: &str, more: &str| {
            let _ = write!(
                html,
                "<div class=\"tile {class}\"><p class=\"name\">{}</p><p class=\"big\">{}</p><p class=\"more\">{}</p></div>",
                escape(name),
                escape(value),
                escape(more)
            );
        };
        let main = self.main_figure();
        if let Some(&value) = self.figures.metrics.get(main) {
            let mut more = Vec::new();
            if let Some(interval) = self.figures.intervals.get(main) {
                more.push(format!(
                    "{} {} {}",
                    words.figure(interval.low),
                    words.say("to", "a"),
                    words.figure(interval.high)
                ));
            }
            if let Some(&baseline) = self.figures.baseline.get(main) {
                more.push(format!(
                    "{} {}",
                    words.say("baseline", "referencia"),
                    words.figure(baseline)
                ));
            }
            tile(
                "first",
                &words.metric(main),
                &words.figure(value),
                &more.join(" · "),
            );
        }
        let second = match self.pipeline.task() {
            Task::Classification => ["accuracy", "f1_macro"],
            Task::Regression => ["mean_absolute_error", "r2"],
        };
        if let Some((name, &value)) = second
            .into_iter()
            .filter(|name| *name != main)
            .find_map(|name| Some((name, self.figures.metrics.get(name)?)))
        {
            let baseline = self
                .figures
                .baseline
                .get(name)
                .map_or(String::new(), |&baseline| {
                    format!(
                        "{} {}",
                        words.say("baseline", "referencia"),
                        words.figure(baseline)
                    )
                });
            tile("", &words.metric(name), &words.figure(value), &baseline);
        }
        if let Some(reliability) = &self.judgement.reliability {
            let how = match self.pipeline.calibration() {
                Some(method) => format!("{} {}", words.say("calibrated:", "calibradas:"), method.name()),
                None => words.say("not calibrated", "sin calibrar").to_owned(),
            };
            tile(
                "",
                words.say("Probabilities are off by", "Error de las probabilidades"),
                &words.percent(reliability.expected_calibration_error),
                &how,
            );
        }
        let learned = self.training.map(|training| {
            let rows = words.count(training.report.train_rows.len());
            format!("{} {rows}", words.say("learned from", "aprendió de"))
        });
        tile(
            "",
            words.say("Rows it is judged on", "Filas con que se juzga"),
            &words.count(self.judgement.rows),
            &learned.unwrap_or_default(),
        );
        html.push_str("</div>");
    }

    /// The figure of the search without its turned sign.
    fn main_figure(&self) -> &'static str {
        let by_task = || crate::config::Scoring::of_task(self.pipeline.task());
        let scoring = self
            .training
            .map(|training| training.report.best_candidate().scoring);
        let name = scoring.unwrap_or_else(by_task).name();
        name.strip_prefix("neg_").unwrap_or(name)
    }

    fn label(&self, class: usize) -> String {
        self.pipeline
            .labels()
            .get(class)
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// The page while it is written.
struct Page {
    words: Words,
    body: String,
    sections: Vec<(&'static str, String)>,
}

impl Page {
    fn say(&self, english: &'static str, spanish: &'static str) -> &'static str {
        self.words.say(english, spanish)
    }

    /// Begins a section with a sentence on what it shows.
    fn open(&mut self, id: &'static str, title: &'static str, lead: &str) {
        self.sections.push((id, title.to_owned()));
        let _ = write!(self.body, "<section id=\"{id}\"><h2>{title}</h2>");
        if !lead.is_empty() {
            let _ = write!(self.body, "<p class=\"intro\">{lead}</p>");
        }
    }

    fn close(&mut self) {
        self.body.push_str("</section>\n");
    }

    fn open_grid(&mut self) {
        self.body.push_str("<div class=\"grid\">");
    }

    fn close_grid(&mut self) {
        self.body.push_str("</div>");
    }

    /// Adds a picture with its title and a sentence below; the title is escaped.
    fn picture(&mut self, title: &str, svg: &str, below: &str) {
        let _ = write!(
            self.body,
            "<figure><figcaption>{}</figcaption>{svg}",
            escape(title)
        );
        if !below.is_empty() {
            let _ = write!(self.body, "<p class=\"below\">{below}</p>");
        }
        self.body.push_str("</figure>");
    }

    /// Adds a table; heads and cells are HTML already. A head that begins with `#` is of a column of numbers.
    fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let is_number: Vec<bool> = heads.iter().map(|head| head.starts_with('#')).collect();
        self.body.push_str("<div class=\"scroll\"><table><thead><tr>");
        for (head, is_number) in heads.iter().zip(&is_number) {
            let class = if *is_number { " class=\"n\"" } else { "" };
            let _ = write!(self.body, "<th{class}>{}</th>", head.trim_start_matches('#'));
        }
        self.body.push_str("</tr></thead><tbody>");
        for row in rows {
            self.body.push_str("<tr>");
            for (cell, is_number) in row.iter().zip(&is_number) {
                let class = if *is_number { " class=\"n\"" } else { "" };
                let _ = write!(self.body, "<td{class}>{cell}</td>");
            }
            self.body.push_str("</tr>");
        }
        self.body.push_str("</tbody></table></div>");
    }

    /// Adds what the colours of lines and dots mean.
    fn legend(&mut self, series: &[(usize, String)]) {
        self.body.push_str("<ul class=\"legend\">");
        for (series, name) in series {
            let _ = write!(
                self.body,
                "<li><span class=\"swatch s{}\"></span>{}</li>",
                series % chart::SERIES,
                escape(name)
            );
        }
        self.body.push_str("</ul>");
    }
}

/// A text in the letters of code.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}
