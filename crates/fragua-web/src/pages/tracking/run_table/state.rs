//! What the address of a table of runs says: which runs, in which order, with which columns.

use std::collections::BTreeSet;

use fragua_base::Timestamp;
use fragua_tracking::{Query, RunStatus, ViewType};

use crate::page::{Page, encode};

/// How many runs one part of the table has. The script fetches parts as they come into view.
pub(super) const RUNS_PER_CHUNK: u64 = 100;

/// Spans to narrow the table to: the value in the address, the key of its words, milliseconds.
pub(super) const SPANS: [(&str, &str, i64); 4] = [
    ("1h", "since-hour", 3_600_000),
    ("24h", "since-day", 86_400_000),
    ("7d", "since-week", 7 * 86_400_000),
    ("30d", "since-month", 30 * 86_400_000),
];

pub(super) const STATUSES: [RunStatus; 5] = [
    RunStatus::Running,
    RunStatus::Scheduled,
    RunStatus::Finished,
    RunStatus::Failed,
    RunStatus::Killed,
];

/// The state of a table of runs. Everything in it comes from the address, so that each state is a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableState {
    /// In MLflow's language.
    pub(super) filter: String,
    pub(super) status: Option<RunStatus>,
    /// One of [`SPANS`], or empty.
    pub(super) since: String,
    pub(super) is_deleted_view: bool,
    pub(super) sort: Sort,
    /// What people chose for child runs: `tree`, `all`, or empty for what suits the rest.
    pub(super) nesting: String,
    /// What people chose; empty for the columns shown at first.
    pub(super) columns: Vec<String>,
    /// Counted from 0.
    pub(super) chunk: u64,
    /// Parents whose children are shown.
    pub(super) open: BTreeSet<String>,
}

impl TableState {
    pub(super) fn of(page: &Page) -> Self {
        let text = |name: &str| page.parameter(name).unwrap_or_default().trim().to_owned();
        let since = text("since");
        let number: u64 = text("page").parse().unwrap_or(1);
        Self {
            filter: text("filter"),
            status: RunStatus::from_name(&text("status").to_ascii_uppercase()),
            since: if span(&since).is_some() {
                since
            } else {
                String::new()
            },
            is_deleted_view: text("view") == "deleted",
            sort: Sort::parse(&text("sort")),
            nesting: text("runs"),
            columns: page
                .parameters("column")
                .filter(|key| !key.is_empty())
                .map(str::to_owned)
                .collect(),
            chunk: number.clamp(1, 1_000_000) - 1,
            open: page.parameters("open").map(str::to_owned).collect(),
        }
    }

    /// Whether child runs are below their parents. What is filtered or sorted is shown side by side, so that a child
    /// that matches is not hidden by a parent that does not.
    pub(super) fn is_tree(&self) -> bool {
        match self.nesting.as_str() {
            "tree" => true,
            "all" => false,
            _ => {
                self.filter.is_empty()
                    && self.sort.key.is_empty()
                    && self.status.is_none()
                    && !self.is_deleted_view
            }
        }
    }

    /// Whether anything narrows the table down.
    pub(super) fn is_narrowed(&self) -> bool {
        !self.filter.is_empty() || self.status.is_some() || !self.since.is_empty()
    }

    pub(super) fn query(&self, now: Timestamp) -> Query {
        Query {
            filter: self.conditions(now),
            order_by: self.sort.order_by(),
            view: if self.is_deleted_view {
                ViewType::DeletedOnly
            } else {
                ViewType::ActiveOnly
            },
            max_results: Some(RUNS_PER_CHUNK),
            page_token: Some(Query::page_token_at(self.chunk * RUNS_PER_CHUNK)),
        }
    }

    /// What people typed stays in front, so that the place of an error in it is its place in the field.
    fn conditions(&self, now: Timestamp) -> String {
        let mut conditions = Vec::new();
        if !self.filter.is_empty() {
            conditions.push(self.filter.clone());
        }
        if let Some(status) = self.status {
            conditions.push(format!("attributes.status = '{status}'"));
        }
        if let Some(millis) = span(&self.since) {
            let since = now.as_millis().saturating_sub(millis);
            conditions.push(format!("attributes.start_time >= {since}"));
        }
        if self.is_tree() {
            conditions.push("tags.`mlflow.parentRunId` IS NULL".to_owned());
        }
        conditions.join(" AND ")
    }

    /// Returns what the address says besides columns, page and open parents.
    pub(super) fn basics(&self) -> Vec<(&'static str, String)> {
        let view = if self.is_deleted_view { "deleted" } else { "" };
        let status = self.status.map_or_else(String::new, |status| status.to_string());
        [
            ("filter", self.filter.clone()),
            ("status", status.to_ascii_lowercase()),
            ("since", self.since.clone()),
            ("view", view.to_owned()),
            ("sort", self.sort.text()),
            ("runs", self.nesting.clone()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }

    /// Returns the query of an address that shows these columns, from the first page on.
    pub(super) fn query_with(&self, columns: &[String]) -> String {
        let columns = columns.iter().map(|key| ("column", key.clone()));
        let pairs: Vec<String> = self
            .basics()
            .into_iter()
            .chain(columns)
            .map(|(name, value)| format!("{name}={}", encode(&value)))
            .collect();
        pairs.join("&")
    }

    /// Returns an address below the experiment in this state.
    pub(super) fn address(&self, path: &str) -> String {
        let mut query = self.query_with(&self.columns);
        for run_id in &self.open {
            query.push_str(&format!("&open={}", encode(run_id)));
        }
        if self.chunk > 0 {
            query.push_str(&format!("&page={}", self.chunk + 1));
        }
        join(path, &query)
    }

    /// Returns this state with the children of a run shown or hidden.
    pub(super) fn toggled(&self, run_id: &str) -> Self {
        let mut state = self.clone();
        if !state.open.remove(run_id) {
            state.open.insert(run_id.to_owned());
        }
        state
    }
}

/// Puts a path and a query together.
pub(super) fn join(path: &str, query: &str) -> String {
    match query.trim_start_matches('&') {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

fn span(name: &str) -> Option<i64> {
    SPANS
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, _, millis)| *millis)
}

/// The column a table is sorted by, written `metrics.accuracy` or, from the greatest, `-metrics.accuracy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) key: String,
    pub(super) is_descending: bool,
}

impl Sort {
    pub(super) fn parse(text: &str) -> Self {
        let (key, is_descending) = match text.strip_prefix('-') {
            Some(key) => (key, true),
            None => (text, false),
        };
        Self {
            key: key.to_owned(),
            is_descending,
        }
    }

    pub(super) fn text(&self) -> String {
        if self.is_descending {
            format!("-{}", self.key)
        } else {
            self.key.clone()
        }
    }

    pub(super) fn order_by(&self) -> Vec<String> {
        let direction = if self.is_descending { "DESC" } else { "ASC" };
        order_term(&self.key)
            .map(|term| format!("{term} {direction}"))
            .into_iter()
            .collect()
    }
}

/// Returns how the language of orders names a column, or nothing where it cannot be sorted by.
pub(super) fn order_term(key: &str) -> Option<String> {
    match key.split_once('.')? {
        (group @ ("metrics" | "params" | "tags"), name) if !name.contains('`') => {
            Some(format!("{group}.`{name}`"))
        }
        (
            "attributes",
            name @ ("start_time" | "end_time" | "duration" | "status" | "run_name" | "user_id" | "run_id"),
        ) => Some(format!("attributes.{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::page;

    #[test]
    fn a_sort_becomes_an_order_of_the_filter_language() {
        for (text, expected) in [
            ("", None),
            ("metrics.accuracy", Some("metrics.`accuracy` ASC")),
            ("-metrics.f1 macro", Some("metrics.`f1 macro` DESC")),
            ("tags.team", Some("tags.`team` ASC")),
            ("-attributes.start_time", Some("attributes.start_time DESC")),
            ("metrics.a` DESC, x", None),
            ("attributes.nonsense", None),
        ] {
            let order = Sort::parse(text).order_by();
            assert_eq!(order.first().map(String::as_str), expected, "{text}");
        }
        assert_eq!(Sort::parse("-metrics.a").text(), "-metrics.a");
    }

    #[test]
    fn an_address_gives_its_state_and_the_state_its_address() {
        for address in [
            "/experiments/1",
            "/experiments/1?filter=metrics.a%20%3E%201&status=failed&since=24h&view=deleted&sort=-metrics.a&runs=all",
            "/experiments/1?column=metrics.a&column=params.b%20c&open=abc&open=def&page=3",
        ] {
            let state = TableState::of(&page(address, &[]));
            assert_eq!(state.address("/experiments/1"), address);
        }
        let odd = TableState::of(&page("/experiments/1?since=eon&status=odd&page=0", &[]));
        assert_eq!(odd.address("/experiments/1"), "/experiments/1");
    }

    #[test]
    fn children_are_below_their_parents_until_something_is_looked_for() {
        for (address, is_tree) in [
            ("/", true),
            ("/?since=1h", true),
            ("/?filter=metrics.a+%3E+1", false),
            ("/?sort=metrics.a", false),
            ("/?status=failed", false),
            ("/?runs=all", false),
            ("/?runs=tree&sort=metrics.a", true),
        ] {
            assert_eq!(
                TableState::of(&page(address, &[])).is_tree(),
                is_tree,
                "{address}"
            );
        }
    }
}
