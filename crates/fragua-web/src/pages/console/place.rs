//! Where things of the console are: addresses, the way up, and what an object belongs to.

use fragua_storage::BucketName;

use crate::page::{Page, encode};
use crate::view::Crumb;

/// Returns the address of a bucket, or of what lies below it.
pub(super) fn bucket_address(bucket: &BucketName, below: &str) -> String {
    format!("/buckets/{}{below}", encode(bucket.as_str()))
}

/// Returns the address of a folder; an empty prefix is the bucket.
pub(super) fn folder_address(bucket: &BucketName, prefix: &str) -> String {
    if prefix.is_empty() {
        return bucket_address(bucket, "");
    }
    bucket_address(bucket, &format!("?prefix={}", encode(prefix)))
}

/// Returns the address of an object's page.
pub(super) fn object_address(bucket: &BucketName, key: &str) -> String {
    bucket_address(bucket, &format!("/object?key={}", encode(key)))
}

/// Returns the address that gives an object's bytes, or those of a version of it.
pub(super) fn download_address(bucket: &BucketName, key: &str, version: Option<&str>) -> String {
    let mut address = bucket_address(bucket, &format!("/download?key={}", encode(key)));
    if let Some(version) = version {
        address.push_str("&version=");
        address.push_str(&encode(version));
    }
    address
}

/// A prefix may end inside a name; the folder is what stands before the last slash.
pub(super) fn folder_of(prefix: &str) -> &str {
    prefix.rfind('/').map_or("", |slash| &prefix[..=slash])
}

/// Returns the last name of a key or of a folder.
pub(super) fn last_name(key: &str) -> &str {
    let key = key.trim_end_matches('/');
    key.rsplit('/').next().unwrap_or(key)
}

/// Returns the way from the buckets down to a folder, each step a link.
pub(super) fn crumbs(page: &Page, bucket: &BucketName, folder: &str) -> Vec<Crumb> {
    let mut crumbs = vec![
        Crumb::link(page.t("buckets-title"), "/buckets"),
        Crumb::link(bucket.as_str(), folder_address(bucket, "")),
    ];
    let mut start = 0;
    for (end, _) in folder.match_indices('/') {
        let name = match &folder[start..end] {
            // A folder without a name is one all the same.
            "" => "/",
            name => name,
        };
        crumbs.push(Crumb::link(name, folder_address(bucket, &folder[..=end])));
        start = end + 1;
    }
    crumbs
}

/// Makes the last step the place itself.
pub(super) fn end_here(mut crumbs: Vec<Crumb>) -> Vec<Crumb> {
    if let Some(last) = crumbs.last_mut() {
        last.address.clear();
    }
    crumbs
}

/// What the files of tracking belong to.
pub(super) struct Origin {
    pub(super) is_model: bool,
    pub(super) id: String,
    pub(super) address: String,
}

/// Returns the run or the logged model whose file or folder has this key, as tracking lays them out:
/// `EXPERIMENT/RUN/artifacts/…` and `EXPERIMENT/models/MODEL/artifacts/…` in its bucket.
pub(super) fn origin(page: &Page, bucket: &BucketName, key: &str) -> Option<Origin> {
    if !page.site().has_artifacts_in(bucket.as_str()) {
        return None;
    }
    let parts: Vec<&str> = key.splitn(5, '/').collect();
    let (is_model, id, depth) = match parts.as_slice() {
        [_, "models", id, "artifacts", ..] => (true, *id, 4),
        [_, id, "artifacts", ..] if is_run_id(id) => (false, *id, 3),
        _ => return None,
    };
    let pages = if is_model { "logged-models" } else { "runs" };
    let path = key.splitn(depth + 1, '/').nth(depth).unwrap_or_default();
    let path = path.trim_end_matches('/');
    let mut address = format!("/{pages}/{}?tab=artifacts", encode(id));
    if !path.is_empty() {
        address.push_str("&path=");
        address.push_str(&encode(path));
    }
    Some(Origin {
        is_model,
        id: id.to_owned(),
        address: page.at_tracking(&address)?,
    })
}

fn is_run_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_lies_in_a_folder() {
        for (prefix, folder, name) in [
            ("", "", ""),
            ("mod", "", "mod"),
            ("models/", "models/", "models"),
            ("models/a/MLm", "models/a/", "MLm"),
            ("a//", "a//", "a"),
        ] {
            assert_eq!(folder_of(prefix), folder);
            assert_eq!(last_name(prefix), name);
        }
    }
}
