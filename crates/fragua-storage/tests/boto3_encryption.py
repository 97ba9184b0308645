"""What boto3 must find of encryption at the S3 endpoint given as the only argument."""

import io
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

settings = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=settings)
BUCKET = "sealed"
MEBIBYTE = 1 << 20
LARGE = bytes(range(251)) * (12 * MEBIBYTE // 251)
PARTS = TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE)
MINE = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
OTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"o" * 32}


def refused(code, status, call, **arguments):
    try:
        call(Bucket=BUCKET, **arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), (found, (code, status))
        return
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def read(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


s3.create_bucket(Bucket=BUCKET)

# Keys of the store.
written = s3.put_object(Bucket=BUCKET, Key="aes", Body=b"secret", ServerSideEncryption="AES256")
assert written["ServerSideEncryption"] == "AES256"
assert s3.head_object(Bucket=BUCKET, Key="aes")["ServerSideEncryption"] == "AES256"
assert read("aes") == b"secret" and read("aes", Range="bytes=1-2") == b"ec"
refused("NotImplemented", 501, s3.put_object, Key="kms", Body=b"x", ServerSideEncryption="aws:kms")
s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "large", ExtraArgs={"ServerSideEncryption": "AES256"}, Config=PARTS)
assert read("large") == LARGE
assert read("large", Range=f"bytes={5 * MEBIBYTE - 3}-{5 * MEBIBYTE + 3}") == LARGE[5 * MEBIBYTE - 3:5 * MEBIBYTE + 4]
assert read("large", PartNumber=2) == LARGE[5 * MEBIBYTE:10 * MEBIBYTE]

# What is set for a bucket.
rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
refused("ServerSideEncryptionConfigurationNotFoundError", 404, s3.get_bucket_encryption)
s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
found = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
assert [entry["ApplyServerSideEncryptionByDefault"] for entry in found] == [{"SSEAlgorithm": "AES256"}]
assert s3.put_object(Bucket=BUCKET, Key="default", Body=b"x")["ServerSideEncryption"] == "AES256"
s3.delete_bucket_encryption(Bucket=BUCKET)
assert "ServerSideEncryption" not in s3.put_object(Bucket=BUCKET, Key="default", Body=b"x")

# Keys of the client.
s3.put_object(Bucket=BUCKET, Key="mine", Body=b"secret", **MINE)
assert read("mine", **MINE) == b"secret"
assert s3.head_object(Bucket=BUCKET, Key="mine", **MINE)["ContentLength"] == 6
refused("InvalidRequest", 400, s3.get_object, Key="mine")
refused("AccessDenied", 403, s3.get_object, Key="mine", **OTHER)
refused("403", 403, s3.head_object, Key="mine", **OTHER)
refused("InvalidRequest", 400, s3.get_object, Key="aes", **MINE)
s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "large-mine", ExtraArgs=MINE, Config=PARTS)
target = io.BytesIO()
s3.download_fileobj(BUCKET, "large-mine", target, ExtraArgs=MINE, Config=PARTS)
assert target.getvalue() == LARGE
source = {"Bucket": BUCKET, "Key": "large-mine"}
opens = {f"CopySource{name}": value for name, value in MINE.items()}
refused("InvalidRequest", 400, s3.copy_object, Key="copy", CopySource=source)
s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source, **opens)
assert read("copy") == LARGE
s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source, **opens, **OTHER)
assert read("copy", **OTHER) == LARGE
s3.copy(source, BUCKET, "parts", ExtraArgs={**opens, **OTHER}, SourceClient=s3, Config=PARTS)
assert read("parts", **OTHER) == LARGE
sizes = {entry["Key"]: entry["Size"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
assert sizes["large"] == sizes["large-mine"] == sizes["copy"] == len(LARGE) and sizes["aes"] == 6

print("all checks passed")
