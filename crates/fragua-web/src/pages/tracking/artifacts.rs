//! The files of a run or a logged model: the tree, a safe look into one, and the file itself.

use axum::extract::{Path, State};
use axum::response::Response;
use fragua_tracking::{ArtifactEntry, Error as TrackingError, ExperimentId, Tracking};

use super::folder;
use super::mlmodel;
use super::register::load_in_python;
use crate::error::Error;
use crate::format;
use crate::page::{Page, encode};
use crate::pages::download;
use crate::pages::preview::{self, Plan, Preview};

/// Entries of one folder that are listed; the console pages through the rest.
const MOST_ENTRIES: usize = 500;

pub(super) struct Artifacts {
    /// Where they are, as the client says it.
    pub(super) uri: String,
    /// They lie in a store that clients reach themselves.
    pub(super) is_elsewhere: bool,
    /// They lie in this folder, which the settings do not allow to show.
    pub(super) folder_to_allow: Option<String>,
    /// They lie in a folder of this machine that nothing is written to.
    pub(super) is_read_only: bool,
    /// There are none here, and an MLflow server may have some.
    pub(super) may_be_with_mlflow: bool,
    pub(super) entries: Vec<Entry>,
    /// A folder has more entries than are listed.
    pub(super) is_cut: bool,
    /// Where the console shows the same files.
    pub(super) console_address: Option<String>,
    /// The file chosen.
    pub(super) path: String,
    pub(super) size: String,
    pub(super) raw_address: String,
    /// Gives the folder chosen, or all, as a zip file.
    pub(super) zip_address: String,
    pub(super) is_folder_chosen: bool,
    pub(super) preview: Preview,
    /// How Python loads the model whose description is shown.
    pub(super) loading: String,
    /// Whether that model can be registered from here.
    pub(super) can_register: bool,
}

/// What the files belong to, by its id.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Run(&'a str),
    LoggedModel(&'a str),
}

impl Owner<'_> {
    /// Returns the address that gives a file by `?path=`.
    fn raw_address(self) -> String {
        match self {
            Self::Run(id) => format!("/runs/{}/artifact", encode(id)),
            Self::LoggedModel(id) => format!("/logged-models/{}/artifact", encode(id)),
        }
    }

    /// Returns the URI of the model that the file at `path` describes.
    fn model_uri(self, path: &str) -> Option<String> {
        match self {
            Self::Run(id) => Some(format!("runs:/{id}/{}", model_folder(path)?)),
            Self::LoggedModel(id) => (path == mlmodel::FILE_NAME).then(|| format!("models:/{id}")),
        }
    }
}

/// Returns the folder of the model that the file at `path` describes.
pub(super) fn model_folder(path: &str) -> Option<&str> {
    path.trim_matches('/')
        .strip_suffix(mlmodel::FILE_NAME)?
        .strip_suffix('/')
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) depth: usize,
    pub(super) is_folder: bool,
    pub(super) is_open: bool,
    pub(super) is_selected: bool,
    pub(super) size: String,
}

/// Lists the top folder below `uri`, and each folder on the way to what was chosen.
pub(super) async fn show(
    tracking: &Tracking,
    page: &Page,
    owner: Owner<'_>,
    experiment: ExperimentId,
    uri: &str,
) -> Result<Artifacts, Error> {
    let raw = owner.raw_address();
    let chosen = page.parameter("path").unwrap_or_default().trim_matches('/');
    let mut artifacts = Artifacts {
        uri: uri.to_owned(),
        is_elsewhere: true,
        folder_to_allow: tracking.folder_to_allow(uri),
        is_read_only: false,
        may_be_with_mlflow: false,
        entries: Vec::new(),
        is_cut: false,
        console_address: None,
        path: chosen.to_owned(),
        size: String::new(),
        raw_address: format!("{raw}?path={}", encode(chosen)),
        zip_address: format!("{raw}?zip=1"),
        is_folder_chosen: false,
        preview: Preview::Nothing,
        loading: String::new(),
        can_register: matches!(owner, Owner::Run(_)),
    };
    let Ok(root) = tracking.artifact_at(uri) else {
        return Ok(artifacts);
    };
    artifacts.is_elsewhere = false;
    artifacts.is_read_only = root.is_read_only();
    if !artifacts.is_read_only {
        let bucket = encode(tracking.artifact_bucket().as_str());
        let prefix = encode(&format!("{}/", root.as_str()));
        artifacts.console_address = page.at_console(&format!("/buckets/{bucket}?prefix={prefix}"));
    }
    let (top, mut is_cut) = tracking.first_artifacts(&root, MOST_ENTRIES).await?;
    if top.is_empty() && !artifacts.is_read_only {
        artifacts.may_be_with_mlflow = tracking.had_artifacts_of_mlflow(experiment).await?;
    }
    let zip_of_chosen = format!("{raw}?zip=1&path={}", encode(chosen));
    // Depth first with a stack of what is left of each open folder.
    let mut open: Vec<(String, std::vec::IntoIter<ArtifactEntry>)> = vec![(String::new(), top.into_iter())];
    let mut chosen_size = None;
    while let Some((folder, rest)) = open.last_mut() {
        let Some(entry) = rest.next() else {
            open.pop();
            continue;
        };
        let path = if folder.is_empty() {
            entry.name.clone()
        } else {
            format!("{folder}/{}", entry.name)
        };
        let is_on_way = chosen == path || chosen.starts_with(&format!("{path}/"));
        if chosen == path && entry.is_dir {
            artifacts.zip_address.clone_from(&zip_of_chosen);
            artifacts.is_folder_chosen = true;
        } else if chosen == path {
            chosen_size = Some(entry.size_bytes);
        }
        artifacts.entries.push(Entry {
            // An open folder closes: its address is that of the folder around it.
            address: page.with2(
                "path",
                if chosen == path && entry.is_dir {
                    folder
                } else {
                    &path
                },
                "row",
                "",
            ),
            depth: (open.len() - 1).min(6),
            is_folder: entry.is_dir,
            is_open: entry.is_dir && is_on_way,
            is_selected: chosen == path,
            size: if entry.is_dir {
                String::new()
            } else {
                format::bytes(entry.size_bytes)
            },
            name: entry.name,
        });
        if entry.is_dir && is_on_way {
            let (inside, is_more) = tracking.first_artifacts(&root.join(&path)?, MOST_ENTRIES).await?;
            is_cut |= is_more;
            open.push((path, inside.into_iter()));
        }
    }
    artifacts.is_cut = is_cut;
    let is_listed = chosen.is_empty() || artifacts.is_folder_chosen || chosen_size.is_some();
    if let (false, true, Ok(place)) = (is_listed, is_cut, root.join(chosen)) {
        // It may be beyond the entries that are listed.
        match tracking.artifact_size(&place).await {
            Ok(size) => chosen_size = Some(size),
            Err(TrackingError::NotFound(_)) => {
                let (inside, _) = tracking.first_artifacts(&place, 1).await?;
                if !inside.is_empty() {
                    artifacts.zip_address = zip_of_chosen;
                    artifacts.is_folder_chosen = true;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(size) = chosen_size {
        artifacts.size = format::bytes(size);
        let path = root.join(chosen)?;
        artifacts.preview = match preview::plan(path.file_name(), size) {
            Plan::Shown(preview) => preview,
            Plan::Read(wanted) => {
                let (_, stream) = tracking.open_artifact(&path, wanted.range()).await?;
                let bytes = stream.into_bytes(wanted.limit()).await?;
                wanted.understand(page, bytes).await?
            }
            Plan::Columns => {
                let (tracking, path) = (tracking.clone(), path.clone());
                let open = move |range| {
                    let (tracking, path) = (tracking.clone(), path.clone());
                    async move { Ok(tracking.open_artifact(&path, Some(range)).await?.1) }
                };
                preview::rows_of_columns(page, size, open).await?
            }
        };
        if let (Preview::Model { .. }, Some(uri)) = (&artifacts.preview, owner.model_uri(chosen)) {
            artifacts.loading = load_in_python(page, &uri);
        }
    } else if !chosen.is_empty() && !artifacts.is_folder_chosen {
        artifacts.preview = Preview::Missing;
    }
    Ok(artifacts)
}

pub(super) async fn of_run(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let uri = tracking.run_info(&id).await?.artifact_uri;
    send(&tracking, &page, &uri, &id).await
}

pub(super) async fn of_logged_model(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let uri = tracking.logged_model(&id).await?.artifact_uri;
    send(&tracking, &page, &uri, &id).await
}

/// Answers with a file below `uri`: to keep, or with `?show=1` a document for the frame of its preview. With `?zip=1` it
/// is a folder, and all of them are named by the `id` of what they belong to.
async fn send(tracking: &Tracking, page: &Page, uri: &str, id: &str) -> Result<Response, Error> {
    let path = tracking
        .artifact_at(uri)?
        .join(page.parameter("path").unwrap_or_default())?;
    if page.has_chosen("zip") {
        let is_all = page.parameter("path").unwrap_or_default().is_empty();
        let name = if is_all { id } else { path.file_name() }.to_owned();
        return folder::send(tracking, path, &name).await;
    }
    let (_, stream) = tracking.open_artifact(&path, None).await?;
    if page.has_chosen("show") && download::is_document(path.file_name()) {
        return Ok(download::document(stream));
    }
    Ok(download::file(path.file_name(), stream))
}
