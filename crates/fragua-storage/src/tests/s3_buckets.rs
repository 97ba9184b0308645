//! Buckets over the S3 API: what they are asked about, and how they are named.

use axum::body::Body;
use axum::http::Request;

use super::s3::Api;

#[tokio::test]
async fn making_a_bucket_again_succeeds_for_its_owner() {
    let api = Api::start().await;
    for headers in [&[][..], &[("x-amz-acl", "private")]] {
        let answer = api.send("PUT", "bucket", &[], headers, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("location"), "/bucket");
    }
    assert_eq!(api.get("bucket/k", &[]).await.body, "0123456789");
}

#[tokio::test]
async fn everything_is_private_to_the_owner() {
    let api = Api::start().await;
    for (path, missing, code) in [
        ("bucket", "nobucket", "NoSuchBucket"),
        ("bucket/k", "bucket/none", "NoSuchKey"),
    ] {
        let acl = [("acl", "")];
        let answer = api.send("GET", path, &acl, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for expected in [
            "<Permission>FULL_CONTROL</Permission>",
            "<ID>fragua</ID>",
            "CanonicalUser",
        ] {
            assert!(
                answer.text().contains(expected),
                "{expected} in {}",
                answer.text()
            );
        }
        assert_eq!(answer.text().matches("<Grant>").count(), 1);
        assert_eq!(api.send("GET", missing, &acl, &[], "").await.error(), (404, code));
        assert_eq!(
            api.send("PUT", missing, &acl, &[("x-amz-acl", "private")], "")
                .await
                .error(),
            (404, code)
        );
        for (name, value, status) in [
            ("x-amz-acl", "private", 200),
            ("x-amz-acl", "bucket-owner-full-control", 200),
            ("x-amz-acl", "public-read", 400),
            (
                "x-amz-grant-read",
                "uri=http://acs.amazonaws.com/groups/global/AllUsers",
                400,
            ),
        ] {
            let answer = api.send("PUT", path, &acl, &[(name, value)], "").await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{name}: {value}: {}",
                answer.text()
            );
            if status == 400 {
                assert_eq!(answer.error().1, "AccessControlListNotSupported");
            }
        }
        // What was read can be written back.
        let body = |permission: &str| {
            format!(
                "<AccessControlPolicy><Owner><ID>fragua</ID></Owner><AccessControlList><Grant>\
                 <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
                 <ID>fragua</ID></Grantee><Permission>{permission}</Permission></Grant></AccessControlList>\
                 </AccessControlPolicy>"
            )
        };
        for (permission, status) in [("FULL_CONTROL", 200), ("READ", 400)] {
            let body = body(permission);
            let length = body.len().to_string();
            let answer = api
                .send("PUT", path, &acl, &[("content-length", &length)], body)
                .await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn settings_that_no_bucket_has_are_answered_as_unset() {
    let api = Api::start().await;
    for (setting, expected) in [
        ("accelerate", Ok("<AccelerateConfiguration")),
        (
            "encryption",
            Err((404, "ServerSideEncryptionConfigurationNotFoundError")),
        ),
        ("logging", Ok("<BucketLoggingStatus")),
        ("notification", Ok("<NotificationConfiguration")),
        ("object-lock", Err((404, "ObjectLockConfigurationNotFoundError"))),
        (
            "ownershipControls",
            Ok("<ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>"),
        ),
        (
            "publicAccessBlock",
            Err((404, "NoSuchPublicAccessBlockConfiguration")),
        ),
        ("replication", Err((404, "ReplicationConfigurationNotFoundError"))),
        ("requestPayment", Ok("<Payer>BucketOwner</Payer>")),
        ("website", Err((404, "NoSuchWebsiteConfiguration"))),
        ("location", Ok("<LocationConstraint")),
    ] {
        let answer = api.send("GET", "bucket", &[(setting, "")], &[], "").await;
        match expected {
            Ok(words) => assert!(
                answer.status == 200 && answer.text().contains(words),
                "{setting}: {} {}",
                answer.status,
                answer.text()
            ),
            Err(error) => assert_eq!(answer.error(), error, "{setting}"),
        }
        let missing = api.send("GET", "nobucket", &[(setting, "")], &[], "").await;
        assert_eq!(missing.error(), (404, "NoSuchBucket"), "{setting}");
    }
    for setting in ["legal-hold", "retention"] {
        let answer = api.send("GET", "bucket/k", &[(setting, "")], &[], "").await;
        assert_eq!(answer.error(), (400, "InvalidRequest"), "{setting}");
    }
}

#[tokio::test]
async fn a_bucket_is_named_by_the_path_or_by_the_host() {
    let api = Api::reached_by(&["s3.localhost"]).await;
    let by_host = async |host: &str, path: &str, query: &[(&str, &str)]| {
        let endpoint = format!("http://{host}");
        let url = api.url_at(&endpoint, "GET", path, query);
        let request = Request::get(url)
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        api.raw(request).await
    };
    for host in ["bucket.s3.localhost:9000", "bucket.s3.localhost"] {
        assert_eq!(by_host(host, "/k", &[]).await.body, "0123456789", "{host}");
        assert!(
            by_host(host, "/", &[("list-type", "2")])
                .await
                .text()
                .contains("<Key>k</Key>")
        );
    }
    for host in [
        "s3.localhost:9000",
        "minio:9000",
        "127.0.0.1:9000",
        "[::1]:9000",
        "storage.internal",
    ] {
        assert_eq!(by_host(host, "/bucket/k", &[]).await.body, "0123456789", "{host}");
    }
    assert_eq!(
        by_host("none.s3.localhost", "/k", &[]).await.error(),
        (404, "NoSuchBucket")
    );
    assert_eq!(
        by_host("A_B.s3.localhost", "/k", &[]).await.error(),
        (400, "InvalidBucketName")
    );
}
