//! When the scheduler has something to do by the clock, so that it looks at the database then and not before.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fragua_base::{Clock, Timestamp};
use tokio::sync::Notify;

/// The next instant at which something is due, as far as this process knows. Every transaction that makes something
/// due sets it after its commit.
pub(crate) struct Alarm {
    at: AtomicI64,
    earlier: Notify,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            at: AtomicI64::new(i64::MAX),
            earlier: Notify::new(),
        }
    }

    /// Makes sure that the scheduler looks at this instant.
    pub(crate) fn set(&self, at: Timestamp) {
        let at = at.as_millis();
        if self.at.fetch_min(at, Ordering::SeqCst) > at {
            self.earlier.notify_one();
        }
    }

    /// Forgets what was set. Called before the database is looked at, so that what is set meanwhile stays.
    pub(crate) fn reset(&self) {
        self.at.store(i64::MAX, Ordering::SeqCst);
    }

    /// Waits until the instant has come, for so long at most.
    pub(crate) async fn wait(&self, clock: &dyn Clock, most: Duration) {
        let latest = tokio::time::Instant::now() + most;
        loop {
            let left = Timestamp::from_millis(self.at.load(Ordering::SeqCst)).since(clock.now());
            if left.is_zero() {
                return;
            }
            // Timers count whole milliseconds; one more makes sure that the instant has come.
            let wake = tokio::time::Instant::now() + left.min(most) + Duration::from_millis(1);
            tokio::select! {
                () = self.earlier.notified() => {}
                () = tokio::time::sleep_until(wake.min(latest)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use fragua_base::SystemClock;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn is_over(waiting: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        waiting.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn an_instant_that_has_come_is_not_waited_for() {
        let alarm = Alarm::new();
        alarm.set(SystemClock.now());
        alarm.set(SystemClock.now().plus(LONG));
        assert!(
            is_over(pin!(alarm.wait(&SystemClock, LONG))),
            "the earliest counts"
        );
        alarm.reset();
        assert!(!is_over(pin!(alarm.wait(&SystemClock, LONG))));
    }

    #[tokio::test]
    async fn an_earlier_instant_ends_a_wait_and_a_later_one_does_not() {
        let alarm = Alarm::new();
        alarm.set(SystemClock.now().plus(LONG));
        let mut waiting = pin!(alarm.wait(&SystemClock, LONG));
        assert!(!is_over(waiting.as_mut()));
        alarm.set(SystemClock.now().plus(LONG + LONG));
        assert!(!is_over(waiting.as_mut()));
        alarm.set(SystemClock.now());
        assert!(is_over(waiting.as_mut()));
    }
}
