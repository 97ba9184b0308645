"""Models that are logged, registered, and loaded by every kind of name; autolog."""

import mlflow
import numpy
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from common import MLFLOW_2, client

features, target = load_iris(return_X_y=True, as_frame=True)


def models():
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        mlflow.log_param("penalty", "l2")
        mlflow.log_metric("accuracy", 0.97)
        model = LogisticRegression(max_iter=300).fit(features, target)
        place = {"artifact_path": "model"} if MLFLOW_2 else {"name": "model"}
        logged = mlflow.sklearn.log_model(
            model, registered_model_name="iris", input_example=features.head(2), **place
        )
    expected = model.predict(features)
    assert int(logged.registered_model_version) == 1
    client.set_registered_model_alias("iris", "champion", 1)
    uris = [
        "models:/iris/1",
        "models:/iris@champion",
        "models:/iris/latest",
        f"runs:/{run.info.run_id}/model",
    ]
    if not MLFLOW_2:
        logged_model(run, logged)
        uris.append(f"models:/{logged.model_id}")
    for uri in uris:
        predicted = mlflow.pyfunc.load_model(uri).predict(features)
        assert numpy.array_equal(predicted, expected), uri

    version = client.get_model_version("iris", "1")
    assert version.run_id == run.info.run_id and version.status == "READY" and version.aliases == ["champion"]
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", "iris", tags={"from": "run"})
    assert int(second.version) == 2 and second.tags == {"from": "run"}
    assert numpy.array_equal(mlflow.pyfunc.load_model("models:/iris/2").predict(features), expected)


def logged_model(run, logged):
    """MLflow 3 keeps a model beside the run and not in it."""
    stored = mlflow.get_logged_model(logged.model_id)
    assert stored.status.value == "READY" and stored.params == {"penalty": "l2"}
    assert [(m.key, m.value) for m in stored.metrics] == [("accuracy", 0.97)]
    assert client.get_run(run.info.run_id).outputs.model_outputs[0].model_id == logged.model_id
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id], filter_string="metrics.accuracy > 0.9", output_format="list"
    )
    assert [m.model_id for m in found] == [logged.model_id]


def autolog():
    mlflow.set_experiment("autolog")
    mlflow.sklearn.autolog(log_input_examples=True)
    with mlflow.start_run() as run:
        LogisticRegression(max_iter=300).fit(features, target)
    found = client.get_run(run.info.run_id)
    assert found.data.params["max_iter"] == "300" and found.data.metrics["training_accuracy_score"] > 0.9
    assert found.inputs.dataset_inputs
    assert MLFLOW_2 or found.outputs.model_outputs
    assert any(f.path.endswith("confusion_matrix.png") for f in client.list_artifacts(run.info.run_id))
    assert len(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(features)) == 150
    with mlflow.start_run() as run:
        GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1, 10]}, cv=2).fit(features, target)
    children = client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(children) == 3
    mlflow.sklearn.autolog(disable=True)


models()
autolog()
