"""What scripts of Airflow 2 do with /api/v1: basic auth, and the names of then."""

import os
import time

import requests

HOST = os.environ["FRAGUA_AIRFLOW"]
session = requests.Session()
session.auth = ("ana", "x")


def call(method, path, status=200, **more):
    answer = session.request(method, f"{HOST}/api/v1{path}", timeout=20, **more)
    assert answer.status_code == status, (method, path, answer.status_code, answer.text)
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json", answer.headers
        problem = answer.json()
        assert {"type", "title", "status", "detail"} <= problem.keys(), problem
    is_json = "json" in answer.headers.get("content-type", "")
    return answer.json() if is_json and answer.content else answer.text


def until(what):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


assert call("GET", "/health")["scheduler"]["status"] == "healthy"
assert call("GET", "/version")["version"]
assert call("GET", "/dags?limit=2&order_by=dag_id")["total_entries"] == 3
dag = call("PATCH", "/dags/example?update_mask=is_paused", json={"is_paused": False})
assert dag["is_active"] and dag["schedule_interval"] == {"__type": "CronExpression", "value": "@daily"}
assert call("GET", "/dags/example/details")["catchup"] is False
assert len(call("GET", "/dags/example/tasks")["tasks"]) == 2
assert "dag: example" in str(call("GET", f"/dagSources/{dag['file_token']}"))
call("GET", "/dags/nothing", 404)

run = call("POST", "/dags/example/dagRuns", json={"conf": {"rows": 7}, "execution_date": "2025-04-02T00:00:00+00:00"})
assert run["external_trigger"] and run["execution_date"].startswith("2025-04-02") and run["conf"] == {"rows": 7}
run_id = run["dag_run_id"]
one = f"/dags/example/dagRuns/{run_id}"
until(lambda: call("GET", one)["state"] == "success")
call("POST", "/dags/example/dagRuns", 409, json={"dag_run_id": run_id})
call("POST", "/dags/example/dagRuns", 400, json={"conf": 7})
listed = call("GET", "/dags/~/dagRuns?execution_date_gte=2025-04-02T00:00:00Z&order_by=-execution_date&state=success")
assert any(other["dag_run_id"] == run_id for other in listed["dag_runs"])
assert call("PATCH", f"{one}/setNote", json={"note": "mine"})["note"] == "mine"
assert call("PATCH", one, json={"state": "failed"})["state"] == "failed"

tasks = call("GET", f"{one}/taskInstances")
assert {task["task_id"] for task in tasks["task_instances"]} == {"first", "second"}
assert call("GET", f"{one}/taskInstances/first")["execution_date"].startswith("2025-04-02")
assert "told 7" in call("GET", f"{one}/taskInstances/first/logs/1", headers={"Accept": "text/plain"})
log = call("GET", f"{one}/taskInstances/first/logs/1", headers={"Accept": "application/json"})
assert "told 7" in log["content"] and log["continuation_token"] is None
assert call("GET", f"{one}/taskInstances/first/xcomEntries")["total_entries"] == 1
assert call("GET", f"{one}/taskInstances/first/xcomEntries/return_value")["value"] == "seven"
reference = call("PATCH", f"{one}/taskInstances/second", json={"dry_run": False, "new_state": "failed"})
assert reference["task_id"] == "second", reference
body = {"dry_run": False, "task_id": "second", "dag_run_id": run_id, "new_state": "success"}
assert call("POST", "/dags/example/updateTaskInstancesState", json=body)["task_instances"]
body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "task_ids": ["first"], "reset_dag_runs": True}
assert len(call("POST", "/dags/example/clearTaskInstances", json=body)["task_instances"]) == 1
until(lambda: call("GET", one)["state"] == "success")
assert len(call("POST", f"{one}/clear", json={"dry_run": True})["task_instances"]) == 2

for kind, key, made, changed in [
    ("variables", "key", {"key": "v1", "value": "5"}, {"key": "v1", "value": "6"}),
    (
        "connections", "connection_id",
        {"connection_id": "v1", "conn_type": "mysql", "host": "db", "login": "me", "password": "hunter2"},
        {"connection_id": "v1", "conn_type": "mysql", "host": "other"},
    ),
    ("pools", "name", {"name": "v1", "slots": 2}, {"name": "v1", "slots": 3}),
]:
    call("POST", f"/{kind}", json=made)
    call("POST", f"/{kind}", 409, json=made)
    assert any(item[key] == "v1" for item in call("GET", f"/{kind}")[kind])
    after = call("PATCH", f"/{kind}/v1", json=changed)
    assert changed.items() <= after.items(), after
    assert call("GET", f"/{kind}/v1") == after
    assert "hunter2" not in str(after)
    call("DELETE", f"/{kind}/v1", 204)
    call("GET", f"/{kind}/v1", 404)

assert call("GET", "/importErrors")["total_entries"] >= 1
call("DELETE", one, 204)
call("GET", one, 404)
session.auth = None
session.headers["Authorization"] = "Basic !"
call("GET", "/dags", 401)
print("all of it answered")
