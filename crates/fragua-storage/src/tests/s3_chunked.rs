//! Bodies in signed and unsigned chunks, with and without trailers.

use axum::body::Body;
use axum::http::Request;
use fragua_base::{Clock as _, SystemClock};
use sha2::{Digest as _, Sha256};

use super::s3::{Answer, Api};
use crate::ChecksumAlgorithm;
use crate::presign::{amz_date, signature};
use crate::s3::REGION;

const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(super) const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
pub(super) const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
pub(super) const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// A request that is signed in its header, and what its chunks are signed with.
pub(super) struct Chunked<'a> {
    api: &'a Api,
    kind: &'static str,
    trailer: Option<&'static str>,
    date: String,
    signature: String,
}

impl<'a> Chunked<'a> {
    pub(super) fn new(
        api: &'a Api,
        kind: &'static str,
        trailer: Option<&'static str>,
        length: usize,
    ) -> Self {
        let date = amz_date(SystemClock.now());
        let trailer_line = trailer.map_or(String::new(), |name| format!("x-amz-trailer:{name}\n"));
        let names = match trailer {
            None => "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length",
            Some(_) => "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-trailer",
        };
        let canonical = format!(
            "PUT\n/bucket/c\n\nhost:127.0.0.1:9000\nx-amz-content-sha256:{kind}\nx-amz-date:{date}\n\
             x-amz-decoded-content-length:{length}\n{trailer_line}\n{names}\n{kind}"
        );
        let mut chunked = Self {
            api,
            kind,
            trailer,
            signature: String::new(),
            date,
        };
        let hash = hex::encode(Sha256::digest(canonical));
        chunked.signature = chunked.sign(&format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{hash}",
            chunked.date,
            chunked.scope()
        ));
        chunked
    }

    fn scope(&self) -> String {
        format!("{}/{REGION}/s3/aws4_request", &self.date[..8])
    }

    fn sign(&self, text: &str) -> String {
        signature(self.api.key.secret.expose(), (&self.date[..8], REGION), text)
    }

    fn chunk_signature(&self, before: &str, bytes: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(bytes));
        self.sign(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{EMPTY_HASH}\n{hash}",
            self.date,
            self.scope()
        ))
    }

    /// Frames the chunks, and the trailer that is given.
    pub(super) fn body(&self, chunks: &[&str], trailer: Option<&str>) -> String {
        let (mut body, mut before) = (String::new(), self.signature.clone());
        for chunk in chunks.iter().chain([&""]) {
            let signed = if self.kind == UNSIGNED_TRAILER {
                String::new()
            } else {
                before = self.chunk_signature(&before, chunk.as_bytes());
                format!(";chunk-signature={before}")
            };
            body += &format!("{:x}{signed}\r\n{chunk}", chunk.len());
            if !chunk.is_empty() {
                body += "\r\n";
            }
        }
        if let (Some(name), Some(value)) = (self.trailer, trailer) {
            body += &format!("{name}:{value}\r\n");
            if self.kind == SIGNED_TRAILER {
                let hash = hex::encode(Sha256::digest(format!("{name}:{value}\n")));
                let text = format!(
                    "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{before}\n{hash}",
                    self.date,
                    self.scope()
                );
                body += &format!("x-amz-trailer-signature:{}\r\n", self.sign(&text));
            }
        }
        body + "\r\n"
    }

    pub(super) async fn send(&self, length: usize, body: impl Into<Vec<u8>>) -> Answer {
        let names = match self.trailer {
            None => "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length",
            Some(_) => "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-trailer",
        };
        let body = body.into();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={}",
            self.api.key.id,
            self.scope(),
            self.signature
        );
        let mut request = Request::put("/bucket/c")
            .header("host", "127.0.0.1:9000")
            .header("authorization", authorization)
            .header("x-amz-date", &self.date)
            .header("x-amz-content-sha256", self.kind)
            .header("x-amz-decoded-content-length", length)
            .header("content-encoding", "aws-chunked")
            .header("content-length", body.len());
        if let Some(trailer) = self.trailer {
            request = request.header("x-amz-trailer", trailer);
        }
        self.api.raw(request.body(Body::from(body)).unwrap()).await
    }
}

fn crc32(text: &str) -> String {
    let mut hasher = ChecksumAlgorithm::Crc32.hasher();
    hasher.update(text.as_bytes());
    hasher.finish()
}

#[tokio::test]
async fn chunks_become_one_body() {
    let api = Api::start().await;
    let first = "x".repeat(9000);
    let chunks = [first.as_str(), "the end"];
    let whole = chunks.concat();
    let sum = crc32(&whole);
    for (kind, trailer) in [
        (SIGNED, None),
        (SIGNED_TRAILER, Some("x-amz-checksum-crc32")),
        (UNSIGNED_TRAILER, Some("x-amz-checksum-crc32")),
    ] {
        let chunked = Chunked::new(&api, kind, trailer, whole.len());
        let body = chunked.body(&chunks, trailer.map(|_| sum.as_str()));
        let answer = chunked.send(whole.len(), body).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        let kept = api.get("bucket/c", &[("x-amz-checksum-mode", "ENABLED")]).await;
        assert_eq!(kept.body, whole);
        assert_eq!(kept.header("content-encoding"), "", "{kind}");
        let expected = trailer.map_or("", |_| sum.as_str());
        assert_eq!(kept.header("x-amz-checksum-crc32"), expected, "{kind}");
    }
}

#[tokio::test]
async fn chunks_that_are_not_as_signed_are_refused() {
    let api = Api::start().await;
    let signed = Chunked::new(&api, SIGNED, None, 5);
    let good = signed.body(&["hello"], None);
    for (body, expected) in [
        (good.replace("hello", "jello"), (403, "SignatureDoesNotMatch")),
        (good.replace("5;", "4;"), (400, "IncompleteBody")),
        (
            good.replace("chunk-signature", "chunk-sig"),
            (400, "IncompleteBody"),
        ),
        (good[..good.len() / 2].to_owned(), (400, "IncompleteBody")),
        (String::new(), (400, "IncompleteBody")),
    ] {
        let answer = signed.send(5, body).await;
        assert!(
            answer.error() == expected || answer.error() == (403, "SignatureDoesNotMatch"),
            "{}",
            answer.text()
        );
    }
    let trailing = Chunked::new(&api, UNSIGNED_TRAILER, Some("x-amz-checksum-crc32"), 5);
    for trailer in [Some("AAAAAA=="), None] {
        let answer = trailing.send(5, trailing.body(&["hello"], trailer)).await;
        assert_eq!(answer.error(), (400, "BadDigest"), "{trailer:?}");
    }
    let short = trailing
        .send(5, trailing.body(&["hell"], Some(&crc32("hell"))))
        .await;
    assert_eq!(short.error(), (400, "IncompleteBody"), "{}", short.text());
    assert_eq!(api.get("bucket/c", &[]).await.status, 404);
}
