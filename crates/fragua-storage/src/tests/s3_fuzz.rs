//! Mutated requests: the S3 API answers each with a status that is no fault of its own, and nothing panics. What is not
//! offered may be answered with 501.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};

use super::s3::Api;
use super::s3_chunked::{Chunked, SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER};
use super::s3_form;

/// Documents that are sent, and where.
const DOCUMENTS: [(&str, &str, &str, &str); 10] = [
    (
        "POST",
        "bucket",
        "delete",
        "<Delete><Quiet>true</Quiet><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>",
    ),
    (
        "POST",
        "bucket/u",
        "uploadId",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"900150983cd24fb0d6963f7d28e17f72\"</ETag>\
         <ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>",
    ),
    (
        "PUT",
        "bucket",
        "cors",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
         <MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>",
    ),
    (
        "PUT",
        "bucket",
        "tagging",
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    ),
    (
        "PUT",
        "bucket/k",
        "tagging",
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    ),
    (
        "PUT",
        "bucket",
        "lifecycle",
        "<LifecycleConfiguration><Rule><ID>a</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status>\
         <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>",
    ),
    (
        "PUT",
        "bucket",
        "versioning",
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    ),
    (
        "PUT",
        "bucket",
        "policy",
        r#"{"Statement": [{"Effect": "Deny", "Principal": {"AWS": ["a"]}, "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*",
            "Condition": {"StringLike": {"s3:prefix": "a*"}}}]}"#,
    ),
    (
        "PUT",
        "bucket",
        "acl",
        "<AccessControlPolicy><Owner><ID>fragua</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>",
    ),
    (
        "PUT",
        "new-bucket",
        "",
        "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>",
    ),
];

const HEADERS: [(&str, &str); 18] = [
    ("range", "bytes=1-4"),
    ("if-match", "\"781e5e245d69b566979b86e28d23f2c7\""),
    ("if-none-match", "*"),
    ("if-modified-since", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("content-md5", "ZajifYh5KDgxtmS9i38K1A=="),
    ("x-amz-checksum-crc32", "y/Q5Jg=="),
    ("x-amz-sdk-checksum-algorithm", "SHA256"),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("x-amz-copy-source", "/bucket/k?versionId=null"),
    ("x-amz-copy-source-range", "bytes=0-3"),
    ("x-amz-metadata-directive", "REPLACE"),
    ("x-amz-tagging", "a=b&c=d"),
    ("x-amz-object-attributes", "ETag,ObjectParts"),
    ("x-amz-part-number-marker", "1"),
    ("x-amz-decoded-content-length", "10"),
    ("x-amz-acl", "private"),
    ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("origin", "https://example.org"),
];

const QUERIES: [(&str, &str); 16] = [
    ("partNumber", "1"),
    ("uploadId", "0123456789abcdef0123456789abcdef"),
    ("versionId", "null"),
    ("list-type", "2"),
    ("prefix", "a/"),
    ("delimiter", "/"),
    ("max-keys", "10"),
    ("continuation-token", "YQ"),
    ("encoding-type", "url"),
    ("marker", "a"),
    ("uploads", ""),
    ("versions", ""),
    ("attributes", ""),
    ("acl", ""),
    ("response-content-type", "text/plain"),
    ("location", ""),
];

/// Numbers by xorshift: enough to stir with, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Changes, leaves out and doubles parts of a text, now and then not at all.
    fn mutated(&mut self, text: &str) -> Vec<u8> {
        const INTERESTING: [&[u8]; 14] = [
            b"\0",
            b"\xff",
            b"<",
            b"&",
            b"%",
            b"%00",
            b"-1",
            b"99999999999999999999",
            b"\r\n",
            b"/",
            b"..",
            "ñ🦀".as_bytes(),
            b"\"",
            b"&#0;",
        ];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let from = self.below(bytes.len() + 1);
            let to = (from + self.below(9)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(from..to)),
                1 => {
                    let part = bytes[from..to].to_vec();
                    bytes.splice(from..from, part);
                }
                2 if from < bytes.len() => bytes[from] ^= 1 << self.below(8),
                3 => {
                    let part = bytes.repeat(1 + self.below(3));
                    bytes = part;
                }
                _ => {
                    let odd = *self.pick(&INTERESTING);
                    bytes.splice(from..to, odd.iter().copied());
                }
            }
        }
        bytes
    }

    fn mutated_text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.mutated(text)).into_owned()
    }
}

fn encoded(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                path.push(char::from(byte))
            }
            other => path += &format!("%{other:02X}"),
        }
    }
    path
}

/// Makes a request of one kind; nothing where what came out cannot be sent at all.
fn request(api: &Api, random: &mut Random) -> Option<Request<Body>> {
    let method = *random.pick(&["GET", "PUT", "HEAD", "DELETE", "POST"]);
    let (mut method, mut path, mut query, mut body) = (method, String::new(), Vec::new(), Vec::new());
    let mut headers: Vec<(&str, Vec<u8>)> = Vec::new();
    match random.below(5) {
        0 => {
            let document = random.pick(&DOCUMENTS);
            (method, path) = (document.0, format!("/{}", document.1));
            if !document.2.is_empty() {
                query.push((document.2, String::new()));
            }
            body = random.mutated(document.3);
        }
        1 => path = format!("/bucket/{}", encoded(&random.mutated_text("a/ñandú/../b c"))),
        2 => path = format!("/{}", encoded(&random.mutated_text("bucket/k"))),
        _ => {
            path.push_str(random.pick::<&str>(&["/bucket/k", "/bucket", "/"]));
            for _ in 0..random.below(4) {
                let (name, value) = *random.pick(&QUERIES);
                query.push((name, random.mutated_text(value)));
            }
        }
    }
    for _ in 0..random.below(4) {
        let (name, value) = *random.pick(&HEADERS);
        headers.push((name, random.mutated(value)));
    }
    let pairs: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut url = api.url_at("http://127.0.0.1:9000", method, &path, &pairs);
    if random.below(4) == 0 {
        url = random.mutated_text(&url);
    }
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .header("host", "127.0.0.1:9000")
        .header("content-length", body.len());
    for (name, value) in headers {
        request = request.header(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(&value).ok()?,
        );
    }
    request.body(Body::from(body)).ok()
}

/// Sends bodies in chunks and forms whose framing is not what it was signed to be.
async fn framed(api: &Api, random: &mut Random) -> u16 {
    if random.below(2) == 0 {
        let kind = *random.pick(&[SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]);
        let trailer = (kind != SIGNED).then_some("x-amz-checksum-crc32");
        let chunked = Chunked::new(api, kind, trailer, 10);
        let body = chunked.body(&["hello", "world"], Some("y/Q5Jg=="));
        return chunked.send(10, random.mutated(&body)).await.status.as_u16();
    }
    let fields = [("key", "form/a"), ("x-amz-meta-a", "b"), ("policy", "e30=")];
    let body = s3_form::form(&fields[..1 + random.below(3)], Some("file"));
    api.post("/bucket", random.mutated(&body)).await.status.as_u16()
}

async fn try_requests(seed: u64, mut goes_on: impl FnMut(u64) -> bool) {
    let api = Api::start().await;
    let mut random = Random(seed | 1);
    let (mut tried, mut good) = (0, 0_u64);
    while goes_on(tried) {
        tried += 1;
        let state = random.0;
        let (shown, status) = match random.below(4) {
            0 => (String::new(), framed(&api, &mut random).await),
            _ => {
                let Some(request) = request(&api, &mut random) else {
                    continue;
                };
                let shown = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
                (shown, api.raw(request).await.status.as_u16())
            }
        };
        good += u64::from(status < 300);
        assert!(
            status < 500 || status == 501,
            "{status} from the state {state}: {shown}"
        );
    }
    println!("{tried} requests tried, {good} succeeded");
}

#[tokio::test]
async fn mutated_requests_are_answered() {
    try_requests(0x5eed, |tried| tried < 1_500).await;
}

/// `cargo xtask fuzz s3 --seconds N` runs it.
#[tokio::test]
#[ignore = "runs as long as it is told"]
async fn random_requests_hold() {
    let seconds = std::env::var("FRAGUA_FUZZ_SECONDS").map_or(1, |seconds| seconds.parse().unwrap());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    try_requests(now.as_nanos() as u64, |_| Instant::now() < end).await;
}
