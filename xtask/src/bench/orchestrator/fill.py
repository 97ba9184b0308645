"""Gives each DAG of a SQLite database past runs like the one there is: fill.py fragua|airflow DATABASE RUNS."""

import sqlite3
import sys
import uuid
from datetime import datetime, timedelta

side, database, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(database, isolation_level=None)
connection.row_factory = sqlite3.Row


def rows(sql):
    return [dict(row) for row in connection.execute(sql)]


def insert(table, made):
    columns = list(made[0])
    names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
    values = ([row[column] for column in columns] for row in made)
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


def days_before(at, days):
    if at is None:
        return None
    if isinstance(at, int):
        return at - days * 86_400_000
    return (datetime.fromisoformat(at) - timedelta(days=days)).isoformat(sep=" ")


if side == "fragua":
    tasks_table, runs_table = "instances", "dag_runs"
    versions = {row["dag_id"]: row["version"] for row in rows("SELECT dag_id, version FROM dags")}
    run_times = ["logical_date", "interval_start", "interval_end", "run_after", "queued_at", "started_at", "ended_at"]
    task_times = ["queued_at", "first_started_at", "started_at", "ended_at", "ordered_at"]
    new_id = lambda: str(uuid.uuid4())
else:
    tasks_table, runs_table = "task_instance", "dag_run"
    versions = {row["dag_id"]: row["id"] for row in rows("SELECT dag_id, id FROM dag_version")}
    run_times = ["queued_at", "start_date", "end_date", "run_after", "created_at", "updated_at"]
    task_times = ["start_date", "end_date", "queued_dttm", "scheduled_dttm", "updated_at"]
    new_id = lambda: uuid.uuid4().hex

(model,) = rows(f"SELECT * FROM {runs_table}")
models = rows(f"SELECT * FROM {tasks_table}")
# The database's own numbers.
model.pop("id", None)
connection.execute("PRAGMA synchronous=OFF")
connection.execute("BEGIN")
for dag_id, version in versions.items():
    runs, tasks = [], []
    for day in range(1, count + 1):
        run = {**model, "dag_id": dag_id, "run_id": f"past__{day}"}
        run["version" if side == "fragua" else "created_dag_version_id"] = version
        run.update({column: days_before(run[column], day) for column in run_times})
        runs.append(run)
        for one in models:
            task = {**one, "id": new_id(), "dag_id": dag_id, "run_id": run["run_id"]}
            if side == "airflow":
                task["dag_version_id"] = version
            task.update({column: days_before(task[column], day) for column in task_times})
            tasks.append(task)
    insert(runs_table, runs)
    insert(tasks_table, tasks)
connection.execute("COMMIT")
if side == "airflow":
    # The benefit of the doubt: a database that has grown slowly may know its tables this well.
    connection.execute("ANALYZE")
