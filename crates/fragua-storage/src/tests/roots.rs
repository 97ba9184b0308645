//! Bytes on several disks.

use std::path::PathBuf;

use fragua_database::Database;

use super::{Kit, bucket, files, key, put, read};
use crate::{CopyOptions, Settings, Storage};

async fn bytes_are_spread_over_roots_and_found_in_each(database: Database) {
    let kit = Kit::new(database).await;
    let [first, second]: [PathBuf; 2] = ["1", "2"].map(|name| kit.root.path().join(name));
    let open = async |root: &PathBuf, more: &PathBuf| {
        let settings = Settings {
            more_roots: vec![more.clone()],
            small_object_bytes: 0,
            ..Settings::new(root)
        };
        let opened = Storage::open(kit.database.clone(), settings, kit.clock.clone());
        opened.await.unwrap()
    };
    let blobs = || [&first, &second].map(|root| files(&root.join("blobs")));
    let storage = open(&first, &second).await;
    let names: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    for name in &names {
        put(&storage, name, name.clone()).await;
    }
    let [in_first, in_second] = blobs();
    assert!(in_first > 0 && in_second > 0 && in_first + in_second == 40);
    for name in &names[..10] {
        storage.delete(&bucket(), &key(name)).await.unwrap();
        put(&storage, &names[10], names[10].clone()).await;
    }
    let (bucket, source, target) = (bucket(), key("k20"), key("copy"));
    let copied = storage.copy((&bucket, &source), (&bucket, &target), CopyOptions::default());
    copied.await.unwrap();
    assert_eq!(blobs().iter().sum::<usize>(), 31);
    storage.check_ready().await.unwrap();
    drop(storage);

    // Which of them comes first does not matter.
    let storage = open(&second, &first).await;
    for name in &names[10..] {
        assert_eq!(read(&storage, name).await.unwrap(), name.as_str());
    }
    assert_eq!(read(&storage, "copy").await.unwrap(), "k20");
    let left = "0".repeat(32);
    let folder = first.join("blobs/00");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&left), "left").unwrap();
    let report = storage.check(true).await.unwrap();
    assert_eq!((report.verified.objects, report.verified.damaged_count), (31, 0));
    assert_eq!(report.orphans, [left]);
}

fragua_database::each_engine!(engines: bytes_are_spread_over_roots_and_found_in_each);
