//! Histories of metrics.

use axum::extract::State;
use serde::Deserialize;

use super::answer::{Answer, list, one};
use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::experiments::page_size;
use super::extract::{Fields, required};
use super::field::{Field, integer, text, texts};
use super::runs::{RUN, run_id};
use crate::Tracking;
use crate::metrics::Metric;
use crate::validation::limits;
use crate::validation::texts::SEE_DOCS;
use crate::wire::number;
use crate::wire::runs::MetricWire;

const KEY: Field = text("metric_key").required();

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/metrics/get-history",
            "Returns the values of a metric over time",
            const { &[RUN, KEY, text("page_token"), integer("max_results")] },
            history,
        ),
        get(
            "/metrics/get-history-bulk-interval",
            "Returns evenly chosen values of a metric in several runs, for a chart",
            const {
                &[
                    texts("run_ids").required(),
                    KEY,
                    integer("start_step"),
                    integer("end_step"),
                    integer("max_results"),
                ]
            },
            chart,
        ),
        get(
            "/metrics/get-history-bulk",
            "Returns the first values of a metric in several runs",
            const { &[texts("run_id"), text("metric_key"), integer("max_results")] },
            bulk,
        ),
    ]
}

#[derive(Deserialize)]
struct History {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: String,
    page_token: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
}

async fn history(State(tracking): State<Tracking>, Fields(fields): Fields<History>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let most = page_size(fields.max_results).map_err(|error| ApiError {
        // The one list whose text ends so.
        message: format!("{}.", error.message),
        ..error
    })?;
    let page = tracking
        .metric_history(&run_id, &fields.metric_key, most, fields.page_token.as_deref())
        .await?;
    list("metrics", page.items.into_iter().map(MetricWire::from), page.next)
}

fn of_run(run_id: String, metric: Metric) -> MetricWire {
    MetricWire {
        run_id: Some(run_id),
        ..metric.into()
    }
}

#[derive(Deserialize)]
struct Chart {
    run_ids: Vec<String>,
    metric_key: String,
    #[serde(default, deserialize_with = "number::integer")]
    start_step: Option<i64>,
    #[serde(default, deserialize_with = "number::integer")]
    end_step: Option<i64>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
}

async fn chart(State(tracking): State<Tracking>, Fields(fields): Fields<Chart>) -> Answer {
    let refused = |text: String| Err(ApiError::invalid(text));
    if fields.run_ids.len() > limits::CHART_RUNS {
        return refused(format!(
            "GetMetricHistoryBulkInterval request must specify at most {} run_ids. Received {} run_ids.{SEE_DOCS}",
            limits::CHART_RUNS,
            fields.run_ids.len()
        ));
    }
    let steps = match (fields.start_step, fields.end_step) {
        (None, None) => None,
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(first), Some(last)) => {
            return refused(format!(
                "end_step must be greater than start_step. Found start_step={first} and end_step={last}."
            ));
        }
        _ => {
            return refused(
                "If either start step or end step are specified, both must be specified.".to_owned(),
            );
        }
    };
    let given = fields
        .max_results
        .map_or(Ok(limits::INTERVAL_POINTS), u64::try_from);
    let Some(most) = given
        .ok()
        .filter(|most| (1..=limits::INTERVAL_POINTS).contains(most))
    else {
        return refused(format!(
            "max_results must be between 1 and {}.{SEE_DOCS}",
            limits::INTERVAL_POINTS
        ));
    };
    let series = tracking
        .metric_chart(&fields.run_ids, &fields.metric_key, most, steps)
        .await?;
    let points = series.into_iter().flat_map(|series| {
        let run_id = series.run_id;
        series
            .points
            .into_iter()
            .map(move |metric| of_run(run_id.clone(), metric))
    });
    list("metrics", points, None)
}

#[derive(Deserialize)]
struct Bulk {
    #[serde(default)]
    run_id: Vec<String>,
    metric_key: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
}

/// As MLflow's older pages ask for it: `run_id` repeats, and the points of all runs together are bounded.
async fn bulk(State(tracking): State<Tracking>, Fields(fields): Fields<Bulk>) -> Answer {
    let mut run_ids = fields.run_id;
    if run_ids.is_empty() {
        return Err(ApiError::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    if run_ids.len() > limits::CHART_RUNS {
        return Err(ApiError::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {} run_ids. Received {} run_ids.",
            limits::CHART_RUNS,
            run_ids.len()
        )));
    }
    let key = required(fields.metric_key, "metric_key")
        .map_err(|_| ApiError::invalid("GetMetricHistoryBulk request must specify a metric_key."))?;
    let most = page_size(fields.max_results)?
        .unwrap_or(limits::CHART_POINTS)
        .min(limits::CHART_POINTS);
    run_ids.sort();
    let mut points = Vec::new();
    let mut left = most;
    for run_id in run_ids {
        if left == 0 {
            break;
        }
        let history = tracking
            .metric_history(&run_id, &key, Some(left), None)
            .await?
            .items;
        left -= history.len() as u64;
        points.extend(history.into_iter().map(|metric| of_run(run_id.clone(), metric)));
    }
    // This one answer is none of MLflow's messages: its list is there when it is empty.
    one("metrics", points)
}
