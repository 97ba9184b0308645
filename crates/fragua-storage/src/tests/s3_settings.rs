//! Versions, tags and settings of buckets in the S3 API in process.

use super::s3::{Answer, Api, between};
use crate::{BucketSetting, Versioning};

impl Api {
    /// Sends an XML or JSON body to the bucket's subresource `name`.
    async fn set(&self, name: &str, body: &'static str) -> Answer {
        let length = body.len().to_string();
        self.send(
            "PUT",
            "bucket",
            &[(name, "")],
            &[("content-length", &length)],
            body,
        )
        .await
    }

    async fn ask(&self, method: &str, name: &str) -> Answer {
        self.send(method, "bucket", &[(name, "")], &[], "").await
    }

    async fn enable_versions(&self) {
        let bucket = super::bucket();
        self.storage
            .set_versioning(&bucket, Versioning::Enabled)
            .await
            .unwrap();
    }

    async fn put_version(&self, body: &'static str) -> String {
        let answer = self.send("PUT", "bucket/k", &[], &[], body).await;
        answer.header("x-amz-version-id").to_owned()
    }
}

#[tokio::test]
async fn versioning_is_turned_on_and_told() {
    let api = Api::start().await;
    assert!(!api.ask("GET", "versioning").await.text().contains("<Status>"));
    assert_eq!(api.put_version("x").await, "");
    for status in ["Enabled", "Suspended"] {
        let body: &'static str = Box::leak(
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>").into(),
        );
        assert_eq!(api.set("versioning", body).await.status, 200);
        let told = api.ask("GET", "versioning").await;
        assert_eq!(between(told.text(), "<Status>", "</Status>"), status);
    }
    assert_eq!(api.put_version("x").await, "null");
    let bad = "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>";
    assert_eq!(api.set("versioning", bad).await.error(), (400, "MalformedXML"));
    let mfa = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>\
               </VersioningConfiguration>";
    assert_eq!(api.set("versioning", mfa).await.error(), (501, "NotImplemented"));
}

#[tokio::test]
async fn a_version_is_read_by_its_id_and_a_marker_is_not() {
    let api = Api::start().await;
    api.enable_versions().await;
    let (one, two) = (api.put_version("one").await, api.put_version("two").await);
    let read =
        async |method: &str, id: &str| api.send(method, "bucket/k", &[("versionId", id)], &[], "").await;
    let answer = read("GET", &one).await;
    assert_eq!(
        (answer.text(), answer.header("x-amz-version-id")),
        ("one", one.as_str())
    );
    assert_eq!(read("GET", "null").await.header("x-amz-version-id"), "null");
    let latest = api.send("HEAD", "bucket/k", &[], &[], "").await;
    assert_eq!(latest.header("x-amz-version-id"), two);

    let deleted = api.send("DELETE", "bucket/k", &[], &[], "").await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.header("x-amz-delete-marker")),
        (204, "true")
    );
    let marker = deleted.header("x-amz-version-id").to_owned();
    let missing = api.send("GET", "bucket/k", &[], &[], "").await;
    assert_eq!(missing.error(), (404, "NoSuchKey"));
    assert_eq!(missing.header("x-amz-delete-marker"), "true");
    assert_eq!(missing.header("x-amz-version-id"), marker);
    let refused = read("GET", &marker).await;
    assert_eq!(refused.error(), (405, "MethodNotAllowed"));
    for answer in [&refused, &read("HEAD", &marker).await] {
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("x-amz-delete-marker"), "true");
        assert_eq!(answer.header("allow"), "DELETE");
        assert!(answer.header("last-modified").ends_with(" GMT"));
    }
    let gone = read("DELETE", &marker).await;
    assert_eq!(
        (
            gone.header("x-amz-delete-marker"),
            gone.header("x-amz-version-id")
        ),
        ("true", marker.as_str())
    );
    let gone = read("DELETE", &two).await;
    assert_eq!(
        (
            gone.header("x-amz-delete-marker"),
            gone.header("x-amz-version-id")
        ),
        ("", two.as_str())
    );
    assert_eq!(api.send("GET", "bucket/k", &[], &[], "").await.text(), "one");
    assert_eq!(read("GET", &two).await.error(), (404, "NoSuchVersion"));
    assert_eq!(read("GET", "?").await.error(), (400, "InvalidArgument"));
    assert_eq!(api.ask("DELETE", "x").await.error(), (409, "BucketNotEmpty"));
}

#[tokio::test]
async fn versions_are_listed_and_deleted_in_batches() {
    let api = Api::start().await;
    api.enable_versions().await;
    let id = api.put_version("new").await;
    super::put(&api.storage, "ñ/x y", "x").await;
    api.send("DELETE", "bucket/k", &[], &[], "").await;
    let page = api
        .send(
            "GET",
            "bucket",
            &[("versions", ""), ("encoding-type", "url"), ("max-keys", "3")],
            &[],
            "",
        )
        .await;
    let text = page.text();
    assert_eq!(text.matches("<Version>").count(), 2, "{text}");
    assert_eq!(text.matches("<DeleteMarker>").count(), 1);
    assert!(text.contains("<IsTruncated>true</IsTruncated>"));
    assert_eq!(between(text, "<NextKeyMarker>", "<"), "k");
    assert_eq!(between(text, "<NextVersionIdMarker>", "<"), "null");
    let rest = [
        ("versions", ""),
        ("encoding-type", "url"),
        ("key-marker", "k"),
        ("version-id-marker", "null"),
    ];
    let rest = api.send("GET", "bucket", &rest, &[], "").await;
    assert!(rest.text().contains("<Key>%C3%B1/x%20y</Key>"), "{}", rest.text());
    assert!(rest.text().contains("<IsLatest>true</IsLatest>"));
    let folded = [("versions", ""), ("delimiter", "/")];
    let folded = api.send("GET", "bucket", &folded, &[], "").await;
    assert!(
        folded.text().contains("<CommonPrefixes><Prefix>ñ/</Prefix>"),
        "{}",
        folded.text()
    );
    let unled = [("versions", ""), ("version-id-marker", "null")];
    assert_eq!(
        api.send("GET", "bucket", &unled, &[], "").await.error(),
        (400, "InvalidArgument")
    );

    let body: &'static str = Box::leak(
        format!(
            "<Delete><Object><Key>k</Key><VersionId>{id}</VersionId></Object><Object><Key>ñ/x y</Key></Object>\
             </Delete>"
        )
        .into(),
    );
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
    let text = answer.text();
    assert!(text.contains(&format!("<VersionId>{id}</VersionId>")), "{text}");
    assert_eq!(
        text.matches("<DeleteMarker>true</DeleteMarker>").count(),
        1,
        "{text}"
    );
    assert_eq!(between(text, "<DeleteMarkerVersionId>", "<").len(), 32);
}

#[tokio::test]
async fn an_old_version_is_copied_onto_its_own_key() {
    let api = Api::start().await;
    api.enable_versions().await;
    let old = api.put_version("old").await;
    api.put_version("new").await;
    let source = format!("/bucket/k?versionId={old}");
    let copied = api
        .send("PUT", "bucket/k", &[], &[("x-amz-copy-source", &source)], "")
        .await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    assert_eq!(copied.header("x-amz-copy-source-version-id"), old);
    assert_eq!(copied.header("x-amz-version-id").len(), 32);
    assert_eq!(api.send("GET", "bucket/k", &[], &[], "").await.text(), "old");
    let none = "/bucket/k?versionId=none";
    let missing = api
        .send("PUT", "bucket/k", &[], &[("x-amz-copy-source", none)], "")
        .await;
    assert_eq!(missing.error(), (404, "NoSuchVersion"));
}

#[tokio::test]
async fn objects_have_tags() {
    let api = Api::start().await;
    let tagged = [("x-amz-tagging", "stage=raw+data&year=2026")];
    assert_eq!(api.send("PUT", "bucket/t", &[], &tagged, "x").await.status, 200);
    for method in ["GET", "HEAD"] {
        let answer = api.send(method, "bucket/t", &[], &[], "").await;
        assert_eq!(answer.header("x-amz-tagging-count"), "2", "{method}");
    }
    let tags = async |key: &str| {
        let answer = api.send("GET", key, &[("tagging", "")], &[], "").await;
        between(answer.text(), "<TagSet>", "</TagSet>").to_owned()
    };
    let expected =
        "<Tag><Key>stage</Key><Value>raw data</Value></Tag><Tag><Key>year</Key><Value>2026</Value></Tag>";
    assert_eq!(tags("bucket/t").await, expected);
    let source = ("x-amz-copy-source", "bucket/t");
    api.send("PUT", "bucket/copy", &[], &[source], "").await;
    assert_eq!(tags("bucket/copy").await, expected);
    let replaced = [
        source,
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-tagging", "a=b"),
    ];
    api.send("PUT", "bucket/copy", &[], &replaced, "").await;
    assert_eq!(
        tags("bucket/copy").await,
        "<Tag><Key>a</Key><Value>b</Value></Tag>"
    );

    let set = async |body: &'static str| {
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str())];
        api.send("PUT", "bucket/k", &[("tagging", "")], &headers, body)
            .await
    };
    let body = "<Tagging><TagSet><Tag><Key>a</Key><Value></Value></Tag></TagSet></Tagging>";
    assert_eq!(set(body).await.status, 200);
    assert_eq!(tags("bucket/k").await, "<Tag><Key>a</Key><Value></Value></Tag>");
    let twice = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>a</Key><Value>2</Value></Tag>\
                 </TagSet></Tagging>";
    assert_eq!(set(twice).await.error(), (400, "InvalidTag"));
    assert_eq!(set("<Tagging><TagSet>").await.error(), (400, "MalformedXML"));
    let many: String = (0..11).map(|number| format!("&k{number}=v")).collect();
    let refused = [("x-amz-tagging", &many[1..])];
    assert_eq!(
        api.send("PUT", "bucket/t", &[], &refused, "x").await.error(),
        (400, "InvalidTag")
    );
    let deleted = api.send("DELETE", "bucket/k", &[("tagging", "")], &[], "").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(tags("bucket/k").await, "");
    let none = api.send("GET", "bucket/none", &[("tagging", "")], &[], "").await;
    assert_eq!(none.error(), (404, "NoSuchKey"));
}

#[tokio::test]
async fn each_setting_has_its_own_code_when_it_is_not_there() {
    let api = Api::start().await;
    for (name, code) in [
        ("tagging", "NoSuchTagSet"),
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
    ] {
        assert_eq!(api.ask("GET", name).await.error(), (404, code));
        assert_eq!(api.ask("DELETE", name).await.status, 204, "{name}");
        let missing = api.send("GET", "nobucket", &[(name, "")], &[], "").await;
        assert_eq!(missing.error(), (404, "NoSuchBucket"), "{name}");
    }
    assert_eq!(api.ask("GET", "notification").await.status, 200);
}

#[tokio::test]
async fn settings_come_back_as_they_were_sent() {
    let api = Api::start().await;
    let tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>data</Value></Tag></TagSet></Tagging>";
    let cors = "<CORSConfiguration><CORSRule><ID>web</ID><AllowedOrigin>https://*.example.org</AllowedOrigin>\
                <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader>\
                <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule></CORSConfiguration>";
    let lifecycle = "<LifecycleConfiguration><Rule><ID>old</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key>\
                     <Value>b</Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Days>30</Days>\
                     </Expiration></Rule><Rule><ID>parts</ID><Filter><Prefix></Prefix></Filter><Status>Disabled\
                     </Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>\
                     <NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
                     <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
                     </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";
    let notification = "<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:aws:sqs:::rows\
                        </Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name>\
                        <Value>in/</Value></FilterRule></S3Key></Filter></QueueConfiguration>\
                        </NotificationConfiguration>";
    for (name, body, parts) in [
        ("tagging", tags, &["<Key>team</Key><Value>data</Value>"][..]),
        (
            "cors",
            cors,
            &[
                "<ID>web</ID>",
                "<AllowedOrigin>https://*.example.org</AllowedOrigin>",
                "<AllowedMethod>PUT</AllowedMethod>",
                "<MaxAgeSeconds>3000</MaxAgeSeconds>",
            ],
        ),
        (
            "lifecycle",
            lifecycle,
            &[
                "<Prefix>logs/</Prefix>",
                "<Key>a</Key><Value>b</Value>",
                "<Days>30</Days>",
                "<Status>Disabled</Status>",
                "<NoncurrentDays>3</NoncurrentDays>",
                "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>",
                "<DaysAfterInitiation>7</DaysAfterInitiation>",
            ],
        ),
        (
            "notification",
            notification,
            &[
                "<Queue>arn:aws:sqs:::rows</Queue>",
                "<Event>s3:ObjectCreated:*</Event>",
                "<Name>prefix</Name><Value>in/</Value>",
            ],
        ),
    ] {
        let answer = api.set(name, body).await;
        assert!(answer.status.is_success(), "{name}: {}", answer.text());
        let told = api.ask("GET", name).await;
        for part in parts {
            // The order within an element is the protocol library's own.
            let swapped = part.replace("<Key>a</Key><Value>b</Value>", "<Value>b</Value>");
            assert!(
                told.text().contains(part) || told.text().contains(&swapped),
                "{part} in {}",
                told.text()
            );
        }
    }
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/open/*"}]}"#;
    assert!(api.set("policy", policy).await.status.is_success());
    assert_eq!(api.ask("GET", "policy").await.text(), policy);
}

#[tokio::test]
async fn settings_that_break_a_rule_are_refused() {
    let api = Api::start().await;
    for (name, body, expected) in [
        ("policy", "[]", (400, "MalformedPolicy")),
        (
            "cors",
            "<CORSConfiguration></CORSConfiguration>",
            (400, "MalformedXML"),
        ),
        (
            "cors",
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>\
             </CORSRule></CORSConfiguration>",
            (400, "InvalidRequest"),
        ),
        (
            "lifecycle",
            "<LifecycleConfiguration><Rule>",
            (400, "MalformedXML"),
        ),
        (
            "lifecycle",
            "<LifecycleConfiguration><Rule><ID>a</ID><Filter></Filter><Status>On</Status><Expiration><Days>1</Days>\
             </Expiration></Rule></LifecycleConfiguration>",
            (400, "MalformedXML"),
        ),
        (
            "lifecycle",
            "<LifecycleConfiguration><Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status><Expiration>\
             <Days>0</Days></Expiration></Rule></LifecycleConfiguration>",
            (400, "InvalidArgument"),
        ),
        (
            "lifecycle",
            "<LifecycleConfiguration><Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status><Transition>\
             <Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>",
            (501, "NotImplemented"),
        ),
        (
            "notification",
            "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:::rows</Queue>\
             <Event>s3:ObjectEaten:*</Event></QueueConfiguration></NotificationConfiguration>",
            (400, "InvalidArgument"),
        ),
        (
            "notification",
            "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:::nobody</Queue>\
             <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
            (400, "InvalidArgument"),
        ),
    ] {
        let answer = api.set(name, body).await;
        assert_eq!(answer.error(), expected, "{name}: {body}\n{}", answer.text());
    }
}

#[tokio::test]
async fn a_full_bucket_is_told() {
    let api = Api::start().await;
    api.storage
        .set_bucket(&super::bucket(), BucketSetting::Quota(Some(12)))
        .await
        .unwrap();
    let answer = api.send("PUT", "bucket/new", &[], &[], "123").await;
    assert_eq!(answer.error(), (403, "QuotaExceeded"));
    assert_eq!(api.send("PUT", "bucket/new", &[], &[], "12").await.status, 200);
}
