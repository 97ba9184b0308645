//! What the rules mean for one key at an instant.

use fragua_base::Timestamp;

use super::rules::{DAY_MILLIS, ExpireAfter, Lifecycle, LifecycleRule};
use crate::Tags;

/// A version of a key as the rules see it. The versions of a key are given newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyVersion {
    pub(crate) modified_at: Timestamp,
    /// `None` for a delete marker.
    pub(crate) object: Option<(u64, Tags)>,
    pub(crate) is_current: bool,
    /// Since when a newer version has been there; `None` for the newest.
    pub(crate) noncurrent_since: Option<Timestamp>,
    /// How many versions that are not current are newer than this one.
    pub(crate) newer_noncurrent: u32,
    /// Whether this is all there is of the key.
    pub(crate) is_alone: bool,
}

/// What is to become of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stays,
    /// It is deleted as somebody would who names no version.
    Expires,
    /// It is deleted for good.
    Goes,
}

/// Decides on a version of `key`.
pub(crate) fn decide(lifecycle: &Lifecycle, key: &str, version: &KeyVersion, now: Timestamp) -> Verdict {
    let goes = |rule: &LifecycleRule| verdict(rule, key, version, now);
    let verdicts: Vec<Verdict> = lifecycle.enabled().map(goes).collect();
    [Verdict::Goes, Verdict::Expires]
        .into_iter()
        .find(|wanted| verdicts.contains(wanted))
        .unwrap_or(Verdict::Stays)
}

fn verdict(rule: &LifecycleRule, key: &str, version: &KeyVersion, now: Timestamp) -> Verdict {
    let filter = &rule.filter;
    let fits = match &version.object {
        Some((size_bytes, tags)) => filter.fits(key, *size_bytes, tags),
        None => key.starts_with(&filter.prefix) && !filter.looks_at_objects(),
    };
    if !fits {
        return Verdict::Stays;
    }
    if let Some(since) = version.noncurrent_since {
        let is_over = rule.expire_noncurrent.is_some_and(|after| {
            version.newer_noncurrent >= after.keep_newest && is_days_ago(since, after.days, now)
        });
        return if is_over { Verdict::Goes } else { Verdict::Stays };
    }
    if version.object.is_none() {
        let is_over = version.is_alone
            && match rule.expire {
                Some(ExpireAfter::LoneMarkers) => true,
                // As S3 does: what is left of an object that went by age goes by age as well.
                Some(ExpireAfter::Days(days)) => is_days_ago(version.modified_at, days, now),
                _ => false,
            };
        return if is_over { Verdict::Goes } else { Verdict::Stays };
    }
    let is_over = match rule.expire {
        Some(ExpireAfter::Days(days)) => is_days_ago(version.modified_at, days, now),
        Some(ExpireAfter::Date(date)) => now.as_millis() >= date,
        Some(ExpireAfter::LoneMarkers) | None => false,
    };
    if is_over && version.is_current {
        Verdict::Expires
    } else {
        Verdict::Stays
    }
}

/// Decides whether an upload in parts is given up.
pub(crate) fn upload_is_over(lifecycle: &Lifecycle, key: &str, begun_at: Timestamp, now: Timestamp) -> bool {
    lifecycle.enabled().any(|rule| {
        key.starts_with(&rule.filter.prefix)
            && rule
                .abort_upload_days
                .is_some_and(|days| is_days_ago(begun_at, days, now))
    })
}

/// S3 counts whole days and then waits for the next midnight UTC.
fn is_days_ago(then: Timestamp, days: u32, now: Timestamp) -> bool {
    let exact = then.as_millis() + i64::from(days) * DAY_MILLIS;
    let midnight = (exact + DAY_MILLIS - 1).div_euclid(DAY_MILLIS) * DAY_MILLIS;
    now.as_millis() >= midnight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{LifecycleFilter, NoncurrentExpiration};

    fn rule() -> LifecycleRule {
        LifecycleRule {
            id: "rule".to_owned(),
            is_enabled: true,
            ..LifecycleRule::default()
        }
    }

    fn days(days: u32) -> LifecycleRule {
        LifecycleRule {
            expire: Some(ExpireAfter::Days(days)),
            ..rule()
        }
    }

    fn at(days: i64, millis: i64) -> Timestamp {
        Timestamp::from_millis(days * DAY_MILLIS + millis)
    }

    /// Written on day 100, a minute past midnight.
    fn current() -> KeyVersion {
        KeyVersion {
            modified_at: at(100, 60_000),
            object: Some((10, Tags::default())),
            is_current: true,
            noncurrent_since: None,
            newer_noncurrent: 0,
            is_alone: true,
        }
    }

    fn check(rules: &[LifecycleRule], version: &KeyVersion, now: Timestamp) -> Verdict {
        let lifecycle = Lifecycle {
            rules: rules.to_vec(),
        };
        decide(&lifecycle, "logs/a", version, now)
    }

    #[test]
    fn days_end_at_the_midnight_after() {
        let verdict = |now| check(&[days(1)], &current(), now);
        assert_eq!(verdict(at(101, 60_001)), Verdict::Stays);
        assert_eq!(verdict(at(102, -1)), Verdict::Stays);
        assert_eq!(verdict(at(102, 0)), Verdict::Expires);
        let at_midnight = KeyVersion {
            modified_at: at(100, 0),
            ..current()
        };
        assert_eq!(check(&[days(1)], &at_midnight, at(101, 0)), Verdict::Expires);
    }

    #[test]
    fn a_rule_that_is_off_does_nothing() {
        let off = LifecycleRule {
            is_enabled: false,
            ..days(1)
        };
        assert_eq!(
            check(std::slice::from_ref(&off), &current(), at(200, 0)),
            Verdict::Stays
        );
        assert_eq!(check(&[off, days(1)], &current(), at(200, 0)), Verdict::Expires);
    }

    #[test]
    fn a_date_is_an_instant_for_all() {
        let by_date = LifecycleRule {
            expire: Some(ExpireAfter::Date(150 * DAY_MILLIS)),
            ..rule()
        };
        let rules = [by_date];
        assert_eq!(check(&rules, &current(), at(150, -1)), Verdict::Stays);
        assert_eq!(check(&rules, &current(), at(150, 0)), Verdict::Expires);
    }

    #[test]
    fn filters_must_all_hold() {
        let tags = |text: &str| Tags::parse_query(text).unwrap();
        let tagged = KeyVersion {
            object: Some((10, tags("a=1&b=2"))),
            ..current()
        };
        for (filter, fits) in [
            (LifecycleFilter::default(), true),
            (
                LifecycleFilter {
                    prefix: "logs/".to_owned(),
                    tags: tags("a=1"),
                    ..LifecycleFilter::default()
                },
                true,
            ),
            (
                LifecycleFilter {
                    prefix: "data/".to_owned(),
                    ..LifecycleFilter::default()
                },
                false,
            ),
            (
                LifecycleFilter {
                    tags: tags("a=1&b=3"),
                    ..LifecycleFilter::default()
                },
                false,
            ),
            (
                LifecycleFilter {
                    larger_than_bytes: Some(9),
                    smaller_than_bytes: Some(11),
                    ..LifecycleFilter::default()
                },
                true,
            ),
            (
                LifecycleFilter {
                    larger_than_bytes: Some(10),
                    ..LifecycleFilter::default()
                },
                false,
            ),
            (
                LifecycleFilter {
                    smaller_than_bytes: Some(10),
                    ..LifecycleFilter::default()
                },
                false,
            ),
        ] {
            let rule = LifecycleRule {
                filter: filter.clone(),
                ..days(1)
            };
            let verdict = check(&[rule], &tagged, at(200, 0));
            assert_eq!(verdict == Verdict::Expires, fits, "{filter:?}");
        }
    }

    #[test]
    fn old_versions_go_by_age_and_number() {
        let rules = [LifecycleRule {
            expire_noncurrent: Some(NoncurrentExpiration {
                days: 3,
                keep_newest: 2,
            }),
            ..rule()
        }];
        let old = |newer_noncurrent| KeyVersion {
            modified_at: at(10, 0),
            is_current: false,
            noncurrent_since: Some(at(100, 0)),
            newer_noncurrent,
            is_alone: false,
            ..current()
        };
        let verdict = |newer, now| check(&rules, &old(newer), now);
        assert_eq!(verdict(2, at(103, -1)), Verdict::Stays);
        assert_eq!(verdict(2, at(103, 0)), Verdict::Goes);
        assert_eq!(verdict(1, at(900, 0)), Verdict::Stays);
        assert_eq!(check(&rules, &current(), at(900, 0)), Verdict::Stays);
    }

    #[test]
    fn a_lone_marker_goes() {
        let marker = |is_alone| KeyVersion {
            object: None,
            is_current: false,
            is_alone,
            ..current()
        };
        let lone = [LifecycleRule {
            expire: Some(ExpireAfter::LoneMarkers),
            ..rule()
        }];
        let verdict = |rules: &[LifecycleRule], is_alone| check(rules, &marker(is_alone), at(102, 0));
        assert_eq!(verdict(&lone, true), Verdict::Goes);
        assert_eq!(verdict(&lone, false), Verdict::Stays);
        assert_eq!(verdict(&[days(1)], true), Verdict::Goes);
        assert_eq!(verdict(&[days(9)], true), Verdict::Stays);
        assert_eq!(check(&lone, &current(), at(900, 0)), Verdict::Stays);
    }

    #[test]
    fn uploads_are_given_up_by_age_and_prefix() {
        let lifecycle = Lifecycle {
            rules: vec![LifecycleRule {
                abort_upload_days: Some(7),
                filter: LifecycleFilter {
                    prefix: "logs/".to_owned(),
                    ..LifecycleFilter::default()
                },
                ..rule()
            }],
        };
        let begun = at(100, 0);
        assert!(!upload_is_over(&lifecycle, "logs/a", begun, at(107, -1)));
        assert!(upload_is_over(&lifecycle, "logs/a", begun, at(107, 0)));
        assert!(!upload_is_over(&lifecycle, "data/a", begun, at(900, 0)));
    }
}
