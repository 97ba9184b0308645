"""What boto3 must find at the S3 endpoint given as the only argument.

Each check is a function; the script prints its name once it has passed.
"""

import base64
import hashlib
import io
import os
import sys
import threading
import urllib.error
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
BUCKET = "mlflows3"
ODD_KEYS = [
    "../../x", "..", "a//b", "/leading", "trailing/", "k", "k/x", "a b", "a+b", "a%2Fb", "ñandú/日本", "🦀", "x&<>\"'y",
    "e\u0301", "=?;:@$,#", "~tilde*()!",
]


def client(**settings):
    given = dict(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    given.update(settings.pop("config", {}))
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=Config(**given), **settings)


s3 = client()


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        found = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), (found, (code, status))
        return answer
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def read(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


def listed(**arguments):
    keys, prefixes, pages = [], [], 0
    paginator = s3.get_paginator(arguments.pop("operation", "list_objects_v2"))
    for page in paginator.paginate(Bucket=BUCKET, **arguments):
        pages += 1
        keys += [item["Key"] for item in page.get("Contents", [])]
        prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    return keys, prefixes, pages


def empty():
    keys, _, _ = listed()
    for start in range(0, len(keys), 1000):
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": batch})
        assert len(answer["Deleted"]) == len(batch) and "Errors" not in answer, answer
    assert listed()[0] == []


def buckets():
    refused("404", 404, s3.head_bucket, Bucket=BUCKET)
    s3.create_bucket(Bucket=BUCKET)
    s3.head_bucket(Bucket=BUCKET)
    s3.create_bucket(Bucket=BUCKET)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    s3.create_bucket(Bucket="other")
    s3.delete_bucket(Bucket="other")
    refused("NoSuchBucket", 404, s3.delete_bucket, Bucket="other")
    refused("InvalidBucketName", 400, s3.create_bucket, Bucket="Upper.Case")


def objects():
    body = b"some bytes"
    put = s3.put_object(Bucket=BUCKET, Key="k", Body=body, ContentType="text/csv", Metadata={"run": "7", "name": "x y"})
    assert put["ETag"] == '"%s"' % hashlib.md5(body).hexdigest()
    assert put["ChecksumCRC32"] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    got = s3.get_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body and got["ChecksumCRC32"] == put["ChecksumCRC32"]
    head = s3.head_object(Bucket=BUCKET, Key="k")
    for answer in (got, head):
        assert answer["ContentLength"] == 10 and answer["ContentType"] == "text/csv", answer
        assert answer["Metadata"] == {"run": "7", "name": "x y"} and answer["ETag"] == put["ETag"], answer
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"")
    assert read("k") == b""
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.delete_object(Bucket=BUCKET, Key="k")
    refused("404", 404, s3.head_object, Bucket=BUCKET, Key="k")
    refused("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="k")
    refused("NoSuchBucket", 404, s3.put_object, Bucket="nobucket", Key="k", Body=b"x")
    refused("MetadataTooLarge", 400, s3.put_object, Bucket=BUCKET, Key="k", Body=b"", Metadata={"m": "x" * 3000})
    refused("KeyTooLongError", 400, s3.put_object, Bucket=BUCKET, Key="k" * 1025, Body=b"")


def checksums():
    body = os.urandom(100_000)
    # botocore computes the others only with a package of its own.
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        put = s3.put_object(Bucket=BUCKET, Key="sum", Body=body, ChecksumAlgorithm=algorithm)
        value = put["Checksum" + algorithm]
        got = s3.get_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
        assert got["Checksum" + algorithm] == value and got["Body"].read() == body
    refused("BadDigest", 400, s3.put_object, Bucket=BUCKET, Key="sum", Body=b"x", ChecksumCRC32="AAAAAA==")
    refused("BadDigest", 400, s3.put_object, Bucket=BUCKET, Key="sum", Body=b"x", ContentMD5="A" * 22 + "==")
    assert read("sum") == body


def odd_keys():
    empty()
    for key in ODD_KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert read(key) == key.encode(), key
    expected = sorted(ODD_KEYS, key=str.encode)
    assert listed()[0] == expected
    assert listed(operation="list_objects")[0] == expected
    for key in ODD_KEYS:
        s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": key})
        assert read("copy") == key.encode(), key
    empty()


def ranges():
    body = os.urandom(1_000_000)
    s3.put_object(Bucket=BUCKET, Key="r", Body=body)
    for header, expected in [
        ("bytes=0-0", body[:1]),
        ("bytes=262140-262150", body[262140:262151]),
        ("bytes=999990-", body[-10:]),
        ("bytes=-100000", body[-100_000:]),
        ("bytes=-5000000", body),
    ]:
        answer = s3.get_object(Bucket=BUCKET, Key="r", Range=header)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206, header
        assert answer["Body"].read() == expected, header
    refused("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="r", Range="bytes=1000000-")


def conditions():
    etag = s3.put_object(Bucket=BUCKET, Key="c", Body=b"one", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, Bucket=BUCKET, Key="c", Body=b"two", IfNoneMatch="*")
    assert read("c", IfMatch=etag) == b"one"
    refused("304", 304, s3.get_object, Bucket=BUCKET, Key="c", IfNoneMatch=etag)
    refused("PreconditionFailed", 412, s3.get_object, Bucket=BUCKET, Key="c", IfMatch='"other"')
    s3.put_object(Bucket=BUCKET, Key="c", Body=b"three", IfMatch=etag)
    refused("PreconditionFailed", 412, s3.put_object, Bucket=BUCKET, Key="c", Body=b"four", IfMatch=etag)
    assert read("c") == b"three"


def copies():
    s3.put_object(Bucket=BUCKET, Key="from", Body=b"bytes", ContentType="text/plain", Metadata={"a": "1"})
    source = {"Bucket": BUCKET, "Key": "from"}
    s3.copy_object(Bucket=BUCKET, Key="to", CopySource=source)
    head = s3.head_object(Bucket=BUCKET, Key="to")
    assert head["ContentType"] == "text/plain" and head["Metadata"] == {"a": "1"}
    s3.copy_object(
        Bucket=BUCKET, Key="to", CopySource=source, MetadataDirective="REPLACE", ContentType="a/b", Metadata={"b": "2"}
    )
    head = s3.head_object(Bucket=BUCKET, Key="to")
    assert head["ContentType"] == "a/b" and head["Metadata"] == {"b": "2"}
    refused("InvalidRequest", 400, s3.copy_object, Bucket=BUCKET, Key="from", CopySource=source)
    refused("NoSuchKey", 404, s3.copy_object, Bucket=BUCKET, Key="to", CopySource=f"{BUCKET}/none")


def lists():
    keys = [f"runs/{run:02}/artifacts/{file}" for run in range(30) for file in range(40)] + ["a", "z", "runs"]
    threads = [
        threading.Thread(target=lambda part=part: [s3.put_object(Bucket=BUCKET, Key=key, Body=b"x") for key in part])
        for part in (keys[0::4], keys[1::4], keys[2::4], keys[3::4])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for operation in ("list_objects_v2", "list_objects"):
        found, prefixes, pages = listed(operation=operation)
        assert found == sorted(keys) and prefixes == [] and pages == 2
        found, prefixes, pages = listed(operation=operation, Delimiter="/")
        assert (found, prefixes, pages) == (["a", "runs", "z"], ["runs/"], 1)
        found, prefixes, pages = listed(
            operation=operation, Delimiter="/", Prefix="runs/", PaginationConfig={"PageSize": 7}
        )
        assert (found, prefixes, pages) == ([], [f"runs/{run:02}/" for run in range(30)], 5)
        found, prefixes, _ = listed(operation=operation, Prefix="runs/07/artifacts/1", Delimiter="/")
        assert found == sorted(key for key in keys if key.startswith("runs/07/artifacts/1")) and prefixes == []
    after = s3.list_objects_v2(Bucket=BUCKET, StartAfter="runs/29/artifacts/8", FetchOwner=True)
    assert [item["Key"] for item in after["Contents"]] == ["runs/29/artifacts/9", "z"]
    assert after["KeyCount"] == 2 and after["Contents"][0]["Owner"]["ID"]
    page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=0)
    assert page["KeyCount"] == 0 and not page["IsTruncated"]
    empty()


def multipart():
    body = os.urandom(20_000_000)
    config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "large", Config=config, ExtraArgs={"ContentType": "a/b"})
    head = s3.head_object(Bucket=BUCKET, Key="large")
    assert head["ContentLength"] == len(body) and head["ContentType"] == "a/b"
    assert head["ETag"].endswith('-3"'), head["ETag"]
    sink = io.BytesIO()
    s3.download_fileobj(BUCKET, "large", sink, Config=config)
    assert sink.getvalue() == body

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    names = dict(Bucket=BUCKET, Key="parts", UploadId=upload)
    first = s3.upload_part(PartNumber=1, Body=body[: 5 << 20], **names)
    copied = s3.upload_part_copy(
        PartNumber=2, CopySource=f"{BUCKET}/large", CopySourceRange=f"bytes={5 << 20}-19999999", **names
    )
    found = s3.list_parts(**names)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in found] == [(1, 5 << 20), (2, 20_000_000 - (5 << 20))]
    uploads = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [(item["Key"], item["UploadId"]) for item in uploads] == [("parts", upload)]
    parts = [
        {"PartNumber": 1, "ETag": first["ETag"], "ChecksumCRC32": first["ChecksumCRC32"]},
        {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]},
    ]
    wrong = {"Parts": [dict(parts[0], ETag='"0"'), parts[1]]}
    refused("InvalidPart", 400, s3.complete_multipart_upload, MultipartUpload=wrong, **names)
    backwards = {"Parts": parts[::-1]}
    refused("InvalidPartOrder", 400, s3.complete_multipart_upload, MultipartUpload=backwards, **names)
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **names)
    assert read("parts") == body
    refused("NoSuchUpload", 404, s3.list_parts, **names)

    names["UploadId"] = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    small = [s3.upload_part(PartNumber=number, Body=b"x", **names)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(small, 1)]
    refused("EntityTooSmall", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": parts}, **names)
    s3.abort_multipart_upload(**names)
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **names)
    empty()


def composite_checksums():
    names = dict(Bucket=BUCKET, Key="sums")
    upload = s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **names)
    assert upload["ChecksumAlgorithm"] == "SHA256"
    names["UploadId"] = upload["UploadId"]
    bodies = [os.urandom(5 << 20), b"end"]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm="SHA256", **names)
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **names)
    both = b"".join(hashlib.sha256(body).digest() for body in bodies)
    expected = base64.b64encode(hashlib.sha256(both).digest()).decode() + "-2"
    assert done["ChecksumSHA256"] == expected, done
    assert s3.head_object(Bucket=BUCKET, Key="sums", ChecksumMode="ENABLED")["ChecksumSHA256"] == expected


def streamed_bodies():
    class Unseekable(io.RawIOBase):
        def __init__(self, body):
            self.inner = io.BytesIO(body)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.inner.readinto(buffer)

    body = os.urandom(3_000_000)
    s3.upload_fileobj(Unseekable(body), BUCKET, "streamed")
    assert read("streamed") == body
    unsigned = client(config=dict(s3={"addressing_style": "path", "payload_signing_enabled": False}))
    unsigned.put_object(Bucket=BUCKET, Key="streamed", Body=body[:1000])
    assert read("streamed") == body[:1000]


def trailers():
    """Clients over TLS send the checksum behind the body; over plain HTTP only by hand."""
    session = boto3.Session()

    def put(checksum):
        body = b"hello world"
        frames = b"b\r\n" + body + b"\r\n0\r\nx-amz-checksum-crc32:" + checksum + b"\r\n\r\n"
        headers = {
            "Content-Encoding": "aws-chunked",
            "X-Amz-Decoded-Content-Length": str(len(body)),
            "X-Amz-Trailer": "x-amz-checksum-crc32",
            "Content-Length": str(len(frames)),
        }
        request = AWSRequest(method="PUT", url=f"{ENDPOINT}/{BUCKET}/trailer", headers=headers)
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        S3SigV4Auth(session.get_credentials(), "s3", "us-east-1").add_auth(request)
        sent = urllib.request.Request(request.url, data=frames, method="PUT", headers=dict(request.headers.items()))
        try:
            return urllib.request.urlopen(sent).status, b""
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    good = base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big"))
    assert put(good) == (200, b"")
    got = s3.get_object(Bucket=BUCKET, Key="trailer", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello world" and got["ChecksumCRC32"] == good.decode()
    assert "ContentEncoding" not in got, got
    status, answer = put(b"AAAAAA==")
    assert status == 400 and b"BadDigest" in answer, answer


def altered_body():
    """A body that is not the one whose hash was signed."""
    request = AWSRequest(method="PUT", url=f"{ENDPOINT}/{BUCKET}/altered", data=b"signed")
    S3SigV4Auth(boto3.Session().get_credentials(), "s3", "us-east-1").add_auth(request)
    headers = dict(request.headers.items())
    sent = urllib.request.Request(request.url, data=b"sold!!", method="PUT", headers=headers)
    try:
        urllib.request.urlopen(sent)
        raise AssertionError("an altered body was accepted")
    except urllib.error.HTTPError as error:
        answer = error.read()
        assert error.code == 400 and b"XAmzContentSHA256Mismatch" in answer, answer
    refused("404", 404, s3.head_object, Bucket=BUCKET, Key="altered")


def presigned():
    # Left alone, boto3 signs addresses of us-east-1 by version 2, which is refused.
    old = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"}, ExpiresIn=60)
    try:
        urllib.request.urlopen(old)
        raise AssertionError("an address signed by version 2 was accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 400 and b"AWS4-HMAC-SHA256" in error.read()
    signing = client(config=dict(signature_version="s3v4"))
    url = signing.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "p q+ñ"}, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"by hand", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    params = {"Bucket": BUCKET, "Key": "p q+ñ", "ResponseContentType": "text/plain"}
    url = signing.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    answer = urllib.request.urlopen(url)
    assert answer.read() == b"by hand" and answer.headers["Content-Type"] == "text/plain"
    try:
        urllib.request.urlopen(url.replace("text%2Fplain", "text%2Fhtml"))
        raise AssertionError("a changed address was accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()


def refusals_before_the_body():
    """A refused PUT never gets its body; the next request on the connection must not be taken for it."""
    for _ in range(200):
        refused("NoSuchBucket", 404, s3.put_object, Bucket="nobucket", Key="k", Body=b"x")
        assert s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["RetryAttempts"] == 0


def strangers():
    wrong = client(aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong-secret")
    refused("SignatureDoesNotMatch", 403, wrong.list_objects_v2, Bucket=BUCKET)
    unknown = client(aws_access_key_id="UNKNOWNKEY", aws_secret_access_key="wrong-secret")
    refused("InvalidAccessKeyId", 403, unknown.list_objects_v2, Bucket=BUCKET)
    unsigned = client(config=dict(signature_version=UNSIGNED))
    refused("AccessDenied", 403, unsigned.list_objects_v2, Bucket=BUCKET)
    refused("AccessDenied", 403, unsigned.put_object, Bucket=BUCKET, Key="k", Body=b"x")
    old = client(config=dict(signature_version="s3"))
    refused("InvalidRequest", 400, old.list_objects, Bucket=BUCKET)


for check in (
    buckets, objects, checksums, odd_keys, ranges, conditions, copies, empty, lists, multipart, composite_checksums,
    streamed_bodies, trailers, altered_body, presigned, refusals_before_the_body,
    strangers, empty,
):
    check()
    print(check.__name__, "passed", flush=True)
s3.delete_bucket(Bucket=BUCKET)
print("all checks passed")
