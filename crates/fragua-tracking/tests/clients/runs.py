"""Experiments, runs and what is logged to them; every step asserts what it got."""

import json
import math
import pathlib
import time
import urllib.error
import urllib.request

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from sklearn.datasets import load_iris

from common import address, client, refused

features, _ = load_iris(return_X_y=True, as_frame=True)


def experiments():
    assert client.get_experiment("0").name == "Default"
    made = mlflow.set_experiment("flows")
    assert made.artifact_location == f"mlflow-artifacts:/{made.experiment_id}"
    assert mlflow.set_experiment("flows").experiment_id == made.experiment_id
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment("flows"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_experiment("4711"))
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_experiment("x", artifact_location="file:///etc"))
    assert client.get_experiment_by_name("nobody") is None
    other = client.create_experiment("other", tags={"team": "forest"})
    client.set_experiment_tag(other, "stage", "early")
    assert client.get_experiment(other).tags == {"team": "forest", "stage": "early"}
    client.rename_experiment(other, "renamed")
    names = [e.name for e in client.search_experiments(filter_string="tags.team = 'forest'")]
    assert names == ["renamed"], names
    names = [e.name for e in client.search_experiments(filter_string="name ILIKE 'F%'", order_by=["name ASC"])]
    assert names == ["flows"], names
    client.delete_experiment(other)
    assert [e.name for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)] == ["renamed"]
    assert len(client.search_experiments(view_type=ViewType.ALL)) == 3
    client.restore_experiment(other)
    first = client.search_experiments(max_results=2)
    assert len(first) == 2 and first.token
    assert len(client.search_experiments(max_results=2, page_token=first.token)) == 1
    return made.experiment_id


def logging(experiment_id):
    with mlflow.start_run(run_name="plain") as run:
        run_id = run.info.run_id
        mlflow.log_param("depth", 3)
        mlflow.log_params({"criterion": "gini", "long": "x" * 7000})
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", 0.25, step=1)
        mlflow.log_metric("loss", 0.125, step=2)
        mlflow.log_metrics({"accuracy": 0.9, "broken": float("nan"), "huge": float("inf")})
        mlflow.set_tag("kind", "tree")
        mlflow.set_tags({"a b": "spaces", "gone": "soon"})
        mlflow.delete_tag("gone")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "notes/values.json")
        pathlib.Path("local file ñ.txt").write_text("local")
        mlflow.log_artifact("local file ñ.txt")
        pathlib.Path("folder/inner").mkdir(parents=True)
        pathlib.Path("folder/one.txt").write_text("1")
        pathlib.Path("folder/inner/two.txt").write_text("2")
        mlflow.log_artifacts("folder", artifact_path="folder")
        import matplotlib.pyplot as pyplot

        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        mlflow.log_figure(figure, "plot.png")
        dataset = mlflow.data.from_pandas(features, source="https://example.org/iris.csv", name="iris")
        mlflow.log_input(dataset, context="training")
        mlflow.log_input(dataset, context="training")

    found = mlflow.get_run(run_id)
    assert found.info.status == "FINISHED" and found.info.end_time >= found.info.start_time
    assert found.info.run_name == "plain" and found.data.tags["mlflow.runName"] == "plain"
    assert found.data.params["depth"] == "3" and len(found.data.params["long"]) == 6000
    assert found.data.metrics["loss"] == 0.125 and found.data.metrics["accuracy"] == 0.9
    assert math.isnan(found.data.metrics["broken"]) and found.data.metrics["huge"] == 1.7976931348623157e308
    assert found.data.tags["a b"] == "spaces" and "gone" not in found.data.tags
    assert len(found.inputs.dataset_inputs) == 1
    assert found.inputs.dataset_inputs[0].dataset.name == "iris"
    assert {t.key: t.value for t in found.inputs.dataset_inputs[0].tags} == {"mlflow.data.context": "training"}
    history = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 0.5), (1, 0.25), (2, 0.125)]
    assert client.get_metric_history(run_id, "nothing") == []

    refused("INVALID_PARAMETER_VALUE", lambda: client.log_param(run_id, "depth", 4))
    client.log_param(run_id, "depth", 3)
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.delete_tag(run_id, "gone"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_run("0" * 32))

    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "hello"
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/notes/values.json") == {"a": [1, 2]}
    top = {f.path: f.is_dir for f in client.list_artifacts(run_id)}
    assert top == {"folder": True, "local file ñ.txt": False, "notes": True, "plot.png": False}, top
    inner = {f.path: f.file_size for f in client.list_artifacts(run_id, "folder")}
    assert inner == {"folder/inner": None, "folder/one.txt": 1}, inner
    assert client.list_artifacts(run_id, "nothing") == []
    got = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="folder", dst_path="got"))
    assert (got / "inner/two.txt").read_text() == "2"
    assert pathlib.Path(client.download_artifacts(run_id, "local file ñ.txt")).read_text() == "local"

    batch = client.create_run(experiment_id, run_name="batch")
    now = int(time.time() * 1000)
    client.log_batch(
        batch.info.run_id,
        metrics=[Metric("m", i / 10, now + i, i) for i in range(1500)],
        params=[Param(f"p{i}", str(i)) for i in range(150)],
        tags=[RunTag("t", "v")],
    )
    client.set_terminated(batch.info.run_id, "FAILED")
    batch = client.get_run(batch.info.run_id)
    assert batch.info.status == "FAILED" and len(batch.data.params) == 150 and batch.data.metrics["m"] == 149.9
    assert len(client.get_metric_history(batch.info.run_id, "m")) == 1500
    client.delete_run(batch.info.run_id)
    refused("INVALID_PARAMETER_VALUE", lambda: client.log_metric(batch.info.run_id, "m", 1))
    assert client.get_run(batch.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(batch.info.run_id)
    return run_id


def status(path, method="GET", data=None, headers=None):
    request = urllib.request.Request(address + path, method=method, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def browsers(run_id):
    code, body, headers = status(f"/get-artifact?run_uuid={run_id}&path=notes/hello.txt")
    assert (code, body) == (200, b"hello")
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Content-Disposition"].startswith("attachment")
    code, body, headers = status(
        f"/get-artifact?run_id={run_id}&path=notes/hello.txt", headers={"Range": "bytes=1-3"}
    )
    assert (code, body, headers["Content-Range"]) == (206, b"ell", "bytes 1-3/5")
    assert status(f"/get-artifact?run_id={run_id}&path=../../x")[0] == 400
    assert status("/health")[:2] == (200, b"OK")
    assert status("/api/2.0/mlflow/unknown")[0] == 404
    code, body, _ = status("/api/3.0/mlflow/traces/search", "POST", b"{}", {"Content-Type": "application/json"})
    assert code == 501 and json.loads(body)["error_code"] == "NOT_IMPLEMENTED"


experiment_id = experiments()
run_id = logging(experiment_id)
browsers(run_id)
