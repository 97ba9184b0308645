//! The log of an attempt: one file, written line by line while the attempt runs, and read in chunks.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fragua_base::{SharedClock, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::TaskKey;

/// What may stand in a file's name as it is. A dot may not: `..` would be a folder.
const SAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The longest line; what is longer is cut into several.
pub(crate) const LONGEST_LINE: usize = 16 * 1024;

/// The most that one read gives.
const CHUNK: u64 = 256 * 1024;

/// A secret shorter than this would hide too much that is none.
const SHORTEST_SECRET: usize = 4;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Out,
    Err,
    /// What the worker itself has to say.
    Fragua,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Fragua => "fragua",
        }
    }
}

/// Returns the file of an attempt: `dag_id=…/run_id=…/task_id=…/attempt=N.log`, with `map_index=…` before the
/// last where the task is made several instances of.
pub(crate) fn path(folder: &Path, key: &TaskKey) -> PathBuf {
    let part = |name: &str, value: &str| {
        format!(
            "{name}={}",
            shortened(&utf8_percent_encode(value, SAFE).to_string())
        )
    };
    let mut path = folder
        .join(part("dag_id", &key.dag_id))
        .join(part("run_id", &key.run_id))
        .join(part("task_id", &key.task_id));
    if let Some(map_index) = key.map_index {
        path.push(format!("map_index={map_index}"));
    }
    path.join(format!("attempt={}.log", key.attempt))
}

/// A file's name has at most 255 bytes; a longer one ends in a digest of the whole.
fn shortened(encoded: &str) -> String {
    use sha2::Digest as _;
    if encoded.len() <= 240 {
        return encoded.to_owned();
    }
    format!(
        "{}-{}",
        &encoded[..200],
        hex::encode(&sha2::Sha256::digest(encoded)[..8])
    )
}

/// Hides secrets in texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    /// Makes a mask for some secrets, the longest first so that none is hidden in part.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .collect();
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        Self { secrets }
    }

    pub(crate) fn hide(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) {
                text.replace(secret.as_str(), "***")
            } else {
                text
            }
        })
    }
}

/// Writes the log of one attempt.
pub(crate) struct Writer {
    file: io::BufWriter<File>,
    clock: SharedClock,
    mask: Mask,
    written: u64,
    limit: u64,
}

impl Writer {
    /// Begins a log, or goes on with it.
    pub(crate) fn open(path: &Path, clock: SharedClock, mask: Mask, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            file: io::BufWriter::new(file),
            clock,
            mask,
            written,
            limit,
        })
    }

    /// Writes a line with its time and where it came from. Past the limit nothing is written any more.
    pub(crate) fn line(&mut self, source: Source, line: &[u8]) -> io::Result<()> {
        if self.written >= self.limit {
            return Ok(());
        }
        let text = self.mask.hide(&String::from_utf8_lossy(line));
        self.put(source, text.trim_end_matches('\r'))?;
        if self.written >= self.limit {
            self.put(
                Source::Fragua,
                &format!("the log is cut here, it has {} bytes", self.written),
            )?;
        }
        Ok(())
    }

    fn put(&mut self, source: Source, text: &str) -> io::Result<()> {
        let line = format!("{} {} {text}\n", stamp(self.clock.now()), source.as_str());
        self.file.write_all(line.as_bytes())?;
        self.written += line.len() as u64;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Always with milliseconds, so that lines stand under each other.
fn stamp(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A piece of a log file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) next_offset: u64,
    pub(crate) reaches_end: bool,
}

/// Reads whole lines from an offset; a line longer than a chunk is cut. A log that was not begun is empty.
pub(crate) fn read(path: &Path, offset: u64) -> io::Result<Piece> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Piece {
                bytes: Bytes::new(),
                next_offset: offset,
                reaches_end: true,
            });
        }
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let offset = offset.min(length);
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes)?;
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        bytes.truncate(end + 1);
    } else if (bytes.len() as u64) < CHUNK {
        bytes.clear();
    }
    let next_offset = offset + bytes.len() as u64;
    Ok(Piece {
        reaches_end: next_offset >= length,
        bytes: bytes.into(),
        next_offset,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fragua_base::ManualClock;

    use super::*;

    fn key(dag_id: &str) -> TaskKey {
        TaskKey {
            map_index: None,
            dag_id: dag_id.to_owned(),
            run_id: "manual__x".to_owned(),
            task_id: "t".to_owned(),
            attempt: 2,
        }
    }

    #[test]
    fn names_never_leave_the_folder() {
        let check = |dag_id: &str, expected: &str| {
            let path = path(Path::new("logs"), &key(dag_id));
            assert_eq!(
                path,
                Path::new(&format!(
                    "logs/{expected}/run_id=manual__x/task_id=t/attempt=2.log"
                ))
            );
        };
        check("load", "dag_id=load");
        check("..", "dag_id=%2E%2E");
        check("a/../b", "dag_id=a%2F%2E%2E%2Fb");
        let long = path(Path::new(""), &key(&"é".repeat(200)));
        assert!(
            long.components().all(|part| part.as_os_str().len() <= 255),
            "{long:?}"
        );
    }

    #[test]
    fn lines_have_a_time_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.log");
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_743_552_000_120)));
        let mask = Mask::new(["hunter2".to_owned(), "hunter2-long".to_owned(), "abc".to_owned()]);
        let mut writer = Writer::open(&path, clock, mask, 1000).unwrap();
        writer
            .line(Source::Out, b"the password is hunter2-long, not hunter2 or abc\r")
            .unwrap();
        writer.line(Source::Err, b"broken \xff text").unwrap();
        writer.flush().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "2025-04-02T00:00:00.120Z out the password is ***, not *** or abc\n2025-04-02T00:00:00.120Z err broken \u{fffd} text\n"
        );
    }

    #[test]
    fn a_log_is_cut_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut writer = Writer::open(&path, Arc::new(ManualClock::default()), Mask::default(), 100).unwrap();
        for _ in 0..10 {
            writer.line(Source::Out, &[b'x'; 40]).unwrap();
        }
        writer.flush().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.ends_with("fragua the log is cut here, it has 140 bytes\n"),
            "{text}"
        );
    }

    #[test]
    fn chunks_end_with_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let check = |offset: u64, bytes: &'static [u8], next_offset: u64, reaches_end: bool| {
            let expected = Piece {
                bytes: Bytes::from_static(bytes),
                next_offset,
                reaches_end,
            };
            assert_eq!(read(&path, offset).unwrap(), expected, "from {offset}");
        };
        check(0, b"", 0, true);
        fs::write(&path, "one\ntwo\nthr").unwrap();
        check(0, b"one\ntwo\n", 8, false);
        check(8, b"", 8, false);
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        check(8, b"three\n", 14, true);
        check(99, b"", 14, true);
        let long = format!("{}\nend\n", "x".repeat(300_000));
        fs::write(&path, &long).unwrap();
        assert_eq!(read(&path, 0).unwrap().next_offset, CHUNK);
        assert!(read(&path, CHUNK).unwrap().reaches_end);
    }
}
