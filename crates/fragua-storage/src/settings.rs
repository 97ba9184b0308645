//! Settings of the two backends.

use std::path::PathBuf;
use std::time::Duration;

use fragua_base::Secret;

use crate::WebhookSettings;

/// S3's own limit of one object.
const FIVE_TEBIBYTES: u64 = 5 << 40;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Little beside what a disk can do: a terabyte takes a day and a half.
const SCRUB_BYTES_PER_SECOND: u64 = 8 << 20;

/// Where and how objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the blobs; made when missing. It belongs to the store alone.
    pub root: PathBuf,
    /// Further folders, on other disks: new blobs go where there is room. One that held blobs is to stay named.
    pub more_roots: Vec<PathBuf>,
    /// The largest object in bytes.
    pub max_object_bytes: u64,
    /// Bodies of objects up to so many bytes are rows of the database and not files, [`Settings::MAX_SMALL_OBJECT_BYTES`] at
    /// most. Such objects are written and deleted several times as fast.
    pub small_object_bytes: usize,
    /// Uploads in parts that are older are given up at the next start, or when lifecycle rules are applied next.
    pub upload_lifetime: Duration,
    /// How often the lifecycle rules of buckets are applied; they count in days.
    pub expire_every: Duration,
    /// How long after a pass the scrubber begins the next one.
    pub scrub_every: Duration,
    /// How many bytes the scrubber reads each second; `None` as many as it can.
    pub scrub_bytes_per_second: Option<u64>,
    /// Where events of buckets may be sent.
    pub webhooks: WebhookSettings,
    /// What the keys of encrypted objects are encrypted with: 32 bytes in URL-safe base64, or several of these with commas
    /// between them. The first encrypts, each decrypts. Without any, the store encrypts nothing by itself.
    pub secret_key: Option<Secret>,
    /// Whether new objects are encrypted where neither their writer nor their bucket says anything of it.
    pub encrypts_all: bool,
}

impl Settings {
    /// What a row may hold on every engine, with room for encryption.
    pub const MAX_SMALL_OBJECT_BYTES: usize = 32 << 10;

    /// Keeps objects below `root`, those of up to 16 KiB in the database, with S3's limit of 5 TiB an object and a week for
    /// uploads in parts; rules are applied each hour, and all bytes are read once in a month.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            more_roots: Vec::new(),
            max_object_bytes: FIVE_TEBIBYTES,
            small_object_bytes: 16 << 10,
            upload_lifetime: 7 * DAY,
            expire_every: DAY / 24,
            scrub_every: 30 * DAY,
            scrub_bytes_per_second: Some(SCRUB_BYTES_PER_SECOND),
            webhooks: WebhookSettings::default(),
            secret_key: None,
            encrypts_all: false,
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
