"""Makes a bucket and signs requests, so that whoever sends them need not: prepare.py ENDPOINT ACCESS_KEY SECRET_KEY REGION FOLDER KEYS

Writes files of requests, one a line, `METHOD ADDRESS`, for what is measured. Addresses are signed in their query and hold for a
day; bodies are not signed.
"""

import pathlib
import sys

import boto3
from botocore.config import Config

endpoint, access_key, secret_key, region, folder, keys = sys.argv[1:]
BUCKET = "bench"
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=access_key,
    aws_secret_access_key=secret_key,
    region_name=region,
    config=Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        retries={"max_attempts": 0},
    ),
)
try:
    client.create_bucket(Bucket=BUCKET)
except client.exceptions.BucketAlreadyOwnedByYou:
    pass


def write(name, requests):
    with open(pathlib.Path(folder) / name, "w") as file:
        for method, operation, parameters in requests:
            url = client.generate_presigned_url(operation, {"Bucket": BUCKET, **parameters}, ExpiresIn=86_400, HttpMethod=method)
            file.write(f"{method} {url.removeprefix(endpoint)}\n")


def objects(method, operation, names):
    return ((method, operation, {"Key": name}) for name in names)


for size, count in [("4KiB", 8_000), ("1MiB", 400), ("64MiB", 8)]:
    names = [f"{size}/{number:06}" for number in range(count)]
    write(f"put-{size}", objects("PUT", "put_object", names))
    write(f"get-{size}", objects("GET", "get_object", names))
small = [f"list/{number:06}" for number in range(int(keys))]
write("put-list", objects("PUT", "put_object", small))
write("delete-list", objects("DELETE", "delete_object", small))
pages = range(0, int(keys), 1_000)
after = [{} if page == 0 else {"StartAfter": f"list/{page - 1:06}"} for page in pages]
write("list", (("GET", "list_objects_v2", {"Prefix": "list/", "MaxKeys": 1_000, **start}) for start in after))
