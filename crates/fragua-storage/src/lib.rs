#![doc = include_str!("../README.md")]

mod bucket;
mod bucket_settings;
mod checksum;
mod encryption;
mod error;
mod events;
mod lifecycle;
mod listing;
mod multipart;
mod object;
mod presign;
mod settings;
mod storage;
mod stream;
mod tags;
mod traffic;
mod upkeep;
mod version;

mod backend;
pub mod s3;
mod store;

#[cfg(test)]
mod tests;

pub use bucket::{Bucket, BucketName, BucketUsage};
pub use bucket_settings::{
    BucketSetting, BucketSettings, Cors, CorsRule, Notification, NotificationKind, NotificationTarget,
};
pub use checksum::{Checksum, ChecksumAlgorithm, ExpectedChecksum};
pub use encryption::{CustomerKey, DefaultEncryption, Encrypt, Encryption};
pub use error::Error;
pub use events::{ObjectEvent, ObjectEventKind, Webhook, WebhookSettings};
pub use lifecycle::{ExpireAfter, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration};
pub use listing::{ListQuery, Listing, ObjectSummary};
pub use multipart::{
    CompleteUpload, CompletedPart, CreateUpload, Part, PartList, PartOptions, Upload, UploadId, UploadList,
    UploadQuery,
};
pub use object::{
    ByteRange, CopyOptions, EtagCondition, GetOptions, ObjectHeaders, ObjectKey, ObjectMeta, PartSizes,
    PutOptions, ReadConditions, WriteCondition,
};
pub use presign::{PresignedRequest, presigned_url};
pub use settings::{RemoteSettings, Settings};
pub use storage::Storage;
pub use stream::{BodyStream, ObjectStream};
pub use tags::{MAX_BUCKET_TAGS, MAX_OBJECT_TAGS, Tags};
pub use traffic::OperationTraffic;
pub use upkeep::{
    CheckReport, Damage, DiskSpace, ExpiryReport, LastCheck, Problem, RepairReport, ScrubPass, ScrubState,
    Tally, Upkeep, Verified,
};
pub use version::{
    DeleteTarget, Deletion, ObjectVersion, Refusal, VersionContent, VersionId, VersionList, VersionQuery,
    Versioning,
};
