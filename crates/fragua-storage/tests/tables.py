"""What s3fs, pandas and polars must find at the S3 endpoint given as the only argument."""

import os
import sys

import pandas
import polars
import s3fs

ENDPOINT = sys.argv[1]
options = {
    "key": os.environ["AWS_ACCESS_KEY_ID"],
    "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
    "client_kwargs": {"endpoint_url": ENDPOINT, "region_name": "us-east-1"},
}
files = s3fs.S3FileSystem(**options)
files.mkdir("tables")
assert files.ls("tables") == [] and files.exists("tables") and not files.exists("tables/none")

table = pandas.DataFrame({"name": ["año", "b"], "value": [1.5, 2.0]})
table.to_csv("s3://tables/in/a.csv", index=False, storage_options=options)
read = pandas.read_csv("s3://tables/in/a.csv", storage_options=options)
assert read.equals(table), read
with files.open("tables/large", "wb", block_size=5 << 20) as file:
    for block in range(3):
        file.write(bytes([block]) * (5 << 20))
with files.open("tables/large", "rb") as file:
    file.seek(10 << 20)
    assert file.read(3) == b"\2\2\2"
assert files.size("tables/large") == 15 << 20
files.copy("tables/large", "tables/in/copy")
assert sorted(files.find("tables")) == ["tables/in/a.csv", "tables/in/copy", "tables/large"]
assert files.isdir("tables/in") and files.isfile("tables/large")
files.mv("tables/in/copy", "tables/moved")
assert files.glob("tables/m*") == ["tables/moved"]
files.rm("tables/moved")
print("s3fs and pandas")

storage = {
    "aws_access_key_id": options["key"],
    "aws_secret_access_key": options["secret"],
    "aws_endpoint_url": ENDPOINT,
    "aws_region": "us-east-1",
    "aws_allow_http": "true",
}
frame = polars.DataFrame({"n": range(200_000), "text": ["x" * 20] * 200_000})
frame.write_parquet("s3://tables/p/a.parquet", storage_options=storage)
frame.head(10).write_csv("s3://tables/p/b.csv", storage_options=storage)
assert polars.read_parquet("s3://tables/p/a.parquet", storage_options=storage).equals(frame)
lazy = polars.scan_parquet("s3://tables/p/*.parquet", storage_options=storage)
assert lazy.filter(polars.col("n") > 199_990).select("n").collect().height == 9
assert polars.scan_csv("s3://tables/p/b.csv", storage_options=storage).collect().height == 10
print("polars")

files.invalidate_cache()
files.rm("tables", recursive=True)
assert not files.exists("tables")
print("all checks passed")
