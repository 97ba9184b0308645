//! The way from a worker to the orchestrator: through memory, or over HTTP.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::desk;
use super::remote::Remote;
use super::wire::{
    Assignment, Began, Done, HeartbeatRequest, Held, Introduction, LeaseRequest, Registration,
};
use crate::Error;
use crate::core::Core;

#[derive(Clone)]
pub(super) enum Link {
    Local(Arc<Core>),
    Remote(Arc<Remote>),
}

/// What was learned, and since when it holds.
pub(super) type Since<T> = (T, Instant);

impl Link {
    pub(super) async fn register(&self, introduction: Introduction) -> Result<Registration, Error> {
        match self {
            Self::Local(core) => desk::register(core, introduction, false).await,
            Self::Remote(remote) => remote.post("register", &introduction, Duration::ZERO).await,
        }
    }

    pub(super) async fn reclaim(&self, worker: &str) -> Result<(), Error> {
        match self {
            Self::Local(core) => desk::reclaim(core, worker).await,
            Self::Remote(remote) => {
                remote
                    .post(&format!("workers/{worker}/reclaim"), &(), Duration::ZERO)
                    .await
            }
        }
    }

    /// Waits for tasks. The leases hold from the instant that is returned with them.
    pub(super) async fn lease(&self, request: LeaseRequest) -> Result<Since<Vec<Assignment>>, Error> {
        let asked = Instant::now();
        let leased = match self {
            Self::Local(core) => desk::lease(core, &request).await?,
            Self::Remote(remote) => {
                let wait = Duration::from_millis(request.wait_millis);
                remote.post("lease", &request, wait).await?
            }
        };
        let began = asked + Duration::from_millis(leased.waited_millis);
        Ok((leased.assignments, began))
    }

    /// Prolongs leases, at the latest when the time has come, and tells what became of them: at once when one was lost.
    pub(super) async fn heartbeat(
        &self,
        worker: String,
        tokens: Vec<String>,
        at: Instant,
        patience: Duration,
    ) -> Result<Since<Held>, Error> {
        let mut request = HeartbeatRequest {
            worker,
            tokens,
            wait_millis: 0,
        };
        match self {
            Self::Local(core) => {
                tokio::time::sleep_until(at).await;
                let asked = Instant::now();
                // A database that does not answer must not keep us from seeing that the leases run out.
                let held = timeout(patience, desk::heartbeat(core, &request)).await;
                let silent = || Error::ServerAway {
                    reason: "the database did not answer in time".to_owned(),
                };
                Ok((held.map_err(|_| silent())??, asked))
            }
            Self::Remote(remote) => {
                // It waits there, so that it hears at once of what is lost.
                let wait = at.saturating_duration_since(Instant::now());
                request.wait_millis = u64::try_from(wait.as_millis()).unwrap_or(0);
                let asked = Instant::now();
                let held = timeout(wait + patience, remote.post("heartbeat", &request, wait)).await;
                let silent = || Error::ServerAway {
                    reason: "no answer in time".to_owned(),
                };
                Ok((held.map_err(|_| silent())??, asked))
            }
        }
    }

    pub(super) async fn began(&self, token: &str, began: &Began) -> Result<(), Error> {
        match self {
            Self::Local(core) => desk::began(core, token, began).await,
            Self::Remote(remote) => {
                remote
                    .post(&format!("attempts/{token}/began"), began, Duration::ZERO)
                    .await
            }
        }
    }

    pub(super) async fn done(&self, token: &str, done: &Done) -> Result<(), Error> {
        match self {
            Self::Local(core) => desk::done(core, token, done.clone()).await,
            Self::Remote(remote) => {
                remote
                    .post(&format!("attempts/{token}/done"), done, Duration::ZERO)
                    .await
            }
        }
    }

    pub(super) async fn leave(&self, worker: &str) -> Result<(), Error> {
        match self {
            Self::Local(core) => desk::leave(core, worker).await,
            Self::Remote(remote) => {
                remote
                    .post(&format!("workers/{worker}/leave"), &(), Duration::ZERO)
                    .await
            }
        }
    }
}
