#![doc = include_str!("../README.md")]

mod bucket;
mod checksum;
mod error;
mod listing;
mod multipart;
mod object;
mod presign;
mod settings;
mod storage;
mod stream;

mod backend;
pub mod s3;
mod store;

#[cfg(test)]
mod tests;

pub use bucket::{Bucket, BucketName};
pub use checksum::{Checksum, ChecksumAlgorithm, ExpectedChecksum};
pub use error::Error;
pub use listing::{ListQuery, Listing, ObjectSummary};
pub use multipart::{
    CompletedPart, CreateUpload, Part, PartList, PartOptions, Upload, UploadId, UploadList, UploadQuery,
};
pub use object::{
    ByteRange, CopyOptions, EtagCondition, GetOptions, ObjectHeaders, ObjectKey, ObjectMeta, PutOptions,
    ReadConditions, WriteCondition,
};
pub use presign::{PresignedRequest, presigned_url};
pub use settings::{RemoteSettings, Settings};
pub use storage::Storage;
pub use stream::{BodyStream, ObjectStream};
