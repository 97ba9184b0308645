//! A disk that takes no more.

use std::path::Path;
use std::process::{ExitCode, Stdio};

use bytes::Bytes;
use fragua_storage::{CreateUpload, Error, PartOptions, PutOptions, Storage};
use futures::stream;
use s3s::S3Error;
use tokio::process::Command;

use crate::store::{bucket, digest, key, open, read};

/// The limit of a file in blocks of 512 bytes: 8 MiB, more than the database's own files have here.
const LIMIT_BLOCKS: u64 = 16_384;

const OBJECT_BYTES: usize = 12 << 20;

/// The process whose disk is full: it says how each write ended.
pub(crate) async fn fill(folder: &str) -> ExitCode {
    let storage = open(Path::new(folder)).await;
    let chunk = Bytes::from(vec![7; 1 << 20]);
    let body = || {
        stream::iter(
            (0..OBJECT_BYTES >> 20)
                .map(|_| Ok(chunk.clone()))
                .collect::<Vec<_>>(),
        )
    };
    let (bucket, name) = (bucket("bucket"), key("k"));
    let put = storage.put(&bucket, &name, PutOptions::default(), body()).await;
    tell("put", put.map(drop));
    let upload = storage
        .create_upload(&bucket, &name, CreateUpload::default())
        .await
        .unwrap();
    let mut parts = Vec::new();
    for number in [1, 2] {
        let five: Vec<_> = (0..5).map(|_| Ok(chunk.clone())).collect();
        let part = storage
            .upload_part(
                (&bucket, &name),
                &upload,
                number,
                PartOptions::default(),
                stream::iter(five),
            )
            .await
            .unwrap();
        parts.push(fragua_storage::CompletedPart {
            number,
            etag: part.etag,
            checksums: Vec::new(),
        });
    }
    let completed = storage
        .complete_upload((&bucket, &name), &upload, &parts, Default::default())
        .await;
    tell("complete", completed.map(drop));
    tell("small", put_small(&storage).await);
    storage.abort_upload(&bucket, &name, &upload).await.unwrap();
    ExitCode::SUCCESS
}

async fn put_small(storage: &Storage) -> Result<(), Error> {
    storage
        .put_bytes(&bucket("bucket"), &key("small"), PutOptions::default(), "small")
        .await
        .map(drop)
}

fn tell(what: &str, outcome: Result<(), Error>) {
    match outcome.map_err(S3Error::from) {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!(
            "{what}: {} {}",
            error.status_code().map_or(0, |status| status.as_u16()),
            error.code().as_str()
        ),
    }
}

pub(crate) async fn a_full_disk_is_told_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    storage.create_bucket(&bucket("bucket")).await.unwrap();
    storage
        .put_bytes(&bucket("bucket"), &key("k"), PutOptions::default(), "old")
        .await
        .unwrap();
    drop(storage);
    // The shell can have the signal ignored that would end the process instead of telling it.
    let script = format!("trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; exec \"$0\" fill \"$1\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{said} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        said,
        "put: 507 StorageFull\ncomplete: 507 StorageFull\nsmall: done\n"
    );

    let incoming = folder.path().join("objects/incoming");
    assert_eq!(
        std::fs::read_dir(&incoming).unwrap().count(),
        0,
        "files of writes that failed"
    );
    let storage = open(folder.path()).await;
    assert_eq!(read(&storage, "bucket", "k", None).await, Some(digest(b"old")));
    assert_eq!(
        read(&storage, "bucket", "small", None).await,
        Some(digest(b"small"))
    );
    let report = storage.check(true).await.unwrap();
    assert!(report.is_sound() && report.verified.objects == 2, "{report:?}");
}
