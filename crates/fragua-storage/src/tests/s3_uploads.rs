//! Uploads in parts and copies over the S3 API.

use bytes::Bytes;

use super::s3::{Answer, Api, between};
use crate::ChecksumAlgorithm;

const PART_BYTES: usize = 5 << 20;

/// An upload of the object `u` in progress.
struct Upload<'a> {
    api: &'a Api,
    id: String,
}

fn sum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> String {
    let mut hasher = algorithm.hasher();
    hasher.update(bytes);
    hasher.finish()
}

impl Api {
    async fn begin(&self, headers: &[(&str, &str)]) -> Upload<'_> {
        let answer = self
            .send("POST", "bucket/u", &[("uploads", "")], headers, "")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = between(answer.text(), "<UploadId>", "</UploadId>").to_owned();
        Upload { api: self, id }
    }
}

impl Upload<'_> {
    async fn part(&self, number: &str, headers: &[(&str, &str)], bytes: Bytes) -> Answer {
        let query = [("partNumber", number), ("uploadId", self.id.as_str())];
        self.api.send("PUT", "bucket/u", &query, headers, bytes).await
    }

    /// Completes with parts as their number, entity tag and other elements.
    async fn complete(&self, headers: &[(&str, &str)], parts: &[(&str, &str, String)]) -> Answer {
        let mut body = "<CompleteMultipartUpload>".to_owned();
        for (number, etag, more) in parts {
            body += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>");
        }
        body += "</CompleteMultipartUpload>";
        let length = body.len().to_string();
        let headers = [headers, &[("content-length", length.as_str())]].concat();
        let query = [("uploadId", self.id.as_str())];
        self.api.send("POST", "bucket/u", &query, &headers, body).await
    }
}

fn message(answer: &Answer) -> &str {
    between(answer.text(), "<Message>", "</Message>")
}

#[tokio::test]
async fn completing_with_another_size_is_refused() {
    let api = Api::start().await;
    let upload = api.begin(&[]).await;
    let part = upload.part("1", &[], "ten bytes!".into()).await;
    let parts = [("1", part.header("etag"), String::new())];
    let wrong = upload.complete(&[("x-amz-mp-object-size", "11")], &parts).await;
    assert_eq!(wrong.error(), (400, "InvalidRequest"));
    assert!(
        message(&wrong).contains("10 bytes") && message(&wrong).contains("11"),
        "{}",
        wrong.text()
    );
    let right = upload.complete(&[("x-amz-mp-object-size", "10")], &parts).await;
    assert_eq!(right.status, 200, "{}", right.text());
}

#[tokio::test]
async fn completing_with_another_whole_checksum_is_refused() {
    let api = Api::start().await;
    let (crc32, crc64) = (ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc64Nvme);
    let bytes = b"ten bytes!";
    let (good, other) = (sum(crc32, bytes), sum(crc32, b"other"));
    let full = [
        ("x-amz-checksum-algorithm", "CRC32"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    let upload = api.begin(&full).await;
    let part = upload.part("1", &[], Bytes::from_static(bytes)).await;
    let parts = [("1", part.header("etag"), String::new())];
    let files = super::files(&api.blobs());
    for (headers, expected) in [
        (vec![("x-amz-checksum-crc32", other.as_str())], (400, "BadDigest")),
        (vec![("x-amz-checksum-sha1", "AAAA")], (400, "InvalidRequest")),
        (
            vec![("x-amz-checksum-type", "COMPOSITE")],
            (400, "InvalidRequest"),
        ),
        (vec![("x-amz-checksum-type", "HALF")], (400, "InvalidArgument")),
        (
            vec![
                ("x-amz-checksum-crc32", good.as_str()),
                ("x-amz-checksum-sha1", "AAAA"),
            ],
            (400, "InvalidRequest"),
        ),
    ] {
        let answer = upload.complete(&headers, &parts).await;
        assert_eq!(answer.error(), expected, "{headers:?} {}", answer.text());
    }
    assert_eq!(super::files(&api.blobs()), files, "nothing is left of them");
    let headers = [
        ("x-amz-checksum-crc32", good.as_str()),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    let answer = upload.complete(&headers, &parts).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(between(answer.text(), "<ChecksumCRC32>", "<"), good);

    // An upload that was begun without any takes the checksum that it is compared with.
    let upload = api.begin(&[]).await;
    let part = upload.part("1", &[], Bytes::from_static(bytes)).await;
    let parts = [("1", part.header("etag"), String::new())];
    let crc64_of = |bytes: &[u8]| sum(crc64, bytes);
    let wrong = upload
        .complete(&[("x-amz-checksum-crc64nvme", &crc64_of(b"other"))], &parts)
        .await;
    assert_eq!(wrong.error(), (400, "BadDigest"));
    let right = upload
        .complete(&[("x-amz-checksum-crc64nvme", &crc64_of(bytes))], &parts)
        .await;
    assert_eq!(right.status, 200);
    let head = api
        .send("HEAD", "bucket/u", &[], &[("x-amz-checksum-mode", "ENABLED")], "")
        .await;
    assert_eq!(head.header("x-amz-checksum-crc64nvme"), sum(crc64, bytes));
    assert_eq!(head.header("x-amz-checksum-type"), "FULL_OBJECT");
}

#[tokio::test]
async fn a_composite_checksum_can_be_compared_with_or_without_its_count() {
    let api = Api::start().await;
    let algorithm = ChecksumAlgorithm::Sha256;
    let value = sum(algorithm, b"x");
    let composite = algorithm.composite([value.as_str()].into_iter()).unwrap().value;
    for (sent, status) in [
        (composite.as_str(), 200),
        (&composite[..composite.len() - 2], 200),
        (&value, 400),
    ] {
        let upload = api.begin(&[("x-amz-checksum-algorithm", "SHA256")]).await;
        let part = upload.part("1", &[], "x".into()).await;
        assert_eq!(part.header("x-amz-checksum-sha256"), value);
        let parts = [("1", part.header("etag"), String::new())];
        let answer = upload.complete(&[("x-amz-checksum-sha256", sent)], &parts).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
}

#[tokio::test]
async fn checksum_types_that_do_not_exist_are_refused() {
    let api = Api::start().await;
    for (algorithm, kind, status) in [
        ("CRC64NVME", "COMPOSITE", 400),
        ("CRC64NVME", "FULL_OBJECT", 200),
        ("SHA1", "FULL_OBJECT", 400),
        ("SHA256", "FULL_OBJECT", 400),
        ("SHA256", "COMPOSITE", 200),
        ("CRC32C", "FULL_OBJECT", 200),
    ] {
        let headers = [
            ("x-amz-checksum-algorithm", algorithm),
            ("x-amz-checksum-type", kind),
        ];
        let answer = api
            .send("POST", "bucket/u", &[("uploads", "")], &headers, "")
            .await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{algorithm} {kind}: {}",
            answer.text()
        );
        if status == 400 {
            assert_eq!(answer.error().1, "InvalidRequest");
        }
    }
    let alone = [("x-amz-checksum-type", "COMPOSITE")];
    let answer = api.send("POST", "bucket/u", &[("uploads", "")], &alone, "").await;
    assert_eq!(answer.error(), (400, "InvalidRequest"));
}

#[tokio::test]
async fn a_completed_part_is_compared_by_the_checksum_of_its_upload() {
    let api = Api::start().await;
    let upload = api.begin(&[("x-amz-checksum-algorithm", "SHA256")]).await;
    let mixed = upload
        .part("1", &[("x-amz-checksum-crc32", "y/Q5Jg==")], "123456789".into())
        .await;
    assert_eq!(mixed.error(), (400, "InvalidRequest"), "{}", mixed.text());
    let part = upload.part("1", &[], "123456789".into()).await;
    let good = sum(ChecksumAlgorithm::Sha256, b"123456789");
    let sha = |value: &str| format!("<ChecksumSHA256>{value}</ChecksumSHA256>");
    // The first element of another kind says nothing of the part.
    let crc = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>";
    let wrong = [(
        "1",
        part.header("etag"),
        format!("{crc}{}", sha(&sum(ChecksumAlgorithm::Sha256, b"x"))),
    )];
    assert_eq!(upload.complete(&[], &wrong).await.error(), (400, "InvalidPart"));
    let right = [("1", part.header("etag"), format!("{crc}{}", sha(&good)))];
    assert_eq!(upload.complete(&[], &right).await.status, 200);
}

#[tokio::test]
async fn objects_are_read_by_the_numbers_of_their_parts() {
    let api = Api::with_room(16 << 20).await;
    let upload = api.begin(&[("x-amz-checksum-algorithm", "CRC32")]).await;
    let first = upload.part("2", &[], vec![b'a'; PART_BYTES].into()).await;
    let last = upload.part("5", &[], "the end".into()).await;
    let parts = [
        ("2", first.header("etag"), String::new()),
        ("5", last.header("etag"), String::new()),
    ];
    let done = upload.complete(&[], &parts).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let total = PART_BYTES + 7;
    for method in ["GET", "HEAD"] {
        let second = api
            .send(method, "bucket/u", &[("partNumber", "2")], &[], "")
            .await;
        assert_eq!(second.status, 206, "{method}");
        assert_eq!(second.header("x-amz-mp-parts-count"), "2");
        assert_eq!(second.header("content-length"), "7");
        assert_eq!(
            second.header("content-range"),
            format!("bytes {PART_BYTES}-{}/{total}", total - 1)
        );
        if method == "GET" {
            assert_eq!(second.body, "the end");
        }
        let first = api
            .send(method, "bucket/u", &[("partNumber", "1")], &[], "")
            .await;
        assert_eq!(first.header("content-length"), PART_BYTES.to_string());
        let third = api
            .send(method, "bucket/u", &[("partNumber", "3")], &[], "")
            .await;
        assert_eq!(third.status, 416);
        let both = api
            .send(
                method,
                "bucket/u",
                &[("partNumber", "1")],
                &[("range", "bytes=0-1")],
                "",
            )
            .await;
        assert_eq!(both.status, 400);
        let at_once = api
            .send(method, "bucket/k", &[("partNumber", "1")], &[], "")
            .await;
        assert_eq!(
            (at_once.status.as_u16(), at_once.header("x-amz-mp-parts-count")),
            (206, "")
        );
    }
    let whole = api.send("HEAD", "bucket/u", &[], &[], "").await;
    assert_eq!(
        (whole.status.as_u16(), whole.header("x-amz-mp-parts-count")),
        (200, "")
    );

    let wanted = [(
        "x-amz-object-attributes",
        "ETag,Checksum,ObjectParts,StorageClass,ObjectSize",
    )];
    let answer = api
        .send("GET", "bucket/u", &[("attributes", "")], &wanted, "")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for expected in [
        format!("<ObjectSize>{total}</ObjectSize>"),
        "<PartsCount>2</PartsCount>".to_owned(),
        "<PartNumber>1</PartNumber>".to_owned(),
        "<Size>7</Size>".to_owned(),
        "<StorageClass>STANDARD</StorageClass>".to_owned(),
        "<ChecksumType>COMPOSITE</ChecksumType>".to_owned(),
        "<ChecksumCRC32>".to_owned(),
    ] {
        assert!(
            answer.text().contains(&expected),
            "{expected} in {}",
            answer.text()
        );
    }
    assert!(answer.header("last-modified").ends_with("GMT"));
    let paged = [
        wanted[0],
        ("x-amz-max-parts", "1"),
        ("x-amz-part-number-marker", "1"),
    ];
    let page = api
        .send("GET", "bucket/u", &[("attributes", "")], &paged, "")
        .await;
    assert!(page.text().contains("<PartNumber>2</PartNumber>") && !page.text().contains("<PartNumber>1<"));
    let copied = api
        .send(
            "PUT",
            "bucket/copy",
            &[],
            &[("x-amz-copy-source", "bucket/u")],
            "",
        )
        .await;
    assert_eq!(copied.status, 200);
    let of_copy = api
        .send("HEAD", "bucket/copy", &[("partNumber", "2")], &[], "")
        .await;
    assert_eq!(
        of_copy.header("x-amz-mp-parts-count"),
        "2",
        "a copy keeps the entity tag and its parts"
    );
}

#[tokio::test]
async fn attributes_are_those_asked_for() {
    let api = Api::start().await;
    let ask = async |names: &str| {
        let headers = [("x-amz-object-attributes", names)];
        api.send("GET", "bucket/k", &[("attributes", "")], &headers, "")
            .await
    };
    let size = ask("ObjectSize").await;
    assert!(size.text().contains("<ObjectSize>10</ObjectSize>") && !size.text().contains("ETag"));
    let all = ask("ETag,ObjectParts,Checksum").await;
    assert!(
        !all.text().contains("ObjectParts") && !all.text().contains("<Checksum>"),
        "{}",
        all.text()
    );
    assert_eq!(ask("Colour").await.error(), (400, "InvalidArgument"));
    let none = api.send("GET", "bucket/k", &[("attributes", "")], &[], "").await;
    assert_eq!(none.status, 400);
    let headers = [("x-amz-object-attributes", "ETag")];
    let missing = api
        .send("GET", "bucket/none", &[("attributes", "")], &headers, "")
        .await;
    assert_eq!(missing.error(), (404, "NoSuchKey"));
}

#[tokio::test]
async fn a_copy_is_given_the_checksum_that_is_asked_for() {
    let api = Api::start().await;
    let copy = async |headers: &[(&str, &str)]| {
        let headers = [&[("x-amz-copy-source", "bucket/k")], headers].concat();
        api.send("PUT", "bucket/copy", &[], &headers, "").await
    };
    let sha1 = sum(ChecksumAlgorithm::Sha1, b"0123456789");
    let answer = copy(&[("x-amz-checksum-algorithm", "SHA1")]).await;
    assert_eq!(
        between(answer.text(), "<ChecksumSHA1>", "<"),
        sha1,
        "{}",
        answer.text()
    );
    let asked = [("x-amz-checksum-mode", "ENABLED")];
    assert_eq!(
        api.get("bucket/copy", &asked).await.header("x-amz-checksum-sha1"),
        sha1
    );
    assert_eq!(api.get("bucket/copy", &asked).await.body, "0123456789");
    let plain = copy(&[]).await;
    assert!(!plain.text().contains("Checksum"), "{}", plain.text());
    assert_eq!(
        copy(&[("x-amz-checksum-algorithm", "MD4")]).await.error(),
        (400, "InvalidArgument")
    );
}

#[tokio::test]
async fn a_copy_happens_on_conditions_of_its_target() {
    let api = Api::start().await;
    let copy = async |headers: &[(&str, &str)]| {
        let headers = [&[("x-amz-copy-source", "bucket/k")], headers].concat();
        api.send("PUT", "bucket/copy", &[], &headers, "").await
    };
    let absent = [("if-none-match", "*")];
    assert_eq!(copy(&absent).await.status, 200);
    assert_eq!(copy(&absent).await.error(), (412, "PreconditionFailed"));
    assert_eq!(
        copy(&[("if-match", "\"other\"")]).await.error(),
        (412, "PreconditionFailed")
    );
    let etag = api.get("bucket/copy", &[]).await.header("etag").to_owned();
    assert_eq!(copy(&[("if-match", &etag)]).await.status, 200);
}

#[tokio::test]
async fn a_part_copied_from_beyond_the_end_was_shorter_than_asked_for() {
    let api = Api::start().await;
    let upload = api.begin(&[]).await;
    let copy = async |range: &str| {
        let headers = [
            ("x-amz-copy-source", "bucket/k"),
            ("x-amz-copy-source-range", range),
        ];
        upload.part("1", &headers, Bytes::new()).await
    };
    for range in ["bytes=0-10", "bytes=10-10"] {
        assert_eq!(copy(range).await.error(), (416, "InvalidRange"), "{range}");
    }
    for range in ["bytes=5-", "bytes=-5", "0-5", "bytes=5-0"] {
        assert_eq!(copy(range).await.error(), (400, "InvalidArgument"), "{range}");
    }
    assert_eq!(copy("bytes=2-9").await.status, 200);
}
