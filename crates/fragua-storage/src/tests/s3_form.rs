//! Uploads by forms of browsers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fragua_base::{Clock as _, SystemClock, Timestamp};

use super::s3::{Answer, Api, between};
use crate::presign::{amz_date, signature};
use crate::s3::REGION;

const BOUNDARY: &str = "----boundary";

pub(super) fn form(fields: &[(&str, &str)], file: Option<&str>) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body +=
            &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    if let Some(file) = file {
        body += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.csv\"\r\n\
             Content-Type: text/csv\r\n\r\n{file}\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n"
        );
    }
    body + &format!("--{BOUNDARY}--\r\n")
}

impl Api {
    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header("host", "127.0.0.1:9000")
            .header(
                "content-type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(body.into());
        self.raw(request.unwrap()).await
    }

    /// Signs a form whose policy allows the fields given, and sizes of 1 to 20 bytes.
    fn signed(&self, fields: &[(&str, &str)], now: Timestamp, lifetime_millis: i64) -> Vec<(String, String)> {
        let date = amz_date(now);
        let credential = format!("{}/{}/{REGION}/s3/aws4_request", self.key.id, &date[..8]);
        let mut all: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", credential.as_str()),
            ("x-amz-date", date.as_str()),
        ] {
            all.push((name.to_owned(), value.to_owned()));
        }
        let mut conditions: Vec<serde_json::Value> = all
            .iter()
            .filter(|(name, _)| name != "key")
            .map(|(name, value)| serde_json::json!({ name: value }))
            .collect();
        conditions.push(serde_json::json!(["starts-with", "$key", "in/"]));
        conditions.push(serde_json::json!(["content-length-range", 1, 20]));
        conditions.push(serde_json::json!({ "bucket": "bucket" }));
        let expiration = Timestamp::from_millis(now.as_millis() + lifetime_millis).to_rfc3339();
        let policy = serde_json::json!({ "expiration": expiration, "conditions": conditions }).to_string();
        let policy = STANDARD.encode(policy);
        let signature = signature(self.key.secret.expose(), (&date[..8], REGION), &policy);
        all.push(("policy".to_owned(), policy));
        all.push(("x-amz-signature".to_owned(), signature));
        all
    }

    async fn post_signed(&self, fields: &[(&str, &str)], file: &str) -> Answer {
        let fields = self.signed(fields, SystemClock.now(), 60_000);
        self.post("/bucket", form(&borrowed(&fields), Some(file))).await
    }
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[tokio::test]
async fn a_signed_form_uploads_its_file() {
    let api = Api::start().await;
    let fields = [
        ("key", "in/${filename}"),
        ("Content-Type", "text/csv"),
        ("x-amz-meta-run", "7"),
        ("acl", "private"),
    ];
    let answer = api.post_signed(&fields, "1;2;3").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    let kept = api.get("bucket/in/a b.csv", &[]).await;
    assert_eq!(kept.body, "1;2;3");
    assert_eq!(
        (kept.header("content-type"), kept.header("x-amz-meta-run")),
        ("text/csv", "7")
    );
    assert_eq!(kept.header("etag"), answer.header("etag"));

    let created = api
        .post_signed(&[("key", "in/<b>"), ("success_action_status", "201")], "x")
        .await;
    assert_eq!(
        (
            created.status.as_u16(),
            between(created.text(), "<Key>", "</Key>")
        ),
        (201, "in/&lt;b&gt;")
    );
    let plain = api
        .post_signed(&[("key", "in/c"), ("success_action_status", "200")], "x")
        .await;
    assert_eq!(plain.status, 200);
    let sent_on = [
        ("key", "in/d"),
        ("success_action_redirect", "https://example.org/done?a=1"),
    ];
    let redirected = api.post_signed(&sent_on, "x").await;
    assert_eq!(redirected.status, 303);
    let target = redirected.header("location");
    assert!(
        target.starts_with("https://example.org/done?a=1&bucket=bucket&key=in%2Fd&etag=%22"),
        "{target}"
    );
    let nowhere = [
        ("key", "in/e"),
        ("success_action_redirect", "javascript:alert(1)"),
    ];
    assert_eq!(api.post_signed(&nowhere, "x").await.status, 204);
}

#[tokio::test]
async fn a_field_of_two_lines_made_an_object_that_nobody_could_read() {
    let api = Api::start().await;
    for (name, value) in [
        ("x-amz-meta-note", "two\r\nlines"),
        ("Content-Type", "a\nb"),
        ("x-amz-meta-two words", "x"),
    ] {
        let refused = api.post_signed(&[("key", "in/a"), (name, value)], "x").await;
        assert_eq!(refused.error(), (400, "InvalidArgument"), "{name}");
    }
    let two_lines = [
        ("key", "in/two\nlines"),
        ("x-amz-meta-note", "ñandú"),
        ("x-ignore my own", "two\nlines"),
    ];
    assert_eq!(api.post_signed(&two_lines, "x").await.status, 204);
    assert_eq!(api.get("bucket/in/two\nlines", &[]).await.body, "x");
}

#[tokio::test]
async fn a_form_carries_tags() {
    let api = Api::start().await;
    let tagging = |value: &str| {
        format!("<Tagging><TagSet><Tag><Key>stage</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    let good = tagging("raw");
    let answer = api.post_signed(&[("key", "in/a"), ("tagging", &good)], "x").await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let kept = api
        .storage
        .head(&super::bucket(), &super::key("in/a"))
        .await
        .unwrap();
    assert_eq!(kept.tags.get("stage"), Some("raw"));
    for (tagging, code) in [
        (tagging("<"), "MalformedXML"),
        (format!("<More>{good}</More>"), "MalformedXML"),
        (tagging("a|b"), "InvalidTag"),
    ] {
        let refused = api
            .post_signed(&[("key", "in/b"), ("tagging", &tagging)], "x")
            .await;
        assert_eq!(refused.error(), (400, code), "{tagging}");
    }
}

#[tokio::test]
async fn a_form_signed_an_hour_ago_is_good_until_its_policy_ends() {
    let api = Api::start().await;
    let hour = 3_600_000;
    let before = Timestamp::from_millis(SystemClock.now().as_millis() - hour);
    for (lifetime, status) in [(2 * hour, 204), (hour / 2, 403)] {
        let fields = api.signed(&[("key", "in/a")], before, lifetime);
        let answer = api.post("/bucket", form(&borrowed(&fields), Some("x"))).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_form_that_is_not_as_signed_is_refused() {
    let api = Api::start().await;
    let good = || api.signed(&[("key", "in/a")], SystemClock.now(), 60_000);
    let changed = |name: &str, value: &str| {
        let mut fields = good();
        fields.retain(|(found, _)| found != name);
        if !value.is_empty() {
            fields.push((name.to_owned(), value.to_owned()));
        }
        form(&borrowed(&fields), Some("x"))
    };
    for (body, expected) in [
        (changed("key", "out/a"), (403, "AccessDenied")),
        (changed("key", ""), (400, "InvalidArgument")),
        (changed("x-amz-meta-more", "1"), (403, "AccessDenied")),
        (changed("x-amz-signature", "00"), (403, "SignatureDoesNotMatch")),
        (changed("x-amz-signature", "zz"), (403, "SignatureDoesNotMatch")),
        (changed("x-amz-signature", ""), (400, "InvalidArgument")),
        (changed("policy", "e30="), (403, "SignatureDoesNotMatch")),
        (changed("x-amz-credential", "a/b"), (400, "InvalidArgument")),
        (
            changed("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            (400, "InvalidRequest"),
        ),
        (changed("AWSAccessKeyId", "x"), (400, "InvalidRequest")),
        (form(&borrowed(&good()), Some("")), (400, "EntityTooSmall")),
        (
            form(&borrowed(&good()), Some("more than twenty bytes")),
            (400, "EntityTooLarge"),
        ),
        (form(&borrowed(&good()), None), (400, "InvalidArgument")),
        (form(&[("key", "in/a")], Some("x")), (403, "AccessDenied")),
        (
            form(&[("key", &"x".repeat(40_000))], Some("x")),
            (400, "MaxPostPreDataLengthExceededError"),
        ),
        ("--x".to_owned(), (400, "MalformedPOSTRequest")),
        (String::new(), (400, "MalformedPOSTRequest")),
    ] {
        let answer = api.post("/bucket", body).await;
        assert_eq!(answer.error(), expected, "{}", answer.text());
    }
    for (fields, code) in [
        (
            [("key", "in/a"), ("acl", "public-read")],
            "AccessControlListNotSupported",
        ),
        (
            [("key", "in/a"), ("x-amz-storage-class", "GLACIER")],
            "InvalidStorageClass",
        ),
        (
            [("key", "in/a"), ("x-amz-checksum-crc32", "AAAAAA==")],
            "BadDigest",
        ),
    ] {
        assert_eq!(api.post_signed(&fields, "x").await.error().1, code);
    }
    assert_eq!(
        api.post("/", form(&borrowed(&good()), Some("x"))).await.error(),
        (405, "MethodNotAllowed")
    );
    assert_eq!(
        api.post("/bucket/k", form(&borrowed(&good()), Some("x")))
            .await
            .error(),
        (405, "MethodNotAllowed")
    );
    assert_eq!(super::keys(&api.storage).await, ["k"], "nothing was kept");
}

#[tokio::test]
async fn a_form_whose_file_never_begins_is_not_read_to_its_end() {
    let api = Api::start().await;
    let pieces = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pieces);
    let endless = futures::stream::repeat_with(move || {
        let start = match counted.fetch_add(1, Ordering::Relaxed) {
            0 => format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\""),
            _ => "x".repeat(8192),
        };
        Ok::<_, std::io::Error>(start)
    });
    let answer = api.post("/bucket", Body::from_stream(endless)).await;
    assert_eq!(answer.error(), (400, "MalformedPOSTRequest"));
    assert!(pieces.load(Ordering::Relaxed) < 20);
}
