//! The files of a run: the tree, a safe look into one, and the file itself.

use axum::extract::{Path, State};
use axum::response::Response;
use fragua_tracking::{ArtifactEntry, ArtifactPath, Run, Tracking};

use crate::error::Error;
use crate::format;
use crate::page::{Page, encode};
use crate::pages::download;

/// A look into a file ends here.
const PREVIEW_BYTES: u64 = 256 * 1024;
/// Larger files are not read to find out whether they are text.
const MOST_TEXT_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Artifacts {
    pub(super) entries: Vec<Entry>,
    /// Where the console shows the same files.
    pub(super) console_address: Option<String>,
    /// The file chosen.
    pub(super) path: String,
    pub(super) raw_address: String,
    pub(super) preview: Preview,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) depth: usize,
    pub(super) is_folder: bool,
    pub(super) is_selected: bool,
    pub(super) size: String,
}

pub(super) enum Preview {
    Nothing,
    Picture,
    Text { text: String, is_cut: bool },
    Binary,
}

/// Lists the top folder, and each folder on the way to what was chosen.
pub(super) async fn show(tracking: &Tracking, page: &Page, run: &Run) -> Result<Artifacts, Error> {
    let chosen = page.parameter("path").unwrap_or_default().trim_matches('/');
    let Ok(root) = tracking.artifact_at(&run.info.artifact_uri) else {
        // The files lie in another store; their address is on the overview.
        return Ok(Artifacts {
            entries: Vec::new(),
            console_address: None,
            path: String::new(),
            raw_address: String::new(),
            preview: Preview::Nothing,
        });
    };
    let mut entries = Vec::new();
    let top = tracking.list_artifacts(&root).await?;
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
        if chosen == path && !entry.is_dir {
            chosen_size = Some(entry.size_bytes);
        }
        entries.push(Entry {
            address: page.with("path", &path),
            depth: (open.len() - 1).min(6),
            is_folder: entry.is_dir,
            is_selected: chosen == path,
            size: if entry.is_dir {
                String::new()
            } else {
                format::bytes(entry.size_bytes)
            },
            name: entry.name,
        });
        if entry.is_dir && is_on_way {
            let inside = tracking.list_artifacts(&root.join(&path)?).await?;
            open.push((path, inside.into_iter()));
        }
    }
    let preview = match chosen_size {
        Some(size) => look_into(tracking, &root.join(chosen)?, size).await?,
        None => Preview::Nothing,
    };
    let run_id = encode(&run.info.run_id);
    let bucket = encode(tracking.artifact_bucket().as_str());
    let prefix = encode(&format!("{}/", root.as_str()));
    Ok(Artifacts {
        console_address: page.at_console(&format!("/buckets/{bucket}?prefix={prefix}")),
        entries,
        raw_address: format!("/runs/{run_id}/artifact?path={}", encode(chosen)),
        path: chosen.to_owned(),
        preview,
    })
}

async fn look_into(tracking: &Tracking, path: &ArtifactPath, size: u64) -> Result<Preview, Error> {
    if download::picture_type(path.file_name()).is_some() {
        return Ok(Preview::Picture);
    }
    if size > MOST_TEXT_BYTES {
        return Ok(Preview::Binary);
    }
    let bytes = tracking.read_artifact(path, MOST_TEXT_BYTES).await?;
    Ok(text_of(path.file_name(), &bytes))
}

fn text_of(name: &str, bytes: &[u8]) -> Preview {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Preview::Binary;
    };
    if text.contains('\0') {
        return Preview::Binary;
    }
    let is_json = name.ends_with(".json");
    let pretty = is_json
        .then(|| serde_json::from_str::<serde_json::Value>(text).ok())
        .flatten()
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    let text = pretty.as_deref().unwrap_or(text);
    let limit = usize::try_from(PREVIEW_BYTES).unwrap_or(usize::MAX);
    if text.len() <= limit {
        return Preview::Text {
            text: text.to_owned(),
            is_cut: false,
        };
    }
    let end = text.floor_char_boundary(limit);
    Preview::Text {
        text: text[..end].to_owned(),
        is_cut: true,
    }
}

pub(super) async fn download(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let path = page.parameter("path").unwrap_or_default();
    let path = tracking.run_artifact(&id, path).await?;
    let (_, stream) = tracking.open_artifact(&path, None).await?;
    Ok(download::file(path.file_name(), stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_text_and_not_what_only_looks_like_it() {
        let text = |name, bytes: &[u8]| match text_of(name, bytes) {
            Preview::Text { text, is_cut } => Some((text, is_cut)),
            _ => None,
        };
        assert_eq!(text("a.txt", b"hello"), Some(("hello".to_owned(), false)));
        assert_eq!(
            text("a.json", b"{\"a\":1}"),
            Some(("{\n  \"a\": 1\n}".to_owned(), false))
        );
        assert_eq!(
            text("a.json", b"{not json"),
            Some(("{not json".to_owned(), false))
        );
        assert_eq!(text("a.bin", b"\xff\xfe"), None);
        assert_eq!(text("a.bin", b"a\0b"), None);
        let long = "ñ".repeat(200_000);
        let (cut, is_cut) = text("long.txt", long.as_bytes()).unwrap();
        assert!(is_cut && cut.len() <= 256 * 1024);
    }
}
