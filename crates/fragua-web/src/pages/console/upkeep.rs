//! How the store is: whether it can be written, what room is left, and what the scrubber found.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{
    BucketName, Damage, LastCheck, OperationTraffic, Problem, ScrubPass, Storage, Tally, Upkeep, Verified,
};

use super::place::object_address;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::page::{Page, encode};

#[derive(Template)]
#[template(path = "console/upkeep.html")]
struct UpkeepPage<'a> {
    page: &'a Page,
    /// Why objects cannot be written.
    problem: Option<String>,
    disk: DiskView,
    buckets: String,
    objects: String,
    size: String,
    existing: String,
    unverified: Option<String>,
    next_pass_at: Option<Timestamp>,
    current: Option<PassView>,
    last: Option<PassView>,
    check: Option<PassView>,
    damaged: Vec<DamageView>,
    damaged_count: u64,
    traffic: Vec<TrafficView>,
}

/// Requests of one operation.
struct TrafficView {
    operation: String,
    requests: String,
    refused: String,
    failed: u64,
    mean: String,
    longest: String,
}

struct DiskView {
    free: String,
    total: String,
    used_percent: u64,
    is_low: bool,
}

struct PassView {
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    objects: String,
    bytes: String,
    without_checksum: String,
    damaged: u64,
    /// Files that nothing refers to, which a check alone looks for.
    orphans: Option<String>,
}

struct DamageView {
    bucket: String,
    key: String,
    address: String,
    problem: &'static str,
    written_at: Timestamp,
}

/// With less room than this, in percent, it is time to act.
const LOW_PERCENT: u64 = 10;

pub(super) async fn show(State(storage): State<Storage>, page: Page) -> Result<Response, Error> {
    let problem = match storage.check_writable().await {
        Ok(()) => None,
        Err(error) => {
            tracing::error!(%error, "the object store cannot be written");
            Some(page.t("store-not-writable-advice"))
        }
    };
    let disk = storage.disk().await?;
    let buckets = storage.list_buckets().await?;
    let upkeep = storage.upkeep().await?;
    let found = || looked_at(&upkeep);
    let mut damaged: Vec<&Damage> = found().flat_map(|verified| &verified.damaged).collect();
    damaged.sort_by_key(|damage| (&damage.bucket, &damage.key, &damage.version_id, damage.written_at));
    damaged.dedup();
    let used = disk.total_bytes.saturating_sub(disk.free_bytes);
    let used_percent = used.saturating_mul(100) / disk.total_bytes.max(1);
    render(&UpkeepPage {
        page: &page,
        problem,
        disk: DiskView {
            free: format::bytes(disk.free_bytes),
            total: format::bytes(disk.total_bytes),
            used_percent,
            is_low: used_percent > 100 - LOW_PERCENT,
        },
        buckets: format::integer(buckets.len() as u64),
        objects: format::integer(buckets.iter().map(|bucket| bucket.object_count).sum()),
        size: format::bytes(buckets.iter().map(|bucket| bucket.size_bytes).sum()),
        damaged_count: found().map(|verified| verified.damaged_count).max().unwrap_or(0),
        damaged: damaged.into_iter().map(damage_view).collect(),
        traffic: storage.traffic().into_iter().map(traffic_view).collect(),
        existing: tally(upkeep.existing),
        unverified: (upkeep.unverified.objects > 0).then(|| tally(upkeep.unverified)),
        next_pass_at: upkeep.next_pass_at,
        current: upkeep.scrub.current.as_ref().map(pass_view),
        last: upkeep.scrub.last.as_ref().map(pass_view),
        check: upkeep.check.as_ref().map(check_view),
    })
}

/// Begins a pass of the scrubber soon.
pub(super) async fn act(State(storage): State<Storage>) -> Result<Response, Error> {
    storage.ask_for_pass().await?;
    Ok(see_other("/upkeep"))
}

/// Returns what is to be believed: a check or pass that read everything says more than one before it did.
fn looked_at(upkeep: &Upkeep) -> impl Iterator<Item = &Verified> {
    let (last, check) = (upkeep.scrub.last.as_ref(), upkeep.check.as_ref());
    let is_older = |pass: &&ScrubPass| {
        check.is_some_and(|check| check.compares_bytes && check.started_at > pass.started_at)
    };
    let is_newer = |check: &&LastCheck| last.is_none_or(|pass| pass.started_at <= check.started_at);
    let passes = upkeep
        .scrub
        .current
        .iter()
        .chain(last.filter(|pass| !is_older(pass)));
    let passes = passes.map(|pass| &pass.verified);
    passes.chain(check.filter(is_newer).map(|check| &check.verified))
}

fn tally(tally: Tally) -> String {
    format!(
        "{} · {}",
        format::integer(tally.objects),
        format::bytes(tally.bytes)
    )
}

fn traffic_view(traffic: OperationTraffic) -> TrafficView {
    let mean = traffic.waited.as_secs_f64() / traffic.requests.max(1) as f64;
    TrafficView {
        requests: format::integer(traffic.requests),
        refused: format::integer(traffic.refused),
        failed: traffic.failed,
        mean: milliseconds(mean),
        longest: milliseconds(traffic.longest.as_secs_f64()),
        operation: traffic.operation,
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{} ms", format::fixed(seconds * 1e3, 1))
}

fn pass_view(pass: &ScrubPass) -> PassView {
    PassView {
        started_at: pass.started_at,
        ended_at: pass.ended_at,
        ..view(&pass.verified)
    }
}

fn check_view(check: &LastCheck) -> PassView {
    PassView {
        started_at: check.started_at,
        ended_at: Some(check.ended_at),
        orphans: Some(format::integer(check.orphans)),
        ..view(&check.verified)
    }
}

fn view(verified: &Verified) -> PassView {
    PassView {
        started_at: Timestamp::default(),
        ended_at: None,
        objects: format::integer(verified.objects),
        bytes: format::bytes(verified.bytes),
        without_checksum: format::integer(verified.without_checksum),
        damaged: verified.damaged_count,
        orphans: None,
    }
}

fn damage_view(damage: &Damage) -> DamageView {
    let mut address = BucketName::parse(&damage.bucket)
        .map(|bucket| object_address(&bucket, &damage.key))
        .unwrap_or_default();
    if let Some(version) = &damage.version_id {
        address.push_str("&version=");
        address.push_str(&encode(version));
    }
    DamageView {
        bucket: damage.bucket.clone(),
        key: damage.key.clone(),
        address,
        problem: match damage.problem {
            Problem::BytesMissing => "damage-missing",
            Problem::SizeDiffers => "damage-size",
            Problem::ChecksumDiffers => "damage-checksum",
            Problem::Unreadable => "damage-unreadable",
        },
        written_at: damage.written_at,
    }
}
