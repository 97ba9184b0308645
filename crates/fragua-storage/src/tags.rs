//! Tags of objects and buckets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::Error;

/// The most tags of one object.
pub const MAX_OBJECT_TAGS: usize = 10;

/// The most tags of one bucket.
pub const MAX_BUCKET_TAGS: usize = 50;

const MAX_KEY_CHARACTERS: usize = 128;
const MAX_VALUE_CHARACTERS: usize = 256;

/// Names with values that people give to an object or a bucket, checked by S3's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Checks the tags of an object, at most ten.
    ///
    /// # Errors
    /// [`Error::InvalidTag`] with the rule that is broken.
    pub fn of_object(tags: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        Self::checked(tags, MAX_OBJECT_TAGS)
    }

    /// Checks the tags of a bucket, at most fifty.
    ///
    /// # Errors
    /// [`Error::InvalidTag`] with the rule that is broken.
    pub fn of_bucket(tags: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        Self::checked(tags, MAX_BUCKET_TAGS)
    }

    /// Reads the tags of an object from the form of a query, as the header `x-amz-tagging` carries them.
    ///
    /// # Errors
    /// [`Error::InvalidTag`] with the rule that is broken.
    pub fn parse_query(text: &str) -> Result<Self, Error> {
        Self::of_object(form_urlencoded::parse(text.as_bytes()).into_owned())
    }

    fn checked(tags: impl IntoIterator<Item = (String, String)>, most: usize) -> Result<Self, Error> {
        let mut checked = BTreeMap::new();
        for (key, value) in tags {
            check_key(&key)?;
            check_value(&value)?;
            if checked.insert(key, value).is_some() {
                return invalid("must not have the same key twice");
            }
        }
        if checked.len() > most {
            return invalid(format!("must not be more than {most}"));
        }
        Ok(Self(checked))
    }

    /// Returns the value of a tag.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns every tag in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::InvalidTag {
        reason: reason.into(),
    })
}

fn check_key(key: &str) -> Result<(), Error> {
    if !(1..=MAX_KEY_CHARACTERS).contains(&key.chars().count()) {
        return invalid(format!("need keys of 1 to {MAX_KEY_CHARACTERS} characters"));
    }
    if key.starts_with("aws:") {
        return invalid("must not have keys that begin with `aws:`");
    }
    check_characters(key)
}

fn check_value(value: &str) -> Result<(), Error> {
    if value.chars().count() > MAX_VALUE_CHARACTERS {
        return invalid(format!(
            "must not have values of more than {MAX_VALUE_CHARACTERS} characters"
        ));
    }
    check_characters(value)
}

fn check_characters(text: &str) -> Result<(), Error> {
    let is_allowed = |character: char| character.is_alphanumeric() || " +-=._:/@".contains(character);
    if text.chars().all(is_allowed) {
        Ok(())
    } else {
        invalid("may hold only letters, digits, spaces and + - = . _ : / @")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<Tags, Error> {
        Tags::of_object([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn tags_follow_the_rules_of_s3() {
        let (long, longest) = ("ñ".repeat(129), "ñ".repeat(128));
        let (long_value, longest_value) = ("v".repeat(257), "v".repeat(256));
        for (key, value, good) in [
            ("stage", "raw data/2026:v1@x+y-z=1.0_b", true),
            ("año", "", true),
            (longest.as_str(), longest_value.as_str(), true),
            (long.as_str(), "", false),
            ("k", long_value.as_str(), false),
            ("", "v", false),
            ("aws:k", "v", false),
            ("k<", "v", false),
            ("k", "a\nb", false),
        ] {
            assert_eq!(one(key, value).is_ok(), good, "{key} {value}");
        }
        let many = |count: usize| (0..count).map(|number| (number.to_string(), String::new()));
        assert!(Tags::of_object(many(10)).is_ok());
        assert!(Tags::of_object(many(11)).is_err());
        assert!(Tags::of_bucket(many(50)).is_ok());
        assert!(Tags::of_bucket(many(51)).is_err());
    }

    #[test]
    fn a_header_holds_tags_as_a_query_does() {
        let tags = Tags::parse_query("stage=raw+data&a%C3%B1o=2026&empty=").unwrap();
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [("año", "2026"), ("empty", ""), ("stage", "raw data")]
        );
        assert!(Tags::parse_query("a=1&a=2").is_err());
        assert!(Tags::parse_query("").unwrap().is_empty());
    }
}
