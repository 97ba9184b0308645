"""Filters, orders and pages of runs, and 10,000 runs in a data frame."""

import mlflow

from common import client, refused


def searching():
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


def ten_thousand():
    """The experiment `many` was filled beside the protocol: run number i has metric i, and i % 7 as a parameter."""
    table = mlflow.search_runs(experiment_names=["many"])
    assert len(table) == 10_000 and table["run_id"].nunique() == 10_000
    # The newest first.
    assert list(table["metrics.score"]) == list(range(9_999, -1, -1))
    assert list(table["params.side"]) == [str(i % 7) for i in range(9_999, -1, -1)]
    assert set(table["tags.mlflow.runName"]) == {f"run-{i}" for i in range(10_000)}
    few = mlflow.search_runs(
        experiment_names=["many"],
        filter_string="metrics.score >= 5000 and params.side = '3'",
        order_by=["metrics.score ASC"],
    )
    assert list(few["metrics.score"]) == [i for i in range(5_000, 10_000) if i % 7 == 3]


searching()
ten_thousand()
