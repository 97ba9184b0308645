//! How a version fares: how far what it is asked is from what it learned from, and how often it was right.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_serving::drift::Test;
use fragua_serving::profile::ColumnProfile;
use fragua_serving::{
    Accuracy, DayFigures, FeatureDrift, Figures, LogQuery, LoggedPrediction, PredictionLog, ServedModel,
    Severity,
};

use super::answer::written;
use super::{App, Chosen, Head, NoModel};
use crate::distribution;
use crate::error::{Error, render};
use crate::format;
use crate::markup::Markup;
use crate::page::Page;

/// Rows whose spread is drawn; the figures are of as many as the settings say.
const DRAWN_ROWS: u64 = 500;
/// An index of this size fills its bar.
const FULL_INDEX: f64 = 0.5;
/// Where an index begins to matter.
const MODERATE: f64 = 0.1;
/// Lines of the confusion table.
const MOST_PAIRS: usize = 12;
/// Days that are drawn.
const MOST_DAYS: usize = 30;

#[derive(Template)]
#[template(path = "app/monitoring.html")]
struct MonitoringPage<'a> {
    page: &'a Page,
    head: Head,
    no_model: Option<NoModel>,
    has_log: bool,
    counts: Vec<(String, String, bool)>,
    drift: Option<DriftView>,
    /// Whether the version tells what its training rows were like.
    has_profile: bool,
    accuracy: Option<AccuracyView>,
}

struct DriftView {
    rows: String,
    span: String,
    severity: SeverityView,
    /// Whether there are too few rows to raise an alarm.
    is_thin: bool,
    minimum: String,
    threshold: String,
    /// Places of the two thresholds on a bar, from 0 to 100.
    marks: [f64; 2],
    columns: Vec<ColumnView>,
}

/// How bad something is: a colour, a shape and a word.
#[derive(Clone, Copy)]
struct SeverityView {
    state: &'static str,
    icon: &'static str,
    text: &'static str,
}

impl SeverityView {
    fn of(severity: Severity) -> Self {
        let (state, icon, text) = match severity {
            Severity::TooFewRows => ("state-none", "info", "drift-too-few"),
            Severity::None => ("state-success", "check", "drift-none"),
            Severity::Moderate => ("state-up_for_retry", "info", "drift-moderate"),
            Severity::Large => ("state-failed", "warning", "drift-large"),
        };
        Self { state, icon, text }
    }
}

struct ColumnView {
    name: String,
    is_prediction: bool,
    severity: SeverityView,
    index: String,
    length: f64,
    test: &'static str,
    p_value: String,
    missing: Option<(String, String)>,
    picture: Markup,
    /// What the picture shows, in words: the bar, its share then and now.
    bars: Vec<(String, String, String)>,
}

struct AccuracyView {
    rows: String,
    figures: Vec<(&'static str, String, String)>,
    days: Vec<DayView>,
    day_word: &'static str,
    classes: Vec<[String; 4]>,
    confusion: Vec<PairView>,
    more_pairs: u64,
}

struct DayView {
    day: String,
    value: String,
    interval: String,
    rows: String,
    /// From 0 to 100.
    place: f64,
    low: f64,
    width: f64,
}

struct PairView {
    truth: String,
    prediction: String,
    rows: String,
    is_right: bool,
}

pub(super) async fn show(State(app): State<App>, page: Page) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let head = Head::of(&app, &page, &chosen, "/monitoring").await;
    let no_model = chosen.model.is_none().then(|| NoModel::of(&page, &chosen));
    let mut made = MonitoringPage {
        page: &page,
        head,
        no_model,
        has_log: app.serving.log().is_some(),
        counts: Vec::new(),
        drift: None,
        has_profile: chosen.model.as_ref().is_some_and(|model| model.profile.is_some()),
        accuracy: None,
    };
    if let (Some(log), Some(model)) = (app.serving.log(), &chosen.model) {
        let counts = log.rows_by_version(&model.name).await?;
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(version, _)| std::cmp::Reverse(version.parse::<i64>().unwrap_or(0)));
        made.counts = counts
            .into_iter()
            .map(|(version, rows)| {
                let is_here = version == model.version;
                (version, page.tn("count-rows", &rows), is_here)
            })
            .collect();
        made.drift = drift(&page, log, model).await?;
        let accuracy = log.accuracy(&model.name, &model.version).await?;
        made.accuracy = accuracy.map(|accuracy| accuracy_view(&page, &accuracy));
    }
    render(&made)
}

async fn drift(page: &Page, log: &PredictionLog, model: &ServedModel) -> Result<Option<DriftView>, Error> {
    let (Some(profile), Some(report)) = (&model.profile, log.drift(model).await?) else {
        return Ok(None);
    };
    if report.rows == 0 {
        return Ok(None);
    }
    let query = LogQuery {
        model: Some(model.name.clone()),
        version: Some(model.version.clone()),
        limit: Some(DRAWN_ROWS),
        ..LogQuery::default()
    };
    let rows = log.predictions(&query).await?.items;
    let answers = report
        .prediction
        .iter()
        .map(|found| column(page, found, &profile.target, &rows, true));
    let columns = report.features.iter().filter_map(|found| {
        let known = profile.feature(&found.name)?;
        Some(column(page, found, known, &rows, false))
    });
    let settings = log.settings();
    let span = match (report.from, report.to) {
        (Some(from), Some(to)) => format!("{} – {} UTC", format::instant(from), format::instant(to)),
        _ => String::new(),
    };
    Ok(Some(DriftView {
        rows: page.tn("count-rows", &report.rows),
        span,
        severity: SeverityView::of(report.severity),
        is_thin: report.rows < settings.drift_minimum_rows,
        minimum: format::integer(settings.drift_minimum_rows),
        threshold: format::number(settings.drift_threshold),
        marks: [
            share(MODERATE / FULL_INDEX),
            share(settings.drift_threshold / FULL_INDEX),
        ],
        columns: answers.chain(columns).collect(),
    }))
}

fn column(
    page: &Page,
    found: &FeatureDrift,
    known: &ColumnProfile,
    rows: &[LoggedPrediction],
    is_prediction: bool,
) -> ColumnView {
    let (names, then, now) = match is_prediction {
        true => distribution::then_and_now(known, rows.iter().map(|row| Some(&row.prediction))),
        false => distribution::then_and_now(known, rows.iter().map(|row| row.inputs.get(&known.name))),
    };
    let drift = &found.drift;
    let has_gaps = drift.missing_then > 0.0 || drift.missing_now > 0.0;
    let bars = names
        .into_iter()
        .zip(then.iter().zip(&now))
        .filter(|(_, (then, now))| **then > 0.0 || **now > 0.0);
    ColumnView {
        name: found.name.clone(),
        is_prediction,
        severity: SeverityView::of(found.severity),
        index: format::fixed(drift.psi, 2),
        length: share(drift.psi / FULL_INDEX),
        test: match drift.test {
            Test::KolmogorovSmirnov => "Kolmogorov–Smirnov",
            Test::ChiSquared => "χ²",
        },
        p_value: match drift.p_value {
            p_value if p_value < 0.001 => format!("< {}", format::fixed(0.001, 3)),
            p_value => format::fixed(p_value, 3),
        },
        missing: has_gaps.then(|| {
            (
                format::percent(drift.missing_then),
                format::percent(drift.missing_now),
            )
        }),
        picture: distribution::overlay(&then, &now),
        bars: bars
            .map(|(name, (then, now))| {
                let name = if name.is_empty() {
                    page.t("other-values")
                } else {
                    name
                };
                (name, format::percent(*then), format::percent(*now))
            })
            .collect(),
    }
}

fn share(share: f64) -> f64 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() / 10.0
}

fn accuracy_view(page: &Page, accuracy: &Accuracy) -> AccuracyView {
    let mut view = AccuracyView {
        rows: page.tn("count-rows", &accuracy.rows),
        figures: Vec::new(),
        days: Vec::new(),
        day_word: "accuracy",
        classes: Vec::new(),
        confusion: Vec::new(),
        more_pairs: 0,
    };
    let days = &accuracy.days[accuracy.days.len().saturating_sub(MOST_DAYS)..];
    match &accuracy.figures {
        Figures::Classification {
            accuracy,
            low,
            high,
            macro_f1,
            classes,
            confusion,
            ..
        } => {
            view.figures = vec![
                ("accuracy", format::percent(*accuracy), interval(*low, *high)),
                ("macro-f1", format::percent(*macro_f1), String::new()),
            ];
            view.days = days.iter().map(|day| day_view(day, 1.0, true)).collect();
            view.classes = classes
                .iter()
                .map(|class| {
                    [
                        written(&class.label),
                        format::integer(class.support),
                        format::percent(class.precision),
                        format::percent(class.recall),
                    ]
                })
                .collect();
            view.more_pairs = confusion.len().saturating_sub(MOST_PAIRS) as u64;
            view.confusion = confusion
                .iter()
                .take(MOST_PAIRS)
                .map(|(truth, prediction, rows)| PairView {
                    truth: written(truth),
                    prediction: written(prediction),
                    rows: format::integer(*rows),
                    is_right: truth == prediction,
                })
                .collect();
        }
        Figures::Regression {
            mean_absolute_error,
            root_mean_squared_error,
            r2,
        } => {
            view.day_word = "mean-absolute-error";
            view.figures = vec![
                (
                    "mean-absolute-error",
                    format::number(*mean_absolute_error),
                    String::new(),
                ),
                (
                    "root-mean-squared-error",
                    format::number(*root_mean_squared_error),
                    String::new(),
                ),
            ];
            view.figures
                .extend(r2.map(|r2| ("r-squared", format::number(r2), String::new())));
            let highest = days
                .iter()
                .map(|day| day.value)
                .fold(0.0, f64::max)
                .max(f64::MIN_POSITIVE);
            view.days = days.iter().map(|day| day_view(day, highest, false)).collect();
        }
    }
    view
}

fn interval(low: f64, high: f64) -> String {
    format!("{} – {}", format::percent(low), format::percent(high))
}

fn day_view(day: &DayFigures, highest: f64, is_share: bool) -> DayView {
    let (low, high) = (share(day.low / highest), share(day.high / highest));
    DayView {
        day: format::instant(day.day)
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        value: if is_share {
            format::percent(day.value)
        } else {
            format::number(day.value)
        },
        interval: if is_share {
            interval(day.low, day.high)
        } else {
            String::new()
        },
        rows: format::integer(day.rows),
        place: share(day.value / highest),
        low,
        width: (high - low).max(0.0),
    }
}
