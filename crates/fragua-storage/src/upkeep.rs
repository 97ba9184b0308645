//! What is done for the store in the background, and on demand: what it found and what it did.

use std::time::Duration;

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

/// The room on the disk that holds the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiskSpace {
    /// What the disk holds in all.
    pub total_bytes: u64,
    /// What this process can still write.
    pub free_bytes: u64,
}

/// What lifecycle rules did in one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ExpiryReport {
    /// Objects that expired.
    pub expired: u64,
    /// Versions that were not current and went for good.
    pub noncurrent: u64,
    /// Delete markers that went.
    pub markers: u64,
    /// Uploads in parts that were given up.
    pub uploads: u64,
}

impl ExpiryReport {
    /// Returns whether nothing was to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// There are none.
    BytesMissing,
    /// There are more or fewer than were written.
    SizeDiffers,
    /// They are not those that were written.
    ChecksumDiffers,
    /// They cannot be read.
    Unreadable,
}

impl Problem {
    /// Returns it in words that follow the name of the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BytesMissing => "has no bytes",
            Self::SizeDiffers => "has another size than was written",
            Self::ChecksumDiffers => "has other bytes than were written",
            Self::Unreadable => "has bytes that cannot be read",
        }
    }
}

/// An object, or a part of an upload in progress, that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its version; `None` for a part of an upload.
    pub version_id: Option<String>,
    /// The part of an upload: the upload's id and the part's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<(String, u32)>,
    /// What is wrong.
    pub problem: Problem,
    /// When it was written.
    pub written_at: Timestamp,
}

/// What was verified, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verified {
    /// Versions of objects that are what was written.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them have the right size and no checksum to compare with.
    pub without_checksum: u64,
    /// How many are damaged.
    pub damaged_count: u64,
    /// The first thousand of these.
    pub damaged: Vec<Damage>,
}

impl Verified {
    /// The most damaged objects that are listed.
    pub(crate) const MOST_LISTED: usize = 1000;

    pub(crate) fn add_damage(&mut self, damage: Damage) {
        self.damaged_count += 1;
        if self.damaged.len() < Self::MOST_LISTED {
            self.damaged.push(damage);
        }
    }
}

/// One pass of the scrubber through all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubPass {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way.
    pub ended_at: Option<Timestamp>,
    /// What it found.
    pub verified: Verified,
    /// Bucket and key that it goes on behind.
    pub(crate) position: Option<(String, String)>,
}

/// What is known of the scrubber.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubState {
    /// The pass that is under way, or that was when its process ended: the next one goes on with it.
    pub current: Option<ScrubPass>,
    /// The last pass that came to its end.
    pub last: Option<ScrubPass>,
}

/// The last check that somebody asked for, or what a repair left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastCheck {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether it read the bytes, or looked at their number alone.
    pub compares_bytes: bool,
    /// What it found.
    pub verified: Verified,
    /// How many files of bytes nothing refers to.
    pub orphans: u64,
}

/// Objects and versions, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many there are.
    pub objects: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// What is known of the bytes of the whole store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Upkeep {
    /// What the scrubber found.
    pub scrub: ScrubState,
    /// What was found when somebody asked.
    pub check: Option<LastCheck>,
    /// What there is now.
    pub existing: Tally,
    /// What of it was written since a pass or check that read everything began.
    pub unverified: Tally,
    /// When the next pass is due; `None` when that is now.
    pub next_pass_at: Option<Timestamp>,
}

/// How soon a pass follows on one that has seen little of what there is.
pub(crate) const SOON: Duration = Duration::from_secs(24 * 60 * 60);

/// Says when the next pass is due: `every` after the last one, but soon where what was never read is as much as what was.
/// So the first pass of a store that was still empty is not the last one for a month.
pub(crate) fn next_pass_at(
    last_ended_at: Timestamp,
    every: Duration,
    existing: u64,
    unverified: u64,
) -> Timestamp {
    let is_mostly_unverified = unverified > 0 && unverified.saturating_mul(2) >= existing;
    last_ended_at.plus(if is_mostly_unverified {
        every.min(SOON)
    } else {
        every
    })
}

/// What a check of the whole store found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Objects and parts of uploads.
    pub verified: Verified,
    /// Files of bytes that nothing refers to.
    pub orphans: Vec<String>,
}

impl CheckReport {
    /// Returns whether everything is as it should be.
    pub fn is_sound(&self) -> bool {
        self.verified.damaged_count == 0 && self.orphans.is_empty()
    }
}

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// What was found before.
    pub found: CheckReport,
    /// Files without an object that were removed.
    pub orphans_removed: u64,
    /// Objects without bytes that were removed.
    pub objects_removed: u64,
    /// The same, one by one.
    #[serde(skip)]
    pub(crate) removed: Vec<Damage>,
}

impl RepairReport {
    /// Returns what is still wrong, and how many files nothing refers to.
    pub(crate) fn left(&self) -> (Verified, u64) {
        let mut verified = self.found.verified.clone();
        verified.damaged_count = verified.damaged_count.saturating_sub(self.objects_removed);
        verified.damaged.retain(|damage| !self.removed.contains(damage));
        let orphans = (self.found.orphans.len() as u64).saturating_sub(self.orphans_removed);
        (verified, orphans)
    }
}

#[cfg(test)]
mod tests {
    use fragua_base::{Clock as _, ManualClock};

    use super::*;

    #[test]
    fn a_pass_over_an_empty_store_was_the_last_one_for_a_month() {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        let month = 30 * SOON;
        let ended_at = clock.now();
        let is_due =
            |existing, unverified| next_pass_at(ended_at, month, existing, unverified) <= clock.now();
        clock.advance(SOON - Duration::from_secs(1));
        assert!(!is_due(3, 3));
        clock.advance(Duration::from_secs(1));
        assert!(is_due(3, 3) && is_due(1000, 500));
        assert!(!is_due(0, 0) && !is_due(1000, 499));
        clock.advance(29 * SOON);
        assert!(is_due(0, 0) && is_due(1000, 0));
        let hour = Duration::from_secs(3600);
        assert_eq!(next_pass_at(ended_at, hour, 3, 3), ended_at.plus(hour));
    }
}
