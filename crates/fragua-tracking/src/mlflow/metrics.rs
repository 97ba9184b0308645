//! Histories of metrics.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::error::ApiError;
use super::experiments::page_size;
use super::extract::{Fields, required};
use super::runs::run_id;
use super::{Answer, listed};
use crate::Tracking;
use crate::validation::limits;
use crate::wire::runs::MetricWire;
use crate::wire::{all, number};

/// How many points of a run a chart shows when it does not say.
const CHART_POINTS: u64 = 2_500;

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/metrics/get-history", get(history))
        .route("/metrics/get-history-bulk-interval", get(chart))
        .route("/metrics/get-history-bulk", get(bulk))
}

#[derive(Deserialize)]
struct History {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: Option<String>,
    page_token: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
}

async fn history(State(tracking): State<Tracking>, Fields(fields): Fields<History>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let key = required(fields.metric_key, "metric_key")?;
    let most = page_size(fields.max_results)?;
    if most == Some(0) {
        return Err(ApiError::invalid(
            "Invalid value for parameter 'max_results': it must be positive",
        ));
    }
    let page = tracking
        .metric_history(&run_id, &key, most, fields.page_token.as_deref())
        .await?;
    Ok(Json(listed(
        "metrics",
        all::<_, MetricWire>(page.items),
        page.next,
    )?))
}

#[derive(Deserialize)]
struct Chart {
    #[serde(default, deserialize_with = "number::list")]
    run_ids: Vec<String>,
    #[serde(default, deserialize_with = "number::list")]
    run_id: Vec<String>,
    metric_key: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    start_step: Option<i64>,
    #[serde(default, deserialize_with = "number::integer")]
    end_step: Option<i64>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
}

async fn chart(State(tracking): State<Tracking>, Fields(fields): Fields<Chart>) -> Answer {
    if fields.run_ids.is_empty() {
        return Err(ApiError::missing("run_ids"));
    }
    let key = required(fields.metric_key, "metric_key")?;
    let steps = match (fields.start_step, fields.end_step) {
        (None, None) => None,
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "end_step must be greater than or equal to start_step.",
            ));
        }
        _ => {
            return Err(ApiError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let most = page_size(fields.max_results)?.unwrap_or(CHART_POINTS);
    if most == 0 || most > limits::CHART_POINTS {
        return Err(ApiError::invalid(format!(
            "max_results must be from 1 to {}",
            limits::CHART_POINTS
        )));
    }
    points(&tracking, &fields.run_ids, &key, most, steps).await
}

/// As the pages of MLflow ask for it: `run_id` repeats, and every point of a run is wanted.
async fn bulk(State(tracking): State<Tracking>, Fields(fields): Fields<Chart>) -> Answer {
    if fields.run_id.is_empty() {
        return Err(ApiError::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    let key = required(fields.metric_key, "metric_key")?;
    points(&tracking, &fields.run_id, &key, limits::CHART_POINTS, None).await
}

async fn points(
    tracking: &Tracking,
    run_ids: &[String],
    key: &str,
    most: u64,
    steps: Option<(i64, i64)>,
) -> Answer {
    let series = tracking.metric_chart(run_ids, key, most, steps).await?;
    let points = series.into_iter().flat_map(|series| {
        let run_id = series.run_id;
        series.points.into_iter().map(move |metric| MetricWire {
            run_id: Some(run_id.clone()),
            ..metric.into()
        })
    });
    Ok(Json(listed("metrics", points.collect(), None)?))
}
