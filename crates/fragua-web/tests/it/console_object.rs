//! The page of an object: a look into it, tags, links, versions.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use fragua_base::{SharedClock, SystemClock};
use fragua_learn::{Categorical, Column, Table, write_parquet};
use fragua_storage::{BucketName, ObjectKey, Versioning};

use super::browser::{assert_pages, get, get_at, post};
use super::house::{House, site};

fn bucket() -> BucketName {
    BucketName::parse("mlflows3").unwrap()
}

#[tokio::test]
async fn files_are_looked_into_and_never_run() {
    let house = House::open().await;
    for (key, bytes) in [
        ("a.json", &b"{\"<b>\": [1, null]}"[..]),
        ("a.csv", b"name,score\n<i>,2\n"),
        ("a.txt", b"<script>alert(1)</script>"),
        ("a.html", b"<script>alert(1)</script>"),
        ("a.png", b"\x89PNG"),
        ("a.bin", b"\0\x01"),
    ] {
        house.put("mlflows3", key, bytes).await;
    }
    let console = house.console();
    let page = async |key: &str| get(&console, &format!("/buckets/mlflows3/object?key={key}")).await;
    page("a.json").await.has(&["json-key", "&lt;b&gt;"]);
    page("a.csv").await.has(&["<td>&#60;i&#62;</td>"]);
    let text = page("a.txt").await;
    text.has(&["&#60;script&#62;alert(1)"]);
    text.lacks(&["<script>alert"]);
    page("a.html").await.has(&["sandbox=\"allow-scripts\"", "show=1"]);
    page("a.png")
        .await
        .has(&["<img src=\"/buckets/mlflows3/download?key=a.png\""]);
    page("a.bin").await.has(&["No preview of this file"]);
    let shown = get(&console, "/buckets/mlflows3/download?key=a.html&show=1").await;
    assert!(shown.header("content-security-policy").starts_with("sandbox"));
    assert_pages(
        &console,
        &[
            "/buckets/mlflows3/object?key=a.json",
            "/buckets/mlflows3/object?key=a.png",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_rows_of_a_parquet_file_are_paged() {
    let house = House::open().await;
    let names = ["<ash>", "fir"].map(str::to_owned).to_vec();
    let species = Categorical::new(names, (0..250).map(|row| row % 2).collect()).unwrap();
    let table = Table::new(vec![
        (
            "elevation".to_owned(),
            Column::Numeric((0..250).map(|row| f64::from(row) + 0.5).collect()),
        ),
        ("species".to_owned(), Column::Categorical(species)),
    ]);
    let mut bytes = Vec::new();
    write_parquet(&table.unwrap(), &mut bytes).unwrap();
    let bytes: &'static [u8] = bytes.leak();
    house.put("mlflows3", "a.parquet", bytes).await;
    house
        .put("mlflows3", "cut.parquet", &bytes[..bytes.len() / 2])
        .await;
    house.put("mlflows3", "empty.parquet", b"").await;
    let console = house.console();
    let at = "/buckets/mlflows3/object?key=a.parquet";
    let first = get(&console, at).await;
    first.has(&[">elevation</th>", "<td>0.5</td><td>&#60;ash&#62;</td>", "row=100"]);
    let last = get(&console, &format!("{at}&row=200")).await;
    last.has(&["<td>249.5</td><td>fir</td>"]);
    last.lacks(&["row=300"]);
    for key in ["cut", "empty"] {
        get(&console, &format!("/buckets/mlflows3/object?key={key}.parquet"))
            .await
            .has(&["No preview of this file"]);
    }
}

#[tokio::test]
async fn tags_are_changed_and_checked() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"x").await;
    let console = house.console();
    let at = "/buckets/mlflows3/object?key=a";
    let saved = post(&console, at, "do=tags&tags=stage%3Draw%0D%0A+empty%0D%0A").await;
    assert_eq!(saved.header("location"), at);
    get(&console, at).await.has(&["stage=raw", ">empty<"]);
    let refused = post(&console, at, "do=tags&tags=aws%3Ax%3D%3Cb%3E").await;
    refused.has(&["tags must not have keys that begin with", "aws:x=&#60;b&#62;"]);
    let key = ObjectKey::parse("a").unwrap();
    let tags = house.storage.head(&bucket(), &key).await.unwrap().tags;
    assert_eq!(tags.iter().collect::<Vec<_>>(), [("empty", ""), ("stage", "raw")]);
    let unknown = post(&console, at, "do=explode").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

/// Finds what stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap().1;
    rest.split_once(after).unwrap().0
}

#[tokio::test]
async fn a_link_opens_the_object_without_a_key() {
    let house = House::open().await;
    house.put("mlflows3", "a b/ñ.txt", b"shared").await;
    let at = "/buckets/mlflows3/object?key=a%20b%2F%C3%B1.txt";
    let console = house.console();
    post(&console, at, "do=share&hours=24")
        .await
        .has(&["2025-04-03 12:00:00"]);
    // The S3 API goes by the clock of the system.
    let clock: SharedClock = Arc::new(SystemClock);
    let console = fragua_web::console_pages(house.storage.clone(), house.auth.clone(), site(&clock));
    let answer = post(&console, at, "do=share&hours=24").await;
    let url = between(&answer.body, "id=\"share-url\" value=\"", "\"").replace("&#38;", "&");
    let path = url.strip_prefix("http://127.0.0.1:9000").unwrap();
    let s3 = fragua_storage::s3::router(
        house.storage.clone(),
        house.auth.clone(),
        &fragua_storage::s3::Settings::default(),
    );
    let shared = get_at(&s3, path, "127.0.0.1:9000").await;
    assert_eq!(shared.status, StatusCode::OK, "{}", shared.body);
    assert_eq!(shared.body, "shared");
    let too_long = post(&console, at, "do=share&hours=999").await;
    assert_eq!(too_long.status, StatusCode::BAD_REQUEST);
    let ghost = post(&console, "/buckets/mlflows3/object?key=ghost", "do=share").await;
    assert_eq!(ghost.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_object_is_copied_and_renamed() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"x").await;
    house.put("others", "b", b"y").await;
    let console = house.console();
    let at = "/buckets/mlflows3/object?key=a";
    let copied = post(&console, at, "do=copy&bucket=others&key=c%2Fd").await;
    assert_eq!(copied.header("location"), "/buckets/others/object?key=c%2Fd");
    let moved = post(&console, at, "do=move&bucket=mlflows3&key=new").await;
    assert_eq!(moved.header("location"), "/buckets/mlflows3/object?key=new");
    assert_eq!(get(&console, at).await.status, StatusCode::NOT_FOUND);
    let at = moved.header("location").to_owned();
    let taken = post(&console, &at, "do=move&bucket=others&key=b").await;
    assert_eq!(taken.status, StatusCode::BAD_REQUEST);
    taken.has(&["b is there already"]);
    get(&console, "/buckets/others/object?key=b").await.has(&["1 B"]);
    let refused = post(&console, &at, "do=move&bucket=none-such&key=x").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    refused.has(&["bucket none-such does not exist"]);
    assert_eq!(get(&console, &at).await.status, StatusCode::OK);
}

async fn version_ids(house: &House, key: &str) -> Vec<String> {
    let query = fragua_storage::VersionQuery {
        prefix: key.to_owned(),
        ..Default::default()
    };
    let list = house.storage.list_versions(&bucket(), query).await.unwrap();
    list.versions
        .iter()
        .map(|version| version.id.to_string())
        .collect()
}

async fn with_versions() -> (House, Router) {
    let house = House::open().await;
    let storage = &house.storage;
    storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    house.put("mlflows3", "a.txt", b"first").await;
    house.put("mlflows3", "a.txt", b"second").await;
    house.put("mlflows3", "a.txt.bak", b"another").await;
    let console = house.console();
    (house, console)
}

#[tokio::test]
async fn versions_are_shown_restored_and_deleted() {
    let (house, console) = with_versions().await;
    let at = "/buckets/mlflows3/object?key=a.txt";
    let [second, first] = &version_ids(&house, "a.txt").await[..2] else {
        panic!("there are two versions");
    };
    let page = get(&console, at).await;
    page.has(&["second", first.as_str(), second.as_str(), "Current"]);
    let old = get(&console, &format!("{at}&version={first}")).await;
    old.has(&["first", "An older or named version is shown"]);
    let bytes = get(
        &console,
        &format!("/buckets/mlflows3/download?key=a.txt&version={first}"),
    )
    .await;
    assert_eq!(bytes.body, "first");
    let restored = post(&console, at, &format!("do=restore&id={first}")).await;
    assert_eq!(restored.header("location"), at);
    let now = get(&console, "/buckets/mlflows3/download?key=a.txt").await;
    assert_eq!(now.body, "first");
    post(&console, at, &format!("do=delete-version&id={second}")).await;
    get(&console, at).await.lacks(&[second.as_str()]);
    assert_pages(&console, &[at, &format!("{at}&version={first}")]).await;
}

#[tokio::test]
async fn what_was_deleted_is_found_and_comes_back() {
    let (house, console) = with_versions().await;
    let at = "/buckets/mlflows3/object?key=a.txt";
    post(&console, "/buckets/mlflows3/delete", "key=a.txt").await;
    get(&console, "/buckets/mlflows3").await.lacks(&["key=a.txt\""]);
    let deleted = get(&console, "/buckets/mlflows3?deleted=1").await;
    deleted.has(&["/buckets/mlflows3/object?key=a.txt\""]);
    deleted.lacks(&["a.txt.bak"]);
    let page = get(&console, at).await;
    page.has(&["This object was deleted", "Bring back"]);
    let marker = &version_ids(&house, "a.txt").await[0];
    post(&console, at, &format!("do=delete-version&id={marker}")).await;
    let back = get(&console, "/buckets/mlflows3/download?key=a.txt").await;
    assert_eq!(back.body, "second");
    get(&console, "/buckets/mlflows3?deleted=1")
        .await
        .has(&["Nothing was deleted here"]);
    // With its last version a key has no page any more.
    for id in version_ids(&house, "a.txt.bak").await {
        let gone = post(
            &console,
            "/buckets/mlflows3/object?key=a.txt.bak",
            &format!("do=delete-version&id={id}"),
        )
        .await;
        assert_eq!(gone.header("location"), "/buckets/mlflows3");
    }
    assert_pages(&console, &["/buckets/mlflows3?deleted=1", at]).await;
}
