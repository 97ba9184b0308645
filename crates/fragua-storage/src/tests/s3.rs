//! The S3 API in process: statuses, headers and bodies that clients see.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use fragua_auth::{AccessKey, Auth};
use fragua_base::{Clock as _, Secret, SystemClock};
use fragua_database::testing::TestDatabase;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::bucket;
use crate::s3::REGION;
use crate::{
    BucketName, ObjectKey, PresignedRequest, Settings, Storage, Webhook, WebhookSettings, presigned_url,
};

pub(super) struct Api {
    pub(super) router: Router,
    pub(super) storage: Storage,
    pub(super) auth: Auth,
    pub(super) key: AccessKey,
    database: Arc<TestDatabase>,
    root: Arc<TempDir>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of an error, and its status.
    pub(super) fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), between(self.text(), "<Code>", "</Code>"))
    }
}

pub(super) fn between<'text>(text: &'text str, start: &str, end: &str) -> &'text str {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .map_or("", |(found, _)| found)
}

/// One webhook, `rows`, which nothing is sent to here.
fn webhooks() -> WebhookSettings {
    let webhook = Webhook {
        url: Secret::new("https://example.org/hook"),
        secret: None,
    };
    WebhookSettings {
        webhooks: [("rows".to_owned(), webhook)].into(),
        ..WebhookSettings::default()
    }
}

impl Api {
    /// Serves a store with one bucket and the object `k` of ten digits.
    pub(super) async fn start() -> Self {
        Self::reached_by(&[]).await
    }

    /// Serves the same under hosts that name buckets.
    pub(super) async fn reached_by(domains: &[&str]) -> Self {
        Self::open(domains, 1 << 20).await
    }

    /// Serves the same with larger objects.
    pub(super) async fn with_room(max_object_bytes: u64) -> Self {
        Self::open(&[], max_object_bytes).await
    }

    async fn open(domains: &[&str], max_object_bytes: u64) -> Self {
        let database = TestDatabase::sqlite().await;
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let settings = Settings {
            max_object_bytes,
            webhooks: webhooks(),
            secret_key: Some(fragua_auth::new_secret_key()),
            ..Settings::new(root.path())
        };
        let storage = Storage::open(database.database.clone(), settings, clock.clone())
            .await
            .unwrap();
        storage.create_bucket(&bucket()).await.unwrap();
        super::put(&storage, "k", "0123456789").await;
        let auth = Auth::open(database.database.clone(), clock).await.unwrap();
        let key = auth.root_access_key(None).await.unwrap();
        let settings = crate::s3::Settings {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        };
        Self {
            router: crate::s3::router(storage.clone(), auth.clone(), &settings),
            storage,
            auth,
            key,
            database: Arc::new(database),
            root: Arc::new(root),
        }
    }

    pub(super) fn url(&self, method: &str, path: &str, query: &[(&str, &str)], lifetime: Duration) -> String {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = (!bucket.is_empty()).then(|| BucketName::parse(bucket).unwrap());
        let key = (!key.is_empty()).then(|| ObjectKey::parse(key).unwrap());
        let request = PresignedRequest {
            endpoint: "http://127.0.0.1:9000",
            region: REGION,
            method,
            bucket: bucket.as_ref(),
            key: key.as_ref(),
            query,
            lifetime,
            now: SystemClock.now(),
        };
        presigned_url(&self.key, request).unwrap()
    }

    /// Signs a request for a path that is encoded already, at a host of its own.
    pub(super) fn url_at(&self, endpoint: &str, method: &str, path: &str, query: &[(&str, &str)]) -> String {
        crate::presign::presigned_path(
            &self.key,
            PresignedRequest {
                endpoint,
                region: REGION,
                method,
                bucket: None,
                key: None,
                query,
                lifetime: Duration::from_secs(60),
                now: SystemClock.now(),
            },
            path,
        )
        .unwrap()
    }

    /// Where the bytes are.
    pub(super) fn blobs(&self) -> std::path::PathBuf {
        self.root.path().join("blobs")
    }

    /// Signs with another key.
    pub(super) fn with_key(&self, key: AccessKey) -> Self {
        Self {
            router: self.router.clone(),
            storage: self.storage.clone(),
            auth: self.auth.clone(),
            key,
            database: self.database.clone(),
            root: self.root.clone(),
        }
    }

    /// Sends a signed request; `path` is bucket and key, not encoded.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let url = self.url(method, path, query, Duration::from_secs(60));
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("host", "127.0.0.1:9000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(body.into()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, &[], headers, "").await
    }

    async fn list(&self, query: &[(&str, &str)]) -> Answer {
        self.send("GET", "bucket", query, &[], "").await
    }

    pub(super) async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.into_body().collect().await.unwrap().to_bytes(),
        }
    }
}

#[tokio::test]
async fn probes_need_no_signature() {
    let api = Api::start().await;
    let probe = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        api.raw(request).await.status.as_u16()
    };
    assert_eq!(probe("/minio/health/live").await, 200);
    assert_eq!(probe("/minio/health/ready").await, 200);
    std::fs::remove_dir_all(api.root.path().join("blobs")).unwrap();
    assert_eq!(probe("/minio/health/ready").await, 503);
    assert_eq!(probe("/minio/health/live").await, 200);
}

#[tokio::test]
async fn what_was_answered_is_told_to_prometheus() {
    let api = Api::start().await;
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        api.raw(request).await
    };
    assert_eq!(ask("/bucket/key").await.status, 403);
    let sent = Request::builder()
        .method("BREW")
        .uri("/bucket")
        .body(Body::empty());
    api.raw(sent.unwrap()).await;
    let page = ask("/minio/v2/metrics/cluster").await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    for line in [
        "fragua_storage_requests_total{operation=\"GetObject\",outcome=\"refused\"} 1",
        "fragua_storage_request_seconds_count{operation=\"OTHER\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn who_does_not_sign_properly_is_refused() {
    let api = Api::start().await;
    let unsigned = Request::get("/bucket/k").body(Body::empty()).unwrap();
    assert_eq!(api.raw(unsigned).await.error(), (403, "AccessDenied"));

    let url = api.url("GET", "bucket/k", &[], Duration::from_secs(60));
    let send = |url: String| {
        let request = Request::get(url)
            .header("host", "127.0.0.1:9000")
            .body(Body::empty())
            .unwrap();
        api.raw(request)
    };
    assert_eq!(send(url.clone()).await.status, 200);
    assert_eq!(
        send(url.replace("bucket/k?", "bucket/other?")).await.error(),
        (403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        send(url.replace(&api.key.id, "SOMEBODYELSE")).await.error(),
        (403, "InvalidAccessKeyId")
    );
    let expired = PresignedRequest {
        endpoint: "http://127.0.0.1:9000",
        region: REGION,
        method: "GET",
        bucket: Some(&bucket()),
        key: Some(&super::key("k")),
        query: &[],
        lifetime: Duration::from_secs(60),
        now: fragua_base::Timestamp::from_millis(SystemClock.now().as_millis() - 120_000),
    };
    assert_eq!(
        send(presigned_url(&api.key, expired).unwrap()).await.error(),
        (403, "AccessDenied")
    );
}

#[tokio::test]
async fn the_old_signature_is_refused() {
    let api = Api::start().await;
    let old_header = Request::get("/bucket/k").header("authorization", "AWS key:signature");
    let old_query = Request::get("/bucket/k?AWSAccessKeyId=key&Expires=99999999999&Signature=x");
    let hidden = Request::get("/bucket/k?AWSAccessKeyId=key&Expires=99999999999&%53ignature=x");
    for request in [old_header, old_query, hidden] {
        let answer = api.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.error(), (400, "InvalidRequest"));
        for words in ["AWS4-HMAC-SHA256", "signature_version", "fragua keys"] {
            assert!(answer.text().contains(words), "{}", answer.text());
        }
    }
}

/// Found by fuzzing: the reader of dates subtracts before it looks.
#[tokio::test]
async fn a_date_of_no_digits_is_refused() {
    let api = Api::start().await;
    let url = api.url("GET", "bucket/k", &[], Duration::from_secs(60));
    let date = between(&url, "X-Amz-Date=", "&").to_owned();
    let in_query = url.replace(
        &format!("X-Amz-Date={date}"),
        "X-Amz-Date=%2D%2D%2D%2D0101T000000Z",
    );
    let in_scope = url.replace(&format!("%2F{}%2F", &date[..8]), "%2F----0101%2F");
    assert!(in_query != url && in_scope != url);
    let signed = |date: &str, scope: &str| {
        let credential = format!("{}/{scope}/us-east-1/s3/aws4_request", api.key.id);
        let text = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00");
        Request::get("/bucket/k")
            .header("authorization", text)
            .header("x-amz-date", date)
    };
    for request in [
        Request::get(in_query),
        Request::get(in_scope),
        signed("----0101T000000Z", "20260101"),
        signed("20260101T000000Z", "2026--01"),
    ] {
        let request = request
            .header("host", "127.0.0.1:9000")
            .body(Body::empty())
            .unwrap();
        assert_eq!(api.raw(request).await.error(), (403, "AccessDenied"));
    }
}

#[tokio::test]
async fn an_object_has_its_headers() {
    let api = Api::start().await;
    let headers = [
        ("content-type", "text/csv"),
        ("content-encoding", "gzip"),
        ("cache-control", "no-cache"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("x-amz-meta-Run", "7"),
        ("content-md5", "ZajifYh5KDgxtmS9i38K1A=="),
    ];
    let put = api
        .send("PUT", "bucket/new", &[], &headers, "Hello, World!")
        .await;
    assert_eq!(
        (put.status.as_u16(), put.header("etag")),
        (200, "\"65a8e27d8879283831b664bd8b7f0ad4\"")
    );
    assert_eq!(put.header("x-amz-request-id").len(), 16);
    for method in ["GET", "HEAD"] {
        let answer = api.send(method, "bucket/new", &[], &[], "").await;
        assert_eq!(answer.status, 200);
        for (name, expected) in [
            ("content-type", "text/csv"),
            ("content-encoding", "gzip"),
            ("cache-control", "no-cache"),
            ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("x-amz-meta-run", "7"),
            ("content-length", "13"),
            ("etag", "\"65a8e27d8879283831b664bd8b7f0ad4\""),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(answer.header(name), expected, "{method} {name}");
        }
        assert!(answer.header("last-modified").ends_with(" GMT"));
    }
    let query = [("response-content-disposition", "attachment; filename=\"a.csv\"")];
    let named = api.send("GET", "bucket/new", &query, &[], "").await;
    assert_eq!(
        named.header("content-disposition"),
        "attachment; filename=\"a.csv\""
    );
    assert_eq!(named.body, "Hello, World!");
}

#[tokio::test]
async fn ranges_have_three_forms() {
    let api = Api::start().await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=-99", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=0-9", 206, "bytes 0-9/10", "0123456789"),
    ] {
        let answer = api.get("bucket/k", &[("range", range)]).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.header("content-range"),
                answer.text()
            ),
            (status, content_range, body)
        );
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=10-20"] {
        let answer = api.get("bucket/k", &[("range", range)]).await;
        assert_eq!(answer.error(), (416, "InvalidRange"), "{range}");
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
}

#[tokio::test]
async fn conditions_are_answered_with_304_and_412() {
    let api = Api::start().await;
    let etag = api.get("bucket/k", &[]).await.header("etag").to_owned();
    let (past, future) = ("Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    for (header, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "*", 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", "\"other\"", 200),
        ("if-none-match", etag.as_str(), 304),
        ("if-none-match", "*", 304),
        ("if-modified-since", past, 200),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", past, 412),
        ("if-unmodified-since", future, 200),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = api.send(method, "bucket/k", &[], &[(header, value)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{method} {header}: {value}");
            if status == 304 {
                assert_eq!(answer.header("etag"), etag);
            }
        }
    }
    let absent = [("if-none-match", "*")];
    assert_eq!(
        api.send("PUT", "bucket/k", &[], &absent, "x").await.error(),
        (412, "PreconditionFailed")
    );
    assert_eq!(api.send("PUT", "bucket/new", &[], &absent, "x").await.status, 200);
    assert_eq!(
        api.send("PUT", "bucket/k", &[], &[("if-match", "\"other\"")], "x")
            .await
            .error()
            .0,
        412
    );
    assert_eq!(
        api.send("PUT", "bucket/k", &[], &[("if-match", &etag)], "x")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_not_the_one_hashed_is_refused() {
    let api = Api::start().await;
    for (header, value, expected) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", (400, "BadDigest")),
        ("content-md5", "short", (400, "InvalidDigest")),
        ("x-amz-checksum-crc32", "AAAAAA==", (400, "BadDigest")),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", (400, "BadDigest")),
        ("x-amz-sdk-checksum-algorithm", "MD4", (400, "InvalidArgument")),
        ("content-length", "12", (400, "IncompleteBody")),
        ("x-amz-storage-class", "GLACIER", (400, "InvalidStorageClass")),
        ("x-amz-acl", "public-read", (400, "AccessControlListNotSupported")),
    ] {
        let answer = api.send("PUT", "bucket/k", &[], &[(header, value)], "new").await;
        assert_eq!(answer.error(), expected, "{header}: {value}");
    }
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(
        api.send("PUT", "bucket/k", &[], &[], large).await.error(),
        (400, "EntityTooLarge")
    );
    assert_eq!(api.get("bucket/k", &[]).await.body, "0123456789");
}

#[tokio::test]
async fn a_client_refused_before_its_body_gets_a_new_connection() {
    let api = Api::start().await;
    let waiting = [("expect", "100-continue")];
    let refused = api.send("PUT", "nobucket/k", &[], &waiting, "x").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("connection")),
        (404, "close")
    );
    let accepted = api.send("PUT", "bucket/k", &[], &waiting, "x").await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.header("connection")),
        (200, "")
    );
    assert_eq!(
        api.send("PUT", "nobucket/k", &[], &[], "x")
            .await
            .header("connection"),
        ""
    );
}

#[tokio::test]
async fn checksums_are_kept_and_given_back() {
    let api = Api::start().await;
    let put = api
        .send(
            "PUT",
            "bucket/c",
            &[],
            &[("x-amz-checksum-crc32", "y/Q5Jg==")],
            "123456789",
        )
        .await;
    assert_eq!(
        (put.status.as_u16(), put.header("x-amz-checksum-crc32")),
        (200, "y/Q5Jg==")
    );
    let asked = [("x-amz-checksum-mode", "ENABLED")];
    let whole = api.get("bucket/c", &asked).await;
    assert_eq!(whole.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    assert_eq!(whole.header("x-amz-checksum-type"), "FULL_OBJECT");
    assert_eq!(
        api.send("HEAD", "bucket/c", &[], &asked, "")
            .await
            .header("x-amz-checksum-crc32"),
        "y/Q5Jg=="
    );
    let part = api.get("bucket/c", &[asked[0], ("range", "bytes=0-1")]).await;
    assert_eq!(part.header("x-amz-checksum-crc32"), "");
    assert_eq!(api.get("bucket/c", &[]).await.header("x-amz-checksum-crc32"), "");
}

#[tokio::test]
async fn what_is_missing_has_its_code() {
    let api = Api::start().await;
    for (method, path, query, expected) in [
        ("GET", "bucket/none", &[][..], (404, "NoSuchKey")),
        ("GET", "nobucket/k", &[], (404, "NoSuchBucket")),
        ("GET", "nobucket", &[("list-type", "2")], (404, "NoSuchBucket")),
        ("GET", "nobucket", &[("location", "")], (404, "NoSuchBucket")),
        ("DELETE", "nobucket", &[], (404, "NoSuchBucket")),
        ("DELETE", "bucket", &[], (409, "BucketNotEmpty")),
        ("GET", "bucket/k", &[("versionId", "7")], (404, "NoSuchVersion")),
        (
            "GET",
            "bucket/k",
            &[("partNumber", "2")],
            (416, "InvalidPartNumber"),
        ),
        (
            "GET",
            "bucket/k",
            &[("partNumber", "0")],
            (400, "InvalidArgument"),
        ),
        ("GET", "bucket/k", &[("uploadId", "none")], (404, "NoSuchUpload")),
        (
            "PUT",
            "bucket/k",
            &[("partNumber", "1"), ("uploadId", "none")],
            (404, "NoSuchUpload"),
        ),
        (
            "DELETE",
            "bucket/k",
            &[("uploadId", "none")],
            (404, "NoSuchUpload"),
        ),
        (
            "GET",
            "bucket",
            &[("list-type", "2"), ("continuation-token", "?")],
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            "bucket",
            &[("list-type", "2"), ("max-keys", "-1")],
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            "bucket",
            &[("list-type", "2"), ("encoding-type", "xml")],
            (400, "InvalidArgument"),
        ),
    ] {
        let answer = api.send(method, path, query, &[], "").await;
        assert_eq!(answer.error(), expected, "{method} {path} {query:?}");
        assert!(
            !between(answer.text(), "<Message>", "</Message>").contains("sql"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(api.send("HEAD", "bucket/none", &[], &[], "").await.status, 404);
    assert_eq!(api.send("HEAD", "bucket", &[], &[], "").await.status, 200);
    assert_eq!(api.send("HEAD", "nobucket", &[], &[], "").await.status, 404);
    assert_eq!(api.send("DELETE", "bucket/none", &[], &[], "").await.status, 204);
}

#[tokio::test]
async fn an_internal_fault_tells_nothing_of_the_inside() {
    let api = Api::start().await;
    super::put(&api.storage, "long", vec![0; 100_000]).await;
    std::fs::remove_dir_all(api.root.path().join("blobs")).unwrap();
    let answer = api.get("bucket/long", &[]).await;
    assert_eq!(answer.error(), (500, "InternalError"));
    let message = between(answer.text(), "<Message>", "</Message>");
    assert_eq!(message, "We encountered an internal error. Please try again.");
    api.database.database.close().await;
    let answer = api.get("bucket/k", &[]).await;
    assert!(answer.status.is_server_error());
    assert!(!answer.text().contains("pool"), "{}", answer.text());
}

#[tokio::test]
async fn lists_encode_keys_when_asked() {
    let api = Api::start().await;
    for name in ["a b+ñ", "dir/1", "dir/2", "é/x"] {
        super::put(&api.storage, name, "x").await;
    }
    let query = [("list-type", "2"), ("delimiter", "/"), ("encoding-type", "url")];
    let page = api.list(&query).await;
    for expected in [
        "<Key>a%20b%2B%C3%B1</Key>",
        "<Key>k</Key>",
        "<Prefix>dir/</Prefix>",
        "<Prefix>%C3%A9/</Prefix>",
        "<KeyCount>4</KeyCount>",
        "<IsTruncated>false</IsTruncated>",
        "<EncodingType>url</EncodingType>",
        "<StorageClass>STANDARD</StorageClass>",
        "<ETag>\"",
    ] {
        assert!(page.text().contains(expected), "{expected} in {}", page.text());
    }
    assert!(
        api.list(&[("list-type", "2")])
            .await
            .text()
            .contains("<Key>a b+ñ</Key>")
    );
}

#[tokio::test]
async fn both_lists_go_on_where_they_stopped() {
    let api = Api::start().await;
    for name in ["a/1", "a/2", "b", "c/1"] {
        super::put(&api.storage, name, "x").await;
    }
    let names = |text: &str| -> Vec<String> {
        let wanted = |part: &&str| part.starts_with("Key>") || part.starts_with("CommonPrefixes><Prefix>");
        let marked = text.replace("<CommonPrefixes><Prefix>", "<CommonPrefixes><Prefix> ");
        marked
            .split('<')
            .filter(|part| wanted(part) || part.starts_with("Prefix> "))
            .filter_map(|part| part.split_once('>'))
            .map(|(_, name)| name.trim().to_owned())
            .collect()
    };
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("list-type", "2"), ("delimiter", "/"), ("max-keys", "1")];
        if !token.is_empty() {
            query.push(("continuation-token", &token));
        }
        let page = api.list(&query).await;
        found.extend(names(page.text()));
        token = between(page.text(), "<NextContinuationToken>", "<").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["a/", "b", "c/", "k"]);
    let (mut found, mut marker) = (Vec::new(), String::new());
    loop {
        let page = api
            .list(&[("delimiter", "/"), ("max-keys", "3"), ("marker", &marker)])
            .await;
        found.extend(names(page.text()));
        marker = between(page.text(), "<NextMarker>", "<").to_owned();
        if marker.is_empty() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, ["a/", "b", "c/", "k"]);
    let all = api.send("GET", "", &[], &[], "").await;
    assert!(all.text().contains("<Name>bucket</Name>"), "{}", all.text());
    let location = api.send("GET", "bucket", &[("location", "")], &[], "").await;
    assert!(
        location.status == 200 && location.text().contains("LocationConstraint"),
        "{}",
        location.text()
    );
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let api = Api::start().await;
    super::put(&api.storage, "../x", "x").await;
    let body = "<Delete><Object><Key>k</Key></Object><Object><Key>../x</Key></Object>\
                <Object><Key>none</Key></Object><Object><Key>v</Key><VersionId>7</VersionId></Object></Delete>";
    let length = body.len().to_string();
    let answer = api
        .send(
            "POST",
            "bucket",
            &[("delete", "")],
            &[("content-length", &length)],
            body,
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text().matches("<Deleted>").count(), 4);
    assert!(super::keys(&api.storage).await.is_empty());
}

#[tokio::test]
async fn a_copy_names_its_source() {
    let api = Api::start().await;
    let copy = async |target: &str, headers: &[(&str, &str)]| {
        api.send("PUT", &format!("bucket/{target}"), &[], headers, "")
            .await
    };
    let source = ("x-amz-copy-source", "/bucket/k");
    let answer = copy("copy", &[source]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("<ETag>\"781e5e245d69b566979b86e28d23f2c7\"</ETag>"),
        "{}",
        answer.text()
    );
    assert_eq!(copy("k", &[source]).await.error(), (400, "InvalidRequest"));
    let replace = [
        source,
        ("x-amz-metadata-directive", "REPLACE"),
        ("content-type", "a/b"),
    ];
    assert_eq!(copy("k", &replace).await.status, 200);
    assert_eq!(api.get("bucket/k", &[]).await.header("content-type"), "a/b");
    assert_eq!(
        copy("x", &[("x-amz-copy-source", "bucket/none")]).await.error(),
        (404, "NoSuchKey")
    );
    let unmet = [source, ("x-amz-copy-source-if-match", "\"other\"")];
    assert_eq!(copy("x", &unmet).await.error(), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn an_entity_tag_beside_a_key_to_delete_was_passed_over() {
    let api = Api::start().await;
    let etag = super::put(&api.storage, "k", "new").await.etag;
    let delete = async |objects: &str| {
        let body = format!("<Delete>{objects}</Delete>");
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str())];
        api.send("POST", "bucket", &[("delete", "")], &headers, body)
            .await
    };
    let answer = delete(
        "<Object><Key>k</Key><ETag>\"other\"</ETag></Object><Object><Key>none</Key><ETag>*</ETag></Object>\
         <Object><Key>k</Key><Size>3</Size></Object>",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for code in ["PreconditionFailed", "NoSuchKey", "NotImplemented"] {
        assert!(
            answer.text().contains(&format!("<Code>{code}</Code>")),
            "{}",
            answer.text()
        );
    }
    let condition = async |etag: &str| {
        api.send("DELETE", "bucket/k", &[], &[("if-match", etag)], "")
            .await
    };
    assert_eq!(condition("\"other\"").await.error(), (412, "PreconditionFailed"));
    assert_eq!(super::keys(&api.storage).await, ["k"]);
    let answer = delete(&format!("<Object><Key>k</Key><ETag>\"{etag}\"</ETag></Object>")).await;
    assert!(
        answer.text().contains("<Deleted><Key>k</Key>"),
        "{}",
        answer.text()
    );
    assert_eq!(condition("*").await.error(), (404, "NoSuchKey"));
    super::put(&api.storage, "k", "new").await;
    assert_eq!(condition(&etag).await.status, 204);
    assert!(super::keys(&api.storage).await.is_empty());
}

#[tokio::test]
async fn errors_that_the_library_finds_had_no_message() {
    let api = Api::start().await;
    let url = api.url("GET", "bucket/k", &[], Duration::from_secs(60));
    let forged = url.replace("bucket/k?", "bucket/other?");
    for (method, uri, code, words) in [
        (
            "PUT",
            "/Bad_Name",
            "InvalidBucketName",
            "may hold only lower-case letters",
        ),
        ("PUT", "/a", "InvalidBucketName", "must have 3 to 63 characters"),
        ("GET", "/bucket/%ff", "InvalidURI", "cannot be read"),
        (
            "GET",
            &format!("/bucket/{}", "k".repeat(1025)),
            "KeyTooLongError",
            "too long",
        ),
        ("GET", &forged, "SignatureDoesNotMatch", "Check your key"),
        ("PATCH", "/bucket/k", "NotImplemented", "Unknown operation"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "127.0.0.1:9000")
            .body(Body::empty())
            .unwrap();
        let answer = api.raw(request).await;
        assert_eq!(answer.error().1, code, "{method} {uri}");
        let message = between(answer.text(), "<Message>", "</Message>");
        assert!(message.contains(words), "{method} {uri}: {}", answer.text());
    }
    api.auth.write_access_log().await.unwrap();
    let log = api.auth.access_log(None, 10).await.unwrap();
    let operations: Vec<&str> = log.items.iter().map(|entry| entry.operation.as_str()).collect();
    assert_eq!(operations, ["PATCH", "GetObject", "CreateBucket", "CreateBucket"]);
}
