"""Makes filters from a fixed seed and prints what MLflow reads in each, one JSON object a line.

`read` is null where MLflow refuses the filter; otherwise its clauses, each as `kind, key, operator, value...`, the key of
an attribute being its column, numbers being the hexadecimal bits of a double.
"""

import json
import random
import struct
import sys

import sqlalchemy.orm
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun
from mlflow.store.tracking.sqlalchemy_store import (
    _get_search_experiments_filter_clauses,
    _get_sqlalchemy_filter_clauses,
)
from mlflow.utils.search_logged_model_utils import parse_filter_string
from mlflow.utils.search_utils import (
    SearchExperimentsUtils,
    SearchModelUtils,
    SearchModelVersionUtils,
    SearchUtils,
)

SESSION = sqlalchemy.orm.Session()
REGISTRY = object.__new__(Registry)


def value_of(value, numeric):
    if value is None:
        return []
    if isinstance(value, (tuple, list)):
        return [str(one) for one in value]
    return [struct.pack(">d", float(value)).hex() if numeric else str(value)]


def clause(kind, key, operator, value, numeric):
    return [kind, key, operator.upper(), *value_of(value, numeric)]


def read_runs(text):
    parsed = SearchUtils.parse_search_filter(text)
    _get_sqlalchemy_filter_clauses(parsed, SESSION, "sqlite")
    for one in parsed:
        kind, key = one["type"], SearchUtils.translate_key_alias(one["key"])
        numeric = kind == "metric" or key in ("start_time", "end_time") and kind == "attribute"
        if kind == "attribute":
            if key == "run_name":
                kind, key = "tag", "mlflow.runName"
            else:
                key = SqlRun.get_attribute_name(key)
        yield clause(kind, key, one["comparator"], one["value"], numeric)


def read_experiments(text):
    parsed = SearchExperimentsUtils.parse_search_filter(text)
    _get_search_experiments_filter_clauses(parsed, "sqlite")
    for one in parsed:
        numeric = one["type"] == "attribute" and one["key"] != "name"
        yield clause(one["type"], one["key"], one["comparator"], one["value"], numeric)


def read_models(text):
    parsed = SearchModelUtils.parse_search_filter(text)
    REGISTRY._get_search_registered_model_filter_query(SESSION, parsed, "sqlite")
    for one in parsed:
        yield clause(one["type"], one["key"], one["comparator"], one["value"], False)


def read_versions(text):
    parsed = SearchModelVersionUtils.parse_search_filter(text)
    REGISTRY._get_search_model_versions_filter_clauses(parsed, "sqlite")
    columns = {"source_path": "source", "version_number": "version"}
    for one in parsed:
        key, attribute = one["key"], one["type"] == "attribute"
        numeric = attribute and key == "version_number"
        key = columns.get(key, key) if attribute else key
        yield clause(one["type"], key, one["comparator"], one["value"], numeric)


def read_logged_models(text):
    kinds = {"attributes": "attribute", "metrics": "metric", "params": "parameter", "tags": "tag"}
    for one in parse_filter_string(text):
        kind, key = kinds[one.entity.type.value], one.entity.key
        if kind == "attribute":
            getattr(SqlLoggedModel, key)
        yield clause(kind, key, one.op, one.value, one.entity.is_numeric())


LISTS = {
    "runs": (
        read_runs,
        "run_id run_name user_id status artifact_uri start_time end_time created Created `Run name` lifecycle_stage".split(" "),
        "metrics metric params param parameters parameter tags tag attributes attribute attr run datasets dataset".split(),
    ),
    "experiments": (
        read_experiments,
        "name experiment_id creation_time last_update_time artifact_location".split(),
        "tags tag attribute metrics".split(),
    ),
    "registered_models": (read_models, "name timestamp description".split(), "tags tag attribute params".split()),
    "model_versions": (
        read_versions,
        "name run_id source_path version_number version current_stage".split(),
        "tags tag attribute".split(),
    ),
    "logged_models": (
        read_logged_models,
        "name model_id model_type source_run_id creation_timestamp creation_time last_updated_timestamp unknown".split(),
        "metrics params tags attributes metric".split(),
    ),
}
KEYS = ["acc", "m1", "a_b", "a.b", "mlflow.source.name", "`a b`", "`a.b-c/d`", '"x y"', "`año`", "Created"]
DATASET_KEYS = ["name", "digest", "context"]
TEXTS = ["'a'", "'x y'", "'%a_'", "''", '"b"', "'it\"s'", "'ñ'", "'5'", "'AND'", "' OR '", "'a.b'"]
NUMBERS = ["1", "0", "-1", "0.5", "-2.25", ".5", "1.", "1e3", "2E-2", "-1.5e-3", "1700000000000"]
LISTED = ["('a')", "('a', 'b')", "( 'a' ,'b' )", "('a',)", "('1', '2')", "('a' 'b')"]
COMPARATORS = ["=", "!=", ">", ">=", "<", "<="]
WORDS = ["LIKE", "ILIKE", "like", "ilike", "iLike"]
GARBAGE = ["OR", "AND", "NOT", "IN", "(", ")", "'", '"', "`", ".", ",", ";", "=", "!", "--", "NULL", "BETWEEN", "x", "1", "*", "ñ", "\\"]


def space(rng):
    return rng.choice([" ", " ", " ", "  ", "\t", "\n", " \r\n "])


def is_number(key):
    return key.startswith("metric") or key.endswith(("_time", "_timestamp", "_number")) or key in ("created", "Created")


def comparison(rng, attributes, entities):
    if rng.random() < 0.4:
        key = rng.choice(attributes)
    else:
        entity = rng.choice(entities)
        pointed = entity.startswith(("attr", "run", "dataset"))
        names = attributes if entity.startswith(("attr", "run")) else DATASET_KEYS if pointed else KEYS
        key = f"{entity}.{rng.choice(names if rng.random() < 0.9 else KEYS + attributes)}"
    gap = rng.choice(["", " ", space(rng)])
    form, fits = rng.random(), rng.random() < 0.85
    if key == "experiment_id" and not fits:
        return f"{key}{gap}={gap}{rng.randint(0, 9)}"
    if is_number(key) == fits:
        return f"{key}{gap}{rng.choice(COMPARATORS)}{gap}{rng.choice(NUMBERS)}"
    if form < 0.45:
        return f"{key}{gap}{rng.choice(COMPARATORS[:2] if fits else COMPARATORS)}{gap}{rng.choice(TEXTS)}"
    if form < 0.75:
        return f"{key}{space(rng)}{rng.choice(WORDS)}{space(rng)}{rng.choice(TEXTS)}"
    if form < 0.9:
        operator = rng.choice(["IN", "NOT IN", "in", f"NOT{space(rng)}IN"])
        return f"{key}{space(rng)}{operator}{space(rng)}{rng.choice(LISTED)}"
    return f"{key} {rng.choice(['IS NULL', 'IS NOT NULL', 'is null', 'is  not null'])}"


def mutated(rng, text):
    for _ in range(rng.randint(1, 2)):
        at = rng.randint(0, len(text))
        change = rng.random()
        if change < 0.35:
            text = text[:at] + text[at + rng.randint(1, 3) :]
        elif change < 0.8:
            text = f"{text[:at]}{rng.choice(GARBAGE)}{text[at:]}"
        else:
            text = f"{text[:at]} {rng.choice(GARBAGE)} {text[at:]}"
    return text


def main(seed, count):
    rng = random.Random(seed)
    for number in range(count):
        name = list(LISTS)[number % len(LISTS)]
        read, attributes, entities = LISTS[name]
        joined = f"{space(rng)}{rng.choice(['AND', 'AND', 'and', 'And'])}{space(rng)}"
        clauses = [comparison(rng, attributes, entities) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        text = joined.join(clauses)
        if rng.random() < 0.1:
            text = f"{space(rng)}{text}{rng.choice([' ', ' AND', ' AND '])}"
        if rng.random() < 0.4:
            text = mutated(rng, text)
        try:
            parsed = list(read(text))
        except Exception:
            # A refusal, and what a crash of MLflow on such a text comes to.
            parsed = None
        print(json.dumps({"list": name, "filter": text, "read": parsed}))


main(int(sys.argv[1]), int(sys.argv[2]))
