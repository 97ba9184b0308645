//! What was predicted before: by everybody, who may have asked without these pages, or by this browser alone.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_serving::{LogQuery, LoggedPrediction};

use super::answer::written;
use super::{App, Chosen, Head, keep_remembered, remembered};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::page::{Page, encode};
use crate::view;

/// Values of a row that are shown.
const MOST_VALUES: usize = 4;
const MOST_VALUE_CHARS: usize = 24;

#[derive(Template)]
#[template(path = "app/history.html")]
struct HistoryPage<'a> {
    page: &'a Page,
    head: Head,
    has_log: bool,
    /// Whether only what this browser asked for is shown.
    is_mine: bool,
    scopes: Vec<view::Choice>,
    truths: Vec<view::Choice>,
    rows: Vec<HistoryRow>,
    first: Option<String>,
    next: Option<String>,
    forget_address: String,
}

struct HistoryRow {
    address: String,
    at: Timestamp,
    inputs: String,
    /// Rows of the same request that are not listed.
    more: u64,
    prediction: String,
    confidence: String,
    model: String,
    version: String,
    role: String,
    source: String,
    truth: Option<(String, bool)>,
}

pub(super) async fn show(State(app): State<App>, page: Page, headers: HeaderMap) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let is_mine = page.parameter("of") == Some("mine");
    let has_feedback = match page.parameter("truth") {
        Some("known") => Some(true),
        Some("unknown") => Some(false),
        _ => None,
    };
    let ids = remembered(&headers);
    let mut found = fragua_base::Page {
        items: Vec::new(),
        next: None,
    };
    if let Some(log) = app.serving.log()
        && (!is_mine || !ids.is_empty())
    {
        let reference = chosen.endpoint.model_ref();
        let query = LogQuery {
            model: (!is_mine || page.has_chosen("model")).then(|| reference.name.clone()),
            request_ids: if is_mine { ids } else { Vec::new() },
            has_feedback,
            page_token: page.parameter("page").map(str::to_owned),
            ..LogQuery::default()
        };
        found = log.predictions(&query).await?;
    }
    let choice = |parameter: &str, value: &str, text: &str, is_current: bool| view::Choice {
        label: page.t(text),
        address: page.with2(parameter, value, "page", ""),
        is_current,
        count: String::new(),
    };
    render(&HistoryPage {
        page: &page,
        head: Head::of(&app, &page, &chosen, "/history").await,
        has_log: app.serving.log().is_some(),
        is_mine,
        scopes: vec![
            choice("of", "", "history-all", !is_mine),
            choice("of", "mine", "history-mine", is_mine),
        ],
        truths: vec![
            choice("truth", "", "truth-any", has_feedback.is_none()),
            choice("truth", "known", "truth-known", has_feedback == Some(true)),
            choice("truth", "unknown", "truth-unknown", has_feedback == Some(false)),
        ],
        rows: rows(&found.items),
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: found.next.map(|token| page.with("page", &token)),
        forget_address: chosen.address("/history", &[("of", "mine")]),
    })
}

/// Forgets what this browser asked for; the log keeps it.
pub(super) async fn forget(page: Page) -> Response {
    let mut response = see_other(&page.here());
    keep_remembered(&[], &mut response);
    response
}

/// Makes a line of each request; of several rows the first one stands for all.
fn rows(found: &[LoggedPrediction]) -> Vec<HistoryRow> {
    let mut requests: BTreeMap<&str, u64> = BTreeMap::new();
    for logged in found.iter().filter(|logged| logged.role != "shadow") {
        *requests.entry(&logged.request_id).or_default() += 1;
    }
    let mut firsts: Vec<&LoggedPrediction> = Vec::new();
    for logged in found.iter().filter(|logged| logged.role != "shadow") {
        match firsts
            .iter_mut()
            .find(|first| first.request_id == logged.request_id)
        {
            Some(first) if logged.row < first.row => *first = logged,
            Some(_) => {}
            None => firsts.push(logged),
        }
    }
    firsts
        .into_iter()
        .map(|logged| HistoryRow {
            address: format!("/predictions/{}", encode(&logged.request_id)),
            at: logged.at,
            inputs: summary(logged),
            more: requests[logged.request_id.as_str()] - 1,
            prediction: written(&logged.prediction),
            confidence: logged
                .probabilities
                .iter()
                .copied()
                .max_by(f32::total_cmp)
                .map_or_else(String::new, |share| format::percent(f64::from(share))),
            model: logged.model.clone(),
            version: logged.version.clone(),
            role: logged.role.clone(),
            source: logged.source.clone(),
            truth: logged
                .feedback
                .as_ref()
                .map(|feedback| (written(&feedback.label), feedback.label == logged.prediction)),
        })
        .collect()
}

fn summary(logged: &LoggedPrediction) -> String {
    let values = logged.inputs.iter().filter(|(_, value)| !value.is_null());
    let mut parts: Vec<String> = values
        .take(MOST_VALUES)
        .map(|(name, value)| format!("{name} {}", format::shorten(&written(value), MOST_VALUE_CHARS)))
        .collect();
    if logged.inputs.len() > MOST_VALUES {
        parts.push("…".to_owned());
    }
    parts.join(" · ")
}
