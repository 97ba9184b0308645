//! Rules as people set them.

use serde::{Deserialize, Serialize};

use crate::{Error, Tags};

/// The most rules of a bucket.
const MAX_RULES: usize = 1000;

const MAX_ID_CHARACTERS: usize = 255;

/// S3 keeps at most this many versions by count.
const MAX_NEWER_VERSIONS: u32 = 100;

pub(super) const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What goes by itself in a bucket. Every rule that fits an object counts; what comes first happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// One to a thousand rules.
    pub rules: Vec<LifecycleRule>,
}

/// A rule of [`Lifecycle`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleRule {
    /// Its name within the bucket.
    pub id: String,
    /// Whether it counts.
    pub is_enabled: bool,
    /// Which objects it is about.
    pub filter: LifecycleFilter,
    /// When objects go. In a bucket that makes versions they become noncurrent.
    pub expire: Option<ExpireAfter>,
    /// When versions that are not current go for good.
    pub expire_noncurrent: Option<NoncurrentExpiration>,
    /// After how many days an upload in parts that was not completed is given up.
    pub abort_upload_days: Option<u32>,
}

/// When objects go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpireAfter {
    /// So many days after they were written.
    Days(u32),
    /// At this instant in milliseconds, a midnight; what is written later goes at once.
    Date(i64),
    /// Delete markers go when no version is left behind them.
    LoneMarkers,
}

/// When versions that are not current go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// So many days after they stopped being current.
    pub days: u32,
    /// So many of the newest of them stay all the same.
    #[serde(default)]
    pub keep_newest: u32,
}

/// Which objects a rule is about: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleFilter {
    /// What the keys begin with.
    pub prefix: String,
    /// Tags that they have.
    pub tags: Tags,
    /// Their size is over this.
    pub larger_than_bytes: Option<u64>,
    /// Their size is below this.
    pub smaller_than_bytes: Option<u64>,
}

impl LifecycleFilter {
    /// Returns whether it asks for more than a prefix.
    pub(super) fn looks_at_objects(&self) -> bool {
        !self.tags.is_empty() || self.larger_than_bytes.is_some() || self.smaller_than_bytes.is_some()
    }

    pub(super) fn fits(&self, key: &str, size_bytes: u64, tags: &Tags) -> bool {
        key.starts_with(&self.prefix)
            && self.larger_than_bytes.is_none_or(|limit| size_bytes > limit)
            && self.smaller_than_bytes.is_none_or(|limit| size_bytes < limit)
            && self.tags.iter().all(|(key, value)| tags.get(key) == Some(value))
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::InvalidSetting {
        setting: "lifecycle",
        reason: reason.into(),
    })
}

impl Lifecycle {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(1..=MAX_RULES).contains(&self.rules.len()) {
            return invalid(format!("needs 1 to {MAX_RULES} rules"));
        }
        let mut ids: Vec<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return invalid("has the same ID twice");
        }
        self.rules.iter().try_for_each(LifecycleRule::check)
    }

    /// Returns the rules that count.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = &LifecycleRule> {
        self.rules.iter().filter(|rule| rule.is_enabled)
    }
}

impl LifecycleRule {
    fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() || self.id.chars().count() > MAX_ID_CHARACTERS {
            return invalid(format!("needs IDs of 1 to {MAX_ID_CHARACTERS} characters"));
        }
        if self.expire.is_none() && self.expire_noncurrent.is_none() && self.abort_upload_days.is_none() {
            return invalid("needs at least one action in each rule");
        }
        match self.expire {
            Some(ExpireAfter::Days(0)) => return invalid("needs Days of at least 1"),
            Some(ExpireAfter::Date(date)) if date % DAY_MILLIS != 0 => {
                return invalid("needs a Date at midnight UTC");
            }
            _ => {}
        }
        if self.expire_noncurrent.is_some_and(|rule| rule.days == 0) {
            return invalid("needs NoncurrentDays of at least 1");
        }
        if self
            .expire_noncurrent
            .is_some_and(|rule| rule.keep_newest > MAX_NEWER_VERSIONS)
        {
            return invalid(format!(
                "needs NewerNoncurrentVersions of at most {MAX_NEWER_VERSIONS}"
            ));
        }
        if self.abort_upload_days == Some(0) {
            return invalid("needs DaysAfterInitiation of at least 1");
        }
        if self.abort_upload_days.is_some() && self.filter.looks_at_objects() {
            return invalid("cannot abort uploads by tags or sizes, which they do not have yet");
        }
        if self.expire == Some(ExpireAfter::LoneMarkers) && !self.filter.tags.is_empty() {
            return invalid("cannot expire delete markers by tags, which they do not have");
        }
        let filter = &self.filter;
        if let (Some(over), Some(below)) = (filter.larger_than_bytes, filter.smaller_than_bytes)
            && over >= below
        {
            return invalid("needs ObjectSizeGreaterThan below ObjectSizeLessThan");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(expire: ExpireAfter) -> LifecycleRule {
        LifecycleRule {
            id: "rule".to_owned(),
            expire: Some(expire),
            ..LifecycleRule::default()
        }
    }

    #[test]
    fn rules_follow_those_of_s3() {
        let check = |rules: Vec<LifecycleRule>| Lifecycle { rules }.check().is_ok();
        let good = expiring(ExpireAfter::Days(1));
        assert!(check(vec![good.clone()]));
        assert!(!check(vec![]));
        assert!(!check(vec![good.clone(), good.clone()]));
        assert!(!check(vec![expiring(ExpireAfter::Days(0))]));
        assert!(check(vec![expiring(ExpireAfter::Date(20_000 * DAY_MILLIS))]));
        assert!(!check(vec![expiring(ExpireAfter::Date(20_000 * DAY_MILLIS + 1))]));
        let nothing = LifecycleRule {
            expire: None,
            ..good.clone()
        };
        assert!(!check(vec![nothing]));
        let unnamed = LifecycleRule {
            id: String::new(),
            ..good.clone()
        };
        assert!(!check(vec![unnamed]));
        let by_size = LifecycleRule {
            abort_upload_days: Some(1),
            filter: LifecycleFilter {
                larger_than_bytes: Some(1),
                ..LifecycleFilter::default()
            },
            ..good.clone()
        };
        assert!(!check(vec![by_size]));
        let empty_range = LifecycleRule {
            filter: LifecycleFilter {
                larger_than_bytes: Some(5),
                smaller_than_bytes: Some(5),
                ..LifecycleFilter::default()
            },
            ..good
        };
        assert!(!check(vec![empty_range]));
    }
}
