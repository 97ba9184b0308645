//! An artifact of 600 MiB, up in parts and down whole and in ranges, in a program of its own: its memory is looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each program uses a part of it")]
mod support;

use std::fs;

use fragua_storage::{BucketName, ListQuery};
use support::{Client, Server};

const MEBIBYTE: u64 = 1024 * 1024;
/// What buffers, and what the allocator keeps, may add. The artifact is over nine times as large.
const MOST_GROWTH_BYTES: u64 = 64 * MEBIBYTE;
/// As many as the client's parts of 10 MiB.
const PARTS: &str = "-60";

/// Returns a figure of this process in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes = line.trim_start_matches(':').trim().strip_suffix(" kB").unwrap();
    kibibytes.trim().parse::<u64>().unwrap() * 1024
}

/// One after the other: the disk holds the artifact several times.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_artifact_takes_no_memory() {
    for client in [Client::Mlflow3, Client::Mlflow2] {
        let server = Server::start().await;
        let before = memory("VmRSS");
        server.run(client, "large_artifact.py").await;
        let most = memory("VmHWM");
        assert!(
            most < before + MOST_GROWTH_BYTES,
            "{client:?}: {} MiB before, {} MiB at most",
            before / MEBIBYTE,
            most / MEBIBYTE
        );
        let bucket = BucketName::parse("mlflows3").unwrap();
        let listing = server.storage.list(&bucket, ListQuery::default()).await.unwrap();
        let etags: Vec<_> = listing
            .objects
            .iter()
            .map(|object| object.etag.as_str())
            .collect();
        assert!(
            matches!(etags.as_slice(), [only] if only.ends_with(PARTS)),
            "{client:?} sent it in parts: {etags:?}"
        );
        server.stop().await;
    }
}
