"""Registered models: names, versions, tags, aliases, stages."""

import mlflow

from common import MLFLOW_2, client, refused


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input


def versions():
    mlflow.set_experiment("registry")
    with mlflow.start_run() as run:
        place = {"artifact_path": "model"} if MLFLOW_2 else {"name": "model"}
        mlflow.pyfunc.log_model(
            python_model=Echo(), registered_model_name="iris", pip_requirements=[], **place
        )
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", "iris", tags={"from": "run"})
    assert int(second.version) == 2 and second.tags == {"from": "run"}
    client.set_registered_model_alias("iris", "champion", 1)


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


versions()
registry()
