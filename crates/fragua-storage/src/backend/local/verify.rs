//! Bytes compared with what was noted when they were written.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use md5::{Digest as _, Md5};
use tokio::task::spawn_blocking;

use super::blobs::Blobs;
use super::sealed::{Forged, Seal, file_size};
use crate::checksum::{Checksum, Hasher};
use crate::store::objects::Attributes;
use crate::upkeep::Problem;

/// The length of an MD5 in hexadecimal.
const MD5_DIGITS: usize = 32;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// That there are bytes, and how many.
    Sizes,
    /// The bytes, at most so many of them each second where that is given.
    Bytes { per_second: Option<u64> },
}

impl Depth {
    /// A check that somebody waits for reads as fast as it can.
    pub(super) fn of_check(compares_bytes: bool) -> Self {
        if compares_bytes {
            Self::Bytes { per_second: None }
        } else {
            Self::Sizes
        }
    }
}

/// How bytes lie in their file.
#[derive(Debug)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// Encrypted.
    Sealed(Seal),
    /// Encrypted with a key that is not there.
    Locked {
        /// How many bytes the file has.
        file_bytes: u64,
    },
}

/// What was noted of bytes when they were written.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) blob: String,
    pub(super) size_bytes: u64,
    etag: String,
    checksum: Option<Checksum>,
    /// How many parts of which size they were made of, in order.
    parts: Vec<(u32, u64)>,
    form: Form,
}

impl Noted {
    pub(super) fn new(
        blob: String,
        size_bytes: i64,
        etag: String,
        attributes: Attributes,
        form: Form,
    ) -> Self {
        Self {
            blob,
            size_bytes: u64::try_from(size_bytes).unwrap_or(0),
            etag,
            checksum: attributes.checksum.filter(|checksum| !checksum.is_composite()),
            parts: attributes.parts.into_runs(),
            form,
        }
    }

    fn file_bytes(&self) -> u64 {
        match &self.form {
            Form::Plain => self.size_bytes,
            Form::Sealed(seal) => file_size(&seal.segments),
            Form::Locked { file_bytes } => *file_bytes,
        }
    }

    fn sums(&self) -> RunningSums {
        let parts_add_up = self
            .parts
            .iter()
            .map(|(count, size)| u64::from(*count) * size)
            .sum::<u64>()
            == self.size_bytes
            && !self.parts.is_empty();
        let etag = match (self.etag.len(), parts_add_up) {
            (MD5_DIGITS, _) => Some(EtagSum::Whole(Md5::new())),
            (_, true) => Some(EtagSum::Parts(PartSums::new(&self.parts))),
            (_, false) => None,
        };
        let checksum = self.checksum.as_ref().map(|checksum| checksum.algorithm.hasher());
        RunningSums { etag, checksum }
    }
}

/// What comes of a comparison that found no damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// The bytes are those that were written.
    Bytes,
    /// Their number is; there is nothing to compare them with, or that was not asked for.
    Size,
}

/// Compares the bytes of a blob with what was noted.
pub(super) async fn verify(blobs: &Blobs, noted: &Noted, depth: Depth) -> Result<Sound, Problem> {
    let size_bytes = blobs.size(&noted.blob).await.map_err(problem)?;
    if size_bytes != noted.file_bytes() {
        return Err(Problem::SizeDiffers);
    }
    let Depth::Bytes { per_second } = depth else {
        return Ok(Sound::Size);
    };
    let mut sums = noted.sums();
    let seal = match &noted.form {
        Form::Locked { .. } => return Ok(Sound::Size),
        Form::Plain if sums.is_nothing() => return Ok(Sound::Size),
        Form::Plain => None,
        // Its tags are compared, whether or not there are sums.
        Form::Sealed(seal) => Some(seal.clone()),
    };
    let range = 0..noted.size_bytes;
    let mut stream = blobs
        .read((&noted.blob, None), seal, range)
        .await
        .map_err(problem)?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(problem)?;
        let length = chunk.len() as u64;
        let updated = spawn_blocking(move || sums.updated(&chunk)).await;
        sums = updated.map_err(|_| Problem::Unreadable)?;
        if let Some(per_second) = per_second {
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / per_second.max(1) as f64)).await;
        }
    }
    if sums.are_those_of(noted) {
        Ok(Sound::Bytes)
    } else {
        Err(Problem::ChecksumDiffers)
    }
}

fn problem(error: io::Error) -> Problem {
    if error.get_ref().is_some_and(|cause| cause.is::<Forged>()) {
        return Problem::ChecksumDiffers;
    }
    match error.kind() {
        io::ErrorKind::NotFound => Problem::BytesMissing,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Problem::SizeDiffers,
        _ => Problem::Unreadable,
    }
}

/// The sums of bytes that pass.
struct RunningSums {
    etag: Option<EtagSum>,
    checksum: Option<Hasher>,
}

enum EtagSum {
    Whole(Md5),
    Parts(PartSums),
}

impl RunningSums {
    fn is_nothing(&self) -> bool {
        self.etag.is_none() && self.checksum.is_none()
    }

    fn updated(mut self, chunk: &Bytes) -> Self {
        match &mut self.etag {
            Some(EtagSum::Whole(md5)) => md5.update(chunk),
            Some(EtagSum::Parts(parts)) => parts.update(chunk),
            None => {}
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(chunk);
        }
        self
    }

    fn are_those_of(self, noted: &Noted) -> bool {
        let etag = match self.etag {
            Some(EtagSum::Whole(md5)) => Some(hex::encode(md5.finalize())),
            Some(EtagSum::Parts(parts)) => Some(parts.finish()),
            None => None,
        };
        let checksum = self.checksum.map(Hasher::finish);
        let wanted = noted.checksum.as_ref().map(|checksum| &checksum.value);
        etag.is_none_or(|etag| etag == noted.etag) && checksum.as_ref() == wanted
    }
}

/// The entity tag of an object that was uploaded in parts: the MD5 of the parts' MD5s with their number.
struct PartSums {
    /// The sizes of the parts that are not complete, the next one last.
    sizes: Vec<(u32, u64)>,
    part: Md5,
    part_left: u64,
    all: Md5,
    count: u32,
}

impl PartSums {
    fn new(parts: &[(u32, u64)]) -> Self {
        let mut sums = Self {
            sizes: parts.iter().rev().copied().collect(),
            part: Md5::new(),
            part_left: 0,
            all: Md5::new(),
            count: 0,
        };
        sums.part_left = sums.next_size().unwrap_or(0);
        sums
    }

    fn next_size(&mut self) -> Option<u64> {
        let (count, size) = self.sizes.last_mut()?;
        let size = *size;
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.sizes.pop();
        }
        Some(size)
    }

    fn end_part(&mut self) {
        self.all.update(self.part.finalize_reset());
        self.count += 1;
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.part_left == 0 {
                self.end_part();
                self.part_left = self.next_size().unwrap_or(u64::MAX);
            }
            let length = bytes
                .len()
                .min(usize::try_from(self.part_left).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(length);
            self.part.update(now);
            self.part_left -= length as u64;
            bytes = later;
        }
    }

    fn finish(mut self) -> String {
        self.end_part();
        format!("{}-{}", hex::encode(self.all.finalize()), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_parts_does_not_depend_on_the_chunks() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut all = Md5::new();
        for part in [&bytes[..40], &bytes[40..80], &bytes[80..]] {
            all.update(Md5::digest(part));
        }
        let expected = format!("{}-3", hex::encode(all.finalize()));
        for chunk in [1, 7, 40, 41, 100] {
            let mut sums = PartSums::new(&[(2, 40), (1, 20)]);
            bytes.chunks(chunk).for_each(|chunk| sums.update(chunk));
            assert_eq!(sums.finish(), expected, "{chunk}");
        }
    }
}
