//! The pages of the object store.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fragua_storage::{BucketName, ObjectKey};

use super::browser::{assert_pages, get, post, send};
use super::house::House;

#[tokio::test]
async fn an_empty_store_has_pages() {
    let house = House::open().await;
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
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
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
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
    let object = get(
        &console,
        "/buckets/mlflows3?prefix=1%2Fabc%2F&key=1%2Fabc%2Fplot%20%26%20more.svg",
    )
    .await;
    object.has(&["s3://mlflows3/1/abc/plot &#38; more.svg", "6 B", "ETag"]);
    assert_pages(
        &console,
        &[
            "/",
            "/buckets/mlflows3?prefix=1%2Fabc%2F",
            "/buckets/mlflows3?key=top.txt",
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
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
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
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
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

#[tokio::test]
async fn buckets_are_made_and_objects_deleted() {
    let house = House::open().await;
    house.put("mlflows3", "a/b.txt", b"x").await;
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
    let made = post(&console, "/buckets", "name=datasets").await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/buckets/datasets")
    );
    let again = post(&console, "/buckets", "name=datasets").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
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
    let console = fragua_web::console_pages(house.storage.clone(), house.site());
    for (address, status) in [
        ("/buckets/no-such-bucket", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3?key=ghost", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3/download?key=ghost", StatusCode::NOT_FOUND),
        ("/buckets/mlflows3/delete", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = get(&console, address).await;
        assert_eq!(answer.status, status, "{address}");
        answer.has(&["class=\"error-page\""]);
    }
}
