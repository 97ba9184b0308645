//! All versions of keys, current or not, in order.

use std::collections::VecDeque;
use std::ops::Bound;

use fragua_database::Database;

use super::list::first_key;
use crate::listing::{MAX_PAGE, common_prefix, end_of_prefix};
use crate::store::{buckets, objects, versions};
use crate::version::{ObjectVersion, VersionId, VersionList, VersionQuery};
use crate::{BucketName, Error};

/// Rows of the first read of a list that folds keys; see the list of objects.
const FIRST_FOLDED_READ: usize = 32;

/// Walks through what keys stand for and through their versions at once, by key and with the newest first.
pub(super) struct Walk<'a> {
    database: &'a Database,
    bucket: &'a BucketName,
    end: Option<Vec<u8>>,
    read_size: usize,
    most: usize,
    currents: Side<objects::Model, Bound<Vec<u8>>>,
    olds: Side<versions::Model, versions::Start>,
}

/// What was read of one table and is not told yet.
struct Side<Row, Start> {
    rows: VecDeque<Row>,
    /// Where the next read begins; `None` when there is no more.
    next: Option<Start>,
}

impl<'a> Walk<'a> {
    /// Reads `read_size` rows first and more each time, up to `most`.
    pub(super) fn new(
        database: &'a Database,
        bucket: &'a BucketName,
        prefix: &str,
        start: (Bound<Vec<u8>>, versions::Start),
        (read_size, most): (usize, usize),
    ) -> Self {
        Self {
            database,
            bucket,
            end: end_of_prefix(prefix.as_bytes()),
            read_size,
            most,
            currents: Side {
                rows: VecDeque::new(),
                next: Some(start.0),
            },
            olds: Side {
                rows: VecDeque::new(),
                next: Some(start.1),
            },
        }
    }

    /// Goes on at another key, and with small reads again.
    fn jump(&mut self, key: Vec<u8>, read_size: usize) {
        self.read_size = read_size;
        self.currents.rows.retain(|row| row.object_key >= key);
        if self.currents.rows.is_empty() && self.currents.next.is_some() {
            self.currents.next = Some(Bound::Included(key.clone()));
        }
        self.olds.rows.retain(|row| row.object_key >= key);
        if self.olds.rows.is_empty() && self.olds.next.is_some() {
            self.olds.next = Some(versions::Start::Key(Bound::Included(key)));
        }
    }

    /// Returns the next version and whether its key stands for it.
    pub(super) async fn next(&mut self) -> Result<Option<(versions::Model, bool)>, Error> {
        self.read().await?;
        let takes_current = match (self.currents.rows.front(), self.olds.rows.front()) {
            (Some(current), Some(old)) => current.object_key <= old.object_key,
            (current, _) => current.is_some(),
        };
        if takes_current {
            let current = self.currents.rows.pop_front();
            return Ok(current.map(|row| {
                let rank = row.version_rank;
                (versions::Model::archived(row, rank), true)
            }));
        }
        Ok(self.olds.rows.pop_front().map(|row| (row, false)))
    }

    async fn read(&mut self) -> Result<(), Error> {
        let (end, limit) = (self.end.as_deref(), self.read_size);
        let mut has_read = false;
        if self.currents.rows.is_empty()
            && let Some(start) = self.currents.next.take()
        {
            let rows = objects::scan_whole(self.database, self.bucket, &start, end, limit).await?;
            if rows.len() == limit {
                self.currents.next = rows.last().map(|row| Bound::Excluded(row.object_key.clone()));
            }
            self.currents.rows.extend(rows);
            has_read = true;
        }
        if self.olds.rows.is_empty()
            && let Some(start) = self.olds.next.take()
        {
            let rows = versions::scan(self.database, self.bucket, &start, end, limit).await?;
            if rows.len() == limit {
                self.olds.next = rows
                    .last()
                    .map(|row| versions::Start::Rank(row.object_key.clone(), row.version_rank));
            }
            self.olds.rows.extend(rows);
            has_read = true;
        }
        if has_read {
            self.read_size = (self.read_size * 4).min(self.most);
        }
        Ok(())
    }
}

/// Lists a page of versions. A common prefix costs one jump over its keys.
pub(super) async fn list(
    database: &Database,
    bucket: &BucketName,
    query: &VersionQuery,
) -> Result<VersionList, Error> {
    buckets::check(database.reader(), bucket).await?;
    let page_size = query.limit.map_or(MAX_PAGE, |limit| limit.min(MAX_PAGE));
    let delimiter = query
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty());
    let mut page = VersionList::default();
    let Some((start, mut last_key)) = first_version(database, bucket, query, delimiter).await? else {
        return Ok(page);
    };
    if page_size == 0 {
        return Ok(page);
    }
    let most = page_size + 1;
    let first_read = if delimiter.is_some() {
        FIRST_FOLDED_READ.min(most)
    } else {
        most
    };
    let mut walk = Walk::new(database, bucket, &query.prefix, start, (first_read, most));
    let mut last = None;
    while let Some((row, is_current)) = walk.next().await? {
        if page.versions.len() + page.prefixes.len() == page_size {
            page.next = last;
            break;
        }
        let is_latest = is_current || last_key.as_ref() != Some(&row.object_key);
        last_key = Some(row.object_key.clone());
        let version: ObjectVersion = row.into_version(is_latest)?;
        let key = version.key.as_str();
        match common_prefix(key, &query.prefix, delimiter) {
            Some(prefix) => {
                last = Some((prefix.to_owned(), None));
                page.prefixes.push(prefix.to_owned());
                let Some(behind) = end_of_prefix(prefix.as_bytes()) else {
                    break;
                };
                walk.jump(behind, first_read);
            }
            None => {
                last = Some((key.to_owned(), Some(version.id.clone())));
                page.versions.push(version);
            }
        }
    }
    Ok(page)
}

type Start = (Bound<Vec<u8>>, versions::Start);

/// Returns where the list begins, with the key that it begins in the middle of; `None` when nothing can lie there.
async fn first_version(
    database: &Database,
    bucket: &BucketName,
    query: &VersionQuery,
    delimiter: Option<&str>,
) -> Result<Option<(Start, Option<Vec<u8>>)>, Error> {
    let after = query.start_after.as_ref().map(|(key, _)| key.as_str());
    let Some(bound) = first_key(&query.prefix, delimiter, after) else {
        return Ok(None);
    };
    let whole = |bound: Bound<Vec<u8>>| (bound.clone(), versions::Start::Key(bound));
    let within = match (&query.start_after, &bound) {
        (Some((_, Some(id))), Bound::Excluded(key)) => Some((id, key.clone())),
        _ => None,
    };
    let Some((id, key)) = within else {
        return Ok(Some((whole(bound), None)));
    };
    let start = match position(database, bucket, &key, id).await? {
        Some(rank) => (bound, rank),
        // It was deleted since: what is left of its key is told from the beginning, so that nothing is missed.
        None => return Ok(Some((whole(Bound::Included(key)), None))),
    };
    Ok(Some((start, Some(key))))
}

/// Returns where the versions behind one of a key begin.
async fn position(
    database: &Database,
    bucket: &BucketName,
    key: &[u8],
    id: &VersionId,
) -> Result<Option<versions::Start>, Error> {
    let key = objects::key_text(key.to_vec())?;
    let place = crate::backend::Place { bucket, key: &key };
    let bytes = key.as_str().as_bytes().to_vec();
    if let Some(old) = versions::find(database.reader(), place, id).await? {
        return Ok(Some(versions::Start::Rank(bytes, old.version_rank)));
    }
    let is_current = objects::current(database.reader(), place)
        .await?
        .is_some_and(|row| row.version_id == id.as_str());
    Ok(is_current.then_some(versions::Start::Key(Bound::Included(bytes))))
}
