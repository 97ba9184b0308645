//! Artifacts that an MLflow without a proxy left in folders of this machine: they are shown where they are and never
//! changed.
//!
//! Which folders those are is decided by a setting alone. An artifact URI only says where below one of them; links are
//! not followed, so nothing leads out.

use std::fs::{self, Metadata};
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use fragua_base::Timestamp;
use fragua_storage::{ByteRange, ObjectHeaders, ObjectKey, ObjectMeta, ObjectStream};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use crate::artifacts::{ArtifactEntry, ArtifactPath};
use crate::{Error, validation};

const CHUNK_BYTES: usize = 256 * 1024;
const ANY_CONTENT: &str = "application/octet-stream";

/// Returns the folder that a URI names and the path below it: where the URI lies in the folder itself, or in one of its
/// name elsewhere, such as that of the machine or the container where MLflow ran.
pub(crate) fn find(folders: &[Arc<Path>], uri: &str) -> Option<(Arc<Path>, String)> {
    let path = local_path(uri)?;
    let below = |folder: &Arc<Path>| Some((folder.clone(), path.strip_prefix(folder).ok()?.to_path_buf()));
    let below_its_name = |folder: &Arc<Path>| {
        let mut names = path.iter();
        names.by_ref().find(|name| Some(*name) == folder.file_name())?;
        Some((folder.clone(), names.as_path().to_path_buf()))
    };
    let found = folders.iter().find_map(below);
    let (folder, path) = found.or_else(|| folders.iter().find_map(below_its_name))?;
    Some((folder, path.to_str()?.to_owned()))
}

/// Returns the folder that an MLflow kept the artifacts of all experiments in, by the URI of one run or logged model, if
/// it names a folder of some machine.
pub(crate) fn root_of(uri: &str) -> Option<String> {
    let path = local_path(uri)?;
    let name = |above: usize| path.ancestors().nth(above).and_then(Path::file_name);
    // EXPERIMENT/RUN/artifacts, or EXPERIMENT/models/MODEL/artifacts.
    let above = match (name(0), name(2)) {
        (Some(last), _) if last != "artifacts" => 0,
        (_, Some(models)) if models == "models" => 4,
        _ => 3,
    };
    Some(path.ancestors().nth(above)?.to_str()?.to_owned())
}

fn local_path(uri: &str) -> Option<PathBuf> {
    let Some(rest) = uri.strip_prefix("file:") else {
        let is_path = !uri.is_empty() && !uri.split('/').next()?.contains(':');
        return is_path.then(|| PathBuf::from(uri));
    };
    let path = match rest.strip_prefix("//") {
        // Files of another host are none of ours.
        Some(rest) => {
            Some(rest.strip_prefix("localhost").unwrap_or(rest)).filter(|path| path.starts_with('/'))?
        }
        None => rest,
    };
    Some(PathBuf::from(
        percent_decode_str(path).decode_utf8().ok()?.as_ref(),
    ))
}

/// Returns the path of what is at a place, if it is there and no link leads to it.
fn resolve(folder: &Path, path: &ArtifactPath) -> io::Result<(PathBuf, Metadata)> {
    let expected = match path.as_str() {
        "" => fs::canonicalize(folder)?,
        path => fs::canonicalize(folder)?.join(path),
    };
    let found = fs::canonicalize(&expected)?;
    if found != expected {
        return Err(io::ErrorKind::NotFound.into());
    }
    let about = fs::metadata(&found)?;
    Ok((found, about))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn unreadable(path: &ArtifactPath, error: &io::Error) -> Error {
    let path = validation::shorten(path.as_str());
    if is_absent(error) {
        return Error::not_found(format!("No such artifact: '{path}'"));
    }
    Error::invalid(format!("The artifact '{path}' cannot be read: {error}"))
}

/// Returns the entries of a folder by name, those of the folders in it instead of them when `is_deep`. Nothing for a file
/// or a place where nothing is.
pub(crate) async fn list(
    folder: &Arc<Path>,
    path: &ArtifactPath,
    is_deep: bool,
) -> Result<Vec<ArtifactEntry>, Error> {
    let (folder, place) = (folder.clone(), path.clone());
    let listed = spawn_blocking(move || match resolve(&folder, &place) {
        Ok((found, about)) if about.is_dir() => entries(&found, is_deep),
        Ok(_) => Ok(Vec::new()),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    });
    let listed = listed.await.map_err(io::Error::other).and_then(|listed| listed);
    listed.map_err(|error| unreadable(path, &error))
}

fn entries(root: &Path, is_deep: bool) -> io::Result<Vec<ArtifactEntry>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(root).ok().and_then(Path::to_str);
            let name = name.filter(|name| ArtifactPath::parse(name).is_ok());
            // What is gone since it was listed is left out. Of a link this tells of the link.
            let (Some(name), Ok(about)) = (name, entry.metadata()) else {
                continue;
            };
            if about.is_dir() && is_deep {
                waiting.push(path);
            } else if about.is_dir() || about.is_file() {
                found.push(ArtifactEntry {
                    name: name.to_owned(),
                    is_dir: about.is_dir(),
                    size_bytes: if about.is_dir() { 0 } else { about.len() },
                });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Opens a file, or a part of it, for reading.
pub(crate) async fn open(
    folder: &Arc<Path>,
    path: &ArtifactPath,
    range: Option<ByteRange>,
) -> Result<(ObjectMeta, ObjectStream), Error> {
    let (meta, mut file) = describe(folder, path).await?;
    let range = match range {
        Some(range) => range.resolve(meta.size_bytes)?,
        None => 0..meta.size_bytes,
    };
    file.seek(SeekFrom::Start(range.start))
        .await
        .map_err(|error| unreadable(path, &error))?;
    let part = file.take(range.end - range.start);
    Ok((
        meta,
        ObjectStream::new(range, ReaderStream::with_capacity(part, CHUNK_BYTES)),
    ))
}

/// Returns what is known of a file, and the file.
async fn describe(folder: &Arc<Path>, path: &ArtifactPath) -> Result<(ObjectMeta, tokio::fs::File), Error> {
    let key = ObjectKey::parse(path.as_str())?;
    let (folder, place) = (folder.clone(), path.clone());
    let opened = spawn_blocking(move || {
        let (found, about) = resolve(&folder, &place)?;
        // A pipe would keep the one who opens it waiting.
        if !about.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((fs::File::open(found)?, about))
    });
    let opened = opened.await.map_err(io::Error::other).and_then(|opened| opened);
    let (file, about) = opened.map_err(|error| unreadable(path, &error))?;
    let modified = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let meta = ObjectMeta {
        key,
        size_bytes: about.len(),
        etag: format!("{:x}-{modified:x}", about.len()),
        content_type: path.content_type().unwrap_or_else(|| ANY_CONTENT.to_owned()),
        headers: ObjectHeaders::default(),
        modified_at: Timestamp::from_millis(modified),
        user_metadata: Default::default(),
        checksum: None,
        tags: Default::default(),
        version_id: None,
        parts: Default::default(),
        encryption: None,
    };
    Ok((meta, tokio::fs::File::from_std(file)))
}

/// Returns the size of a file in bytes.
pub(crate) async fn size(folder: &Arc<Path>, path: &ArtifactPath) -> Result<u64, Error> {
    Ok(describe(folder, path).await?.0.size_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_places_below_the_folders_of_the_setting_only() {
        let folders: Vec<Arc<Path>> = ["/srv/team/mlruns", "/data/files"]
            .iter()
            .map(|folder| Arc::from(Path::new(folder)))
            .collect();
        for (uri, expected) in [
            (
                "/srv/team/mlruns/0/r/artifacts",
                Some("/srv/team/mlruns 0/r/artifacts"),
            ),
            ("file:///srv/team/mlruns/0/a%20b", Some("/srv/team/mlruns 0/a b")),
            ("file:/srv/team/mlruns/0", Some("/srv/team/mlruns 0")),
            ("file://localhost/srv/team/mlruns/0", Some("/srv/team/mlruns 0")),
            ("/data/files/0", Some("/data/files 0")),
            ("/data/files", Some("/data/files ")),
            // As MLflow wrote them elsewhere: the folder that is here has the same name.
            ("./mlruns/0/r/artifacts", Some("/srv/team/mlruns 0/r/artifacts")),
            ("mlruns/0", Some("/srv/team/mlruns 0")),
            ("file:///home/ana/mlruns/0", Some("/srv/team/mlruns 0")),
            ("file://other-host/srv/team/mlruns/0", None),
            ("/etc", None),
            ("file:///etc/passwd", None),
            ("/srv/team/mlrunsx/0", None),
            ("mlflow-artifacts:/0/mlruns", None),
            ("s3://mlruns/0", None),
            ("C:/mlruns/0", None),
            ("", None),
        ] {
            let found = find(&folders, uri).map(|(folder, path)| format!("{} {path}", folder.display()));
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn the_folder_of_all_experiments_is_above_the_one_of_a_run() {
        for (uri, expected) in [
            ("file:///srv/a%20b/mlruns/0/r/artifacts", Some("/srv/a b/mlruns")),
            ("/srv/mlruns/0/models/m-1/artifacts", Some("/srv/mlruns")),
            ("/srv/own/place", Some("/srv/own/place")),
            ("s3://bucket/0/r/artifacts", None),
        ] {
            assert_eq!(root_of(uri).as_deref(), expected, "{uri}");
        }
    }
}
