//! Lists by key ranges.

use std::ops::Bound;

use fragua_database::Database;

use crate::listing::{ListQuery, Listing, common_prefix, end_of_prefix};
use crate::store::{buckets, deleted, objects};
use crate::{BucketName, Error};

/// Rows of the first read of a list that folds keys. Behind a jump a small read tells the next prefix; reads
/// grow while they bring keys that do not fold.
const FIRST_FOLDED_READ: usize = 32;

/// Which keys are listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// Those that stand for an object.
    Present,
    /// Those that stand for a delete marker.
    Deleted,
}

/// Lists a page. A common prefix costs one jump over its keys, however many there are.
pub(super) async fn list(
    database: &Database,
    bucket: &BucketName,
    query: &ListQuery,
    keys: Keys,
) -> Result<Listing, Error> {
    buckets::check(database.reader(), bucket).await?;
    let page_size = query.page_size();
    let mut page = Listing::default();
    let end = end_of_prefix(query.prefix.as_bytes());
    let Some(mut start) = first_key(&query.prefix, query.delimiter(), query.start_after.as_deref()) else {
        return Ok(page);
    };
    if page_size == 0 {
        return Ok(page);
    }
    // One row more than fits tells whether there is another page.
    let most = page_size + 1;
    let mut read_size = if query.delimiter().is_some() {
        FIRST_FOLDED_READ.min(most)
    } else {
        most
    };
    let mut last = None;
    loop {
        let end = end.as_deref();
        let rows = match keys {
            Keys::Present => objects::scan(database, bucket, &start, end, read_size).await?,
            Keys::Deleted => deleted::scan(database, bucket, &start, end, read_size).await?,
        };
        let is_last_read = rows.len() < read_size;
        let told_before = page.objects.len() + page.prefixes.len();
        let mut jumped = false;
        for row in rows {
            let object = row.into_summary()?;
            let key = object.key.as_str();
            if page
                .prefixes
                .last()
                .is_some_and(|prefix| key.starts_with(prefix.as_str()))
            {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == page_size {
                page.next = last;
                return Ok(page);
            }
            match common_prefix(key, &query.prefix, query.delimiter()) {
                Some(prefix) => {
                    let Some(behind) = end_of_prefix(prefix.as_bytes()) else {
                        return Ok(page);
                    };
                    start = Bound::Included(behind);
                    last = Some(prefix.to_owned());
                    page.prefixes.push(prefix.to_owned());
                    jumped = true;
                }
                None => {
                    start = Bound::Excluded(key.as_bytes().to_vec());
                    last = Some(key.to_owned());
                    page.objects.push(object);
                    jumped = false;
                }
            }
        }
        if is_last_read {
            return Ok(page);
        }
        // A read that mostly brought keys of one prefix was wasted: behind the jump begin small again.
        let told = page.objects.len() + page.prefixes.len() - told_before;
        let wasted = jumped && told * 4 < read_size;
        read_size = if wasted { FIRST_FOLDED_READ } else { read_size * 4 }.min(most);
    }
}

/// Returns where a list begins, `None` when nothing can lie there.
pub(super) fn first_key(
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
) -> Option<Bound<Vec<u8>>> {
    let from_prefix = if prefix.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Included(prefix.as_bytes().to_vec())
    };
    let Some(after) = after.filter(|after| !after.is_empty()) else {
        return Some(from_prefix);
    };
    if !after.starts_with(prefix) {
        return if after < prefix { Some(from_prefix) } else { None };
    }
    // What folds into a common prefix at or before `after` has been told, or is not wanted.
    match common_prefix(after, prefix, delimiter) {
        Some(folded) => end_of_prefix(folded.as_bytes()).map(Bound::Included),
        None => Some(Bound::Excluded(after.as_bytes().to_vec())),
    }
}
