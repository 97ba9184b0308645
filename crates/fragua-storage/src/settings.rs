//! Settings of the two backends.

use std::path::PathBuf;
use std::time::Duration;

use fragua_base::Secret;

/// S3's own limit of one object.
const FIVE_TEBIBYTES: u64 = 5 << 40;

/// Where and how objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the blobs; made when missing. It belongs to the store alone.
    pub root: PathBuf,
    /// The largest object in bytes.
    pub max_object_bytes: u64,
    /// Uploads in parts that are older are abandoned at the next start.
    pub upload_lifetime: Duration,
}

impl Settings {
    /// Keeps objects below `root`, with S3's limit of 5 TiB an object and a week for uploads in parts.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            max_object_bytes: FIVE_TEBIBYTES,
            upload_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Which other S3 to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its base address, such as `https://s3.example.org`. Buckets are addressed by path.
    pub endpoint: String,
    /// The region that signatures name.
    pub region: String,
    /// The public half of the access key.
    pub access_key: String,
    /// The secret half.
    pub secret: Secret,
}
