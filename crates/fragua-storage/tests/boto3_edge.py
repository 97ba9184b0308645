"""What boto3 must find of parts, access lists, policies, hosts and forms at the S3 endpoint given as the only argument."""

import json
import socket
import sys
import urllib.error
import urllib.request
import uuid

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
BUCKET = "edge"
MEBIBYTE = 1 << 20


def client(endpoint=ENDPOINT, style="path", **settings):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": style}, **settings)
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


s3 = client()
anonymous = client(signature_version=UNSIGNED)


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        found = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), (found, (code, status))
        return answer
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def buckets_are_made_twice():
    for _ in range(2):
        s3.create_bucket(Bucket=BUCKET, ACL="private")
    assert s3.get_bucket_acl(Bucket=BUCKET)["Grants"][0]["Permission"] == "FULL_CONTROL"
    s3.put_bucket_acl(Bucket=BUCKET, ACL="private")
    refused("AccessControlListNotSupported", 400, s3.put_bucket_acl, Bucket=BUCKET, ACL="public-read")
    refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket=BUCKET)
    rules = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def parts_are_told_and_read_by_number():
    for algorithm, kind in [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")]:
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ChecksumAlgorithm=algorithm, ChecksumType=kind)
        assert upload["ChecksumType"] == kind, upload
        named = dict(Bucket=BUCKET, Key="parts", UploadId=upload["UploadId"])
        parts, bodies = [], [b"a" * 5 * MEBIBYTE, b"b" * 5 * MEBIBYTE, b"the end"]
        for number, body in enumerate(bodies, 1):
            part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm=algorithm, **named)
            sum_name = f"Checksum{algorithm}"
            parts.append({"PartNumber": number, "ETag": part["ETag"], sum_name: part[sum_name]})
        size = sum(map(len, bodies))
        refused(
            "InvalidRequest", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": parts},
            MpuObjectSize=size + 1, **named,
        )
        done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, MpuObjectSize=size, **named)
        assert done["ChecksumType"] == kind, done
        last = s3.get_object(Bucket=BUCKET, Key="parts", PartNumber=3)
        assert (last["Body"].read(), last["PartsCount"]) == (b"the end", 3)
        assert s3.head_object(Bucket=BUCKET, Key="parts", PartNumber=1)["ContentLength"] == 5 * MEBIBYTE
        told = s3.get_object_attributes(
            Bucket=BUCKET, Key="parts", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize"],
        )
        assert (told["ObjectSize"], told["ObjectParts"]["TotalPartsCount"]) == (size, 3), told
        assert told["Checksum"]["ChecksumType"] == kind, told
        assert [part["Size"] for part in told["ObjectParts"]["Parts"]] == [5 * MEBIBYTE, 5 * MEBIBYTE, 7]


def copies_have_checksums_and_conditions():
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"123456789")
    source = {"Bucket": BUCKET, "Key": "source"}
    copied = s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source, ChecksumAlgorithm="SHA1")
    assert copied["CopyObjectResult"]["ChecksumSHA1"] == "98O8HYCOBHMq32eZZczDTKeuNEE=", copied


def resources_are_read():
    resource = boto3.resource("s3", endpoint_url=ENDPOINT, region_name="us-east-1")
    bucket = resource.Bucket(BUCKET)
    bucket.put_object(Key="in/resource", Body=b"x")
    assert [item.key for item in bucket.objects.filter(Prefix="in/")] == ["in/resource"]
    assert bucket.Object("in/resource").content_length == 1
    bucket.objects.filter(Prefix="in/").delete()
    assert list(bucket.objects.filter(Prefix="in/")) == []
    assert BUCKET in [found.name for found in resource.buckets.all()]


def forms_upload(fields, url, body):
    boundary = uuid.uuid4().hex
    lines = []
    for name, value in fields.items():
        lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'.encode()
        + body + f"\r\n--{boundary}--\r\n".encode()
    )
    request = urllib.request.Request(url, data=b"".join(lines), method="POST")
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code


def presigned_forms_upload():
    # Left alone, boto3 signs forms as it signs addresses: with the old signature for this region.
    signer = client(signature_version="s3v4")
    post = signer.generate_presigned_post(
        BUCKET, "forms/${filename}", Fields={"Content-Type": "text/csv"},
        Conditions=[{"Content-Type": "text/csv"}, ["content-length-range", 1, 10 * MEBIBYTE]],
    )
    assert forms_upload(post["fields"], post["url"], b"x" * 9 * MEBIBYTE) == 204
    head = s3.head_object(Bucket=BUCKET, Key="forms/f.csv")
    assert (head["ContentLength"], head["ContentType"]) == (9 * MEBIBYTE, "text/csv")
    assert forms_upload(post["fields"], post["url"], b"x" * 11 * MEBIBYTE) == 400
    other = dict(post["fields"], **{"Content-Type": "text/html"})
    assert forms_upload(other, post["url"], b"x") == 403
    address = signer.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "forms/f.csv"})
    assert len(urllib.request.urlopen(address).read()) == 9 * MEBIBYTE


def policies_open_a_folder_to_everyone():
    s3.put_object(Bucket=BUCKET, Key="open/a", Body=b"x")
    refused("AccessDenied", 403, anonymous.get_object, Bucket=BUCKET, Key="open/a")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/open/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    assert anonymous.get_object(Bucket=BUCKET, Key="open/a")["Body"].read() == b"x"
    refused("AccessDenied", 403, anonymous.get_object, Bucket=BUCKET, Key="source")
    refused("AccessDenied", 403, anonymous.list_objects_v2, Bucket=BUCKET)
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"]


def resolve(host, *arguments, lookup=socket.getaddrinfo, **named):
    """Resolves names below localhost as browsers do, which not every system does."""
    return lookup("127.0.0.1" if host.endswith(".localhost") else host, *arguments, **named)


def hosts_name_buckets():
    socket.getaddrinfo = resolve
    port = ENDPOINT.rsplit(":", 1)[1]
    by_host = client(endpoint=f"http://s3.localhost:{port}", style="virtual")
    assert by_host.get_object(Bucket=BUCKET, Key="open/a")["Body"].read() == b"x"
    assert by_host.list_objects_v2(Bucket=BUCKET, Prefix="open/")["KeyCount"] == 1


for check in [
    buckets_are_made_twice,
    parts_are_told_and_read_by_number,
    copies_have_checksums_and_conditions,
    resources_are_read,
    presigned_forms_upload,
    policies_open_a_folder_to_everyone,
    hosts_name_buckets,
]:
    check()
    print(check.__name__)
print("all checks passed")
