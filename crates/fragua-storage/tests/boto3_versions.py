"""What boto3 must find of versions, tags and settings of buckets at the S3 endpoint given as the only argument."""

import datetime
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

settings = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=settings)
resource = boto3.resource("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=settings)
BUCKET = "versions"


def refused(code, status, call, **arguments):
    try:
        call(Bucket=BUCKET, **arguments)
    except ClientError as error:
        answer = error.response
        found = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), (found, (code, status))
        return answer
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def put(key, body, **arguments):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=body, **arguments).get("VersionId")


def read(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


def versions(**arguments):
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, **arguments):
        found += [(entry["Key"], entry["VersionId"], entry["IsLatest"], "Size" in entry)
                  for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    return sorted(found, key=lambda entry: (entry[0], entry[1]))


def versioning():
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    assert put("before", b"0") is None
    for status in ("Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == status
    one, two = put("k", b"one"), put("k", b"two")
    assert read("k") == b"two" and read("k", VersionId=one) == b"one"
    assert read("before", VersionId="null") == b"0"
    marker = s3.delete_object(Bucket=BUCKET, Key="k")
    assert marker["DeleteMarker"]
    refused("NoSuchKey", 404, s3.get_object, Key="k")
    answer = refused("MethodNotAllowed", 405, s3.get_object, Key="k", VersionId=marker["VersionId"])
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    refused("405", 405, s3.head_object, Key="k", VersionId=marker["VersionId"])
    expected = {("k", one, False, True), ("k", two, False, True), ("k", marker["VersionId"], True, False),
                ("before", "null", True, True)}
    assert set(versions()) == expected
    assert versions(PaginationConfig={"PageSize": 1}) == versions()
    resource.ObjectVersion(BUCKET, "k", marker["VersionId"]).delete()
    assert read("k") == b"two"
    source = {"Bucket": BUCKET, "Key": "k", "VersionId": one}
    copied = s3.copy_object(Bucket=BUCKET, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == one and copied["VersionId"] not in (one, two)
    assert read("k") == b"one"
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k", "VersionId": two}, {"Key": "k"}]})
    by_version = {entry.get("VersionId"): entry for entry in answer["Deleted"]}
    assert by_version[two]["Key"] == "k" and by_version[None]["DeleteMarker"]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", Tagging="a=b")["UploadId"]
    part = s3.upload_part_copy(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, CopySource=source)
    assert part["CopySourceVersionId"] == one
    named = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload=named)
    assert read("parts", VersionId=done["VersionId"]) == b"one"
    assert s3.get_object_tagging(Bucket=BUCKET, Key="parts")["TagSet"] == [{"Key": "a", "Value": "b"}]


def tags():
    version = put("tagged", b"x", Tagging="stage=raw&a%C3%B1o=2026")
    assert s3.get_object(Bucket=BUCKET, Key="tagged")["TagCount"] == 2
    found = s3.get_object_tagging(Bucket=BUCKET, Key="tagged")
    assert found["VersionId"] == version
    assert found["TagSet"] == [{"Key": "año", "Value": "2026"}, {"Key": "stage", "Value": "raw"}], found
    new = put("tagged", b"y")
    set_new = {"TagSet": [{"Key": "k", "Value": "v"}]}
    assert s3.put_object_tagging(Bucket=BUCKET, Key="tagged", Tagging=set_new)["VersionId"] == new
    assert len(s3.get_object_tagging(Bucket=BUCKET, Key="tagged", VersionId=version)["TagSet"]) == 2
    s3.delete_object_tagging(Bucket=BUCKET, Key="tagged", VersionId=version)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tagged", VersionId=version)["TagSet"] == []
    copied = dict(Key="tagged2", CopySource=f"{BUCKET}/tagged")
    s3.copy_object(Bucket=BUCKET, **copied)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tagged2")["TagSet"] == set_new["TagSet"]
    s3.copy_object(Bucket=BUCKET, **copied, TaggingDirective="REPLACE", Tagging="")
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tagged2")["TagSet"] == []
    many = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    refused("InvalidTag", 400, s3.put_object_tagging, Key="tagged", Tagging=many)
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging)
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging=set_new)
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == set_new["TagSet"]
    s3.delete_bucket_tagging(Bucket=BUCKET)
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging)


def lifecycle():
    refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration)
    midnight = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    rules = [
        {"ID": "tagged", "Status": "Enabled", "Expiration": {"Days": 30},
         "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "a", "Value": "b"}], "ObjectSizeGreaterThan": 10}}},
        {"ID": "date", "Status": "Disabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Date": midnight}},
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""},
         "Expiration": {"ExpiredObjectDeleteMarker": True},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        {"ID": "large", "Status": "Enabled", "Filter": {"ObjectSizeLessThan": 5}, "Expiration": {"Days": 1}},
        {"ID": "one tag", "Status": "Enabled", "Filter": {"Tag": {"Key": "c", "Value": "d"}}, "Expiration": {"Days": 1}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    found = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert found == rules, found
    twice = {"Rules": [rules[0], rules[0]]}
    refused("InvalidArgument", 400, s3.put_bucket_lifecycle_configuration, LifecycleConfiguration=twice)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration)


def other_settings():
    refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors)
    cors = [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.org"], "AllowedHeaders": ["*"],
             "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60, "ID": "web"}]
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": cors})
    assert s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"] == cors
    s3.delete_bucket_cors(Bucket=BUCKET)
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy)
    refused("MalformedPolicy", 400, s3.put_bucket_policy, Policy="no JSON")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/open/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    assert s3.get_bucket_policy(Bucket=BUCKET)["Policy"] == policy
    s3.delete_bucket_policy(Bucket=BUCKET)
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy)
    rule = {"Name": "suffix", "Value": ".csv"}
    queue = {"Id": "q", "QueueArn": "arn:aws:sqs:::rows", "Events": ["s3:ObjectCreated:*"],
             "Filter": {"Key": {"FilterRules": [rule]}}}
    notification = {"QueueConfigurations": [queue]}
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=notification)
    found = s3.get_bucket_notification_configuration(Bucket=BUCKET)["QueueConfigurations"][0]
    name = found["Filter"]["Key"]["FilterRules"][0].pop("Name")
    assert name.lower() == rule.pop("Name") and found == queue, found
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=BUCKET)


def everything_goes():
    """What `aws s3 rb --force` and the resource API do with a bucket that makes versions."""
    refused("BucketNotEmpty", 409, s3.delete_bucket)
    resource.Bucket(BUCKET).object_versions.delete()
    assert versions() == []
    s3.delete_bucket(Bucket=BUCKET)


s3.create_bucket(Bucket=BUCKET)
for check in (versioning, tags, lifecycle, other_settings, everything_goes):
    check()
    print(check.__name__, "passed", flush=True)
print("all checks passed")
