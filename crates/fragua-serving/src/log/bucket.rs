//! A limit on the average rate, with room for a burst.

use std::sync::{Mutex, PoisonError};

use fragua_base::Timestamp;

/// How many seconds' worth may come at once.
const BURST_SECONDS: f64 = 5.0;

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    state: Mutex<(f64, Timestamp)>,
}

impl Bucket {
    pub(super) fn new(per_second: f64, now: Timestamp) -> Self {
        Self {
            per_second,
            state: Mutex::new((per_second * BURST_SECONDS, now)),
        }
    }

    /// Takes one where there is one.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, since) = *state;
        let elapsed = (now.as_millis() - since.as_millis()).max(0) as f64 / 1_000.0;
        let level = (level + elapsed * self.per_second).min(self.per_second * BURST_SECONDS);
        let is_there = level >= 1.0;
        *state = (if is_there { level - 1.0 } else { level }, now);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let at = Timestamp::from_millis;
        let bucket = Bucket::new(2.0, at(0));
        let taken = |now: i64| (0..100).filter(|_| bucket.take(at(now))).count();
        assert_eq!(taken(0), 10);
        assert_eq!(taken(1_000), 2);
        assert_eq!(taken(1_000), 0);
        assert_eq!(taken(60_000), 10);
        // A clock that goes back gives nothing.
        assert_eq!(taken(30_000), 0);
    }
}
