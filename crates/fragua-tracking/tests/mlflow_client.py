"""Flows of everyday work with the unmodified client; every step asserts what it got."""

import json
import math
import os
import pathlib
import time
import urllib.error
import urllib.request

import mlflow
import numpy
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

client = MlflowClient()
address = os.environ["MLFLOW_TRACKING_URI"]
features, target = load_iris(return_X_y=True, as_frame=True)


def refused(code, call):
    try:
        call()
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, error.message)
        return error.message
    raise AssertionError(f"not refused with {code}")


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


def searching(experiment_id):
    search = mlflow.set_experiment("searching")
    for i in range(7):
        with mlflow.start_run(run_name=f"run-{i}"):
            mlflow.log_metric("score", i if i != 6 else float("nan"))
            mlflow.log_param("side", "even" if i % 2 == 0 else "odd")
            mlflow.set_tag("group.name", "A" if i < 3 else "b")

    def names(filter_string="", order_by=None):
        runs = client.search_runs([search.experiment_id], filter_string, order_by=order_by or ["attributes.start_time ASC"])
        return [run.info.run_name[-1] for run in runs]

    for filter_string, expected in [
        ("", "0123456"),
        ("metrics.score > 3", "45"),
        ("metrics.score != 3", "012456"),
        ("params.side = 'odd'", "135"),
        ("params.side LIKE 'e%' AND metrics.score >= 2", "24"),
        ("tags.`group.name` = 'A'", "012"),
        ("tags.group.name ILIKE 'a'", "012"),
        ("tags.group.name LIKE 'a'", ""),
        ("attributes.run_name = 'run-5'", "5"),
        ("status = 'FINISHED' and metrics.score <= 0", "0"),
        ("tags.nothing IS NULL and params.side IS NOT NULL", "0123456"),
    ]:
        assert names(filter_string) == list(expected), (filter_string, names(filter_string))
    assert names(order_by=["metrics.score DESC"]) == list("5432106")
    assert names(order_by=["metrics.score ASC"]) == list("0123456")
    refused("INVALID_PARAMETER_VALUE", lambda: names("metrics.score > 1 OR metrics.score < 0"))
    refused("INVALID_PARAMETER_VALUE", lambda: names("params.side > 'a'"))

    table = mlflow.search_runs(experiment_names=["searching"], filter_string="metrics.score < 3", order_by=["metrics.score"])
    assert list(table["metrics.score"]) == [0, 1, 2] and list(table["params.side"]) == ["even", "odd", "even"]
    first = client.search_runs([search.experiment_id], max_results=4)
    second = client.search_runs([search.experiment_id], max_results=4, page_token=first.token)
    assert len(first) == 4 and len(second) == 3 and not second.token
    assert not {r.info.run_id for r in first} & {r.info.run_id for r in second}


def models():
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        mlflow.log_param("penalty", "l2")
        mlflow.log_metric("accuracy", 0.97)
        model = LogisticRegression(max_iter=300).fit(features, target)
        logged = mlflow.sklearn.log_model(
            model, name="model", registered_model_name="iris", input_example=features.head(2)
        )
    expected = model.predict(features)
    assert int(logged.registered_model_version) == 1
    stored = mlflow.get_logged_model(logged.model_id)
    assert stored.status.value == "READY" and stored.params == {"penalty": "l2"}
    assert [(m.key, m.value) for m in stored.metrics] == [("accuracy", 0.97)]
    assert client.get_run(run.info.run_id).outputs.model_outputs[0].model_id == logged.model_id
    client.set_registered_model_alias("iris", "champion", 1)
    for uri in [
        "models:/iris/1",
        "models:/iris@champion",
        "models:/iris/latest",
        f"runs:/{run.info.run_id}/model",
        f"models:/{logged.model_id}",
    ]:
        predicted = mlflow.pyfunc.load_model(uri).predict(features)
        assert numpy.array_equal(predicted, expected), uri

    version = client.get_model_version("iris", "1")
    assert version.run_id == run.info.run_id and version.status == "READY" and version.aliases == ["champion"]
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", "iris", tags={"from": "run"})
    assert int(second.version) == 2 and second.tags == {"from": "run"}
    assert numpy.array_equal(mlflow.pyfunc.load_model("models:/iris/2").predict(features), expected)
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id], filter_string="metrics.accuracy > 0.9", output_format="list"
    )
    assert [m.model_id for m in found] == [logged.model_id]


def registry():
    client.set_registered_model_alias("iris", "champion", 2)
    assert client.get_model_version_by_alias("iris", "champion").version == "2"
    assert client.get_registered_model("iris").aliases == {"champion": "2"}
    refused("INVALID_PARAMETER_VALUE", lambda: client.get_model_version_by_alias("iris", "nobody"))
    refused("INVALID_PARAMETER_VALUE", lambda: client.set_registered_model_alias("iris", "latest", 1))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.set_registered_model_alias("iris", "a", 9))
    client.delete_registered_model_alias("iris", "champion")
    client.delete_registered_model_alias("iris", "champion")
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_registered_model("iris"))
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("nobody"))
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_model_version("iris", "file:///etc/passwd"))
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_model_version("iris", "http://169.254.169.254/"))

    client.create_registered_model("second", tags={"team": "forest"}, description="two")
    client.set_registered_model_tag("second", "kind", "tree")
    client.delete_registered_model_tag("second", "team")
    assert client.get_registered_model("second").tags == {"kind": "tree"}
    assert [m.name for m in client.search_registered_models()] == ["iris", "second"]
    assert [m.name for m in client.search_registered_models("name LIKE 'sec%'")] == ["second"]
    assert [m.name for m in client.search_registered_models("tags.kind = 'tree'")] == ["second"]
    versions = client.search_model_versions("name = 'iris'")
    assert [v.version for v in versions] == ["2", "1"], versions
    client.set_model_version_tag("iris", "1", "checked", "yes")
    assert [v.version for v in client.search_model_versions("tags.checked = 'yes'")] == ["1"]
    client.delete_model_version_tag("iris", "1", "checked")
    client.update_model_version("iris", "1", description="first")
    assert client.get_model_version("iris", "1").description == "first"

    client.transition_model_version_stage("iris", "1", "Production")
    client.transition_model_version_stage("iris", "2", "production", archive_existing_versions=True)
    assert client.get_model_version("iris", "1").current_stage == "Archived"
    latest = client.get_latest_versions("iris", stages=["Production"])
    assert [v.version for v in latest] == ["2"]
    assert mlflow.pyfunc.load_model("models:/iris/Production").metadata is not None

    client.copy_model_version("models:/iris/2", "copy")
    assert mlflow.pyfunc.load_model("models:/copy/1").metadata is not None
    client.delete_model_version("iris", "2")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version("iris", "2"))
    third = client.create_model_version("iris", client.get_model_version("iris", "1").source)
    assert third.version == "3"
    client.set_registered_model_alias("iris", "kept", 1)
    client.rename_registered_model("iris", "flower")
    assert client.get_model_version_by_alias("flower", "kept").version == "1"
    client.delete_registered_model("flower")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("flower"))


def autolog():
    mlflow.set_experiment("autolog")
    mlflow.sklearn.autolog(log_input_examples=True)
    with mlflow.start_run() as run:
        LogisticRegression(max_iter=300).fit(features, target)
    found = client.get_run(run.info.run_id)
    assert found.data.params["max_iter"] == "300" and found.data.metrics["training_accuracy_score"] > 0.9
    assert found.inputs.dataset_inputs and found.outputs.model_outputs
    assert any(f.path.endswith("confusion_matrix.png") for f in client.list_artifacts(run.info.run_id))
    assert len(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(features)) == 150
    with mlflow.start_run() as run:
        GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1, 10]}, cv=2).fit(features, target)
    children = client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(children) == 3
    mlflow.sklearn.autolog(disable=True)


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
searching(experiment_id)
models()
registry()
autolog()
browsers(run_id)
print("all flows passed")
