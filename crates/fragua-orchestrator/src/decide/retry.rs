//! How long after a failure another attempt begins.

use std::time::Duration;

use fragua_base::Timestamp;
use sha1::{Digest as _, Sha1};

use crate::dag::Task;

/// No delay that grows is longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the delay after the failure of this number, from one. Where it grows, it is spread over the second half of
/// itself by a hash of what is tried, so that tasks that failed together are not tried together, and the same task
/// always waits as long. This is Airflow's formula.
pub(super) fn delay(dag_id: &str, task: &Task, logical_date: Timestamp, failure: u32) -> Duration {
    let Some(multiplier) = task.retry_exponential_backoff else {
        return task.retry_delay;
    };
    let longest = task.max_retry_delay.unwrap_or(LONGEST).min(LONGEST);
    let exponent = i32::try_from(failure.saturating_sub(1)).unwrap_or(i32::MAX);
    let base = (task.retry_delay.as_secs_f64() * multiplier.powi(exponent))
        .ceil()
        .max(1.0);
    if base >= longest.as_secs_f64() {
        return longest;
    }
    let base = base as u64;
    let date = jiff::Timestamp::from_millisecond(logical_date.as_millis()).unwrap_or_default();
    let date = date.strftime("%Y-%m-%d %H:%M:%S%:z");
    let name = format!("{dag_id}#{}#{date}#{failure}", task.task_id);
    let jitter = remainder(&Sha1::digest(name), base);
    Duration::from_secs(base + jitter).min(longest)
}

/// The remainder of a large number, most significant byte first.
fn remainder(number: &[u8], divisor: u64) -> u64 {
    let rest = number.iter().fold(0_u128, |rest, byte| {
        ((rest << 8) | u128::from(*byte)) % u128::from(divisor)
    });
    u64::try_from(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn task(delay: u64, multiplier: Option<f64>, longest: Option<u64>) -> Task {
        Task {
            retry_delay: Duration::from_secs(delay),
            retry_exponential_backoff: multiplier,
            max_retry_delay: longest.map(Duration::from_secs),
            ..Task::new("load", "bash", Value::Null)
        }
    }

    fn day() -> Timestamp {
        Timestamp::parse_rfc3339("2025-04-02T00:00:00Z").unwrap()
    }

    /// What Python gives for `int(hashlib.sha1(b"example#load#2025-04-02 00:00:00+00:00#1").hexdigest(), 16) % 300`,
    /// and so on, plus the base.
    #[test]
    fn delays_are_those_of_airflow() {
        let delays = |task: &Task| -> Vec<u64> {
            (1..=5)
                .map(|failure| delay("example", task, day(), failure).as_secs())
                .collect()
        };
        assert_eq!(delays(&task(300, None, None)), [300; 5]);
        assert_eq!(delays(&task(300, Some(2.0), None)), [320, 656, 2024, 2550, 6406]);
        assert_eq!(
            delays(&task(300, Some(2.0), Some(1000))),
            [320, 656, 1000, 1000, 1000]
        );
    }

    proptest! {
        #[test]
        fn a_delay_grows_within_its_bounds(
            seconds in 0_u64..100_000,
            multiplier in 1.0_f64..10.0,
            longest in proptest::option::of(1_u64..200_000),
            failure in 1_u32..100_000,
        ) {
            let task = task(seconds, Some(multiplier), longest);
            let found = delay("example", &task, day(), failure);
            prop_assert_eq!(found, delay("example", &task, day(), failure));
            prop_assert!(found >= Duration::from_secs(1));
            prop_assert!(found <= LONGEST.min(task.max_retry_delay.unwrap_or(LONGEST)));
            let base = (seconds as f64 * multiplier.powi(failure as i32 - 1)).ceil().max(1.0);
            prop_assert!(found.as_secs_f64() <= 2.0 * base);
        }
    }
}
