//! The S3 API in process.
