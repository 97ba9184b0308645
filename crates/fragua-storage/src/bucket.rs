//! Buckets and their names.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use fragua_base::Timestamp;

use crate::Error;

/// The name of a bucket, checked by S3's rules: 3 to 63 lower-case letters, digits, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

/// A bucket with what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many objects it holds.
    pub object_count: u64,
    /// The sum of their sizes in bytes.
    pub size_bytes: u64,
}

/// What a bucket holds, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketUsage {
    /// How many objects it holds.
    pub object_count: u64,
    /// The sum of their sizes in bytes.
    pub size_bytes: u64,
    /// How many versions are kept that no key stands for any more.
    pub noncurrent_count: u64,
    /// The sum of their sizes in bytes.
    pub noncurrent_bytes: u64,
    /// How many delete markers there are.
    pub delete_marker_count: u64,
}

impl BucketName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidBucketName`] with the rule that the name breaks.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match broken_rule(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(Error::InvalidBucketName {
                name: name.chars().take(80).collect(),
                reason,
            }),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(name: &str) -> Option<&'static str> {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Some("must have 3 to 63 characters");
    }
    if !bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(byte))
    {
        return Some("may hold only lower-case letters, digits, `.` and `-`");
    }
    if !edge(bytes.first()) || !edge(bytes.last()) {
        return Some("must begin and end with a letter or digit");
    }
    if name.contains("..") {
        return Some("must not hold two dots in a row");
    }
    if name.parse::<Ipv4Addr>().is_ok() {
        return Some("must not look like an IP address");
    }
    if name.starts_with("xn--") || name.ends_with("-s3alias") {
        return Some("uses a reserved prefix or suffix");
    }
    None
}

impl FromStr for BucketName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_s3() {
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        for (name, good) in [
            ("mlflows3", true),
            ("a.b-c", true),
            ("123", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("ab", false),
            ("", false),
            ("Upper", false),
            ("under_score", false),
            ("-edge", false),
            ("edge-", false),
            (".edge", false),
            ("a..b", false),
            ("192.168.1.1", false),
            ("xn--bucket", false),
            ("bucket-s3alias", false),
            ("../etc", false),
            ("ñandú", false),
        ] {
            assert_eq!(BucketName::parse(name).is_ok(), good, "{name}");
        }
    }
}
