//! Metrics and how they went over time.

use fragua_base::{Page, Timestamp};

use crate::validation::limits;
use crate::{Error, Tracking, search, store};

/// A value of a metric at a step and an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The key.
    pub key: String,
    /// The value; NaN is kept, infinities are kept as the largest finite numbers.
    pub value: f64,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// The step of training; may be negative.
    pub step: i64,
    /// The logged model it was measured on.
    pub model_id: Option<String>,
    /// The name of the data set it was measured on.
    pub dataset_name: Option<String>,
    /// The digest of the data set it was measured on.
    pub dataset_digest: Option<String>,
}

impl Metric {
    /// Makes a value that belongs to no model and no data set.
    pub fn new(key: impl Into<String>, value: f64, timestamp: Timestamp, step: i64) -> Self {
        Self {
            key: key.into(),
            value,
            timestamp,
            step,
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }
}

/// The history of one metric in one run, perhaps thinned out for a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeries {
    /// The run.
    pub run_id: String,
    /// The points by step and time.
    pub points: Vec<Metric>,
}

impl Tracking {
    /// Returns the history of a metric by time, step and value; empty for a run or key that does not exist.
    /// `limit` is cut to the server's own limit.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a page token that cannot be read.
    pub async fn metric_history(
        &self,
        run_id: &str,
        key: &str,
        limit: Option<u64>,
        page_token: Option<&str>,
    ) -> Result<Page<Metric>, Error> {
        let offset = search::token::offset(page_token)?;
        let cap = self.settings().metric_history_limit;
        let limit = limit.map_or(cap, |limit| limit.min(cap)).max(1);
        let (run_id, key) = (run_id.to_owned(), key.to_owned());
        let read = self.database().read(move |connection| {
            Box::pin(
                async move { Ok(store::metrics::history(connection, &run_id, &key, limit, offset).await?) },
            )
        });
        read.await
    }

    /// Returns the history of a metric in several runs for a chart: at most `max_points` a run, evenly chosen, first
    /// and last kept, and only of the steps in `steps` when given.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for more than 100 runs.
    pub async fn metric_chart(
        &self,
        run_ids: &[String],
        key: &str,
        max_points: u64,
        steps: Option<(i64, i64)>,
    ) -> Result<Vec<MetricSeries>, Error> {
        if run_ids.len() > limits::CHART_RUNS {
            return Err(Error::invalid(format!(
                "GetMetricHistoryBulkInterval request must specify at most {} run_ids. Received {} run_ids.",
                limits::CHART_RUNS,
                run_ids.len()
            )));
        }
        let max_points = max_points.clamp(2, limits::CHART_POINTS);
        let (run_ids, key) = (run_ids.to_vec(), key.to_owned());
        let read = self.database().read(move |connection| {
            Box::pin(async move {
                let rows = store::metrics::sample(connection, &run_ids, &key, max_points, steps).await?;
                Ok::<_, Error>(rows)
            })
        });
        let rows = read.await?;
        let mut series: Vec<MetricSeries> = Vec::new();
        for (run_id, point) in rows {
            match series.last_mut().filter(|last| last.run_id == run_id) {
                Some(last) => last.points.push(point),
                None => series.push(MetricSeries {
                    run_id,
                    points: vec![point],
                }),
            }
        }
        Ok(series)
    }
}
