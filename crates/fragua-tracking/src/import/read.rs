//! Reads a file store. Nothing outside of its folder is read: links are not followed, names are those of the listing.
//! What cannot be read is noted with its file and line, and the rest goes on.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use fragua_base::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Skipped;
use crate::Metric;
use crate::runs::{Dataset, DatasetInput, ModelOutput, Param, Tag};
use crate::validation::{self, limits};

/// The longest parameter that its column holds, longer than what clients may log.
const PARAM_CHARS: usize = 8_000;
const LINK: &str = "it is a link, and links are not followed";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentMeta {
    pub(super) name: String,
    pub(super) lifecycle_stage: String,
    pub(super) creation_time: Option<i64>,
    pub(super) last_update_time: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunMeta {
    pub(super) run_id: String,
    /// The only id before MLflow 1.0; both until MLflow 3.
    run_uuid: String,
    pub(super) run_name: Option<String>,
    pub(super) name: Option<String>,
    pub(super) artifact_uri: String,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) deleted_time: Option<i64>,
    pub(super) lifecycle_stage: String,
    pub(super) status: u8,
    pub(super) user_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoggedModelMeta {
    pub(super) model_id: String,
    pub(super) name: String,
    pub(super) artifact_location: String,
    pub(super) creation_timestamp: i64,
    pub(super) last_updated_timestamp: i64,
    pub(super) lifecycle_stage: Option<String>,
    pub(super) model_type: Option<String>,
    pub(super) source_run_id: Option<String>,
    pub(super) status: i32,
    pub(super) status_message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelMeta {
    pub(super) name: String,
    pub(super) creation_timestamp: i64,
    pub(super) last_updated_timestamp: i64,
    pub(super) description: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionMeta {
    pub(super) version: i32,
    pub(super) creation_timestamp: i64,
    pub(super) last_updated_timestamp: i64,
    pub(super) current_stage: Option<String>,
    pub(super) description: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) run_link: Option<String>,
    pub(super) source: Option<String>,
    pub(super) storage_location: Option<String>,
    pub(super) status: Option<String>,
    pub(super) status_message: Option<String>,
    pub(super) user_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DatasetMeta {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
}

/// A link of a run to a data set or a model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LinkMeta {
    source_type: String,
    source_id: String,
    destination_id: String,
    step: i64,
    tags: std::collections::BTreeMap<String, String>,
}

pub(super) struct FileRun {
    pub(super) meta: RunMeta,
    pub(super) folder: PathBuf,
    pub(super) metrics: Vec<Metric>,
    pub(super) params: Vec<Param>,
    pub(super) tags: Vec<Tag>,
    pub(super) datasets: Vec<DatasetInput>,
    pub(super) models: Vec<String>,
    pub(super) outputs: Vec<ModelOutput>,
}

pub(super) struct FileLoggedModel {
    pub(super) meta: LoggedModelMeta,
    pub(super) folder: PathBuf,
    /// With the run that measured each.
    pub(super) metrics: Vec<(String, Metric)>,
    pub(super) params: Vec<Param>,
    pub(super) tags: Vec<Tag>,
}

pub(super) struct FileModel {
    pub(super) meta: ModelMeta,
    pub(super) tags: Vec<Tag>,
    pub(super) aliases: Vec<Tag>,
    pub(super) versions: Vec<(VersionMeta, Vec<Tag>)>,
}

/// Reads folders of one file store and notes what it passes over.
pub(super) struct Reader {
    root: PathBuf,
    pub(super) skipped: Vec<Skipped>,
}

impl Reader {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            skipped: Vec::new(),
        }
    }

    pub(super) fn skip(&mut self, path: &Path, line: Option<usize>, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            file: path.strip_prefix(&self.root).unwrap_or(path).to_owned(),
            line,
            reason: reason.into(),
        });
    }

    /// Returns what is in a folder by name, without links; nothing for a folder that is not there.
    fn entries(&mut self, folder: &Path, wanted: impl Fn(&fs::FileType) -> bool) -> Vec<PathBuf> {
        if folder != self.root && folder.is_symlink() {
            self.skip(folder, None, LINK);
            return Vec::new();
        }
        let listed = match fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.skip(folder, None, error.to_string());
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for entry in listed {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.skip(folder, None, error.to_string());
                    continue;
                }
            };
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => {
                    self.skip(&entry.path(), None, LINK);
                }
                Ok(kind) if wanted(&kind) => found.push(entry.path()),
                Ok(_) => {}
                Err(error) => self.skip(&entry.path(), None, error.to_string()),
            }
        }
        found.sort();
        found
    }

    fn folders(&mut self, folder: &Path) -> Vec<PathBuf> {
        self.entries(folder, fs::FileType::is_dir)
    }

    /// Returns the files below a folder.
    pub(super) fn files(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut waiting = self.inside(folder);
        std::iter::from_fn(|| self.next_file(&mut waiting)).collect()
    }

    /// Returns the next file among what waits, which is what is beside it and its folders, never a whole tree.
    pub(super) fn next_file(&mut self, waiting: &mut Vec<PathBuf>) -> Option<PathBuf> {
        while let Some(path) = waiting.pop() {
            if !path.is_dir() {
                return Some(path);
            }
            waiting.extend(self.inside(&path));
        }
        None
    }

    /// Returns what waits in a folder for [`Reader::next_file`], the first name last.
    pub(super) fn inside(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut found = self.entries(folder, |kind| kind.is_file() || kind.is_dir());
        found.reverse();
        found
    }

    /// Returns the size of a file in bytes.
    pub(super) fn size(&mut self, file: &Path) -> Option<u64> {
        match fs::metadata(file) {
            Ok(about) => Some(about.len()),
            Err(error) => {
                self.skip(file, None, error.to_string());
                None
            }
        }
    }

    /// Returns the folders of experiments, those in the bin among them.
    pub(super) fn experiments(&mut self) -> Vec<PathBuf> {
        let root = self.root.clone();
        let mut found = self.folders(&root);
        found.extend(self.folders(&root.join(".trash")));
        let special = |folder: &PathBuf| {
            let name = folder.file_name().unwrap_or_default();
            name != ".trash" && name != "models"
        };
        found.retain(special);
        found.retain(|folder| folder.join("meta.yaml").is_file());
        found
    }

    /// Returns the folders of runs of an experiment.
    pub(super) fn runs(&mut self, experiment: &Path) -> Vec<PathBuf> {
        let mut found = self.folders(experiment);
        found.retain(|folder| {
            let name = folder.file_name().unwrap_or_default();
            name != "models" && folder.join("meta.yaml").is_file()
        });
        found
    }

    /// Returns the folders of logged models of an experiment, or of registered models of the store.
    pub(super) fn models(&mut self, folder: &Path) -> Vec<PathBuf> {
        self.folders(&folder.join("models"))
    }

    pub(super) fn experiment(&mut self, folder: &Path) -> Option<(ExperimentMeta, Vec<Tag>)> {
        let meta: ExperimentMeta = self.meta(folder)?;
        if meta.name.is_empty() || meta.name.chars().count() > 256 {
            self.skip(
                &folder.join("meta.yaml"),
                None,
                "the experiment has no name that fits",
            );
            return None;
        }
        // Databases before MLflow 3.16 hold no more than models have.
        Some((meta, self.tags(&folder.join("tags"), limits::MODEL_TAG_VALUE)))
    }

    pub(super) fn run(&mut self, folder: &Path) -> Option<FileRun> {
        let mut meta: RunMeta = self.meta(folder)?;
        if meta.run_id.is_empty() {
            meta.run_id = std::mem::take(&mut meta.run_uuid);
        }
        let is_id = meta.run_id.len() == 32 && meta.run_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_id {
            self.skip(
                &folder.join("meta.yaml"),
                None,
                "run_id is not 32 letters and digits",
            );
            return None;
        }
        let mut metrics = Vec::new();
        for (key, path) in self.keyed(&folder.join("metrics")) {
            self.lines(&path, |line| {
                metrics.push(metric(&key, line, 3)?.0);
                Ok(())
            });
        }
        let params = self.values(&folder.join("params"), PARAM_CHARS);
        let params = params.into_iter().map(|(key, value)| Param { key, value });
        let (datasets, models) = self.inputs(folder);
        Some(FileRun {
            metrics,
            params: params.collect(),
            tags: self.tags(&folder.join("tags"), limits::RUN_TAG_VALUE),
            datasets,
            models,
            outputs: self.outputs(folder),
            folder: folder.to_owned(),
            meta,
        })
    }

    fn inputs(&mut self, run: &Path) -> (Vec<DatasetInput>, Vec<String>) {
        let (mut datasets, mut models) = (Vec::new(), Vec::new());
        for folder in self.folders(&run.join("inputs")) {
            let Some(link) = self.meta::<LinkMeta>(&folder) else {
                continue;
            };
            let tags = link.tags.into_iter().map(|(key, value)| Tag { key, value });
            if link.source_type != "DATASET" {
                models.push(link.destination_id);
                continue;
            }
            let known = self
                .folders(&run.with_file_name("datasets"))
                .into_iter()
                .find(|folder| {
                    folder
                        .file_name()
                        .is_some_and(|name| name == link.source_id.as_str())
                });
            let Some(known) = known else {
                self.skip(&folder, None, "the data set it names is not there");
                continue;
            };
            if let Some(meta) = self.meta::<DatasetMeta>(&known) {
                let dataset = Dataset {
                    name: meta.name,
                    digest: meta.digest,
                    source_type: meta.source_type,
                    source: meta.source,
                    schema: meta.schema,
                    profile: meta.profile,
                };
                let input = DatasetInput {
                    dataset,
                    tags: tags.collect(),
                };
                match validation::dataset_inputs(std::slice::from_ref(&input)) {
                    Ok(()) => datasets.push(input),
                    Err(error) => self.skip(&known.join("meta.yaml"), None, error.to_string()),
                }
            }
        }
        (datasets, models)
    }

    fn outputs(&mut self, run: &Path) -> Vec<ModelOutput> {
        let mut outputs = Vec::new();
        for folder in self.folders(&run.join("outputs")) {
            if let Some(link) = self.meta::<LinkMeta>(&folder) {
                outputs.push(ModelOutput {
                    model_id: link.destination_id,
                    step: link.step,
                });
            }
        }
        outputs
    }

    pub(super) fn logged_model(&mut self, folder: &Path) -> Option<FileLoggedModel> {
        let meta: LoggedModelMeta = self.meta(folder)?;
        if !meta.model_id.starts_with("m-") || meta.model_id.len() > 36 || meta.model_id.contains('/') {
            self.skip(
                &folder.join("meta.yaml"),
                None,
                "model_id is not that of a logged model",
            );
            return None;
        }
        let mut metrics = Vec::new();
        for (key, path) in self.keyed(&folder.join("metrics")) {
            self.lines(&path, |line| {
                let (mut metric, rest) = metric(&key, line, 4)?;
                let [run_id, dataset @ ..] = rest.as_slice() else {
                    return Err("it names no run".to_owned());
                };
                metric.model_id = Some(meta.model_id.clone());
                metric.dataset_name = dataset.first().map(|name| (*name).to_owned());
                metric.dataset_digest = dataset.get(1).map(|digest| (*digest).to_owned());
                metrics.push(((*run_id).to_owned(), metric));
                Ok(())
            });
        }
        let params = self.values(&folder.join("params"), PARAM_CHARS);
        Some(FileLoggedModel {
            metrics,
            params: params
                .into_iter()
                .map(|(key, value)| Param { key, value })
                .collect(),
            tags: self.tags(&folder.join("tags"), limits::RUN_TAG_VALUE),
            folder: folder.to_owned(),
            meta,
        })
    }

    pub(super) fn model(&mut self, folder: &Path) -> Option<FileModel> {
        let meta: ModelMeta = self.meta(folder)?;
        if let Err(error) = validation::model_name(&meta.name) {
            self.skip(&folder.join("meta.yaml"), None, error.to_string());
            return None;
        }
        let mut versions: Vec<(VersionMeta, Vec<Tag>)> = Vec::new();
        for version in self.folders(folder) {
            let name = version.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("version-") {
                continue;
            }
            let Some(meta) = self.meta::<VersionMeta>(&version) else {
                continue;
            };
            if meta.version < 1 || versions.iter().any(|(known, _)| known.version == meta.version) {
                self.skip(
                    &version.join("meta.yaml"),
                    None,
                    "the number is not one of its own",
                );
                continue;
            }
            let tags = self.tags(&version.join("tags"), limits::MODEL_TAG_VALUE);
            versions.push((meta, tags));
        }
        Some(FileModel {
            tags: self.tags(&folder.join("tags"), limits::MODEL_TAG_VALUE),
            aliases: self.tags(&folder.join("aliases"), limits::MODEL_TAG_VALUE),
            versions,
            meta,
        })
    }

    fn tags(&mut self, folder: &Path, most_chars: usize) -> Vec<Tag> {
        let values = self.values(folder, most_chars).into_iter();
        values.map(|(key, value)| Tag { key, value }).collect()
    }

    fn meta<T: DeserializeOwned>(&mut self, folder: &Path) -> Option<T> {
        let path = folder.join("meta.yaml");
        let text = self.text(&path)?;
        match serde_saphyr::from_str(&text) {
            Ok(meta) => Some(meta),
            Err(error) => {
                let line = error
                    .location()
                    .and_then(|place| usize::try_from(place.line()).ok());
                self.skip(&path, line, "it is not the YAML that MLflow writes there");
                None
            }
        }
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        if path.is_symlink() {
            self.skip(path, None, LINK);
            return None;
        }
        match fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Some(text),
                _ => {
                    self.skip(path, None, "it is not text in UTF-8");
                    None
                }
            },
            Err(error) => {
                self.skip(path, None, error.to_string());
                None
            }
        }
    }

    /// Returns the files below a folder with the key that each is named by.
    fn keyed(&mut self, folder: &Path) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        for path in self.files(folder) {
            let key = path.strip_prefix(folder).ok().and_then(Path::to_str);
            match key {
                Some(key) if !key.is_empty() && key.chars().count() <= limits::KEY => {
                    found.push((key.to_owned(), path.clone()));
                }
                _ => self.skip(
                    &path,
                    None,
                    format!("the key is no text of up to {} characters", limits::KEY),
                ),
            }
        }
        found
    }

    /// Reads a folder of files that each hold the value of one key.
    fn values(&mut self, folder: &Path, most_chars: usize) -> Vec<(String, String)> {
        let mut values = Vec::new();
        for (key, path) in self.keyed(folder) {
            let Some(mut value) = self.text(&path) else {
                continue;
            };
            if let Some((at, _)) = value.char_indices().nth(most_chars) {
                value.truncate(at);
                self.skip(
                    &path,
                    None,
                    format!("the value is cut after {most_chars} characters"),
                );
            }
            values.push((key, value));
        }
        values
    }

    fn lines(&mut self, path: &Path, mut take: impl FnMut(&str) -> Result<(), String>) {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return self.skip(path, None, error.to_string()),
        };
        for (at, line) in BufReader::new(file).split(b'\n').enumerate() {
            let taken = match line.map(String::from_utf8) {
                Ok(Ok(line)) if line.trim().is_empty() => continue,
                Ok(Ok(line)) => take(line.trim()),
                Ok(Err(_)) => Err("it is not text in UTF-8".to_owned()),
                Err(error) => return self.skip(path, Some(at + 1), error.to_string()),
            };
            if let Err(reason) = taken {
                self.skip(path, Some(at + 1), reason);
            }
        }
    }
}

/// Reads `timestamp value [step [run] [dataset digest]]`. Lines before MLflow 1.0 have no step.
fn metric<'line>(key: &str, line: &'line str, fixed: usize) -> Result<(Metric, Vec<&'line str>), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (timestamp, value, step) = match fields.as_slice() {
        [timestamp, value] => (*timestamp, *value, "0"),
        [timestamp, value, step, rest @ ..] if rest.len() + 3 == fixed || rest.len() + 3 == fixed + 2 => {
            (*timestamp, *value, *step)
        }
        _ => return Err("it is not `timestamp value step`".to_owned()),
    };
    let timestamp: i64 = timestamp
        .parse()
        .map_err(|_| "the timestamp is not a whole number")?;
    let value: f64 = value.parse().map_err(|_| "the value is not a number")?;
    let step: i64 = step.parse().map_err(|_| "the step is not a whole number")?;
    let value = if value.is_infinite() {
        f64::MAX.copysign(value)
    } else {
        value
    };
    let metric = Metric::new(key, value, Timestamp::from_millis(timestamp), step);
    Ok((metric, fields.get(3..).unwrap_or_default().to_vec()))
}
