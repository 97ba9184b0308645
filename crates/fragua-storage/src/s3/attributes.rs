//! What is known of an object, in one answer.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::convert::{count, place, set_checksum, strong, to_dto_time};
use super::encryption::{customer_key, refuse_choice};
use super::error::invalid_argument;
use super::objects::{checksum_type, head};
use super::versioning::shown_version;
use crate::listing::MAX_PAGE;
use crate::{ObjectMeta, Storage};

const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

pub(super) async fn get_object_attributes(
    storage: &Storage,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    refuse_choice(&request.headers)?;
    let customer_key = customer_key(&request.headers)?;
    let input = request.input;
    // Clients write all names into one header.
    let lists = input.object_attributes.iter().map(ObjectAttributes::as_str);
    let asked: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
    if asked.is_empty() || asked.iter().any(|name| !KNOWN.contains(name)) {
        return Err(invalid_argument("Invalid attribute name specified."));
    }
    let wants = |name: &str| asked.contains(&name);
    let limit = count(input.max_parts, "max-parts", MAX_PAGE)?.min(MAX_PAGE);
    let marker = input.part_number_marker.unwrap_or(0);
    let after = count(Some(marker), "part-number-marker", 0)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let meta = head(storage, (&bucket, &key), input.version_id.as_deref()).await?;
    meta.check_customer_key(customer_key.as_ref())?;
    Ok(S3Response::new(GetObjectAttributesOutput {
        checksum: if wants("Checksum") { checksum(&meta) } else { None },
        e_tag: wants("ETag").then(|| strong(&meta.etag)),
        last_modified: Some(to_dto_time(meta.modified_at)),
        object_parts: (wants("ObjectParts") && !meta.parts.is_empty()).then(|| parts(&meta, after, limit)),
        object_size: wants("ObjectSize").then(|| i64::try_from(meta.size_bytes).unwrap_or(i64::MAX)),
        storage_class: wants("StorageClass").then(|| StorageClass::from_static(StorageClass::STANDARD)),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..GetObjectAttributesOutput::default()
    }))
}

fn checksum(meta: &ObjectMeta) -> Option<Checksum> {
    meta.checksum.as_ref()?;
    let mut sums = Checksum {
        checksum_type: checksum_type(meta),
        ..Checksum::default()
    };
    set_checksum!(sums, &meta.checksum);
    Some(sums)
}

/// Lists the parts by their places, with their sizes: their own checksums are not kept.
fn parts(meta: &ObjectMeta, after: usize, limit: usize) -> GetObjectAttributesParts {
    let numbered = (1_i32..).zip(meta.parts.iter());
    let page: Vec<ObjectPart> = numbered
        .skip(after)
        .take(limit)
        .map(|(number, size)| ObjectPart {
            part_number: Some(number),
            size: i64::try_from(size).ok(),
            ..ObjectPart::default()
        })
        .collect();
    let total = meta.parts.count() as usize;
    let last = page.last().and_then(|part| part.part_number);
    let marker = i32::try_from(after).unwrap_or(i32::MAX);
    GetObjectAttributesParts {
        is_truncated: Some(after + page.len() < total),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: last.or(Some(marker)),
        part_number_marker: Some(marker),
        parts: Some(page),
        total_parts_count: i32::try_from(total).ok(),
    }
}
