//! The page of one run.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{DatasetInput, Run, Tracking};
use serde_json::Value;

use super::artifacts::{self, Artifacts, Preview};
use super::experiments::{best, duration, run_name};
use super::{query, quoted};
use crate::chart::{self, Curve};
use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::headline;
use crate::markdown;
use crate::markup::Markup;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::{Cell, Crumb, Tab};

/// The tags that say which DAG run made a tracking run.
pub(super) const DAG_TAG: &str = "fragua.dag_id";
pub(super) const DAG_RUN_TAG: &str = "fragua.dag_run_id";

/// Points of a curve that are fetched: more than are drawn, few enough to be quick.
const CURVE_POINTS: u64 = 1_000;
const MOST_CURVES: usize = 40;
const CHILD_METRICS: usize = 4;
/// Batches that are named one by one before the list is cut.
const MOST_DAG_RUNS: usize = 12;

#[derive(Template)]
#[template(path = "tracking/run.html")]
struct RunPage<'a> {
    page: &'a Page,
    id: String,
    name: String,
    note: Markup,
    view: StateView,
    crumbs: Vec<Crumb>,
    versions: Vec<VersionLink>,
    dag_run_address: Option<String>,
    started_at: Option<Timestamp>,
    duration: String,
    user: String,
    parent: Option<String>,
    tabs: Vec<Tab>,
    tab: RunTab,
}

struct VersionLink {
    name: String,
    version: String,
}

enum RunTab {
    Overview(Overview),
    Curves(Vec<CurveCard>),
    Artifacts(Artifacts),
}

struct Overview {
    metrics: Vec<MetricRow>,
    params: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    datasets: Vec<DatasetView>,
    children: Vec<ChildRow>,
    child_metrics: Vec<String>,
}

struct MetricRow {
    key: String,
    value: String,
    step: String,
}

struct DatasetView {
    name: String,
    digest: String,
    context: String,
    source: String,
    rows: String,
    dag_runs: Vec<DagRunLink>,
    /// How many DAG runs are not listed.
    more: u64,
}

#[derive(Debug, PartialEq)]
struct DagRunLink {
    label: String,
    address: Option<String>,
}

struct ChildRow {
    id: String,
    name: String,
    view: StateView,
    cells: Vec<Cell>,
    duration: String,
}

struct CurveCard {
    id: String,
    key: String,
    last: String,
    curve: Curve,
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let run = tracking.run(&id).await?;
    let experiment = tracking.experiment(run.info.experiment_id).await?;
    let name = run_name(&run);
    let current = Tab::current(&page, &["overview", "metrics", "artifacts"]);
    let tab = match current {
        "metrics" => RunTab::Curves(curves(&tracking, &run).await?),
        "artifacts" => RunTab::Artifacts(artifacts::show(&tracking, &page, &run).await?),
        _ => RunTab::Overview(overview(&tracking, &page, &run).await?),
    };
    let versions = tracking
        .search_versions(&query(
            format!("run_id = {}", quoted(&run.info.run_id)),
            Vec::new(),
            20,
            None,
        ))
        .await?;
    let tabs = Tab::all(
        &page,
        current,
        &[
            ("overview", "overview", None),
            ("metrics", "curves", None),
            ("artifacts", "artifacts", None),
        ],
    );
    render(&RunPage {
        page: &page,
        view: StateView::of(run.info.status.as_str()),
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::link(
                experiment.name,
                format!("/experiments/{}", run.info.experiment_id),
            ),
            Crumb::here(name.clone()),
        ],
        name,
        note: markdown::render(run.tag("mlflow.note.content").unwrap_or_default()),
        versions: versions
            .items
            .into_iter()
            .map(|version| VersionLink {
                version: version.version.to_string(),
                name: version.name,
            })
            .collect(),
        dag_run_address: dag_run_address(&page, run.tag(DAG_TAG), run.tag(DAG_RUN_TAG)),
        started_at: run.info.start_time,
        duration: duration(&page, run.info.start_time, run.info.end_time),
        user: run.info.user_id.clone(),
        parent: run.parent_run_id().map(str::to_owned),
        tabs,
        tab,
        id: run.info.run_id,
    })
}

fn dag_run_address(page: &Page, dag_id: Option<&str>, dag_run_id: Option<&str>) -> Option<String> {
    page.at_orchestrator(&format!("/dags/{}/runs/{}", encode(dag_id?), encode(dag_run_id?)))
}

async fn overview(tracking: &Tracking, page: &Page, run: &Run) -> Result<Overview, Error> {
    let children = tracking.child_runs(&run.info.run_id).await?;
    let all_metrics = children
        .iter()
        .flat_map(|child| child.metrics.iter().map(|metric| metric.key.clone()));
    let mut child_metrics: Vec<String> = all_metrics.collect::<BTreeSet<_>>().into_iter().collect();
    child_metrics.sort_by_key(|key| headline::rank(key));
    child_metrics.truncate(CHILD_METRICS);
    let best_values: Vec<Option<f64>> = child_metrics
        .iter()
        .map(|key| best(&children, &format!("metrics.{key}")))
        .collect();
    let mut metrics: Vec<MetricRow> = run
        .metrics
        .iter()
        .map(|metric| MetricRow {
            key: metric.key.clone(),
            value: format::number(metric.value),
            step: metric.step.to_string(),
        })
        .collect();
    metrics.sort_by(|one, other| {
        (headline::rank(&one.key), &one.key).cmp(&(headline::rank(&other.key), &other.key))
    });
    let mut params: Vec<(String, String)> = run
        .params
        .iter()
        .map(|param| (param.key.clone(), param.value.clone()))
        .collect();
    params.sort();
    let mut tags: Vec<(String, String)> = run
        .tags
        .iter()
        .map(|tag| (tag.key.clone(), format::shorten(&tag.value, 500)))
        .collect();
    tags.sort();
    Ok(Overview {
        metrics,
        params,
        tags,
        datasets: run
            .dataset_inputs
            .iter()
            .map(|input| dataset(page, input))
            .collect(),
        children: children
            .iter()
            .map(|child| ChildRow {
                id: child.info.run_id.clone(),
                name: run_name(child),
                view: StateView::of(child.info.status.as_str()),
                cells: child_metrics
                    .iter()
                    .zip(&best_values)
                    .map(|(key, best)| child_cell(child.metric(key), *best))
                    .collect(),
                duration: duration(page, child.info.start_time, child.info.end_time),
            })
            .collect(),
        child_metrics,
    })
}

fn child_cell(value: Option<f64>, best: Option<f64>) -> Cell {
    Cell {
        text: value.map_or_else(|| "–".to_owned(), format::number),
        is_number: true,
        is_best: value.is_some() && value == best,
    }
}

fn dataset(page: &Page, input: &DatasetInput) -> DatasetView {
    let dataset = &input.dataset;
    let context = input.tags.iter().find(|tag| tag.key == "mlflow.data.context");
    let source: Value = serde_json::from_str(&dataset.source).unwrap_or(Value::Null);
    let profile: Option<Value> = dataset
        .profile
        .as_deref()
        .and_then(|profile| serde_json::from_str(profile).ok());
    let rows = profile.and_then(|profile| profile.get("num_rows")?.as_u64());
    let loads = loads(&source);
    let dag_runs = loads
        .iter()
        .take(MOST_DAG_RUNS)
        .map(|(dag_id, run_id)| DagRunLink {
            label: (*run_id).to_owned(),
            address: dag_run_address(page, Some(dag_id), Some(run_id)),
        })
        .collect();
    DatasetView {
        name: dataset.name.clone(),
        digest: dataset.digest.clone(),
        context: context.map_or_else(String::new, |tag| tag.value.clone()),
        source: place(&source).unwrap_or_else(|| format::shorten(&dataset.source, 120)),
        rows: rows.map_or_else(String::new, |rows| page.tn("count-rows", &rows)),
        dag_runs,
        more: loads.len().saturating_sub(MOST_DAG_RUNS) as u64,
    }
}

/// Returns the DAG runs that loaded the rows, as our training notes them: `(dag_id, dag_run_id)`.
fn loads(source: &Value) -> Vec<(&str, &str)> {
    let Some(batches) = source.get("batches").and_then(Value::as_array) else {
        return Vec::new();
    };
    batches
        .iter()
        .filter_map(|load| Some((load.get("dag_id")?.as_str()?, load.get("dag_run_id")?.as_str()?)))
        .collect()
}

/// Returns where a data set lies, in a few words.
fn place(source: &Value) -> Option<String> {
    if let (Some(connection), Some(table)) = (source.get("connection"), source.get("table")) {
        return Some(format!("{} · {}", connection.as_str()?, table.as_str()?));
    }
    ["uri", "url", "path"]
        .into_iter()
        .find_map(|key| source.get(key)?.as_str().map(str::to_owned))
}

async fn curves(tracking: &Tracking, run: &Run) -> Result<Vec<CurveCard>, Error> {
    let mut keys: Vec<&str> = run.metrics.iter().map(|metric| metric.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut cards = Vec::new();
    for key in keys.into_iter().take(MOST_CURVES) {
        let ids = [run.info.run_id.clone()];
        let series = tracking.metric_chart(&ids, key, CURVE_POINTS, None).await?;
        let Some(series) = series.into_iter().next() else {
            continue;
        };
        let points: Vec<(i64, f64)> = series
            .points
            .iter()
            .map(|point| (point.step, point.value))
            .collect();
        if let Some(curve) = chart::curve(&points) {
            cards.push(CurveCard {
                id: format!("curve-{}", cards.len()),
                key: key.to_owned(),
                last: run.metric(key).map_or_else(String::new, format::number),
                curve,
            });
        }
    }
    Ok(cards)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_loads_of_a_training() {
        let source = json!({
            "connection": "warehouse",
            "table": "cover_type",
            "batches": [
                {"dag_id": "data_loading_dag", "dag_run_id": "scheduled__1", "row_count": 1162},
                {"dag_id": "data_loading_dag", "dag_run_id": "scheduled__2", "row_count": 1162},
                {"row_count": 3},
                "nonsense",
            ],
        });
        let expected = [
            ("data_loading_dag", "scheduled__1"),
            ("data_loading_dag", "scheduled__2"),
        ];
        assert_eq!(loads(&source), expected);
        assert_eq!(place(&source).as_deref(), Some("warehouse · cover_type"));
        for foreign in [json!(null), json!([1]), json!({"batches": 7}), json!("s3://x")] {
            assert!(loads(&foreign).is_empty(), "{foreign}");
        }
        assert_eq!(
            place(&json!({"uri": "s3://b/x.csv"})).as_deref(),
            Some("s3://b/x.csv")
        );
    }
}
