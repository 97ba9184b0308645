//! Files of bytes: written once, synced, read, removed. Their names say nothing of what they hold. The bytes of small objects
//! are rows of the database in place of files ([`small`]); here they look the same.
//!
//! Below one of the roots `incoming/INSTANCE/BLOB` is where a file is written and `blobs/xx/BLOB` where readers look for it. The first
//! name stays until the row is committed: it is how the next start finds what a crash left without one. An
//! instance holds a lock on its folder, so that one process does not tidy up behind another that is alive.

use std::fs::{File, OpenOptions, ReadDir};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fragua_base::SharedClock;
use fragua_database::Database;
use futures::{StreamExt, TryStreamExt};
use tokio::task::{JoinHandle, spawn_blocking};

use super::abandoned::Abandoned;
use super::folders::{Folders, Incoming, blob_names, remove_file};
use super::roots::Roots;
use super::sealed::{Seal, SealedPiece, SegmentKey, Source, file_size};
use super::sink::{Batch, NewBlob, Plan, Sink, StoredBlob};
use crate::checksum::{Checksum, ChecksumAlgorithm, Expected, Hasher};
use crate::store::small::{self, SmallBlob};
use crate::stream::{BodyStream, ObjectStream};
use crate::{DiskSpace, Error};

/// Bytes of a body that are gathered before they are hashed and written on a blocking thread.
const WRITE_BATCH_BYTES: usize = 256 << 10;

/// Bytes that one read brings.
const READ_CHUNK_BYTES: usize = 256 << 10;

/// Reads that are under way at once for one reader.
const READ_AHEAD: usize = 2;

/// The folders of blobs, held by this process, and the table of those that are no files.
#[derive(Debug)]
pub(super) struct Blobs {
    roots: Arc<Roots>,
    database: Database,
    clock: SharedClock,
}

/// How a body is kept.
pub(super) struct Keeping {
    /// What it is encrypted with.
    pub(super) key: Option<SegmentKey>,
    pub(super) max_bytes: u64,
    /// Up to how many bytes it is no file.
    pub(super) small_bytes: usize,
}

impl Blobs {
    /// Makes the folders and takes their locks.
    pub(super) async fn open(
        (root, more): (&Path, &[PathBuf]),
        database: Database,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let (root, more) = (root.to_owned(), more.to_owned());
        let roots = blocking(move || Roots::open(&root, &more)).await?;
        Ok(Self {
            roots: Arc::new(roots),
            database,
            clock,
        })
    }

    fn small(&self, bytes: Bytes) -> NewBlob {
        NewBlob::Small(SmallBlob::new(bytes, self.clock.now()))
    }

    /// Takes a body, encrypts it when there is a key, compares it with what was announced and, unless it is small, puts it
    /// in place as a file.
    pub(super) async fn store(
        &self,
        mut body: BodyStream<'_>,
        expected: Expected,
        keeping: Keeping,
    ) -> Result<StoredBlob, Error> {
        let max_bytes = keeping.max_bytes;
        let mut writing: Option<JoinHandle<Result<Sink, Error>>> = None;
        let mut batch = Batch::default();
        let mut received = 0;
        let plan = Plan {
            sums: expected.sums(),
            key: keeping.key,
        };
        let too_large = || Error::TooLarge {
            limit_bytes: max_bytes,
        };
        if expected.size.is_some_and(|size| size > max_bytes) {
            return Err(too_large());
        }
        let arrived: Result<(), Error> = async {
            while let Some(chunk) = body.try_next().await.map_err(Error::Body)? {
                received += chunk.len() as u64;
                if received > max_bytes {
                    return Err(too_large());
                }
                batch.push(chunk);
                if batch.bytes >= WRITE_BATCH_BYTES {
                    let (full, roots) = (std::mem::take(&mut batch), Arc::clone(&self.roots));
                    let sink = written(writing.take()).await?;
                    let plan = plan.clone();
                    // The next batch arrives meanwhile.
                    writing = Some(spawn_blocking(move || Sink::write(sink, &roots, &plan, full)));
                }
            }
            Ok(())
        }
        .await;
        // Waited for behind a body that failed as well: nothing of it is left when its writer is told.
        let (sink, roots) = (written(writing).await?, Arc::clone(&self.roots));
        arrived?;
        if sink.is_none() && batch.bytes <= keeping.small_bytes {
            let (bytes, digest) = batch.into_bytes(&plan, expected)?;
            let blob = self.small(bytes);
            return Ok(StoredBlob { blob, digest });
        }
        blocking(move || Sink::write(sink, &roots, &plan, batch)?.finish(expected)).await
    }

    /// Makes a second blob of the same bytes.
    pub(super) async fn duplicate(&self, blob: &str) -> io::Result<NewBlob> {
        if small::is_small(blob) {
            return Ok(self.small(self.read_small(blob).await?));
        }
        let (blob, roots) = (blob.to_owned(), Arc::clone(&self.roots));
        let copied = spawn_blocking(move || {
            let folders = roots.of(&blob);
            let incoming = Incoming::new(folders);
            let (source, target) = (folders.blob(&blob), incoming.path());
            // Files never change, so that another name for one is a copy of it.
            if let Err(error) = std::fs::hard_link(&source, &target) {
                if error.kind() == io::ErrorKind::NotFound {
                    return Err(error);
                }
                std::fs::copy(&source, &target)?;
            }
            incoming.publish(&File::open(&target)?)?;
            Ok(NewBlob::File(incoming))
        });
        copied.await.map_err(io::Error::other)?
    }

    /// Makes one file of those of several blobs, which have `file_bytes` together, and the checksum of all bytes when asked
    /// for, which takes the `seal` of the new blob where they are encrypted.
    pub(super) async fn concatenate(
        &self,
        blobs: Vec<String>,
        file_bytes: u64,
        seal: Option<Seal>,
        algorithm: Option<ChecksumAlgorithm>,
    ) -> io::Result<(NewBlob, Option<Checksum>)> {
        let roots = Arc::clone(&self.roots);
        let joined = spawn_blocking(move || {
            let incoming = Incoming::new(roots.draw());
            let mut target = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(incoming.path())?;
            let mut hasher = algorithm.map(ChecksumAlgorithm::hasher);
            for blob in blobs {
                let mut source = File::open(roots.of(&blob).blob(&blob))?;
                match hasher.as_mut().filter(|_| seal.is_none()) {
                    // The kernel moves the bytes where nobody has to look at them.
                    None => drop(io::copy(&mut source, &mut target)?),
                    Some(hasher) => copy_hashing(&mut source, &mut target, hasher)?,
                }
            }
            if let (Some(hasher), Some(seal)) = (&mut hasher, seal) {
                let target = File::open(incoming.path())?;
                for piece in seal.all_pieces(READ_CHUNK_BYTES as u64) {
                    hasher.update(&piece.read(&target)?);
                }
            }
            check_length(target.metadata()?.len(), file_bytes)?;
            incoming.publish(&target)?;
            let checksum = algorithm.zip(hasher);
            Ok((
                NewBlob::File(incoming),
                checksum.map(|(algorithm, hasher)| Checksum {
                    algorithm,
                    value: hasher.finish(),
                }),
            ))
        });
        joined.await.map_err(io::Error::other)?
    }

    /// Opens a part of a blob, which is decrypted with its `seal`. The file stays readable after its name is gone. The bytes of
    /// a small one may be at hand.
    pub(super) async fn read(
        &self,
        (blob, at_hand): (&str, Option<Bytes>),
        seal: Option<Seal>,
        range: Range<u64>,
    ) -> io::Result<ObjectStream> {
        let (roots, blob) = (Arc::clone(&self.roots), blob.to_owned());
        let least = seal.as_ref().map_or(range.end, |seal| file_size(&seal.segments));
        let mut pieces = pieces(seal, range.clone());
        if small::is_small(blob.as_str()) {
            let bytes = match at_hand {
                Some(bytes) => bytes,
                None => self.read_small(&blob).await?,
            };
            check_length(bytes.len() as u64, least)?;
            let read: Vec<Bytes> = pieces.map(|piece| piece.read(&bytes)).collect::<Result<_, _>>()?;
            let read = read.into_iter().map(Ok);
            return Ok(ObjectStream::new(range, futures::stream::iter(read)));
        }
        let is_small = range.end - range.start <= READ_CHUNK_BYTES as u64;
        let id = blob.clone();
        let opened = spawn_blocking(move || {
            let file = File::open(roots.of(&id).blob(&id))?;
            check_length(file.metadata()?.len(), least)?;
            // A small object goes out with its headers: one read, one packet.
            let read = if is_small {
                pieces
                    .by_ref()
                    .map(|piece| piece.read(&file))
                    .collect::<Result<_, _>>()?
            } else {
                Vec::new()
            };
            Ok::<_, io::Error>((file, pieces, read))
        });
        let (file, pieces, read) = opened.await.map_err(io::Error::other)??;
        if is_small {
            return Ok(ObjectStream::new(
                range,
                futures::stream::iter(read.into_iter().map(Ok)),
            ));
        }
        let file = Arc::new(file);
        let chunks = futures::stream::iter(pieces).map(move |piece| {
            let file = Arc::clone(&file);
            async move {
                let read = spawn_blocking(move || piece.read(&*file));
                read.await.map_err(io::Error::other)?
            }
        });
        // The answer has begun: all that its reader sees is that it ends early.
        let told = chunks.buffered(READ_AHEAD).inspect_err(move |error| {
            tracing::error!(%blob, %error, "the bytes of an object cannot be read on");
        });
        Ok(ObjectStream::new(range, told))
    }

    /// Computes a checksum of all bytes of a blob.
    pub(super) async fn checksum(
        &self,
        blob: &str,
        seal: Option<Seal>,
        size_bytes: u64,
        algorithm: ChecksumAlgorithm,
    ) -> io::Result<Checksum> {
        let mut stream = self.read((blob, None), seal, 0..size_bytes).await?;
        let mut hasher = algorithm.hasher();
        while let Some(chunk) = stream.try_next().await? {
            let updated = spawn_blocking(move || {
                hasher.update(&chunk);
                hasher
            });
            hasher = updated.await.map_err(io::Error::other)?;
        }
        let value = hasher.finish();
        Ok(Checksum { algorithm, value })
    }

    async fn read_small(&self, blob: &str) -> io::Result<Bytes> {
        let read = small::read(self.database.reader(), blob)
            .await
            .map_err(io::Error::other)?;
        read.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Returns how many bytes a blob has.
    pub(super) async fn size(&self, blob: &str) -> io::Result<u64> {
        if small::is_small(blob) {
            return Ok(self.read_small(blob).await?.len() as u64);
        }
        let (roots, blob) = (Arc::clone(&self.roots), blob.to_owned());
        let found = spawn_blocking(move || std::fs::metadata(roots.of(&blob).blob(&blob)));
        Ok(found.await.map_err(io::Error::other)??.len())
    }

    /// Returns the folders that blobs lie in.
    pub(super) async fn folders_of_blobs(&self) -> Result<Vec<PathBuf>, Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || {
            let mut found = Vec::new();
            for folders in roots.all() {
                found.extend(entries(&folders.blobs)?);
            }
            Ok(found)
        })
        .await
    }

    /// Returns the blobs in one of these folders.
    pub(super) async fn blobs_in(&self, folder: PathBuf) -> Result<Vec<String>, Error> {
        blocking(move || blob_names(&folder).map_err(unreadable(&folder))).await
    }

    /// Returns the blobs that any instance, alive or not, writes or has not settled.
    pub(super) async fn incoming(&self) -> Result<Vec<String>, Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || {
            let mut found = Vec::new();
            for folders in roots.all() {
                for instance in entries(folders.all_incoming())? {
                    match blob_names(&instance) {
                        Ok(names) => found.extend(names),
                        // The instance has ended meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(unreadable(&instance)(error)),
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// Forgets the first name of blobs whose rows are committed.
    pub(super) async fn settle(&self, blobs: Vec<String>) {
        let roots = Arc::clone(&self.roots);
        let settled = spawn_blocking(move || {
            for folders in roots.all() {
                for blob in &blobs {
                    remove_file(&folders.incoming.join(blob));
                }
            }
        });
        drop(settled.await);
    }

    /// Removes blobs with both names and returns those that are gone for certain.
    pub(super) async fn remove(&self, blobs: Vec<String>) -> Vec<String> {
        let roots = Arc::clone(&self.roots);
        let removed = spawn_blocking(move || {
            let gone = |blob: &String| roots.remove(blob);
            blobs.into_iter().filter(gone).collect()
        });
        removed.await.unwrap_or_default()
    }

    /// Finds the folders of instances that are no longer alive, with the blobs in them.
    pub(super) async fn abandoned(&self) -> Result<Vec<Abandoned>, Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || {
            let mut found = Vec::new();
            for folders in roots.all() {
                for instance in entries(folders.all_incoming())? {
                    if instance != folders.incoming {
                        let problem = unreadable(&instance);
                        found.extend(Abandoned::open(folders, instance).map_err(problem)?);
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// Writes, syncs, reads and removes a file on each disk.
    pub(super) async fn check_writable(&self) -> Result<(), Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || {
            for folders in roots.all() {
                let written = write_and_read(folders);
                let root = folders.blobs.display();
                written.map_err(Error::disk(format!("cannot write and read a file below {root}")))?;
            }
            Ok(())
        })
        .await
    }

    /// Returns how much room is on the disks.
    pub(super) async fn disk(&self) -> Result<DiskSpace, Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || roots.space()).await
    }

    /// Succeeds when the folders are there.
    pub(super) async fn check_ready(&self) -> Result<(), Error> {
        let roots = Arc::clone(&self.roots);
        blocking(move || {
            let mut all = roots.all();
            all.try_for_each(|folders| {
                let read = std::fs::read_dir(&folders.blobs);
                read.map(drop).map_err(unreadable(&folders.blobs))
            })
        })
        .await
    }
}

fn write_and_read(folders: &Arc<Folders>) -> io::Result<()> {
    let incoming = Incoming::new(folders);
    let mut file = File::create_new(incoming.path())?;
    file.write_all(b"writable?")?;
    incoming.publish(&file)?;
    std::fs::read(folders.blob(incoming.id())).map(drop)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let paths = |entries: ReadDir| entries.map(|entry| Ok(entry?.path())).collect();
    std::fs::read_dir(folder)
        .and_then(paths)
        .map_err(unreadable(folder))
}

fn unreadable(folder: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    Error::disk(format!("cannot read the folder {}", folder.display()))
}

/// Fails on a file that was cut off. One that is longer is found by the scrubber.
fn check_length(length: u64, least: u64) -> io::Result<()> {
    if length < least {
        let message = format!("a blob has {length} bytes where its row says at least {least}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(())
}

/// Bytes that are read together.
enum Piece {
    Plain(Range<u64>),
    Sealed(SealedPiece),
}

impl Piece {
    fn read(&self, source: &impl Source) -> io::Result<Bytes> {
        match self {
            Self::Plain(range) => read_at(source, range),
            Self::Sealed(piece) => piece.read(source),
        }
    }
}

fn pieces(seal: Option<Seal>, range: Range<u64>) -> Box<dyn Iterator<Item = Piece> + Send> {
    let piece_bytes = READ_CHUNK_BYTES as u64;
    match seal {
        Some(seal) => Box::new(seal.pieces(range, piece_bytes).map(Piece::Sealed)),
        None => {
            let end = range.end;
            let starts = range.step_by(READ_CHUNK_BYTES);
            Box::new(starts.map(move |start| Piece::Plain(start..end.min(start + piece_bytes))))
        }
    }
}

fn read_at(source: &impl Source, range: &Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    source.fill(&mut buffer, range.start)?;
    Ok(buffer.into())
}

fn copy_hashing(source: &mut File, target: &mut File, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; READ_CHUNK_BYTES];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        hasher.update(&buffer[..length]);
        target.write_all(&buffer[..length])?;
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    done(spawn_blocking(work)).await
}

async fn done<T>(work: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match work.await {
        Ok(result) => result,
        Err(error) => Err(Error::disk("file work ended early")(io::Error::other(error))),
    }
}

/// Waits for the batch that is being written, if there is one.
async fn written(writing: Option<JoinHandle<Result<Sink, Error>>>) -> Result<Option<Sink>, Error> {
    match writing {
        Some(writing) => done(writing).await.map(Some),
        None => Ok(None),
    }
}
