"""What MLflow's S3 artifact repository must find at the S3 endpoint given as the only argument."""

import os
import sys
import tempfile
from pathlib import Path

os.environ["MLFLOW_S3_ENDPOINT_URL"] = sys.argv[1]
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

import boto3
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1").create_bucket(Bucket="mlflow")
repository = get_artifact_repository("s3://mlflow/1/run/artifacts")
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    (folder / "model" / "large ñ.bin").write_bytes(b"x" * (9 << 20))
    repository.log_artifacts(str(folder / "model"), "model")
    repository.log_artifact(str(folder / "model" / "MLmodel"))
    listed = [(item.path, item.is_dir) for item in repository.list_artifacts()]
    assert listed == [("MLmodel", False), ("model", True)], listed
    inside = [(item.path, item.file_size) for item in repository.list_artifacts("model")]
    assert sorted(inside) == [("model/MLmodel", 12), ("model/large ñ.bin", 9 << 20)], inside
    assert repository.list_artifacts("model/MLmodel") == []
    loaded = Path(repository.download_artifacts("model"))
    assert (loaded / "large ñ.bin").stat().st_size == 9 << 20
    assert (loaded / "MLmodel").read_text() == "flavors: {}\n"
    repository.delete_artifacts("model")
    assert [item.path for item in repository.list_artifacts()] == ["MLmodel"]
print("all checks passed")
