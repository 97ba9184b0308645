//! Lists of objects, folded at a delimiter.

use fragua_base::Timestamp;

use crate::ObjectKey;

/// The most results of one page.
pub(crate) const MAX_PAGE: usize = 1000;

/// Which objects to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// What the keys begin with.
    pub prefix: String,
    /// Folds keys that share what comes before the first delimiter after the prefix into one common prefix.
    pub delimiter: Option<String>,
    /// Leaves out results up to and including this one; a key, a common prefix or any text.
    pub start_after: Option<String>,
    /// How many results, objects and common prefixes together; `None` and more than 1000 are 1000.
    pub limit: Option<usize>,
}

impl ListQuery {
    pub(crate) fn page_size(&self) -> usize {
        self.limit.map_or(MAX_PAGE, |limit| limit.min(MAX_PAGE))
    }

    /// An empty delimiter folds nothing.
    pub(crate) fn delimiter(&self) -> Option<&str> {
        self.delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty())
    }
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in the order of their keys' bytes.
    pub objects: Vec<ObjectSummary>,
    /// Common prefixes, each with its delimiter, in the same order.
    pub prefixes: Vec<String>,
    /// The `start_after` of the next page; `None` at the end.
    pub next: Option<String>,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Its key.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its entity tag without quotes.
    pub etag: String,
    /// When it was written.
    pub modified_at: Timestamp,
}

/// Returns the common prefix that `key` folds into, if any. `key` begins with `prefix`.
pub(crate) fn common_prefix<'key>(
    key: &'key str,
    prefix: &str,
    delimiter: Option<&str>,
) -> Option<&'key str> {
    let delimiter = delimiter?;
    let rest = key.get(prefix.len()..)?;
    let at = rest.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

/// Returns the smallest bytes that sort after everything that begins with `prefix`; `None` when nothing does.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fold_at_the_first_delimiter_after_the_prefix() {
        for (key, prefix, delimiter, expected) in [
            ("a/b/c", "", Some("/"), Some("a/")),
            ("a/b/c", "a/", Some("/"), Some("a/b/")),
            ("a/b", "a/", Some("/"), None),
            ("a//b", "a/", Some("/"), Some("a//")),
            ("a/b", "a", Some("/"), Some("a/")),
            ("a::b::c", "", Some("::"), Some("a::")),
            ("a/b", "", None, None),
            ("ñ/b", "ñ", Some("/"), Some("ñ/")),
        ] {
            assert_eq!(common_prefix(key, prefix, delimiter), expected, "{key} {prefix}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_sorts_after_all_of_it() {
        for (prefix, expected) in [
            (&b"a/"[..], Some(&b"a0"[..])),
            (b"", None),
            (b"a\xff", Some(b"b")),
            (b"\xff\xff", None),
        ] {
            assert_eq!(end_of_prefix(prefix).as_deref(), expected);
        }
    }
}
