"""What MLflow itself does to databases and file stores: commands in, one a line as JSON, and an answer to each out."""

import json
import math
import pathlib
import sys

import sqlalchemy
from alembic import command
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.store.db import utils
from mlflow.store.model_registry.file_store import FileStore as FileRegistry
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.store.tracking.file_store import FileStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def upgrade(url, revision):
    """Brings a database, which may be empty, to a revision as `mlflow db upgrade` of its release did."""
    engine = sqlalchemy.create_engine(url)
    if not sqlalchemy.inspect(engine).get_table_names():
        InitialBase.metadata.create_all(engine)
    config = utils._get_alembic_config(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def rows(url):
    """Returns all rows of MLflow's tables, as texts."""
    engine = sqlalchemy.create_engine(url)
    found = {}
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            if not table.startswith("fragua_") and table != "alembic_version":
                result = connection.exec_driver_sql(f"SELECT * FROM {table}")
                names = list(result.keys())
                found[table] = [dict(zip(names, map(str, row))) for row in result]
    engine.dispose()
    return found


def save(url, file):
    pathlib.Path(file).write_text(json.dumps(rows(url)))


def lost(url, file):
    """Returns the saved rows that are not there any more. A column that was added since does not matter."""
    now = rows(url)
    gone = {}
    for table, saved in json.loads(pathlib.Path(file).read_text()).items():
        if not saved:
            continue
        names = saved[0].keys()
        there = {json.dumps({name: row.get(name) for name in names}) for row in now.get(table, [])}
        missing = [row for row in saved if json.dumps(row) not in there]
        if missing:
            gone[table] = missing
    return gone


def counts(url):
    return {table: len(found) for table, found in rows(url).items()}


def stores(url):
    if url.startswith("file:"):
        return FileStore(url), FileRegistry(url)
    return SqlAlchemyStore(url, "mlflow-artifacts:/"), Registry(url)


def write(url, name):
    store, registry = stores(url)
    experiment = store.create_experiment(name)
    run = store.create_run(experiment, "ana", 1000, [RunTag("team", "forest")], "first").info.run_id
    metrics = [Metric("score", 0.5, 1, 0), Metric("score", float("nan"), 2, 1), Metric("loss", 2.0, 1, 0)]
    store.log_batch(run, metrics, [Param("side", "left")], [])
    dataset = Dataset("rows", "d1", "code", "{}", schema=None, profile=None)
    store.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    store.update_run_info(run, RunStatus.FINISHED, 2000, None)
    model = f"cover of {name}"
    registry.create_registered_model(model, description="theirs")
    registry.create_model_version(model, "s3://bucket/model", run)
    registry.set_registered_model_alias(model, "champion", "1")


def number(value):
    return "NaN" if math.isnan(value) else value


def write_more(url):
    """What a file store has besides: deleted things, logged models, files."""
    store, _ = stores(url)
    experiment = store.get_experiment_by_name("theirs").experiment_id
    run = store.search_runs([experiment], "", ViewType.ALL, max_results=1)[0].info
    gone = store.create_run(experiment, "ana", 3000, [], "gone")
    store.delete_run(gone.info.run_id)
    store.delete_experiment(store.create_experiment("dead"))
    if hasattr(store, "create_logged_model"):
        model = store.create_logged_model(experiment, name="forest", source_run_id=run.run_id)
        store.log_batch(run.run_id, [Metric("accuracy", 0.9, 1, 1, model_id=model.model_id)], [], [])
        place = pathlib.Path(local(model.artifact_location))
        place.mkdir(parents=True, exist_ok=True)
        (place / "MLmodel").write_text("flavors: {}")
    notes = pathlib.Path(local(run.artifact_uri)) / "notes"
    notes.mkdir(parents=True)
    (notes / "a.txt").write_text("hello")


def grow(url):
    """Adds to the models that `write` and `write_more` made."""
    store, registry = stores(url)
    model = "cover of theirs"
    run = registry.get_model_version(model, "1").run_id
    registry.create_model_version(model, "s3://bucket/second", run)
    registry.set_registered_model_alias(model, "challenger", "2")
    registry.set_registered_model_tag(model, RegisteredModelTag("team", "forest"))
    registry.set_model_version_tag(model, "1", ModelVersionTag("checked", "yes"))
    if hasattr(store, "create_logged_model"):
        from mlflow.entities import LoggedModelParameter, LoggedModelTag

        experiment = store.get_run(run).info.experiment_id
        logged = store.search_logged_models([experiment])[0].model_id
        store.set_logged_model_tags(logged, [LoggedModelTag("reviewed", "yes")])
        store.log_logged_model_params(logged, [LoggedModelParameter("depth", "3")])
        store.log_batch(run, [Metric("late", 0.7, 5, 2, model_id=logged)], [], [])
        store.delete_logged_model(store.create_logged_model(experiment, name="gone", source_run_id=run).model_id)


def log_without_server(url):
    """Logs a file and a model as a client does that has a database and no server. Returns the run and the model."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    mlflow.set_tracking_uri(url)
    model = LogisticRegression().fit([[0], [1]], [0, 1])
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/a.txt")
        logged = mlflow.sklearn.log_model(model, "model", pip_requirements=["scikit-learn"])
    return [run.info.run_id, getattr(logged, "model_id", None)]


def spoil(url):
    """Adds a broken line, a broken file and a link that leads outside."""
    (metric,) = pathlib.Path(local(url)).glob("*/*/metrics/loss")
    with metric.open("a") as file:
        file.write("five 2.0 1\n")
    (metric.parent.parent / "params" / "binary").write_bytes(b"\xff\xfe")
    (metric.parent.parent / "artifacts" / "link").symlink_to("/etc/passwd")


def local(uri):
    return uri.removeprefix("file://").removeprefix("file:")


def read(url):
    store, registry = stores(url)
    has_models = hasattr(store, "search_logged_models")

    def history(run_id, key):
        points = store.get_metric_history(run_id, key)
        return sorted([point.timestamp, point.step, number(point.value)] for point in points)

    def run(one):
        told = {
            "name": one.info.run_name,
            "user": one.info.user_id or "",
            "status": one.info.status,
            "stage": one.info.lifecycle_stage,
            "times": [one.info.start_time, one.info.end_time],
            "params": one.data.params,
            "tags": one.data.tags,
            "metrics": {key: number(value) for key, value in one.data.metrics.items()},
            "histories": {key: history(one.info.run_id, key) for key in one.data.metrics},
            "datasets": [
                [used.dataset.name, used.dataset.digest, {tag.key: tag.value for tag in used.tags}]
                for used in one.inputs.dataset_inputs
            ],
        }
        if has_models:
            # A search leaves out what runs read.
            one = store.get_run(one.info.run_id)
            told["models read"] = [used.model_id for used in one.inputs.model_inputs]
            told["models made"] = [[made.model_id, made.step] for made in one.outputs.model_outputs]
        return told

    def experiment(one):
        runs = store.search_runs([one.experiment_id], "", ViewType.ALL, max_results=100)
        return {
            "name": one.name,
            "stage": one.lifecycle_stage,
            "tags": one.tags,
            "runs": sorted(map(run, runs), key=lambda run: run["name"]),
        }

    def version(one):
        return [int(one.version), one.current_stage, one.source, one.tags]

    def model(one):
        versions = registry.search_model_versions(f"name = '{one.name}'", max_results=100)
        return {
            "name": one.name,
            "description": one.description or "",
            "tags": one.tags,
            "aliases": {alias: int(number) for alias, number in one.aliases.items()},
            "versions": sorted(map(version, versions), key=lambda version: version[0]),
        }

    def logged_model(one):
        return {
            "id": one.model_id,
            "name": one.name,
            "status": str(one.status),
            "run": one.source_run_id,
            "params": one.params,
            "tags": one.tags,
            "metrics": {metric.key: number(metric.value) for metric in one.metrics or []},
        }

    experiments = store.search_experiments(ViewType.ALL, max_results=100)
    found = {
        "experiments": sorted(map(experiment, experiments), key=lambda one: one["name"]),
        "models": sorted(map(model, registry.search_registered_models(max_results=100)), key=lambda one: one["name"]),
    }
    if has_models:
        ids = [one.experiment_id for one in experiments]
        models = store.search_logged_models(ids, max_results=50)
        found["logged_models"] = sorted(map(logged_model, models), key=lambda one: one["id"])
    return found


def compare(url, reference):
    """Returns what differs between two databases in MLflow's tables."""

    def shape(url):
        engine = sqlalchemy.create_engine(url)
        inspector = sqlalchemy.inspect(engine)
        is_sqlite = engine.dialect.name == "sqlite"

        def kind(column):
            # Names of types that are the same type.
            name = str(column["type"]).split(" COLLATE")[0].replace("FLOAT", "DOUBLE")
            return name.replace("BIGINT", "INTEGER") if is_sqlite else name

        shape = {}
        for table in inspector.get_table_names():
            if table.startswith("fragua_"):
                continue
            for column in inspector.get_columns(table):
                default = str(column["default"]).split("::")[0].strip("'()")
                default = {"FALSE": "0", "false": "0"}.get(default, default)
                default = "next" if "nextval" in default or column.get("identity") else default
                shape[f"{table}.{column['name']}"] = [kind(column), column["nullable"], default]
            shape[f"{table} key"] = inspector.get_pk_constraint(table)["constrained_columns"]
            keys = inspector.get_foreign_keys(table)
            shape[f"{table} foreign"] = sorted(
                [key["constrained_columns"], key["referred_table"], sorted(key["options"].items())] for key in keys
            )
            unique = inspector.get_unique_constraints(table)
            shape[f"{table} unique"] = sorted(one["column_names"] for one in unique)
            # MySQL makes an index for a foreign key where there is none, and names it after the column.
            indexes = [one["name"] for one in inspector.get_indexes(table) if one["name"] not in one["column_names"]]
            shape[f"{table} indexes"] = sorted(name for name in indexes if not name.startswith(("fragua_", "fk_")))
        engine.dispose()
        return shape

    one, other = shape(url), shape(reference)
    return {key: [one.get(key), other.get(key)] for key in {*one, *other} if one.get(key) != other.get(key)}


COMMANDS = {
    "upgrade": upgrade,
    "save": save,
    "lost": lost,
    "counts": counts,
    "write": write,
    "write more": write_more,
    "grow": grow,
    "log without server": log_without_server,
    "spoil": spoil,
    "read": read,
    "compare": compare,
}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print("ANSWER " + json.dumps(COMMANDS[name](*arguments)), flush=True)
