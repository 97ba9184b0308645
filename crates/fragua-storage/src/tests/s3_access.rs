//! Who may do what over the S3 API, and what the log says of it.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use fragua_auth::{AccessKey, NewStorageKey, Policy, PolicyOf};

use super::s3::{Answer, Api, between};
use crate::BucketName;

impl Api {
    async fn key_with(&self, name: &str, policy: Policy, lifetime: Option<Duration>) -> (String, Self) {
        let new = NewStorageKey {
            name: name.to_owned(),
            policy,
            lifetime,
        };
        let (key, secret) = self.auth.create_storage_key(new).await.unwrap();
        let signing = AccessKey::new(key.id.clone(), secret.expose()).unwrap();
        (key.id, self.with_key(signing))
    }

    async fn put_document(&self, bucket: &str, setting: &str, document: &str) -> Answer {
        let length = document.len().to_string();
        let headers = [("content-length", length.as_str())];
        self.send("PUT", bucket, &[(setting, "")], &headers, document.to_owned())
            .await
    }

    async fn unsigned(&self, method: &str, path: &str, query: &[(&str, &str)]) -> Answer {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}?{}", query.join("&")))
            .body(Body::empty());
        self.raw(request.unwrap()).await
    }
}

fn bucket_policy(actions: &[&str], bucket: &str) -> Policy {
    Policy::for_buckets(actions, &[bucket.to_owned()])
}

type Pairs = &'static [(&'static str, &'static str)];

/// Method, path, query and headers of each operation, and how it is answered to the owner, to keys that may do everything
/// in `bucket`, read it, write to it, do everything in another bucket, and to nobody.
const OPERATIONS: [(&str, &str, Pairs, Pairs, [u16; 6]); 22] = [
    ("GET", "", &[], &[], [200, 200, 200, 200, 200, 403]),
    ("HEAD", "bucket", &[], &[], [200, 200, 200, 403, 403, 403]),
    ("GET", "bucket", &[], &[], [200, 200, 200, 403, 403, 403]),
    (
        "GET",
        "bucket",
        &[("list-type", "2")],
        &[],
        [200, 200, 200, 403, 403, 403],
    ),
    (
        "GET",
        "bucket",
        &[("uploads", "")],
        &[],
        [200, 200, 403, 403, 403, 403],
    ),
    (
        "GET",
        "bucket",
        &[("location", "")],
        &[],
        [200, 200, 200, 403, 403, 403],
    ),
    (
        "GET",
        "bucket",
        &[("acl", "")],
        &[],
        [200, 200, 200, 403, 403, 403],
    ),
    (
        "PUT",
        "bucket",
        &[("acl", "")],
        &[("x-amz-acl", "private")],
        [200, 200, 403, 403, 403, 403],
    ),
    ("PUT", "bucket", &[], &[], [200, 200, 403, 403, 403, 403]),
    ("PUT", "unknown", &[], &[], [200, 403, 403, 403, 403, 403]),
    ("GET", "bucket/k", &[], &[], [200, 200, 200, 403, 403, 403]),
    ("HEAD", "bucket/k", &[], &[], [200, 200, 200, 403, 403, 403]),
    ("GET", "bucket/none", &[], &[], [404, 404, 404, 403, 403, 403]),
    (
        "GET",
        "bucket/k",
        &[("attributes", "")],
        &[("x-amz-object-attributes", "ETag")],
        [200, 200, 200, 403, 403, 403],
    ),
    ("PUT", "bucket/new", &[], &[], [200, 200, 403, 200, 403, 403]),
    (
        "POST",
        "bucket/new",
        &[("uploads", "")],
        &[],
        [200, 200, 403, 200, 403, 403],
    ),
    (
        "PUT",
        "bucket/copy",
        &[],
        &[("x-amz-copy-source", "bucket/k")],
        [200, 200, 403, 403, 403, 403],
    ),
    (
        "PUT",
        "other/copy",
        &[],
        &[("x-amz-copy-source", "bucket/k")],
        [200, 403, 403, 403, 403, 403],
    ),
    (
        "PUT",
        "bucket/copy",
        &[],
        &[("x-amz-copy-source", "other/o")],
        [200, 403, 403, 403, 403, 403],
    ),
    ("GET", "other/o", &[], &[], [200, 403, 403, 403, 200, 403]),
    ("DELETE", "bucket/gone", &[], &[], [204, 204, 403, 204, 403, 403]),
    ("DELETE", "unknown", &[], &[], [204, 403, 403, 403, 403, 403]),
];

#[tokio::test]
async fn each_key_may_do_what_its_policy_says() {
    let root = Api::start().await;
    let other = BucketName::parse("other").unwrap();
    root.storage.create_bucket(&other).await.unwrap();
    root.send("PUT", "other/o", &[], &[], "x").await;
    let read = ["s3:GetObject*", "s3:ListBucket", "s3:GetBucket*"];
    let (_, all) = root
        .key_with("all", bucket_policy(&["s3:*"], "bucket"), None)
        .await;
    let (_, reader) = root
        .key_with("reader", bucket_policy(&read, "bucket"), None)
        .await;
    let (_, writer) = root
        .key_with(
            "writer",
            bucket_policy(&["s3:PutObject", "s3:DeleteObject"], "bucket"),
            None,
        )
        .await;
    let (_, elsewhere) = root
        .key_with("elsewhere", bucket_policy(&["s3:*"], "other"), None)
        .await;
    for (method, path, query, headers, expected) in OPERATIONS {
        for (api, status) in [&root, &all, &reader, &writer, &elsewhere]
            .into_iter()
            .zip(expected)
        {
            let answer = api.send(method, path, query, headers, "").await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{method} {path} {query:?} by {}",
                api.key.id
            );
            if status == 403 && method != "HEAD" {
                assert_eq!(answer.error().1, "AccessDenied");
            }
        }
        let answer = root.unsigned(method, path, query).await;
        assert_eq!(
            answer.status.as_u16(),
            expected[5],
            "{method} {path} {query:?} by nobody"
        );
    }
}

#[tokio::test]
async fn a_key_sees_its_own_buckets_alone() {
    let root = Api::start().await;
    for name in ["data-1", "data-2", "private"] {
        root.storage
            .create_bucket(&BucketName::parse(name).unwrap())
            .await
            .unwrap();
    }
    let policy = r#"{"Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::data-*", "arn:aws:s3:::bucket/in/*"]},
        {"Effect": "Deny", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data-2"}]}"#;
    let policy = Policy::parse(policy, PolicyOf::Key).unwrap();
    let (_, api) = root.key_with("ana", policy, None).await;
    let listed = api.send("GET", "", &[], &[], "").await;
    let names: Vec<&str> = listed
        .text()
        .split("<Name>")
        .skip(1)
        .map(|rest| between(rest, "", "<"))
        .collect();
    assert_eq!(names, ["bucket", "data-1"]);
    let prefixed = |prefix| [("list-type", "2"), ("prefix", prefix)];
    assert_eq!(
        api.send("GET", "data-2", &prefixed(""), &[], "").await.error(),
        (403, "AccessDenied")
    );
    let refused = api.send("GET", "private/x", &[], &[], "").await;
    let said = between(refused.text(), "<Message>", "<");
    assert_eq!(said, "The key of ana may not do s3:GetObject on private/x.");
}

#[tokio::test]
async fn a_list_is_allowed_for_a_prefix() {
    let root = Api::start().await;
    let policy = r#"{"Statement": {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket",
        "Condition": {"StringLike": {"s3:prefix": "in/*"}}}}"#;
    let (_, api) = root
        .key_with("ana", Policy::parse(policy, PolicyOf::Key).unwrap(), None)
        .await;
    for (query, status) in [
        (&[("prefix", "in/")][..], 200),
        (&[("prefix", "in/a"), ("list-type", "2")], 200),
        (&[("prefix", "i")], 403),
        (&[], 403),
        (&[("prefix", "in/"), ("prefix", "")], 400),
    ] {
        let answer = api.send("GET", "bucket", query, &[], "").await;
        assert_eq!(answer.status.as_u16(), status, "{query:?}");
    }
}

#[tokio::test]
async fn many_deletes_are_judged_one_by_one() {
    let root = Api::start().await;
    super::put(&root.storage, "in/a", "x").await;
    let policy = r#"{"Statement": {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::bucket/in/*"}}"#;
    let (_, api) = root
        .key_with("ana", Policy::parse(policy, PolicyOf::Key).unwrap(), None)
        .await;
    let body = "<Delete><Object><Key>in/a</Key></Object><Object><Key>k</Key></Object></Delete>";
    let length = body.len().to_string();
    let headers = [("content-length", length.as_str())];
    let answer = api
        .send("POST", "bucket", &[("delete", "")], &headers, body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(between(answer.text(), "<Deleted><Key>", "<"), "in/a");
    assert_eq!(between(answer.text(), "<Code>", "<"), "AccessDenied");
    assert_eq!(super::keys(&root.storage).await, ["k"]);
}

#[tokio::test]
async fn who_might_write_might_tag() {
    let root = Api::start().await;
    let policy = r#"{"Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::bucket/*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/secret"}]}"#;
    let (_, api) = root
        .key_with("ana", Policy::parse(policy, PolicyOf::Key).unwrap(), None)
        .await;
    let tags = ("x-amz-tagging", "stage=raw");
    for (method, query, headers) in [
        ("PUT", &[][..], &[tags][..]),
        ("PUT", &[], &[tags, ("x-amz-copy-source", "bucket/k")]),
        ("POST", &[("uploads", "")], &[tags]),
    ] {
        let refused = api.send(method, "bucket/new", query, headers, "").await;
        assert_eq!(refused.error(), (403, "AccessDenied"), "{method} {headers:?}");
        let allowed = api.send(method, "bucket/new", query, &headers[1..], "").await;
        assert_eq!(allowed.status, 200, "{}", allowed.text());
    }
    // The answer to a condition tells something of an object that may not be read.
    for (headers, status) in [(&[("if-match", "*")][..], 403), (&[], 204)] {
        let deleted = api.send("DELETE", "bucket/secret", &[], headers, "").await;
        assert_eq!(deleted.status, status);
    }
}

#[tokio::test]
async fn a_copy_told_the_tags_that_might_not_be_read() {
    let root = Api::start().await;
    let tags = [("x-amz-tagging", "stage=raw")];
    root.send("PUT", "bucket/tagged", &[], &tags, "x").await;
    let (_, api) = root
        .key_with(
            "ana",
            bucket_policy(&["s3:GetObject", "s3:PutObject"], "bucket"),
            None,
        )
        .await;
    let copy = async |api: &Api, source: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("x-amz-copy-source", source)];
        headers.extend(more);
        api.send("PUT", "bucket/copy", &[], &headers, "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(copy(&api, "bucket/tagged", &[]).await, 403);
    assert_eq!(
        copy(&api, "bucket/tagged", &[("x-amz-tagging-directive", "REPLACE")]).await,
        200
    );
    assert_eq!(copy(&api, "bucket/k", &[]).await, 200);
    assert_eq!(copy(&api, "bucket/none", &[]).await, 404);
    let may = ["s3:GetObject*", "s3:PutObject*"];
    let (_, writer) = root.key_with("bea", bucket_policy(&may, "bucket"), None).await;
    assert_eq!(copy(&writer, "bucket/tagged", &[]).await, 200);
    let copied = root
        .storage
        .head(&super::bucket(), &super::key("copy"))
        .await
        .unwrap();
    assert_eq!(copied.tags.len(), 1);
}

#[tokio::test]
async fn keys_that_are_good_no_more_say_why() {
    let root = Api::start().await;
    let all = || Policy::for_buckets(&["s3:*"], &[]);
    let (_, expired) = root.key_with("e", all(), Some(Duration::ZERO)).await;
    let (id, disabled) = root.key_with("d", all(), None).await;
    assert_eq!(disabled.get("bucket/k", &[]).await.status, 200);
    root.auth.set_storage_key_enabled(&id, false).await.unwrap();
    let (revoked_id, revoked) = root.key_with("r", all(), None).await;
    root.auth.revoke_storage_key(&revoked_id).await.unwrap();
    for (api, words) in [
        (&expired, "expired at"),
        (&disabled, "disabled since"),
        (&revoked, "was revoked at"),
    ] {
        let answer = api.get("bucket/k", &[]).await;
        assert_eq!(answer.error(), (403, "InvalidAccessKeyId"));
        assert!(
            between(answer.text(), "<Message>", "<").contains(words),
            "{}",
            answer.text()
        );
    }
    assert!(root.auth.set_storage_key_enabled(&id, true).await.unwrap());
    assert_eq!(disabled.get("bucket/k", &[]).await.status, 200);
    root.auth.write_storage_key_uses().await.unwrap();
    let used = root.auth.storage_keys().await.unwrap();
    let used = used.iter().find(|key| key.id == id).unwrap();
    assert!(used.last_used_at.is_some());
}

#[tokio::test]
async fn writes_and_refusals_are_logged() {
    let root = Api::start().await;
    let (id, reader) = root
        .key_with("ana", bucket_policy(&["s3:GetObject"], "bucket"), None)
        .await;
    root.send("PUT", "bucket/ñ", &[], &[], "x").await;
    root.get("bucket/ñ", &[]).await;
    reader.get("bucket/k", &[]).await;
    let denied = reader.send("DELETE", "bucket/k", &[], &[], "").await;
    let unsigned = root.unsigned("GET", "bucket/k", &[]).await;
    let url = root
        .url("GET", "bucket/k", &[], Duration::from_secs(60))
        .replace("bucket/k", "bucket/x");
    let request = Request::get(url)
        .header("host", "127.0.0.1:9000")
        .body(Body::empty())
        .unwrap();
    let forged = root.raw(request).await;
    root.auth.write_access_log().await.unwrap();
    let page = root.auth.access_log(None, 3).await.unwrap();
    let shown = |entry: &fragua_auth::LoggedAccess| {
        (
            entry.operation.clone(),
            entry.key_name.clone(),
            entry.access_key_id.clone(),
            entry.bucket.clone(),
            entry.object_key.clone(),
            entry.status,
        )
    };
    let text = |text: &str| Some(text.to_owned());
    let entries: Vec<_> = page.items.iter().map(shown).collect();
    assert_eq!(
        entries,
        [
            (
                "GetObject".to_owned(),
                None,
                Some(root.key.id.clone()),
                None,
                text("/bucket/x"),
                403
            ),
            ("GetObject".to_owned(), None, None, text("bucket"), text("k"), 403),
            (
                "DeleteObject".to_owned(),
                text("ana"),
                Some(id),
                text("bucket"),
                text("k"),
                403
            ),
        ]
    );
    let ids: Vec<&str> = page.items.iter().map(|entry| entry.request_id.as_str()).collect();
    let expected = [&forged, &unsigned, &denied].map(|answer| answer.header("x-amz-request-id").to_owned());
    assert_eq!(ids, expected);
    let rest = root.auth.access_log(page.next.as_deref(), 3).await.unwrap();
    assert_eq!(
        rest.items.iter().map(shown).collect::<Vec<_>>(),
        [(
            "PutObject".to_owned(),
            text("root"),
            Some(root.key.id.clone()),
            text("bucket"),
            text("ñ"),
            200
        )]
    );
    assert_eq!(rest.next, None);
}

const OPEN: &str = r#"{"Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/open/*"},
    {"Effect": "Allow", "Principal": {"AWS": "ana"}, "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
     "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]},
    {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/open/secret"}]}"#;

#[tokio::test]
async fn a_bucket_policy_opens_a_bucket_to_everyone_and_to_named_keys() {
    let root = Api::start().await;
    for name in ["open/a", "open/secret", "closed"] {
        super::put(&root.storage, name, "x").await;
    }
    let (_, ana) = root.key_with("ana", Policy::nothing(), None).await;
    let (_, bea) = root
        .key_with("bea", Policy::for_buckets(&["s3:*"], &[]), None)
        .await;
    let policy = [("policy", "")];
    assert_eq!(root.unsigned("GET", "bucket/open/a", &[]).await.status, 403);
    let put = root.put_document("bucket", "policy", OPEN).await;
    assert_eq!(put.status, 204, "{}", put.text());
    assert_eq!(root.send("GET", "bucket", &policy, &[], "").await.text(), OPEN);
    let status = root.send("GET", "bucket", &[("policyStatus", "")], &[], "").await;
    assert!(
        status.text().contains("<IsPublic>true</IsPublic>"),
        "{}",
        status.text()
    );
    for (method, path, nobody, of_ana, of_bea, of_root) in [
        ("GET", "bucket/open/a", 200, 200, 200, 200),
        ("HEAD", "bucket/open/a", 200, 200, 200, 200),
        ("GET", "bucket/open/secret", 403, 403, 403, 200),
        ("GET", "bucket/closed", 403, 200, 200, 200),
        ("GET", "bucket", 403, 200, 200, 200),
        ("PUT", "bucket/open/new", 403, 200, 200, 200),
        ("DELETE", "bucket/open/new", 403, 403, 204, 204),
    ] {
        assert_eq!(
            root.unsigned(method, path, &[]).await.status,
            nobody,
            "{method} {path}"
        );
        for (api, expected) in [(&ana, of_ana), (&bea, of_bea), (&root, of_root)] {
            let answer = api.send(method, path, &[], &[], "").await;
            assert_eq!(answer.status, expected, "{method} {path} {}", answer.text());
        }
    }
    let as_page = [("response-content-type", "text/html")];
    assert_eq!(
        root.unsigned("GET", "bucket/open/a", &as_page).await.error(),
        (400, "InvalidRequest")
    );
    let copy = [("x-amz-copy-source", "bucket/open/secret")];
    assert_eq!(ana.send("PUT", "bucket/open/b", &[], &copy, "").await.status, 403);
    for (text, words) in [
        (
            OPEN.replace("bucket/open", "other/open"),
            "resources of the bucket bucket alone",
        ),
        (OPEN.replace("Deny", "Refuse"), "Allow or Deny"),
        ("{}".to_owned(), "no Statement"),
    ] {
        let refused = root.put_document("bucket", "policy", &text).await;
        assert_eq!(refused.error(), (400, "MalformedPolicy"));
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    assert_eq!(root.send("DELETE", "bucket", &policy, &[], "").await.status, 204);
    assert_eq!(root.unsigned("GET", "bucket/open/a", &[]).await.status, 403);
}

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.org</AllowedOrigin>\
    <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule><CORSRule>\
    <AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

#[tokio::test]
async fn browsers_are_told_what_the_bucket_allows_before_anybody_signs() {
    let api = Api::reached_by(&["s3.localhost"]).await;
    let ask = async |host: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::options(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        api.raw(request.body(Body::empty()).unwrap()).await
    };
    let asked = |method| {
        [
            ("origin", "https://app.example.org"),
            ("access-control-request-method", method),
            (
                "access-control-request-headers",
                "X-Amz-Date, x-amz-content-sha256",
            ),
        ]
    };
    assert_eq!(
        ask("h", "/bucket/k", &asked("PUT")).await.error(),
        (403, "AccessForbidden")
    );
    assert_eq!(
        ask("h", "/none/k", &asked("PUT")).await.error(),
        (403, "AccessForbidden")
    );
    assert_eq!(
        ask("h", "/bucket/k", &asked("PUT")[..1]).await.error(),
        (400, "BadRequest")
    );
    assert_eq!(ask("h", "/bucket/k", &[]).await.error(), (400, "BadRequest"));
    let put = api.put_document("bucket", "cors", CORS).await;
    assert_eq!(put.status, 200, "{}", put.text());
    for (host, path) in [("h", "/bucket/k"), ("bucket.s3.localhost:9000", "/k")] {
        let allowed = ask(host, path, &asked("PUT")).await;
        assert_eq!(allowed.status, 200, "{}", allowed.text());
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example.org"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "x-amz-date, x-amz-content-sha256"),
            ("access-control-expose-headers", "ETag"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(allowed.header(name), value, "{name}");
        }
    }
    assert_eq!(
        ask("h", "/bucket/k", &asked("DELETE")).await.error(),
        (403, "AccessForbidden")
    );
    let origin = ("origin", "https://app.example.org");
    for (status, path) in [(200, "bucket/k"), (404, "bucket/none")] {
        let answer = api.get(path, &[origin]).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), origin.1);
        assert!(answer.header("vary").contains("Origin"));
    }
    let other = api.get("bucket/k", &[("origin", "https://evil.org")]).await;
    assert_eq!(
        (other.status.as_u16(), other.header("access-control-allow-origin")),
        (200, "")
    );
    // A cache that keeps the answer to one page would give it to the next, whom a rule allows more.
    assert!(other.header("vary").contains("Origin"));
    let refused = ask("h", "/bucket/k", &asked("DELETE")).await;
    assert!(refused.header("vary").contains("Origin"));
    let any = api
        .send("HEAD", "bucket/k", &[], &[("origin", "https://evil.org")], "")
        .await;
    assert_eq!(any.header("access-control-allow-origin"), "*");
    assert_eq!(
        api.get("bucket/k", &[])
            .await
            .header("access-control-allow-origin"),
        ""
    );
}
