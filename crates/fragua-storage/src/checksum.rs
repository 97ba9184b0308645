//! Checksums that S3 clients send beside a body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use serde::{Deserialize, Serialize};

use crate::Error;

/// An algorithm of S3's checksum headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChecksumAlgorithm {
    /// CRC-32 of zlib; what boto3 sends by default.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A checksum of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: ChecksumAlgorithm,
    /// The value in base64; a composite one of N parts ends in `-N`.
    pub value: String,
}

impl Checksum {
    /// Returns whether this is a checksum of the parts' checksums.
    pub fn is_composite(&self) -> bool {
        self.value.contains('-')
    }
}

/// A checksum to compute while a body passes, and where to find the value it must have.
pub struct ExpectedChecksum {
    /// How to compute it.
    pub algorithm: ChecksumAlgorithm,
    expected: Box<dyn FnOnce() -> Option<String> + Send>,
}

impl ExpectedChecksum {
    /// Asks for a checksum without comparing it.
    pub fn compute(algorithm: ChecksumAlgorithm) -> Self {
        Self::at_end(algorithm, || None)
    }

    /// Asks for a checksum that must be `value` in base64.
    pub fn equal_to(algorithm: ChecksumAlgorithm, value: impl Into<String>) -> Self {
        let value = value.into();
        Self::at_end(algorithm, move || Some(value))
    }

    /// Asks for a checksum whose value `expected` tells once the body has ended, as trailers do.
    pub fn at_end(
        algorithm: ChecksumAlgorithm,
        expected: impl FnOnce() -> Option<String> + Send + 'static,
    ) -> Self {
        Self {
            algorithm,
            expected: Box::new(expected),
        }
    }

    pub(crate) fn into_expected(self) -> Option<String> {
        (self.expected)()
    }
}

impl fmt::Debug for ExpectedChecksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExpectedChecksum")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// Returns the name that S3 uses, such as `CRC32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Finds the algorithm of a name that S3 uses.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// Starts a computation.
    pub(crate) fn hasher(self) -> Hasher {
        let mut inner = ChecksumHasher::default();
        match self {
            Self::Crc32 => inner.crc32 = Some(Crc32::new()),
            Self::Crc32c => inner.crc32c = Some(Crc32c::new()),
            Self::Crc64Nvme => inner.crc64nvme = Some(Crc64Nvme::new()),
            Self::Sha1 => inner.sha1 = Some(Sha1::new()),
            Self::Sha256 => inner.sha256 = Some(Sha256::new()),
        }
        Hasher(inner)
    }

    /// Returns the checksum of the parts' checksums (each in base64), or `None` when one is not base64.
    pub(crate) fn composite<'a>(self, parts: impl ExactSizeIterator<Item = &'a str>) -> Option<Checksum> {
        let count = parts.len();
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(&STANDARD.decode(part).ok()?);
        }
        Some(Checksum {
            algorithm: self,
            value: format!("{}-{count}", hasher.finish()),
        })
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A running checksum.
pub(crate) struct Hasher(ChecksumHasher);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the value in base64.
    pub(crate) fn finish(self) -> String {
        let sums = self.0.finalize();
        let value = sums
            .checksum_crc32
            .or(sums.checksum_crc32c)
            .or(sums.checksum_crc64nvme);
        value
            .or(sums.checksum_sha1)
            .or(sums.checksum_sha256)
            .expect("one algorithm is on")
    }
}

/// What a body must turn out to be.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) size: Option<u64>,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) checksum: Option<ExpectedChecksum>,
    /// Whether the MD5 is wanted, also when none was announced.
    pub(crate) wants_md5: bool,
}

impl Expected {
    /// Returns what has to be computed for it.
    pub(crate) fn sums(&self) -> Sums {
        Sums {
            md5: self.wants_md5 || self.md5.is_some(),
            checksum: self.checksum.as_ref().map(|checksum| checksum.algorithm),
        }
    }
}

/// What to compute of a body while it passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sums {
    md5: bool,
    checksum: Option<ChecksumAlgorithm>,
}

/// What a body turned out to be.
#[derive(Debug)]
pub(crate) struct BodyDigest {
    pub(crate) size_bytes: u64,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) checksum: Option<Checksum>,
}

/// Sums up a body while it passes.
pub(crate) struct BodyHasher {
    size_bytes: u64,
    md5: Option<Md5>,
    checksum: Option<Hasher>,
}

impl BodyHasher {
    pub(crate) fn new(sums: Sums) -> Self {
        Self {
            size_bytes: 0,
            md5: sums.md5.then(Md5::new),
            checksum: sums.checksum.map(ChecksumAlgorithm::hasher),
        }
    }

    /// Returns how many bytes have passed.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(hasher) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    /// Compares with what was announced.
    pub(crate) fn finish(self, expected: Expected) -> Result<BodyDigest, Error> {
        let size_bytes = self.size_bytes;
        if let Some(size) = expected.size
            && size != size_bytes
        {
            return Err(Error::IncompleteBody {
                expected: size,
                received: size_bytes,
            });
        }
        let md5 = self.md5.map(|md5| md5.finalize().into());
        if expected.md5.is_some() && expected.md5 != md5 {
            return Err(Error::ChecksumMismatch { algorithm: "MD5" });
        }
        let mut checksum = None;
        if let (Some(wanted), Some(hasher)) = (expected.checksum, self.checksum) {
            let (algorithm, value) = (wanted.algorithm, hasher.finish());
            if wanted.into_expected().is_some_and(|wanted| wanted != value) {
                return Err(Error::ChecksumMismatch {
                    algorithm: algorithm.as_str(),
                });
            }
            checksum = Some(Checksum { algorithm, value });
        }
        Ok(BodyDigest {
            size_bytes,
            md5,
            checksum,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_123456789() {
        for (algorithm, expected) in [
            (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
            (ChecksumAlgorithm::Crc32c, "4waSgw=="),
            (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
            (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (
                ChecksumAlgorithm::Sha256,
                "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
            ),
        ] {
            let mut hasher = algorithm.hasher();
            hasher.update(b"12345");
            hasher.update(b"6789");
            assert_eq!(hasher.finish(), expected, "{algorithm}");
            assert_eq!(ChecksumAlgorithm::from_name(algorithm.as_str()), Some(algorithm));
        }
    }

    #[test]
    fn a_composite_is_over_the_binary_parts() {
        let algorithm = ChecksumAlgorithm::Crc32;
        let composite = algorithm.composite(["y/Q5Jg==", "y/Q5Jg=="].into_iter()).unwrap();
        let mut hasher = algorithm.hasher();
        hasher.update(&STANDARD.decode("y/Q5Jsv0OSY=").unwrap());
        assert_eq!(composite.value, format!("{}-2", hasher.finish()));
        assert!(composite.is_composite());
        assert_eq!(algorithm.composite(["?"].into_iter()), None);
    }
}
