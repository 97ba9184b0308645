//! One address that answers: the version it names, what stands in the way, and who else gets its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fragua_base::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::follow::Following;
use crate::model::ServedModel;
use crate::model_ref::ModelRef;
use crate::role::Role;

/// A version that answers under an address, and stays the one that the registry means by it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    model: ModelRef,
    state: watch::Sender<Arc<State>>,
    /// Held while the registry is asked, so that two changes are followed one after the other.
    pub(crate) following: Mutex<Following>,
    /// Counts up over all endpoints with each use; the smallest was not used for the longest time.
    pub(crate) last_used: AtomicU64,
}

/// What an endpoint answers with, and what stands in the way.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The version that answers.
    pub model: Option<Arc<ServedModel>>,
    /// Why the version that the registry names does not answer.
    pub problem: Option<Problem>,
    /// A version that answers a share of the requests.
    pub canary: Option<Challenger>,
    /// A version that predicts each row too and never answers.
    pub shadow: Option<Challenger>,
}

/// A version that is tried out beside the one that the registry names.
#[derive(Debug, Clone)]
pub struct Challenger {
    /// The version.
    pub version: i32,
    /// Its share of the requests, in percent.
    pub percent: u8,
    /// The version in memory; `None` while something stands in the way.
    pub model: Option<Arc<ServedModel>>,
    /// What stands in the way.
    pub problem: Option<Problem>,
}

/// Why a version that should answer does not.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// The version that should answer, where it is known.
    pub version: Option<String>,
    /// One sentence for people: the thing, the cause, the next step.
    pub message: String,
    /// When it was first seen.
    pub since: Timestamp,
}

/// What kind of problem stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The registry has no such model, alias or version.
    NotRegistered,
    /// The version is there and cannot be served; it stays so until the alias moves.
    Unservable,
    /// The registry or its artifacts do not answer; tried again.
    Unreachable,
}

impl ProblemKind {
    /// Returns the kind as bodies and pages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotRegistered => "not_registered",
            Self::Unservable => "cannot_be_served",
            Self::Unreachable => "unreachable",
        }
    }
}

impl State {
    /// Returns one sentence on why nothing answers or another version than the named one does.
    pub fn explanation(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.message.as_str())
    }

    /// Returns the version that answers a request, and as what. Requests with the same `lot` get the same version for as
    /// long as the canary's share does not shrink.
    pub(crate) fn choose(&self, lot: u64) -> Option<(Arc<ServedModel>, Role)> {
        let drawn = |canary: &&Challenger| lot % 100 < u64::from(canary.percent);
        if let Some(canary) = self.canary.as_ref().filter(drawn)
            && let Some(model) = &canary.model
        {
            return Some((Arc::clone(model), Role::Canary));
        }
        Some((Arc::clone(self.model.as_ref()?), Role::Live))
    }
}

impl Endpoint {
    pub(crate) fn new(model: ModelRef) -> Self {
        Self {
            inner: Arc::new(Inner {
                model,
                state: watch::Sender::new(Arc::default()),
                following: Mutex::default(),
                last_used: AtomicU64::new(0),
            }),
        }
    }

    /// Returns what the endpoint answers for.
    pub fn model_ref(&self) -> &ModelRef {
        &self.inner.model
    }

    /// Returns the version that answers now, a canary aside.
    pub fn current(&self) -> Option<Arc<ServedModel>> {
        self.inner.state.borrow().model.clone()
    }

    /// Returns what answers and what stands in the way.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.state.borrow())
    }

    /// Returns a receiver that wakes each time another version answers or a problem comes or goes.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.state.subscribe()
    }

    /// Waits until a version answers or it is known why none does.
    pub async fn settled(&self) {
        let is_settled = |state: &Arc<State>| state.model.is_some() || state.problem.is_some();
        // The sender lives as long as `self`.
        let _ = self.watch().wait_for(is_settled).await;
    }

    /// Returns why nothing answers.
    pub(crate) fn no_model(&self) -> crate::Error {
        let reason = match self.state().explanation() {
            Some(explanation) => explanation.to_owned(),
            None => format!("{} is being loaded", self.model_ref()),
        };
        crate::Error::NoModel { reason }
    }

    pub(crate) fn used(&self, now: u64) {
        self.inner.last_used.store(now, Relaxed);
    }

    /// Changes the state. Requests in work keep the versions they were given.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        self.inner.state.send_modify(|state| change(Arc::make_mut(state)));
    }
}

/// Spreads a key evenly over all numbers, the same in every process: FNV-1a, then the finaliser of MurmurHash3, since the
/// lowest digits decide.
pub(crate) fn lot_of(key: &[u8]) -> u64 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::lot_of;

    #[test]
    fn keys_are_spread_evenly() {
        let below_ten = (0..10_000)
            .filter(|key: &u32| lot_of(key.to_string().as_bytes()) % 100 < 10)
            .count();
        assert!(
            (900..1_100).contains(&below_ten),
            "{below_ten} of 10,000 drew a tenth"
        );
        assert_eq!(lot_of(b"customer-1"), lot_of(b"customer-1"));
    }
}
