"""The unmodified boto3 client reads the model that the mlflow protocol wrote.

usage: read_with_boto3.py ENDPOINT ACCESS_KEY_ID SECRET_ACCESS_KEY
Prints one line of JSON.
"""

import hashlib
import json
import sys

import boto3
from botocore.exceptions import ClientError

endpoint, key, secret = sys.argv[1:4]


def connect(with_secret):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=with_secret,
        region_name="us-east-1",
    )


s3 = connect(secret)
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="mlflows3")
objects = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
model = next(name for name in objects if name.endswith("/model.onnx"))
body = s3.get_object(Bucket="mlflows3", Key=model)["Body"].read()
tail = s3.get_object(Bucket="mlflows3", Key=model, Range="bytes=-100")["Body"].read()

try:
    connect(secret + "x").list_objects_v2(Bucket="mlflows3")
    refusal = None
except ClientError as error:
    refusal = error.response["Error"]["Code"]

print(
    json.dumps(
        {
            "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
            "objects": len(objects),
            "listed_size": objects[model],
            "size": len(body),
            "tail_is_the_end": body.endswith(tail) and len(tail) == 100,
            "sha256": hashlib.sha256(body).hexdigest(),
            "wrong_secret": refusal,
        }
    )
)
