//! What goes on in the background: one process at a time does it for all.

use std::ops::Bound;
use std::time::Duration;

use fragua_base::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Local;
use super::verify::Depth;
use super::versions::Walk;
use crate::store::chores::{self, Held};
use crate::store::objects::key_text;
use crate::store::{buckets, usage, versions};
use crate::upkeep::{self, LastCheck, SOON, ScrubPass, ScrubState, Upkeep, Verified};
use crate::{BucketName, Error};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long a process that ended in the middle of its work keeps others from it.
const LEASE: Duration = Duration::from_secs(120);

const EXPIRY: &str = "expiry";
const SCRUB: &str = "scrub";

/// What the last check found that somebody asked for.
const CHECK: &str = "check";

/// Versions of one read of the scrubber, which writes down where it is after each.
const SCRUB_ROWS: usize = 100;

impl Local {
    /// Does what is due until `shutdown`. A pass of the scrubber takes days, so nothing waits for it.
    pub(super) async fn do_chores_until(&self, shutdown: CancellationToken) {
        tokio::join!(
            repeat(&shutdown, || self.expire_if_due(&shutdown)),
            repeat(&shutdown, || self.scrub_if_due(&shutdown)),
            repeat(&shutdown, || self.give_up_events()),
            self.deliver_until(&shutdown),
        );
    }

    /// Applies lifecycle rules and removes what is left over, unless it is not the time or another process does.
    pub(crate) async fn expire_if_due(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let Some(held) = self.claim(EXPIRY).await? else {
            return Ok(());
        };
        let expiring = async {
            // A client that left in the middle of a delete, or a process that ended, leaves bytes behind.
            self.recover().await?;
            let (report, _) = self.expire(self.inner.clock.now()).await?;
            Ok(report)
        };
        let report = self.hold(&held, shutdown, expiring).await?;
        if let Some(report) = report.filter(|report| !report.is_empty()) {
            tracing::info!(
                objects = report.expired,
                versions = report.noncurrent,
                markers = report.markers,
                uploads = report.uploads,
                "lifecycle rules were applied"
            );
        }
        let again = report.map_or(Duration::ZERO, |_| self.inner.settings.expire_every);
        self.release(held, again).await
    }

    /// Verifies bytes, unless it is not the time or another process does. Each day it is looked whether it is the time,
    /// for that depends on what was written meanwhile.
    pub(crate) async fn scrub_if_due(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let Some(held) = self.claim(SCRUB).await? else {
            return Ok(());
        };
        let look_again = self.inner.settings.scrub_every.min(SOON);
        if !held.is_asked && self.upkeep_state().await?.next_pass_at.is_some() {
            return self.release(held, look_again).await;
        }
        let done = self.hold(&held, shutdown, self.scrub(&held)).await?;
        self.release(held, done.map_or(Duration::ZERO, |()| look_again))
            .await
    }

    /// Makes the next pass due at once, for whoever looks for what is due next.
    pub(super) async fn ask_for_scrub(&self) -> Result<(), Error> {
        chores::ask(self.database(), SCRUB).await
    }

    /// Remembers what a check found. Whoever asked for it is told in any case. A look at sizes alone finds no changed byte,
    /// and takes the place of no check that may have found some.
    pub(super) async fn note_check(
        &self,
        started_at: Timestamp,
        compares_bytes: bool,
        (verified, orphans): (Verified, u64),
    ) {
        let check = LastCheck {
            started_at,
            ended_at: self.inner.clock.now(),
            compares_bytes,
            verified,
            orphans,
        };
        let kept = async {
            let before: LastCheck = chores::state(self.database(), CHECK).await?;
            if before.compares_bytes && !check.compares_bytes {
                return Ok(());
            }
            chores::keep(self.database(), CHECK, &check).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "what the check found cannot be written down");
        }
    }

    pub(super) async fn upkeep_state(&self) -> Result<Upkeep, Error> {
        let scrub = self.state_of_scrub().await?;
        let check: LastCheck = chores::state(self.database(), CHECK).await?;
        let check = Some(check).filter(|check| *check != LastCheck::default());
        let read_by_check = check.as_ref().filter(|check| check.compares_bytes);
        let read_since = scrub.last.as_ref().map(|pass| pass.started_at);
        let read_since = read_since.max(read_by_check.map(|check| check.started_at));
        let existing = usage::of_all(self.database(), None).await?;
        let unverified = match read_since {
            None => existing,
            since => usage::of_all(self.database(), since).await?,
        };
        let is_asked = chores::is_asked(self.database(), SCRUB).await?;
        let every = self.inner.settings.scrub_every;
        let next_pass_at = scrub
            .last
            .as_ref()
            .filter(|_| scrub.current.is_none() && !is_asked)
            .and_then(|pass| pass.ended_at)
            .map(|ended_at| upkeep::next_pass_at(ended_at, every, existing.objects, unverified.objects))
            .filter(|due_at| *due_at > self.inner.clock.now());
        Ok(Upkeep {
            scrub,
            check,
            existing,
            unverified,
            next_pass_at,
        })
    }

    async fn claim(&self, name: &'static str) -> Result<Option<Held>, Error> {
        let now = self.inner.clock.now();
        chores::claim(self.database(), name, &self.inner.instance, now, LEASE).await
    }

    async fn release(&self, held: Held, again: Duration) -> Result<(), Error> {
        let due_at = self.inner.clock.now().plus(again);
        held.release(self.database(), due_at).await
    }

    /// Does `work` while the chore stays this process's. Returns nothing when it was broken off.
    async fn hold<T>(
        &self,
        held: &Held,
        shutdown: &CancellationToken,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        // Beside the work, never in its place: the work may hold the one transaction that writes.
        let kept = async {
            loop {
                tokio::time::sleep(LEASE / 4).await;
                if !held.prolong(self.database(), self.inner.clock.now()).await? {
                    return Ok(None);
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(None),
            done = work => done.map(Some),
            lost = kept => lost,
        }
    }

    pub(super) async fn state_of_scrub(&self) -> Result<ScrubState, Error> {
        chores::state(self.database(), SCRUB).await
    }

    /// Goes on with the pass that was broken off, or begins one, and reads everything there is.
    async fn scrub(&self, held: &Held) -> Result<(), Error> {
        let mut state = self.state_of_scrub().await?;
        let started_at = self.inner.clock.now();
        let mut pass = state.current.take().unwrap_or_else(|| ScrubPass {
            started_at,
            ..ScrubPass::default()
        });
        let position = pass.position.take();
        for (bucket, _) in buckets::names(self.database()).await? {
            let behind = match &position {
                Some((last, _)) if bucket.as_str() < last.as_str() => continue,
                Some((last, key)) if bucket.as_str() == last => Some(key.as_bytes().to_vec()),
                _ => None,
            };
            state.current = Some(pass);
            self.scrub_bucket(held, &bucket, behind, &mut state).await?;
            pass = state.current.take().unwrap_or_default();
        }
        pass.position = None;
        pass.ended_at = Some(self.inner.clock.now());
        if pass.verified.damaged_count > 0 {
            tracing::error!(
                damaged = pass.verified.damaged_count,
                "objects are not what was written; `fragua storage check` lists them"
            );
        }
        state.last = Some(pass);
        held.write(self.database(), &state).await
    }

    async fn scrub_bucket(
        &self,
        held: &Held,
        bucket: &BucketName,
        behind: Option<Vec<u8>>,
        state: &mut ScrubState,
    ) -> Result<(), Error> {
        let depth = Depth::Bytes {
            per_second: self.inner.settings.scrub_bytes_per_second,
        };
        let first = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let start = (first.clone(), versions::Start::Key(first));
        let mut walk = Walk::new(self.database(), bucket, "", start, (SCRUB_ROWS, SCRUB_ROWS));
        let (mut looked_at, mut last_key): (usize, Option<Vec<u8>>) = (0, None);
        while let Some((row, _)) = walk.next().await? {
            let key = row.object_key.clone();
            let finished = last_key.replace(key.clone()).filter(|last| *last != key);
            // Between two keys, so that no version is passed over by who goes on.
            if let Some(finished) = finished
                && looked_at >= SCRUB_ROWS
            {
                if let Some(pass) = &mut state.current {
                    pass.position = Some((bucket.to_string(), key_text(finished)?.to_string()));
                }
                held.write(self.database(), state).await?;
                looked_at = 0;
            }
            let Some(pass) = state.current.as_mut() else {
                return Ok(());
            };
            self.check_version(bucket, row, depth, &mut pass.verified).await?;
            looked_at += 1;
        }
        Ok(())
    }
}

/// Looks now and then whether something is due.
async fn repeat<F>(shutdown: &CancellationToken, chore: impl Fn() -> F)
where
    F: Future<Output = Result<(), Error>>,
{
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        if let Err(error) = chore().await {
            tracing::warn!(%error, "the upkeep of the object store failed; it is tried again");
        }
    }
}
