//! The folder of DAG files: watched, read when something changed, and brought into the database.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use sea_orm::ConnectionTrait;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::core::Core;
use crate::dag::parse::{self, LARGEST_FILE_BYTES};
use crate::dag::template_file::TemplateFiles;
use crate::dag::{Dag, ImportError};
use crate::operator::OperatorCatalog;
use crate::store::{assets, dags, import_errors, millis};
use crate::{Change, Error, scheduler};

/// How long the folder must be quiet before it is read: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// How often the folder is looked at where the system cannot tell about changes.
const POLL: Duration = Duration::from_millis(900);

/// How often the folder is looked at where it can, should it have lost one.
const SAFETY_POLL: Duration = Duration::from_secs(30);

/// How deep folders are followed.
const DEEPEST: usize = 8;

/// One file as it was read last.
#[derive(Debug, Clone)]
struct ReadFile {
    stamp: Stamp,
    digest: [u8; 32],
    source: Arc<str>,
    /// The DAG and the name of its version, or what is wrong.
    result: Result<(Arc<Dag>, Arc<str>), Vec<ImportError>>,
    /// Whether the database has what it says.
    is_kept: bool,
    /// The template files it names, as they were then.
    template_files: Vec<(PathBuf, Option<Stamp>)>,
}

impl ReadFile {
    /// Returns whether a template file may be another one now.
    fn is_stale(&self) -> bool {
        self.template_files.iter().any(|(path, stamp)| {
            let now = fs::metadata(path).ok().map(|metadata| Stamp::from(&metadata));
            now != *stamp || now.is_some_and(|stamp| !stamp.is_settled())
        })
    }
}

/// What tells without reading that a file may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// A file written within the same tick of the file system's clock has the same stamp: fresh ones are read.
    fn is_settled(&self) -> bool {
        let age = self.modified.and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > Duration::from_secs(5))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

/// The files of the folder as they were read last.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<PathBuf, ReadFile>);

impl Files {
    /// Reads what is new or changed. Returns whether anything is different from before.
    pub(crate) fn refresh(&mut self, folder: &Path, catalog: &OperatorCatalog) -> bool {
        let mut paths = BTreeSet::new();
        collect(folder, 0, &mut paths);
        let known = self.0.len();
        self.0.retain(|path, _| paths.contains(path));
        let mut changed = self.0.len() != known;
        for path in paths {
            changed |= self.refresh_file(folder, path, catalog);
        }
        changed
    }

    fn refresh_file(&mut self, folder: &Path, path: PathBuf, catalog: &OperatorCatalog) -> bool {
        let Ok(metadata) = fs::metadata(&path) else {
            return self.0.remove(&path).is_some();
        };
        let stamp = Stamp::from(&metadata);
        let is_stale = self.0.get(&path).is_some_and(ReadFile::is_stale);
        let is_same = self.0.get(&path).is_some_and(|known| known.stamp == stamp);
        if is_same && stamp.is_settled() && !is_stale {
            return false;
        }
        let shown = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let (bytes, failed) = match read_file(&path, metadata.len()) {
            Ok(bytes) => (bytes, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        if let Some(known) = self
            .0
            .get_mut(&path)
            .filter(|known| failed.is_none() && known.digest == digest && !is_stale)
        {
            known.stamp = stamp;
            return false;
        }
        let mut template_files = TemplateFiles::of(Some(folder), &shown);
        let result = match failed {
            None => parse::parse_with(&shown, &bytes, catalog, &mut template_files).map(|dag| {
                let version = version_of(&dag);
                (Arc::new(dag), version)
            }),
            Some(reason) => Err(vec![ImportError {
                path: shown,
                line: None,
                column: None,
                message: format!("the file cannot be read: {reason}"),
                hint: None,
            }]),
        };
        let source = String::from_utf8_lossy(&bytes).into();
        let template_files = template_files.seen.into_iter().map(|path| {
            let stamp = fs::metadata(&path).ok().map(|metadata| Stamp::from(&metadata));
            (path, stamp)
        });
        self.0.insert(
            path,
            ReadFile {
                stamp,
                digest,
                source,
                result,
                template_files: template_files.collect(),
                is_kept: false,
            },
        );
        true
    }

    /// Returns the DAGs with their files and texts, and everything wrong. A DAG that two files name is the one of the
    /// first file.
    fn dags(&self, folder: &Path) -> (BTreeMap<String, Found>, Vec<ImportError>) {
        let mut dags: BTreeMap<String, Found> = BTreeMap::new();
        let mut errors = Vec::new();
        for (path, file) in &self.0 {
            let path = path.strip_prefix(folder).unwrap_or(path);
            match &file.result {
                Err(wrong) => errors.extend(wrong.iter().cloned()),
                Ok((dag, version)) => match dags.get(&dag.dag_id) {
                    Some(first) => errors.push(duplicate(path, dag, first, &file.source)),
                    None => {
                        let found = Found {
                            dag: dag.clone(),
                            version: version.clone(),
                            path: path.to_owned(),
                            source: file.source.clone(),
                            is_kept: file.is_kept,
                        };
                        dags.insert(dag.dag_id.clone(), found);
                    }
                },
            }
        }
        (dags, errors)
    }
}

#[derive(Debug)]
struct Found {
    dag: Arc<Dag>,
    version: Arc<str>,
    path: PathBuf,
    source: Arc<str>,
    is_kept: bool,
}

fn duplicate(path: &Path, dag: &Dag, first: &Found, source: &str) -> ImportError {
    let line = source.lines().position(|line| line.starts_with("dag:"));
    ImportError {
        path: path.to_owned(),
        line: line.and_then(|line| u32::try_from(line + 1).ok()),
        column: line.map(|_| 1),
        message: format!(
            "there is another DAG {:?}, in {}",
            dag.dag_id,
            first.path.display()
        ),
        hint: Some("give one of them another name".to_owned()),
    }
}

/// Reads one file; more than a DAG file may have is not read.
pub(crate) fn read_file(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    if length > LARGEST_FILE_BYTES {
        let message =
            format!("it has {length} bytes, more than the {LARGEST_FILE_BYTES} that a DAG file may have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    fs::read(path)
}

fn collect(folder: &Path, depth: usize, paths: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth < DEEPEST {
                collect(&path, depth + 1, paths);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            paths.insert(path);
        }
    }
}

/// The watch over the folder.
pub(crate) struct DagFolder {
    bell: Arc<Notify>,
    /// Nothing where the system cannot watch; kept because dropping it ends the watch.
    watcher: Option<RecommendedWatcher>,
}

impl DagFolder {
    /// Begins to watch; the folder is made when it is missing.
    pub(crate) fn watch(core: &Core) -> Result<Self, Error> {
        let folder = &core.settings.dags_folder;
        fs::create_dir_all(folder).map_err(|source| Error::File {
            action: "the folder of DAG files cannot be made:",
            path: folder.clone(),
            source,
        })?;
        let bell = Arc::new(Notify::new());
        let ring = bell.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and our own reading must not wake us.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                ring.notify_one();
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "{} cannot be watched and is looked at instead", folder.display()))
            .ok();
        Ok(Self { bell, watcher })
    }

    /// Keeps the database up to date with the folder, for ever.
    pub(crate) async fn follow(self, core: &Core) -> Result<(), Error> {
        let poll = if self.watcher.is_some() { SAFETY_POLL } else { POLL };
        let mut files = Files::default();
        let mut is_stale = true;
        loop {
            // A folder of many files takes a while to read.
            let (folder, catalog) = (core.settings.dags_folder.clone(), core.catalog.clone());
            let refreshed = tokio::task::spawn_blocking(move || {
                let changed = files.refresh(&folder, &catalog);
                (files, changed)
            });
            let changed;
            (files, changed) = refreshed
                .await
                .map_err(|error| Error::corrupt("DAG file", error))?;
            is_stale |= changed;
            if is_stale {
                match sync(core, &mut files).await {
                    Ok(()) => is_stale = false,
                    Err(error) => tracing::error!(%error, "DAG files were read and could not be kept"),
                }
            }
            core.has_read_files.send_replace(true);
            let wait = if is_stale { Duration::from_secs(1) } else { poll };
            tokio::select! {
                () = self.bell.notified() => self.quiet().await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Waits until nothing changed for a moment, but not for ever.
    async fn quiet(&self) {
        for _ in 0..10 {
            if tokio::time::timeout(QUIET, self.bell.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Reads the folder once and keeps what was found. What is due is left to a scheduler: whoever only looks starts nothing.
pub(crate) async fn read_once(core: &Core) -> Result<(), Error> {
    let (folder, catalog) = (core.settings.dags_folder.clone(), core.catalog.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut files = Files::default();
        files.refresh(&folder, &catalog);
        files
    });
    let mut files = read.await.map_err(|error| Error::corrupt("DAG file", error))?;
    keep(core, &mut files).await?;
    Ok(())
}

/// Brings what was read into the database, and plans the DAGs that changed.
pub(crate) async fn sync(core: &Core, files: &mut Files) -> Result<(), Error> {
    let changed = keep(core, files).await?;
    scheduler::settle(core, changed).await?;
    core.tell(Change::Dags);
    Ok(())
}

/// Brings what was read into the database. Returns the DAGs that changed.
async fn keep(core: &Core, files: &mut Files) -> Result<BTreeSet<String>, Error> {
    let (found, errors) = files.dags(&core.settings.dags_folder);
    let broken: BTreeSet<&Path> = errors.iter().map(|error| error.path.as_path()).collect();
    let now = core.now();
    let transaction = core.database.begin().await?;
    let known: BTreeMap<String, dags::row::Model> = dags::all(&transaction)
        .await?
        .into_iter()
        .map(|row| (row.dag_id.clone(), row))
        .collect();
    let mut changed = BTreeSet::new();
    for (dag_id, found) in &found {
        let before = known.get(dag_id);
        let row = dags::row::Model {
            dag_id: dag_id.clone(),
            path: found.path.to_string_lossy().into_owned(),
            is_active: true,
            is_paused: before.map_or(core.settings.dags_are_paused_at_creation, |row| row.is_paused),
            version: found.version.to_string(),
            look_again_at: before.and_then(|row| row.look_again_at),
            parsed_at: millis(now),
        };
        if !found.is_kept || before.is_none() {
            keep_version(core, &transaction, found).await?;
        }
        let is_same = before.is_some_and(|before| {
            before.version == row.version && before.path == row.path && before.is_active
        });
        if !is_same {
            dags::put(&transaction, row).await?;
            assets::put_dag(&transaction, dag_id, Some(&found.dag)).await?;
            changed.insert(dag_id.clone());
        }
    }
    for (dag_id, row) in known {
        // A file that is broken now says nothing about the DAG it held.
        if row.is_active && !found.contains_key(&dag_id) && !broken.contains(Path::new(&row.path)) {
            dags::put(
                &transaction,
                dags::row::Model {
                    is_active: false,
                    ..row
                },
            )
            .await?;
            assets::put_dag(&transaction, &dag_id, None).await?;
            changed.insert(dag_id);
        }
    }
    import_errors::replace(&transaction, &errors, millis(now)).await?;
    transaction.commit().await?;
    for found in found.values() {
        let file = files.0.get_mut(&core.settings.dags_folder.join(&found.path));
        file.into_iter().for_each(|file| file.is_kept = true);
    }
    Ok(changed)
}

/// Keeps what a file says, unless it is known from an earlier start.
async fn keep_version(core: &Core, connection: &impl ConnectionTrait, found: &Found) -> Result<(), Error> {
    let (dag_id, version) = (&found.dag.dag_id, &*found.version);
    let known = dags::find_version(connection, dag_id, version).await?;
    if known.is_none_or(|known| known.source != *found.source) {
        let definition = serde_json::to_string(&*found.dag).map_err(|error| Error::corrupt("DAG", error))?;
        let kept = dags::version::Model {
            dag_id: dag_id.clone(),
            version: version.to_owned(),
            definition,
            source: found.source.to_string(),
            created_at: millis(core.now()),
        };
        dags::put_version(connection, kept).await?;
    }
    core.keep_version(version, found.dag.clone());
    Ok(())
}

/// Names a version by what it means: where its keys stand in the file does not count.
fn version_of(dag: &Dag) -> Arc<str> {
    let mut dag = dag.clone();
    for task in &mut dag.tasks {
        task.argument_lines.clear();
    }
    let text = serde_json::to_vec(&dag).expect("names and values alone are JSON");
    hex::encode(Sha256::digest(text)).into()
}

#[cfg(test)]
mod tests;
