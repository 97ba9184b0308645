"""Reads ./ours.parquet with pandas, and writes what the test reads: one file for each packing."""

import datetime
import decimal
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

read = pd.read_parquet("ours.parquet")

columns = {
    "whole": pa.array([1, None, -3], pa.int64()),
    "tiny": pa.array([255, 0, None], pa.uint8()),
    "half": pa.array([0.5, None, 1.5], pa.float16()),
    "flag": pa.array([True, None, False]),
    "money": pa.array([decimal.Decimal("12.34"), None, decimal.Decimal("-0.01")], pa.decimal128(12, 2)),
    "word": pa.array(["a", None, "ñ"]).dictionary_encode(),
    "view": pa.array(["x", "y", None], pa.string_view()),
    "day": pa.array([datetime.date(2026, 1, 31), None, datetime.date(1969, 12, 31)]),
    "at": pa.array([datetime.datetime(2026, 1, 31, 12, 0, 0, 250_000), None, None], pa.timestamp("us")),
    "zoned": pa.array([datetime.datetime(2026, 1, 31, 12), None, None], pa.timestamp("ns", tz="Europe/Madrid")),
    "nothing": pa.nulls(3),
}
table = pa.table(columns)
for packing in ["none", "snappy", "gzip", "zstd", "lz4"]:
    for version in ["1.0", "2.0"]:
        name = f"{packing}-{version}.parquet"
        pq.write_table(table, name, compression=packing, data_page_version=version, row_group_size=2)
print(json.dumps(json.loads(read.to_json(orient="values"))))
