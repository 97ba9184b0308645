//! What a crash leaves, and what the next start makes of it.
//!
//! A crash is played by laying the files and rows out as they lie at each point of a write.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use fragua_database::{Database, each_engine};

use super::{Kit, bucket, key};
use crate::store::garbage;
use crate::store::small::{self, SmallBlob};

impl Kit {
    /// Lays out a file that a dead instance was writing, with its second name when it had got that far.
    pub(super) fn leave_behind(&self, blob: &str, has_second_name: bool) {
        let instance = self.root.path().join("incoming").join("0".repeat(32));
        fs::create_dir_all(&instance).unwrap();
        fs::write(instance.join("lock"), "").unwrap();
        fs::write(instance.join(blob), "bytes").unwrap();
        if has_second_name {
            let path = self.blob_path(blob);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !path.exists() {
                fs::hard_link(instance.join(blob), path).unwrap();
            }
        }
    }

    /// Returns the bytes of an object as they lie in its file or row.
    pub(super) async fn lying(&self, name: &str) -> Vec<u8> {
        let blob = self.blob_of(name).await;
        match small::is_small(&blob) {
            true => small::read(self.database.reader(), &blob)
                .await
                .unwrap()
                .unwrap()
                .to_vec(),
            false => fs::read(self.blob_path(&blob)).unwrap(),
        }
    }

    /// Writes over the bytes of an object where they lie, or takes them away.
    pub(super) async fn spoil(&self, name: &str, bytes: Option<&[u8]>) {
        let blob = self.blob_of(name).await;
        let writer = self.database.writer();
        match (small::is_small(&blob), bytes) {
            (false, Some(bytes)) => fs::write(self.blob_path(&blob), bytes).unwrap(),
            (false, None) => fs::remove_file(self.blob_path(&blob)).unwrap(),
            (true, bytes) => {
                small::remove(writer, &[&blob]).await.unwrap();
                if let Some(bytes) = bytes {
                    let bytes = Bytes::copy_from_slice(bytes);
                    let row = SmallBlob { id: blob, bytes };
                    small::insert(writer, &row).await.unwrap();
                }
            }
        }
    }

    pub(super) fn blob_path(&self, blob: &str) -> PathBuf {
        self.root.path().join("blobs").join(&blob[..2]).join(blob)
    }

    /// Lays out a file of this very instance that has its second name and no row yet.
    pub(super) fn write_under_way(&self, blob: &str) {
        let incoming = self.root.path().join("incoming");
        let instance = fs::read_dir(&incoming).unwrap().next().unwrap().unwrap().path();
        fs::write(instance.join(blob), "under way").unwrap();
        let path = self.blob_path(blob);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(instance.join(blob), path).unwrap();
    }

    pub(super) async fn blob_of(&self, name: &str) -> String {
        let (bucket, key) = (bucket(), key(name));
        let place = crate::backend::Place {
            bucket: &bucket,
            key: &key,
        };
        crate::store::objects::find(&self.database, place)
            .await
            .unwrap()
            .blob_id
    }
}

async fn files_without_a_row_are_removed(database: Database) {
    let kit = Kit::with_small(database, 0).await;
    kit.put("k", "old").await;
    kit.leave_behind(&"a".repeat(32), false);
    kit.leave_behind(&"b".repeat(32), true);
    assert_eq!((kit.blobs().await, kit.incoming_files()), (2, 2));
    let storage = kit.reopen().await;
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
    assert_eq!(super::read(&storage, "k").await.unwrap(), "old");
}

async fn a_committed_blob_is_kept(database: Database) {
    let kit = Kit::with_small(database, 0).await;
    kit.put("k", "new").await;
    let blob = kit.blob_of("k").await;
    kit.leave_behind(&blob, true);
    kit.reopen().await;
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
    assert_eq!(kit.read("k").await.unwrap(), "new");
}

async fn a_replaced_blob_is_removed(database: Database) {
    let kit = Kit::with_small(database, 0).await;
    kit.put("k", "new").await;
    let replaced = "c".repeat(32);
    let path = kit.blob_path(&replaced);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "old").unwrap();
    garbage::add(kit.database.writer(), &[replaced, "d".repeat(32)])
        .await
        .unwrap();
    kit.reopen().await;
    assert_eq!(kit.blobs().await, 1);
    assert!(garbage::some(&kit.database).await.unwrap().is_empty());
    assert_eq!(kit.read("k").await.unwrap(), "new");
}

async fn a_living_instance_is_left_alone(database: Database) {
    let kit = Kit::with_small(database, 0).await;
    kit.put("k", "x").await;
    let incoming = kit.root.path().join("incoming");
    let instance = fs::read_dir(&incoming).unwrap().next().unwrap().unwrap().path();
    fs::write(instance.join("e".repeat(32)), "under way").unwrap();
    let beside = kit.reopen().await;
    assert_eq!(kit.incoming_files(), 1);
    super::put(&beside, "k2", "y").await;
    assert_eq!(kit.read("k2").await.unwrap(), "y");
    fs::remove_file(instance.join("e".repeat(32))).unwrap();
    drop(beside);
    assert_eq!(fs::read_dir(&incoming).unwrap().count(), 1);
}

async fn many_overwrites_leave_no_rows_of_garbage(database: Database) {
    let kit = Kit::with_small(database, 0).await;
    for number in 0..70 {
        kit.put("k", number.to_string()).await;
    }
    let waiting = garbage::some(&kit.database).await.unwrap().len();
    assert!(waiting < 64, "{waiting}");
    kit.reopen().await;
    assert!(garbage::some(&kit.database).await.unwrap().is_empty());
    assert_eq!(kit.read("k").await.unwrap(), "69");
    assert_eq!(kit.blobs().await, 1);
}

each_engine!(
    suite: files_without_a_row_are_removed,
    a_committed_blob_is_kept,
    a_replaced_blob_is_removed,
    a_living_instance_is_left_alone,
    many_overwrites_leave_no_rows_of_garbage,
);
