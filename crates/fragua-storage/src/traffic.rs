//! What the S3 API of this process answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Requests of one operation since the process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationTraffic {
    /// Such as `PutObject`; the method of requests that were refused before their operation was known.
    pub operation: String,
    /// How many were answered.
    pub requests: u64,
    /// How many of these with a status from 400 to 499.
    pub refused: u64,
    /// How many of these with a status of 500 or more.
    pub failed: u64,
    /// The time until answers began, of all of them together.
    pub waited: Duration,
    /// The longest of these times.
    pub longest: Duration,
}

/// Counts by operation, of which there are as many as the API has.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<BTreeMap<String, OperationTraffic>>);

impl Traffic {
    pub(crate) fn note(&self, operation: &str, status: u16, waited: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(operation) {
            let traffic = OperationTraffic {
                operation: operation.to_owned(),
                ..OperationTraffic::default()
            };
            all.insert(operation.to_owned(), traffic);
        }
        let Some(traffic) = all.get_mut(operation) else {
            return;
        };
        traffic.requests += 1;
        traffic.refused += u64::from((400..500).contains(&status));
        traffic.failed += u64::from(status >= 500);
        traffic.waited += waited;
        traffic.longest = traffic.longest.max(waited);
    }

    pub(crate) fn all(&self) -> Vec<OperationTraffic> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }
}

/// Writes counts as Prometheus reads them. Names of operations are letters.
pub(crate) fn prometheus(all: &[OperationTraffic]) -> String {
    let mut page = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // A text takes whatever is written to it.
        let _ = writeln!(page, "{text}");
    };
    line(format_args!(
        "# HELP fragua_storage_requests_total Requests that the S3 API answered."
    ));
    line(format_args!("# TYPE fragua_storage_requests_total counter"));
    for traffic in all {
        let answered = traffic.requests - traffic.refused - traffic.failed;
        let outcomes = [
            ("answered", answered),
            ("refused", traffic.refused),
            ("failed", traffic.failed),
        ];
        for (outcome, count) in outcomes {
            let operation = &traffic.operation;
            line(format_args!(
                "fragua_storage_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}} {count}"
            ));
        }
    }
    line(format_args!(
        "# HELP fragua_storage_request_seconds The time until answers began."
    ));
    line(format_args!("# TYPE fragua_storage_request_seconds summary"));
    for OperationTraffic {
        operation,
        requests,
        waited,
        ..
    } in all
    {
        let (labels, seconds) = (format!("{{operation=\"{operation}\"}}"), waited.as_secs_f64());
        line(format_args!(
            "fragua_storage_request_seconds_sum{labels} {seconds}"
        ));
        line(format_args!(
            "fragua_storage_request_seconds_count{labels} {requests}"
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_became_of_them() {
        let traffic = Traffic::default();
        for (status, millis) in [(200, 10), (404, 30), (503, 20)] {
            traffic.note("GetObject", status, Duration::from_millis(millis));
        }
        traffic.note("PutObject", 200, Duration::from_millis(1));
        let all = traffic.all();
        let get = &all[0];
        assert_eq!((get.operation.as_str(), all.len()), ("GetObject", 2));
        assert_eq!((get.requests, get.refused, get.failed), (3, 1, 1));
        assert_eq!(
            (get.waited, get.longest),
            (Duration::from_millis(60), Duration::from_millis(30))
        );
        let page = prometheus(&all);
        for line in [
            "fragua_storage_requests_total{operation=\"GetObject\",outcome=\"answered\"} 1",
            "fragua_storage_requests_total{operation=\"GetObject\",outcome=\"failed\"} 1",
            "fragua_storage_request_seconds_sum{operation=\"GetObject\"} 0.06",
            "fragua_storage_request_seconds_count{operation=\"PutObject\"} 1",
        ] {
            assert!(page.lines().any(|written| written == line), "{line}: {page}");
        }
    }
}
