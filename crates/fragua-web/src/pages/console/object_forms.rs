//! What the forms of an object's page do.

use std::time::Duration;

use axum::extract::{Path, Query, RawForm, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use fragua_base::Timestamp;
use fragua_storage::{
    BucketName, CopyOptions, DeleteTarget, Error as StorageError, EtagCondition, ObjectKey, PresignedRequest,
    ReadConditions, Storage, Tags, VersionId, WriteCondition, presigned_url,
};

use super::Console;
use super::object::{self, Place, Target};
use super::place::{folder_address, folder_of, object_address};
use crate::error::{Error, see_other};
use crate::form;
use crate::page::{Page, parse_query};

/// What a form was answered, shown on the page of the object.
#[derive(Default)]
pub(super) struct Answer {
    /// A signed address, and when its time is over.
    pub(super) shared: Option<(String, Timestamp)>,
    /// Tags as they were typed, and why they are refused.
    pub(super) tags: Option<(String, String)>,
    /// Why something else is refused.
    pub(super) problem: String,
}

pub(super) async fn act(
    State(console): State<Console>,
    page: Page,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let place = target.parse(&bucket)?;
    let form = parse_query(&String::from_utf8_lossy(&body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim();
    let storage = &console.storage;
    let (mut status, mut answer) = (StatusCode::OK, Answer::default());
    match text("do") {
        "tags" => match read_tags(text("tags")) {
            Ok(tags) => {
                storage
                    .set_tags(&place.bucket, &place.key, place.version.as_ref(), &tags)
                    .await?;
                return Ok(see_other(&page.here()));
            }
            Err(error) => {
                let (refused, problem) = error.into_refusal()?;
                status = refused;
                answer.tags = Some((text("tags").to_owned(), problem));
            }
        },
        "share" => {
            let hours: u64 = text("hours").parse().unwrap_or(1);
            answer.shared = Some(share(&console, &page, &place, hours).await?);
        }
        "restore" => {
            let version = VersionId::parse(text("id"))?;
            storage.restore(&place.bucket, &place.key, &version).await?;
            return Ok(see_other(&place.address()));
        }
        "delete-version" => return delete_version(storage, &place, text("id")).await,
        "copy" | "move" => match copy(storage, &page, &place, &form).await {
            Ok(address) => return Ok(see_other(&address)),
            Err(error) => (status, answer.problem) = error.into_refusal()?,
        },
        _ => return Err(Error::Invalid("the form names nothing to do".to_owned())),
    }
    let page = object::answer(storage, &page, &place, answer).await?;
    Ok((status, page).into_response())
}

/// Reads tags as they are typed: a line for each, `name=value`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        })
}

fn read_tags(text: &str) -> Result<Tags, Error> {
    Ok(Tags::of_object(lines(text))?)
}

/// Makes an address that gives the object without a key, signed with the owner's.
async fn share(
    console: &Console,
    page: &Page,
    place: &Place,
    hours: u64,
) -> Result<(String, Timestamp), Error> {
    let Some(endpoint) = page.site().endpoints().storage.as_deref() else {
        return Err(Error::Invalid(page.t("share-no-address")));
    };
    let key = console.auth.root_access_key(None).await?;
    let version = place.version.as_ref().map(VersionId::as_str);
    let query: Vec<(&str, &str)> = version
        .map(|version| ("versionId", version))
        .into_iter()
        .collect();
    let lifetime = Duration::from_secs(hours.saturating_mul(3_600));
    let now = page.now();
    let request = PresignedRequest {
        endpoint,
        region: "us-east-1",
        method: "GET",
        bucket: Some(&place.bucket),
        key: Some(&place.key),
        query: &query,
        lifetime,
        now,
    };
    // Only what is there can be shared.
    object::exists(&console.storage, place).await?;
    Ok((presigned_url(&key, request)?, now.plus(lifetime)))
}

async fn delete_version(storage: &Storage, place: &Place, id: &str) -> Result<Response, Error> {
    let target = DeleteTarget {
        version: Some(VersionId::parse(id)?),
        ..DeleteTarget::current(place.key.clone())
    };
    storage.delete_targets(&place.bucket, &[target]).await?;
    // The last version takes the page with it.
    let rest = object::has_versions(storage, place).await?;
    Ok(see_other(&match rest {
        true => place.address(),
        false => folder_address(&place.bucket, folder_of(place.key.as_str())),
    }))
}

/// Copies the object, or the version shown, to a key that is free, and deletes for a move what was copied. Returns the
/// address of the copy.
async fn copy(
    storage: &Storage,
    page: &Page,
    place: &Place,
    form: &[(String, String)],
) -> Result<String, Error> {
    let text = |name: &str| form::value(form, name).unwrap_or_default().trim();
    let bucket = BucketName::parse(text("bucket"))?;
    let key = ObjectKey::parse(text("key"))?;
    let is_move = text("do") == "move";
    if is_move && place.version.is_some() {
        return Err(Error::Invalid(page.t("move-of-version")));
    }
    let source = place.head(storage).await?;
    let options = CopyOptions {
        source_version: place.version.clone(),
        source_conditions: ReadConditions {
            if_match: Some(EtagCondition::Is(source.etag)),
            ..ReadConditions::default()
        },
        condition: Some(WriteCondition::Absent),
        ..CopyOptions::default()
    };
    let copied = storage.copy((&place.bucket, &place.key), (&bucket, &key), options);
    copied.await.map_err(|error| match error {
        StorageError::PreconditionFailed { .. } => {
            Error::Invalid(page.t1("copy-exists", "key", key.as_str()))
        }
        error => error.into(),
    })?;
    if is_move {
        // What was written meanwhile was not copied, and stays.
        let target = DeleteTarget {
            written_at: Some(source.modified_at),
            ..DeleteTarget::current(place.key.clone())
        };
        storage.delete_targets(&place.bucket, &[target]).await?;
    }
    Ok(object_address(&bucket, key.as_str()))
}
