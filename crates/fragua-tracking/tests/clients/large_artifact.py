"""An artifact that is large enough for the client to send it in parts and to fetch it in ranges."""

import hashlib
import os
import pathlib
import random

import mlflow

from common import MLFLOW_2, client

MEBIBYTE = 1024 * 1024
SIZE = 600 * MEBIBYTE


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MEBIBYTE):
            found.update(block)
    return found.hexdigest()


generator = random.Random(7)
source = pathlib.Path("large.bin")
with source.open("wb") as file:
    block = generator.randbytes(MEBIBYTE)
    for number in range(SIZE // MEBIBYTE):
        # Each mebibyte begins with its number: parts in a wrong order would show.
        file.write(number.to_bytes(8, "big") + block[8:])
expected = digest(source)

if MLFLOW_2:
    # It does not ask the server.
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
mlflow.set_experiment("large")
with mlflow.start_run() as run:
    # The client cannot send the parts of a `Path`.
    mlflow.log_artifact(str(source), artifact_path="deep folder")
source.unlink()
listed = client.list_artifacts(run.info.run_id, "deep folder")
assert [(file.path, file.file_size) for file in listed] == [("deep folder/large.bin", SIZE)], listed

for folder, ranges in [("whole", "false"), ("ranges", "true")]:
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = ranges
    path = pathlib.Path(
        mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="deep folder/large.bin", dst_path=folder
        )
    )
    assert path.stat().st_size == SIZE and digest(path) == expected
    path.unlink()
