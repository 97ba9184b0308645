//! The bytes of all objects, looked at and mended on the command line.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, client};
use crate::workers::until;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_check_finds_what_nobody_misses_and_a_repair_removes_it() {
    let project = Project::empty();
    let sound = project.run(&["storage", "check"]).await;
    assert!(sound.ok, "{}", sound.stderr);
    assert_eq!(
        sound.stdout,
        "0 versions (0 bytes) as they were written, 0 damaged, 0 files without an object\n"
    );
    assert!(
        !project.path(".fragua").exists(),
        "a project that was never started is only read"
    );
    assert!(project.run(&["storage", "repair"]).await.ok);

    let orphan = "0123456789abcdef".repeat(2);
    let folder = project.path(".fragua/objects/blobs/01");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&orphan), "nobody's").unwrap();
    let found = project.run(&["storage", "check", "--quick", "--json"]).await;
    assert!(!found.ok);
    assert_eq!(json(&found.stdout)["orphans"], json!([orphan]));

    let repaired = project.run(&["storage", "repair"]).await;
    assert!(repaired.ok, "{}", repaired.stderr);
    assert!(
        repaired
            .stdout
            .ends_with("removed 1 file without an object and 0 objects without bytes\n"),
        "{}",
        repaired.stdout
    );
    assert!(!folder.join(&orphan).exists());
    assert!(project.run(&["storage", "check"]).await.ok);
}

#[tokio::test]
async fn objects_of_another_s3_are_not_checked_here() {
    let project = Project::empty();
    project.write("fragua.toml", "[storage]\nendpoint = \"http://127.0.0.1:9\"\n");
    let refused = project.run(&["storage", "check"]).await;
    assert!(!refused.ok);
    assert!(
        refused
            .stderr
            .contains("the objects are kept by another S3 (storage.endpoint comes from: "),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn a_sensor_goes_on_when_its_object_comes_and_not_at_its_next_look() {
    let project = Project::with_dag(
        "waits",
        "dag: waits\ntasks:\n  - { id: rows, object_sensor: { bucket: mlflows3, wildcard: '*/rows.csv', poke_interval: 1h } }\n",
    );
    let server = project.up(&["--roles", "orchestrator,tracking,storage"]).await;
    assert!(project.run(&["dags", "unpause", "waits"]).await.ok);
    let run = project.trigger("waits").await;
    let until_state = async |wanted: &str| {
        until(wanted, async || {
            let state = project.run(&["tasks", "state", "waits", "rows", &run]).await;
            (state.stdout.trim() == wanted).then_some(())
        })
        .await;
    };
    until_state("up_for_reschedule").await;
    let artifact = format!(
        "{}/api/2.0/mlflow-artifacts/artifacts/in/rows.csv",
        server.address("tracking")
    );
    let stored = client().put(artifact).body("1,2").send().await.unwrap();
    assert!(stored.status().is_success(), "{}", stored.status());
    until_state("success").await;
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
}

#[tokio::test]
async fn the_key_of_the_store_is_replaced() {
    let project = Project::empty();
    let key = || fs::read_to_string(project.path(".fragua/storage.key")).unwrap();
    assert!(project.run(&["storage", "repair"]).await.ok);
    let before = key();
    let rotated = project.run(&["storage", "rotate-key", "--json"]).await;
    assert!(rotated.ok, "{}", rotated.stderr);
    assert_eq!(json(&rotated.stdout), json!({ "rotated": 0 }));
    assert!(key() != before && !key().contains(','), "the old key is gone");
    // Keys of a setting are given there, the new one first.
    let alone = "storage.secret_key=cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    let asked = project.run(&["storage", "rotate-key", "--set", alone]).await;
    assert!(!asked.ok && asked.stderr.contains("NEW,OLD"), "{}", asked.stderr);
    let both = format!("{alone},{}", key().trim());
    let rotated = project.run(&["storage", "rotate-key", "--set", &both]).await;
    assert!(rotated.ok, "{}", rotated.stderr);
    let server = project.up(&["--roles", "storage"]).await;
    let refused = project.run(&["storage", "rotate-key"]).await;
    assert!(
        !refused.ok && refused.stderr.contains("end it first"),
        "{}",
        refused.stderr
    );
    server.stop().await;
}
