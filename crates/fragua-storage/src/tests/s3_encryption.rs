//! Encryption in the S3 API in process: headers and refusals that clients see.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::s3::{Answer, Api, between};
use crate::CustomerKey;

const SSE: &str = "x-amz-server-side-encryption";
const OF_OBJECT: &str = "x-amz-server-side-encryption-customer";
const OF_SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer";

/// The three headers of a client's key.
fn key_headers(start: &str, byte: u8) -> Vec<(String, String)> {
    let (key, md5) = (STANDARD.encode([byte; 32]), CustomerKey::new([byte; 32]).md5());
    [("algorithm", "AES256".to_owned()), ("key", key), ("key-md5", md5)]
        .into_iter()
        .map(|(name, value)| (format!("{start}-{name}"), value))
        .collect()
}

impl Api {
    async fn ask_for(
        &self,
        (method, path): (&str, &str),
        query: &[(&str, &str)],
        headers: &[(String, String)],
        body: &'static str,
    ) -> Answer {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.send(method, path, query, &headers, body).await
    }
}

#[tokio::test]
async fn aes256_is_taken_and_told() {
    let api = Api::start().await;
    let sse = [(SSE, "AES256")];
    let written = api.send("PUT", "bucket/e", &[], &sse, "0123456789").await;
    assert_eq!((written.status.as_u16(), written.header(SSE)), (200, "AES256"));
    assert_eq!(
        written.header("etag"),
        api.get("bucket/k", &[]).await.header("etag")
    );
    let read = api.get("bucket/e", &[("range", "bytes=2-4")]).await;
    assert_eq!((read.text(), read.header(SSE)), ("234", "AES256"));
    let head = api.send("HEAD", "bucket/e", &[], &[], "").await;
    assert_eq!(
        (head.header(SSE), head.header("content-length")),
        ("AES256", "10")
    );
    assert_eq!(api.get("bucket/k", &[]).await.header(SSE), "");
    let copy = [("x-amz-copy-source", "bucket/k"), (SSE, "AES256")];
    // What is encrypted by it is changed by a copy to itself.
    assert_eq!(
        api.send("PUT", "bucket/k", &[], &copy, "").await.header(SSE),
        "AES256"
    );
    assert_eq!(api.get("bucket/k", &[]).await.header(SSE), "AES256");
    for (name, value, expected) in [
        (SSE, "aws:kms", (501, "NotImplemented")),
        (SSE, "aws:kms:dsse", (501, "NotImplemented")),
        (SSE, "ROT13", (400, "InvalidArgument")),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "k",
            (501, "NotImplemented"),
        ),
    ] {
        let refused = api.send("PUT", "bucket/r", &[], &[(name, value)], "x").await;
        assert_eq!(refused.error(), expected, "{name}: {value}");
    }
    let asked = api.get("bucket/e", &sse).await;
    assert_eq!(asked.error(), (400, "InvalidArgument"));
}

#[tokio::test]
async fn a_bucket_encrypts_by_default() {
    let api = Api::start().await;
    let configuration = |algorithm: &str| {
        format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}\
             </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
    };
    let set = async |algorithm: &str| {
        let body = configuration(algorithm);
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str())];
        api.send("PUT", "bucket", &[("encryption", "")], &headers, body)
            .await
    };
    let unset = (404, "ServerSideEncryptionConfigurationNotFoundError");
    let ask = async |method: &str| api.send(method, "bucket", &[("encryption", "")], &[], "").await;
    assert_eq!(ask("GET").await.error(), unset);
    assert_eq!(set("aws:kms").await.error(), (501, "NotImplemented"));
    assert_eq!(set("ROT13").await.error(), (400, "MalformedXML"));
    let done = set("AES256").await;
    assert_eq!(done.status, 200, "{}", done.text());
    let told = ask("GET").await;
    assert_eq!(
        between(told.text(), "<SSEAlgorithm>", "</SSEAlgorithm>"),
        "AES256"
    );
    let written = api.send("PUT", "bucket/e", &[], &[], "x").await;
    assert_eq!(written.header(SSE), "AES256");
    let begun = api.send("POST", "bucket/u", &[("uploads", "")], &[], "").await;
    assert_eq!(begun.header(SSE), "AES256");
    assert_eq!(ask("DELETE").await.status, 204);
    assert_eq!(ask("GET").await.error(), unset);
    assert_eq!(api.send("PUT", "bucket/e", &[], &[], "x").await.header(SSE), "");
}

#[tokio::test]
async fn a_clients_key_is_needed_to_read() {
    let api = Api::start().await;
    let (right, wrong) = (key_headers(OF_OBJECT, 7), key_headers(OF_OBJECT, 8));
    let place = "bucket/c";
    let written = api.ask_for(("PUT", place), &[], &right, "secret").await;
    assert_eq!(written.status, 200, "{}", written.text());
    assert_eq!(
        written.header("x-amz-server-side-encryption-customer-algorithm"),
        "AES256"
    );
    let md5 = written.header("x-amz-server-side-encryption-customer-key-md5");
    assert_eq!(md5, CustomerKey::new([7; 32]).md5());
    assert_eq!(written.header(SSE), "");
    for method in ["GET", "HEAD"] {
        let read = async |headers| api.ask_for((method, place), &[], headers, "").await;
        assert_eq!(read(&right).await.status, 200);
        assert_eq!(read(&wrong).await.status, 403);
        assert_eq!(read(&[]).await.status, 400);
    }
    assert_eq!(
        api.ask_for(("GET", place), &[], &right, "").await.text(),
        "secret"
    );
    assert_eq!(api.get(place, &[]).await.error(), (400, "InvalidRequest"));
    let refused = api.ask_for(("GET", place), &[], &wrong, "").await;
    assert_eq!(refused.error(), (403, "AccessDenied"));
    let unneeded = api.ask_for(("GET", "bucket/k"), &[], &right, "").await;
    assert_eq!(unneeded.error(), (400, "InvalidRequest"));
    let attributes = [("x-amz-object-attributes".to_owned(), "ObjectSize".to_owned())];
    let query = [("attributes", "")];
    let asked = api.ask_for(("GET", place), &query, &attributes, "").await;
    assert_eq!(asked.error(), (400, "InvalidRequest"));
    let asked = api
        .ask_for(("GET", place), &query, &[&attributes[..], &right].concat(), "")
        .await;
    assert_eq!(asked.status, 200);
    let mut mixed = right.clone();
    mixed.push((SSE.to_owned(), "AES256".to_owned()));
    let mixed = api.ask_for(("PUT", place), &[], &mixed, "x").await;
    assert_eq!(mixed.error(), (400, "InvalidArgument"));
    let mut bad_md5 = right.clone();
    bad_md5[2].1 = CustomerKey::new([8; 32]).md5();
    let bad_md5 = api.ask_for(("PUT", place), &[], &bad_md5, "x").await;
    assert_eq!(bad_md5.error(), (400, "InvalidArgument"));
}

#[tokio::test]
async fn copies_and_parts_take_keys() {
    let api = Api::start().await;
    let (seven, eight) = (key_headers(OF_OBJECT, 7), key_headers(OF_OBJECT, 8));
    api.ask_for(("PUT", "bucket/c"), &[], &seven, "secret").await;
    let from = vec![("x-amz-copy-source".to_owned(), "bucket/c".to_owned())];
    let opens = key_headers(OF_SOURCE, 7);
    let copy = async |headers: &[(String, String)]| api.ask_for(("PUT", "bucket/d"), &[], headers, "").await;
    assert_eq!(copy(&from).await.error(), (400, "InvalidRequest"));
    let wrong = [&from[..], &key_headers(OF_SOURCE, 8)].concat();
    assert_eq!(copy(&wrong).await.error(), (403, "AccessDenied"));
    assert_eq!(copy(&[&from[..], &opens, &eight].concat()).await.status, 200);
    assert_eq!(
        api.ask_for(("GET", "bucket/d"), &[], &eight, "").await.text(),
        "secret"
    );
    assert_eq!(copy(&[&from[..], &opens].concat()).await.status, 200);
    assert_eq!(api.get("bucket/d", &[]).await.text(), "secret");

    let place = "bucket/u";
    let begun = api.ask_for(("POST", place), &[("uploads", "")], &eight, "").await;
    assert_eq!(
        begun.header("x-amz-server-side-encryption-customer-algorithm"),
        "AES256"
    );
    let id = between(begun.text(), "<UploadId>", "</UploadId>").to_owned();
    let part = [("partNumber", "1"), ("uploadId", id.as_str())];
    for (headers, expected) in [(&[][..], 400), (&seven, 400), (&eight, 200)] {
        let written = api.ask_for(("PUT", place), &part, headers, "part").await;
        assert_eq!(written.status.as_u16(), expected);
        assert!(expected == 200 || written.error().1 == "InvalidRequest");
    }
    let range = [("x-amz-copy-source-range".to_owned(), "bytes=2-4".to_owned())];
    let copied = api
        .ask_for(
            ("PUT", place),
            &part,
            &[&from[..], &range, &opens, &eight].concat(),
            "",
        )
        .await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    let etag = between(copied.text(), "<ETag>", "</ETag>");
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let length = body.len().to_string();
    let headers = [("content-length", length.as_str())];
    let done = api
        .send("POST", place, &[("uploadId", &id)], &headers, body)
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(api.ask_for(("GET", place), &[], &eight, "").await.text(), "cre");
}
