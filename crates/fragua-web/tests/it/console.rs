//! The pages of the object store.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fragua_storage::{BucketName, CustomerKey, Encrypt, ObjectKey, PutOptions};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::browser::{Answer, assert_pages, get, post, send};
use super::house::House;

#[tokio::test]
async fn an_empty_store_has_pages() {
    let house = House::open().await;
    let console = house.console();
    assert_pages(&console, &["/", "/buckets", "/buckets/mlflows3"]).await;
    let bucket = get(&console, "/buckets/mlflows3").await;
    bucket.has(&["Nothing here", "type=\"file\""]);
    let health = get(&console, "/health").await;
    assert_eq!(
        (health.status, health.body.as_str()),
        (StatusCode::OK, r#"{"status":"healthy"}"#)
    );
}

#[tokio::test]
async fn folders_lead_down_to_an_object() {
    let house = House::open().await;
    house
        .put("mlflows3", "1/abc/artifacts/MLmodel", b"flavors: {}")
        .await;
    house.put("mlflows3", "1/abc/plot & more.svg", b"<svg/>").await;
    house.put("mlflows3", "top.txt", b"hello").await;
    let console = house.console();
    get(&console, "/")
        .await
        .has(&["mlflows3", ">3<", "22 B", "http://127.0.0.1:9000"]);
    let top = get(&console, "/buckets/mlflows3").await;
    top.has(
        &["/buckets/mlflows3?prefix=1%2F", ">top.txt<", "2 entries"]
            .map(|text| text.trim_matches(['>', '<'])),
    );
    let folder = get(&console, "/buckets/mlflows3?prefix=1%2Fabc%2F").await;
    folder.has(&[
        "artifacts/",
        "plot &#38; more.svg",
        "/buckets/mlflows3?prefix=1%2F\"",
    ]);
    let moved = get(&console, "/buckets/mlflows3?key=1%2Fabc%2Fplot%20%26%20more.svg").await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER);
    let object = get(&console, moved.header("location")).await;
    object.has(&["s3://mlflows3/1/abc/plot &#38; more.svg", "6 B", "ETag"]);
    assert_pages(
        &console,
        &[
            "/",
            "/buckets/mlflows3?prefix=1%2Fabc%2F",
            "/buckets/mlflows3/object?key=top.txt",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_download_is_never_run() {
    let house = House::open().await;
    house
        .put("mlflows3", "evil.html", b"<script>alert(1)</script>")
        .await;
    house
        .put("mlflows3", "evil.svg", b"<svg onload='alert(1)'/>")
        .await;
    let console = house.console();
    for (key, kind) in [
        ("evil.html", "application/octet-stream"),
        ("evil.svg", "image/svg+xml"),
    ] {
        let file = get(&console, &format!("/buckets/mlflows3/download?key={key}")).await;
        assert_eq!(file.status, StatusCode::OK);
        assert_eq!(file.header("content-type"), kind);
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert!(file.header("content-disposition").starts_with("attachment"));
        assert!(file.header("content-security-policy").starts_with("sandbox"));
    }
}

#[tokio::test]
async fn an_upload_streams_into_the_folder() {
    let house = House::open().await;
    let console = house.console();
    let big = "x".repeat(3 * 1024 * 1024);
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\ncontent-type: text/csv\r\n\r\n{big}\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"b.json\"\r\n\r\n{{}}\r\n--b--\r\n"
    );
    let request = Request::post("/buckets/mlflows3/upload?prefix=in%2F")
        .header(header::HOST, "127.0.0.1:8083")
        .header(header::ORIGIN, "http://127.0.0.1:8083")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(Body::from(body))
        .unwrap();
    let answer = send(&console, request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.header("location"), "/buckets/mlflows3?prefix=in%2F");
    let bucket = BucketName::parse("mlflows3").unwrap();
    let first = house
        .storage
        .head(&bucket, &ObjectKey::parse("in/a.csv").unwrap())
        .await
        .unwrap();
    assert_eq!(
        (first.size_bytes, first.content_type.as_str()),
        (3 * 1024 * 1024, "text/csv")
    );
    let second = house
        .storage
        .head(&bucket, &ObjectKey::parse("in/b.json").unwrap())
        .await
        .unwrap();
    assert_eq!(
        (second.size_bytes, second.content_type.as_str()),
        (2, "application/json")
    );
}

/// Sends a body as the script of the page does.
async fn put(console: &Router, address: &str, body: Vec<u8>) -> Answer {
    let request = Request::put(address)
        .header(header::HOST, "127.0.0.1:8083")
        .header(header::ORIGIN, "http://127.0.0.1:8083")
        .header(header::CONTENT_LENGTH, body.len())
        .body(Body::from(body))
        .unwrap();
    send(console, request).await
}

#[tokio::test]
async fn an_upload_in_parts_goes_on_where_it_was() {
    let house = House::open().await;
    let console = house.console();
    let begun = post(&console, "/buckets/mlflows3/uploads?key=in%2Fbig.bin", "").await;
    let begun: serde_json::Value = serde_json::from_str(&begun.body).unwrap();
    let at = format!("key=in%2Fbig.bin&upload={}", begun["upload"].as_str().unwrap());
    let first = vec![1; 5 * 1024 * 1024];
    let part = |number: u32| format!("/buckets/mlflows3/uploads/part?{at}&number={number}");
    let written = put(&console, &part(1), first).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);
    get(&console, &format!("/buckets/mlflows3/uploads/parts?{at}"))
        .await
        .has(&[r#"{"parts":[{"number":1,"size":5242880}]}"#]);
    // It is told which parts are missing by the size of the file.
    let complete = format!("/buckets/mlflows3/uploads/complete?{at}&size=5242883");
    assert_eq!(
        post(&console, &complete, "").await.status,
        StatusCode::BAD_REQUEST
    );
    get(&console, "/buckets/mlflows3/settings")
        .await
        .has(&["in/big.bin"]);
    put(&console, &part(2), vec![2; 3]).await;
    let done = post(&console, &complete, "").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    get(&console, "/buckets/mlflows3/object?key=in%2Fbig.bin")
        .await
        .has(&["5.0 MiB", "<dt>Parts</dt><dd>2</dd>"]);
    let gone = get(&console, &format!("/buckets/mlflows3/uploads/parts?{at}")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_is_given_up_and_a_small_file_is_written_at_once() {
    let house = House::open().await;
    let console = house.console();
    let begun = post(&console, "/buckets/mlflows3/uploads?key=a", "").await;
    let begun: serde_json::Value = serde_json::from_str(&begun.body).unwrap();
    let abort = format!(
        "/buckets/mlflows3/uploads/abort?key=a&upload={}",
        begun["upload"].as_str().unwrap()
    );
    let given_up = post(&console, &abort, "").await;
    assert_eq!(given_up.header("location"), "/buckets/mlflows3/settings#uploads");
    get(&console, "/buckets/mlflows3/settings")
        .await
        .has(&["No upload in parts is under way."]);
    let written = put(
        &console,
        "/buckets/mlflows3/content?key=a.csv",
        b"x\n1\n".to_vec(),
    )
    .await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);
    get(&console, "/buckets/mlflows3/object?key=a.csv")
        .await
        .has(&["text/csv", "<td>1</td>"]);
    let foreign = Request::put("/buckets/mlflows3/content?key=evil")
        .header(header::HOST, "127.0.0.1:8083")
        .header(header::ORIGIN, "http://evil.example")
        .body(Body::from("x"))
        .unwrap();
    assert_eq!(send(&console, foreign).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_ticked_is_deleted_with_all_that_lies_below() {
    let house = House::open().await;
    for key in ["d/a/1", "d/a/b/2", "d/ab", "d/c", "e"] {
        house.put("mlflows3", key, b"x").await;
    }
    let console = house.console();
    let deleted = post(
        &console,
        "/buckets/mlflows3/delete?prefix=d%2F",
        "folder=d%2Fa%2F&key=d%2Fc",
    )
    .await;
    assert_eq!(deleted.header("location"), "/buckets/mlflows3?prefix=d%2F");
    let left = get(&console, "/buckets/mlflows3?deep=1").await;
    left.has(&["value=\"d/ab\"", "value=\"e\"", "2 entries"]);
    // A prefix that is no folder would take more than was ticked.
    for form in ["", "folder=d", "folder="] {
        let answer = post(&console, "/buckets/mlflows3/delete", form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}");
    }
}

#[tokio::test]
async fn what_is_ticked_is_one_archive() {
    let house = House::open().await;
    for key in ["d/a/1.txt", "d/a/b/10:00.txt", "d/a/../evil", "d/c & d.txt", "e"] {
        house.put("mlflows3", key, b"bytes of a file").await;
    }
    let closed = PutOptions {
        encryption: Encrypt::CustomerKey(CustomerKey::new([7; 32])),
        ..PutOptions::default()
    };
    let (bucket, key) = (
        BucketName::parse("mlflows3").unwrap(),
        ObjectKey::parse("d/a/closed").unwrap(),
    );
    house.storage.put_bytes(&bucket, &key, closed, "x").await.unwrap();
    let console = house.console();
    let request = Request::post("/buckets/mlflows3/zip?prefix=d%2F")
        .header(header::HOST, "127.0.0.1:8083")
        .header(header::ORIGIN, "http://127.0.0.1:8083")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("folder=d%2Fa%2F&key=d%2Fc+%26+d.txt&key=d%2Fgone"))
        .unwrap();
    let response = console.clone().oneshot(request).await.unwrap();
    let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename*=UTF-8''d.zip");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["LEFT-OUT.txt", "a/1.txt", "a/b/10:00.txt", "c & d.txt"]);
    let mut read = |name: &str| std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
    assert_eq!(read("a/b/10:00.txt"), "bytes of a file");
    assert_eq!(
        read("LEFT-OUT.txt"),
        "d/a/../evil: its key is no path of a file\nd/a/closed: only its writer's key opens it\n"
    );
}

#[tokio::test]
async fn folders_are_made_found_and_paged() {
    let house = House::open().await;
    for number in 0..450 {
        let key = format!("many/{number:04}.txt").leak() as &str;
        house.put("mlflows3", key, b"x").await;
    }
    let console = house.console();
    let made = post(
        &console,
        "/buckets/mlflows3/folder?prefix=many%2F",
        "name=%3Cnew%3E",
    )
    .await;
    assert_eq!(
        made.header("location"),
        "/buckets/mlflows3?prefix=many%2F%3Cnew%3E%2F"
    );
    let folder = get(&console, made.header("location")).await;
    folder.has(&["Nothing here", "&#60;new&#62;"]);
    let bad = post(&console, "/buckets/mlflows3/folder", "name=%2F").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let first = get(&console, "/buckets/mlflows3?prefix=many%2F").await;
    first.has(&[
        "200 entries",
        "/buckets/mlflows3?prefix=many%2F&#38;after=many%2F0199.txt",
    ]);
    let last = get(&console, "/buckets/mlflows3?prefix=many%2F&after=many%2F0399.txt").await;
    last.has(&["51 entries", "&#60;new&#62;/"]);
    last.lacks(&["rel=\"next\""]);
    let found = get(&console, "/buckets/mlflows3?prefix=many%2F&find=044").await;
    found.has(&["10 entries", "value=\"044\""]);
    let below = get(&console, "/buckets/mlflows3?find=many%2F04&deep=1").await;
    below.has(&["50 entries", "many/0449.txt"]);
    get(&console, "/buckets/mlflows3?find=%3Cb%3E")
        .await
        .has(&["Nothing begins like this", "&#60;b&#62;"]);
}

#[tokio::test]
async fn a_folder_is_sorted_unless_it_is_long() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"x").await;
    house.put("mlflows3", "b", b"xxx").await;
    house.put("mlflows3", "c/d", b"xx").await;
    let console = house.console();
    let order = async |address: &str| {
        let page = get(&console, address).await.body;
        let rows = page.split("name=\"key\" value=\"").skip(1);
        rows.map(|row| row[..1].to_owned()).collect::<String>()
    };
    assert_eq!(order("/buckets/mlflows3").await, "ab");
    assert_eq!(order("/buckets/mlflows3?sort=-size").await, "ba");
    get(&console, "/buckets/mlflows3?sort=-size").await.has(&[
        "aria-sort=\"descending\"",
        "/buckets/mlflows3?sort=size",
        "/buckets/mlflows3?sort=-changed",
    ]);
    for number in 0..1000 {
        let key = ObjectKey::parse(format!("n{number}")).unwrap();
        let bucket = BucketName::parse("mlflows3").unwrap();
        let options = fragua_storage::PutOptions::default();
        house
            .storage
            .put_bytes(&bucket, &key, options, "xx")
            .await
            .unwrap();
    }
    let long = get(&console, "/buckets/mlflows3?sort=-size").await;
    long.has(&["stay in the order of their names"]);
    assert!(order("/buckets/mlflows3?sort=-size").await.starts_with("ab"));
}

#[tokio::test]
async fn files_of_runs_and_models_lead_to_them() {
    let house = House::open().await;
    let run = "0123456789abcdef0123456789abcdef";
    for key in [
        format!("3/{run}/artifacts/plots/a b.txt"),
        "3/models/m-1/artifacts/MLmodel".to_owned(),
        format!("3/{run}/other"),
    ] {
        house.put("mlflows3", key.leak(), b"x").await;
    }
    house
        .put("others", format!("3/{run}/artifacts/plots/a b.txt").leak(), b"x")
        .await;
    let console = house.console();
    let object = format!("/object?key=3%2F{run}%2Fartifacts%2Fplots%2Fa%20b.txt");
    let link = format!("http://127.0.0.1:8084/runs/{run}?tab=artifacts&#38;path=plots%2Fa%20b.txt");
    get(&console, &format!("/buckets/mlflows3{object}"))
        .await
        .has(&[&link]);
    get(&console, &format!("/buckets/others{object}"))
        .await
        .lacks(&[&link]);
    get(
        &console,
        &format!("/buckets/mlflows3?prefix=3%2F{run}%2Fartifacts%2F"),
    )
    .await
    .has(&[&format!("http://127.0.0.1:8084/runs/{run}?tab=artifacts\"")]);
    get(
        &console,
        "/buckets/mlflows3/object?key=3%2Fmodels%2Fm-1%2Fartifacts%2FMLmodel",
    )
    .await
    .has(&["http://127.0.0.1:8084/logged-models/m-1?tab=artifacts&#38;path=MLmodel"]);
}

#[tokio::test]
async fn buckets_are_made_and_objects_deleted() {
    let house = House::open().await;
    house.put("mlflows3", "a/b.txt", b"x").await;
    let console = house.console();
    let made = post(&console, "/buckets", "name=datasets").await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/buckets/datasets")
    );
    let again = post(&console, "/buckets", "name=datasets&versioning=1&quota=2").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    // What was typed is not lost.
    again.has(&["exists already", "value=\"datasets\"", "value=\"2\""]);
    let options = "name=open-data&versioning=1&public=1&quota=1.5&unit=GiB";
    let made = post(&console, "/buckets", options).await;
    assert_eq!(made.header("location"), "/buckets/open-data");
    get(&console, "/buckets")
        .await
        .has(&["Public reading", "Versions", "1.5 GiB"]);
    let bad = post(&console, "/buckets", "name=No").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let deleted = post(&console, "/buckets/mlflows3/delete?prefix=a%2F", "key=a%2Fb.txt").await;
    assert_eq!(deleted.header("location"), "/buckets/mlflows3?prefix=a%2F");
    let bucket = BucketName::parse("mlflows3").unwrap();
    assert!(
        house
            .storage
            .head(&bucket, &ObjectKey::parse("a/b.txt").unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_page() {
    let house = House::open().await;
    let console = house.console();
    for (address, status) in [
        ("/buckets/no-such-bucket", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3/object?key=ghost", StatusCode::NOT_FOUND),
        ("/buckets/no-such-bucket/settings", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3/download?key=ghost", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3/delete", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = get(&console, address).await;
        assert_eq!(answer.status, status, "{address}");
        answer.has(&["class=\"error-page\""]);
    }
}
