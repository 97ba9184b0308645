//! Counters that Prometheus reads: lock-free while serving, rendered on request.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::endpoint::{Challenger, Endpoint};
use crate::log::Counters;
use crate::role::Role;

/// The ways to a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Predict,
    Invocations,
    /// The Open Inference Protocol.
    Infer,
    Batch,
    /// The façade, which the pages call.
    App,
}

impl Route {
    const ALL: [Self; 5] = [
        Self::Predict,
        Self::Invocations,
        Self::Infer,
        Self::Batch,
        Self::App,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Invocations => "invocations",
            Self::Infer => "infer",
            Self::Batch => "batch",
            Self::App => "app",
        }
    }
}

/// Upper bounds of the latency buckets, in seconds; from one warm row to the largest batch.
const BOUNDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// The statuses that prediction routes answer; any other one is counted as 500.
const STATUSES: [u16; 15] = [
    200, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 501, 503, 504,
];

/// The statuses that a key may be refused with.
const KEY_STATUSES: [u16; 3] = [401, 403, 503];

/// Versions whose counters are kept; the oldest is dropped first, so that the page stays small.
const KEPT_VERSIONS: usize = 64;

/// Counters of one model version.
#[derive(Debug)]
pub(crate) struct VersionCounters {
    model: String,
    version: String,
    routes: [RouteCounters; Route::ALL.len()],
    pub(crate) shadow: ShadowCounters,
}

/// Rows that a version predicted as a shadow.
#[derive(Debug, Default)]
pub(crate) struct ShadowCounters {
    same: AtomicU64,
    other: AtomicU64,
    failed: AtomicU64,
    missed: AtomicU64,
}

impl ShadowCounters {
    /// Counts rows for which it gave the answer of the version that answers, and those for which it gave another one.
    pub(crate) fn compared(&self, same: usize, other: usize) {
        self.same.fetch_add(same as u64, Relaxed);
        self.other.fetch_add(other as u64, Relaxed);
    }

    /// Counts rows that it could not predict.
    pub(crate) fn failed(&self, rows: usize) {
        self.failed.fetch_add(rows as u64, Relaxed);
    }

    /// Counts rows for which it had no time.
    pub(crate) fn missed(&self, rows: usize) {
        self.missed.fetch_add(rows as u64, Relaxed);
    }

    fn by_outcome(&self) -> [(&'static str, u64); 4] {
        [
            ("same", self.same.load(Relaxed)),
            ("other", self.other.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
            ("missed", self.missed.load(Relaxed)),
        ]
    }
}

#[derive(Debug, Default)]
struct RouteCounters {
    answers: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BOUNDS.len()],
    nanoseconds: AtomicU64,
    rows: AtomicU64,
}

impl VersionCounters {
    fn new(model: &str, version: &str) -> Self {
        Self {
            model: model.to_owned(),
            version: version.to_owned(),
            routes: Default::default(),
            shadow: ShadowCounters::default(),
        }
    }

    /// Counts one answered request.
    pub(crate) fn count(&self, route: Route, status: u16, rows: usize, took: Duration) {
        let counters = &self.routes[route as usize];
        let position = |wanted: u16| STATUSES.iter().position(|known| *known == wanted);
        let index = position(status).or_else(|| position(500)).unwrap_or_default();
        counters.answers[index].fetch_add(1, Relaxed);
        counters.rows.fetch_add(rows as u64, Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters.nanoseconds.fetch_add(nanoseconds, Relaxed);
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            counters.buckets[bucket].fetch_add(1, Relaxed);
        }
    }
}

/// All counters of a serving role.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Requests that no version answered.
    pub(crate) without_model: Arc<VersionCounters>,
    versions: Mutex<Vec<Arc<VersionCounters>>>,
    loads: AtomicU64,
    failed_loads: AtomicU64,
    /// Requests without a good key, those with a good one for something else, and those whose key could not be checked.
    refused_keys: [AtomicU64; KEY_STATUSES.len()],
}

/// What is true at the moment the page is rendered.
pub(crate) struct Gauges<'a> {
    pub(crate) in_flight: usize,
    /// Whether the endpoint of the settings answers.
    pub(crate) ready: bool,
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) log: Option<&'a Counters>,
}

impl Metrics {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            without_model: Arc::new(VersionCounters::new(model, "")),
            versions: Mutex::default(),
            loads: AtomicU64::new(0),
            failed_loads: AtomicU64::new(0),
            refused_keys: Default::default(),
        }
    }

    /// Returns the counters of a version, the old ones when it was served before.
    pub(crate) fn version(&self, model: &str, version: &str) -> Arc<VersionCounters> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions
            .iter()
            .find(|counters| counters.model == model && counters.version == version);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if versions.len() == KEPT_VERSIONS {
            versions.remove(0);
        }
        let counters = Arc::new(VersionCounters::new(model, version));
        versions.push(Arc::clone(&counters));
        counters
    }

    /// Counts a request that was refused for its key, on whichever route.
    pub(crate) fn refused_key(&self, status: u16) {
        if let Some(index) = KEY_STATUSES.iter().position(|known| *known == status) {
            self.refused_keys[index].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_load(&self, succeeded: bool) {
        let counter = if succeeded {
            &self.loads
        } else {
            &self.failed_loads
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Renders the page in Prometheus' text format.
    pub(crate) fn render(&self, gauges: &Gauges<'_>) -> String {
        let mut versions = self
            .versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        versions.push(Arc::clone(&self.without_model));
        let series: Vec<(String, &RouteCounters)> = versions
            .iter()
            .flat_map(|counters| Route::ALL.map(|route| (counters, route)))
            .map(|(counters, route)| {
                let labels = format!(
                    "model=\"{}\",version=\"{}\",route=\"{}\"",
                    escaped(&counters.model),
                    escaped(&counters.version),
                    route.name()
                );
                (labels, &counters.routes[route as usize])
            })
            .filter(|(_, counters)| counters.total() > 0)
            .collect();

        let mut page = Page::default();
        page.family(
            "fragua_serving_requests_total",
            "counter",
            "Prediction requests answered.",
        );
        for (labels, counters) in &series {
            page.answers("fragua_serving_requests_total", labels, counters, 0);
        }
        page.family(
            "fragua_serving_errors_total",
            "counter",
            "Prediction requests answered with a status of 400 or more.",
        );
        for (labels, counters) in &series {
            page.answers("fragua_serving_errors_total", labels, counters, 400);
        }
        page.family("fragua_serving_rows_total", "counter", "Rows predicted.");
        for (labels, counters) in &series {
            page.sample("fragua_serving_rows_total", labels, counters.rows.load(Relaxed));
        }
        page.family(
            "fragua_serving_request_seconds",
            "histogram",
            "Time from the request's head to its answer, in seconds.",
        );
        for (labels, counters) in &series {
            page.histogram("fragua_serving_request_seconds", labels, counters);
        }
        page.family(
            "fragua_serving_shadow_rows_total",
            "counter",
            "Rows that a shadow predicted, by whether it gave the answer that was given.",
        );
        for counters in &versions {
            for (outcome, rows) in counters.shadow.by_outcome() {
                if rows > 0 {
                    let labels = format!(
                        "model=\"{}\",version=\"{}\",outcome=\"{outcome}\"",
                        escaped(&counters.model),
                        escaped(&counters.version)
                    );
                    page.sample("fragua_serving_shadow_rows_total", &labels, rows);
                }
            }
        }
        page.family(
            "fragua_serving_key_refusals_total",
            "counter",
            "Requests refused for their API key, on every route that asks for one.",
        );
        for (status, refused) in KEY_STATUSES.iter().zip(&self.refused_keys) {
            let labels = format!("status=\"{status}\"");
            page.sample(
                "fragua_serving_key_refusals_total",
                &labels,
                refused.load(Relaxed),
            );
        }
        page.family(
            "fragua_serving_in_flight",
            "gauge",
            "Prediction requests in work.",
        );
        page.sample("fragua_serving_in_flight", "", gauges.in_flight as u64);
        page.family(
            "fragua_serving_model_loads_total",
            "counter",
            "Model versions read into memory.",
        );
        page.sample(
            "fragua_serving_model_loads_total",
            "outcome=\"loaded\"",
            self.loads.load(Relaxed),
        );
        page.sample(
            "fragua_serving_model_loads_total",
            "outcome=\"failed\"",
            self.failed_loads.load(Relaxed),
        );
        page.family(
            "fragua_serving_ready",
            "gauge",
            "1 while a model version answers.",
        );
        page.sample("fragua_serving_ready", "", u64::from(gauges.ready));
        page.family(
            "fragua_serving_model_info",
            "gauge",
            "The model versions that answer now, by endpoint and role.",
        );
        for endpoint in gauges.endpoints {
            let state = endpoint.state();
            let challenger = |challenger: &Option<Challenger>| challenger.as_ref()?.model.clone();
            let answering = [
                (Role::Live, state.model.clone()),
                (Role::Canary, challenger(&state.canary)),
                (Role::Shadow, challenger(&state.shadow)),
            ];
            for (role, model) in answering {
                let Some(model) = model else { continue };
                let labels = format!(
                    "model=\"{}\",version=\"{}\",alias=\"{}\",role=\"{}\"",
                    escaped(&model.name),
                    escaped(&model.version),
                    escaped(endpoint.model_ref().alias_name().unwrap_or_default()),
                    role.name()
                );
                page.sample("fragua_serving_model_info", &labels, 1);
            }
        }
        page.family(
            "fragua_serving_problem",
            "gauge",
            "1 for each version that the registry names and that does not answer.",
        );
        for endpoint in gauges.endpoints {
            let state = endpoint.state();
            let challenger = |challenger: &Option<Challenger>| challenger.as_ref()?.problem.clone();
            let problems = [
                (Role::Live, state.problem.clone()),
                (Role::Canary, challenger(&state.canary)),
                (Role::Shadow, challenger(&state.shadow)),
            ];
            for (role, problem) in problems {
                let Some(problem) = problem else { continue };
                let labels = format!(
                    "endpoint=\"{}\",version=\"{}\",role=\"{}\",kind=\"{}\"",
                    escaped(&endpoint.model_ref().to_string()),
                    escaped(problem.version.as_deref().unwrap_or_default()),
                    role.name(),
                    problem.kind.name()
                );
                page.sample("fragua_serving_problem", &labels, 1);
            }
        }
        if let Some(log) = gauges.log {
            page.family(
                "fragua_serving_log_rows_total",
                "counter",
                "Predicted rows by what the prediction log did with them.",
            );
            for (outcome, rows) in log.by_outcome() {
                page.sample(
                    "fragua_serving_log_rows_total",
                    &format!("outcome=\"{outcome}\""),
                    rows,
                );
            }
        }
        page.text
    }
}

impl RouteCounters {
    fn total(&self) -> u64 {
        self.answers.iter().map(|counter| counter.load(Relaxed)).sum()
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(arguments)
            .expect("writing to a String cannot fail");
        self.text.push('\n');
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: u64) {
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        self.line(format_args!("{name}{{{labels}}} {value}"));
    }

    fn answers(&mut self, name: &str, labels: &str, counters: &RouteCounters, from_status: u16) {
        for (status, counter) in STATUSES.iter().zip(&counters.answers) {
            let count = counter.load(Relaxed);
            if *status >= from_status && count > 0 {
                self.line(format_args!("{name}{{{labels},status=\"{status}\"}} {count}"));
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, counters: &RouteCounters) {
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&counters.buckets) {
            below += bucket.load(Relaxed);
            self.line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {below}"));
        }
        // Counted while the page is rendered, a request may show in the buckets first.
        let total = counters.total().max(below);
        let seconds = Duration::from_nanos(counters.nanoseconds.load(Relaxed)).as_secs_f64();
        self.line(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {total}"));
        self.line(format_args!("{name}_sum{{{labels}}} {seconds}"));
        self.line(format_args!("{name}_count{{{labels}}} {total}"));
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_in_each_family() {
        let metrics = Metrics::new("forest");
        let counters = metrics.version("forest", "3");
        counters.count(Route::Predict, 200, 1, Duration::from_micros(80));
        counters.count(Route::Predict, 422, 0, Duration::from_micros(30));
        counters.count(Route::Invocations, 200, 1000, Duration::from_secs(9));
        metrics.count_load(true);
        let page = metrics.render(&Gauges {
            in_flight: 2,
            ready: true,
            endpoints: &[],
            log: None,
        });
        let predict = "model=\"forest\",version=\"3\",route=\"predict\"";
        let batch = "model=\"forest\",version=\"3\",route=\"invocations\"";
        for line in [
            format!("fragua_serving_requests_total{{{predict},status=\"200\"}} 1"),
            format!("fragua_serving_errors_total{{{predict},status=\"422\"}} 1"),
            format!("fragua_serving_rows_total{{{batch}}} 1000"),
            format!("fragua_serving_request_seconds_bucket{{{predict},le=\"0.00005\"}} 1"),
            format!("fragua_serving_request_seconds_bucket{{{predict},le=\"0.0001\"}} 2"),
            format!("fragua_serving_request_seconds_bucket{{{batch},le=\"5\"}} 0"),
            format!("fragua_serving_request_seconds_bucket{{{batch},le=\"+Inf\"}} 1"),
            format!("fragua_serving_request_seconds_sum{{{batch}}} 9"),
            format!("fragua_serving_request_seconds_count{{{predict}}} 2"),
            "fragua_serving_in_flight 2".to_owned(),
            "fragua_serving_model_loads_total{outcome=\"loaded\"} 1".to_owned(),
            "fragua_serving_ready 1".to_owned(),
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
    }

    #[test]
    fn old_versions_are_dropped_and_labels_are_escaped() {
        let metrics = Metrics::new("m");
        for version in 0..2 * KEPT_VERSIONS {
            metrics
                .version("a\"b\\c", &version.to_string())
                .count(Route::Predict, 200, 1, Duration::ZERO);
        }
        let page = metrics.render(&Gauges {
            in_flight: 0,
            ready: false,
            endpoints: &[],
            log: None,
        });
        let totals = page
            .lines()
            .filter(|line| line.starts_with("fragua_serving_requests_total"))
            .count();
        assert_eq!(totals, KEPT_VERSIONS);
        assert!(page.contains("model=\"a\\\"b\\\\c\""));
        assert!(page.contains("fragua_serving_ready 0"));
    }
}
