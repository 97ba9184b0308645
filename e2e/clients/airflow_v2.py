"""Drives each route of /api/v2 with Airflow's own client, unmodified, which checks the type of every field.

The server has the DAGs of crates/fragua/tests/it/airflow.rs. Ends with an assertion where an answer is not Airflow's.
"""

import json
import os
import time
from datetime import datetime, timezone

import airflow_client.client as client
import requests
from airflow_client.client import api, models
from airflow_client.client.rest import ApiException

HOST = os.environ["FRAGUA_AIRFLOW"]


def utc(day):
    return datetime(2025, 4, day, tzinfo=timezone.utc)


def refused(status, call, *arguments, **more):
    """Asserts that a call is refused with a status and a detail, which is returned."""
    try:
        call(*arguments, **more)
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        assert '"detail"' in error.body, error.body
        return error.body
    raise AssertionError(f"{call} was not refused")


def names(task):
    """A task as the body of a clear names it."""
    return models.ClearTaskInstancesBodyTaskIdsInner(task)


def until(what, seconds=60):
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


token = requests.post(f"{HOST}/auth/token", json={"username": "ana", "password": "x"}, timeout=10)
assert token.status_code == 201, token.text
token = token.json()["access_token"]
form = requests.post(f"{HOST}/auth/token/cli", data={"username": "ana", "password": "x"}, timeout=10)
assert form.status_code == 201, form.text

configuration = client.Configuration(host=HOST, access_token=token)
airflow = client.ApiClient(configuration)

# Monitoring.
assert api.MonitorApi(airflow).get_health().scheduler.status == "healthy"
assert api.VersionApi(airflow).get_version().version
assert api.ProviderApi(airflow).get_providers().total_entries == 0
assert api.PluginApi(airflow).get_plugins().total_entries == 0
assert api.PluginApi(airflow).import_errors().total_entries == 0
assert api.JobApi(airflow).get_jobs(is_alive=True).jobs[0].job_type == "SchedulerJob"
assert api.DagWarningApi(airflow).list_dag_warnings().dag_warnings == []

# DAGs.
dags = api.DAGApi(airflow)
page = dags.get_dags(order_by=["-dag_id"], limit=10)
assert [dag.dag_id for dag in page.dags] == ["mapped", "example", "blocked"], page
assert dags.get_dags(tags=["data"]).total_entries == 1
assert dags.get_dags(tags=["data", "nightly"], tags_match_mode="all").dags[0].dag_id == "example"
assert dags.get_dags(dag_id_pattern="%amp%").total_entries == 1
assert dags.get_dags(owners=["ana"]).total_entries == 1
assert dags.get_dags(limit=1, offset=1).dags[0].dag_id == "example"
assert "disallowed" in refused(400, dags.get_dags, order_by=["colour"])
assert dags.get_dag("example").timetable_summary == "@daily"
details = dags.get_dag_details("example")
assert details.params["rows"]["default"] == 5 and details.latest_dag_version.version_number == 1
assert dags.patch_dag("example", models.DAGPatchBody(is_paused=False)).is_paused is False
assert dags.patch_dags(models.DAGPatchBody(is_paused=False), dag_id_pattern="~").total_entries == 3
assert dags.get_dags(paused=True).total_entries == 0
assert dags.get_dag_tags().tags == ["data", "nightly"]
refused(404, dags.get_dag, "nothing")
tasks = api.TaskApi(airflow)
assert [task.task_id for task in tasks.get_tasks("example").tasks] == ["first", "second"]
assert tasks.get_task("example", "first").downstream_task_ids == ["second"]
assert tasks.get_task("mapped", "each").is_mapped
assert tasks.get_task("example", "first").retry_delay.seconds == 300
refused(404, tasks.get_task, "example", "third")
versions = api.DagVersionApi(airflow)
assert versions.get_dag_versions("example").dag_versions[0].version_number == 1
assert versions.get_dag_version("example", 1).dag_id == "example"
assert "dag: example" in api.DagSourceApi(airflow).get_dag_source("example").content
assert api.DagStatsApi(airflow).get_dag_stats(dag_ids=["example"]).dags[0].dag_id == "example"
errors = api.ImportErrorApi(airflow)
broken = errors.get_import_errors(filename_pattern="broken").import_errors[0]
assert errors.get_import_error(broken.import_error_id).filename == "broken.yaml"

# Runs.
runs = api.DagRunApi(airflow)
run = runs.trigger_dag_run(
    "example",
    models.TriggerDAGRunPostBody(logical_date=utc(2), dag_run_id="mine", conf={"rows": 7}, note="because"),
)
assert run.dag_run_id == "mine" and run.conf == {"rows": 7} and run.note == "because", run
body = models.TriggerDAGRunPostBody(logical_date=None, dag_run_id="mine")
refused(409, runs.trigger_dag_run, "example", body)
refused(400, runs.trigger_dag_run, "example", models.TriggerDAGRunPostBody(logical_date=None, conf={"rows": "x"}))
lines = requests.get(
    f"{HOST}/api/v2/dags/example/dagRuns/mine/wait",
    params={"interval": 0.1, "result": "first"},
    headers={"Authorization": f"Bearer {token}"},
    timeout=60,
).text.splitlines()
assert '"state":"success"' in lines[-1].replace(" ", ""), lines
assert '"first":"seven"' in lines[-1].replace(" ", ""), lines
run = runs.get_dag_run("example", "mine")
assert run.state == "success" and run.duration >= 0 and run.dag_versions[0].version_number == 1
assert runs.get_dag_runs("~", run_id_pattern="min%", state=["success"]).dag_runs[0].dag_run_id == "mine"
assert runs.get_dag_runs("example", logical_date_gte=utc(2), logical_date_lte=utc(2)).total_entries == 1
assert runs.get_dag_runs("example", order_by=["-run_after"], limit=1).dag_runs[0].dag_run_id == "mine"
batch = models.DAGRunsBatchBody(dag_ids=["example"], states=["success"], order_by="-logical_date", page_limit=5, logical_date_lte=utc(3))
assert runs.get_list_dag_runs_batch("~", batch).total_entries == 1
assert runs.patch_dag_run("example", "mine", models.DAGRunPatchBody(note="changed")).note == "changed"
assert runs.patch_dag_run("example", "mine", models.DAGRunPatchBody(state="failed")).state == "failed"
assert runs.patch_dag_run("example", "mine", models.DAGRunPatchBody(state="success")).state == "success"
assert runs.get_upstream_asset_events("example", "mine").total_entries == 0
# The client reads no such answer, also not Airflow's: each task instance is two of the types it may be one of.
would = runs.clear_dag_run_without_preload_content("example", "mine", models.DAGRunClearBody(dry_run=True))
assert json.loads(would.read())["total_entries"] == 2

# Tasks and their attempts.
instances = api.TaskInstanceApi(airflow)
page = instances.get_task_instances("example", "mine", order_by=["-task_id"])
assert [task.task_id for task in page.task_instances] == ["second", "first"]
assert instances.get_task_instances("~", "~", state=["success"], pool=["default_pool"], run_id_pattern="mine").total_entries == 2
assert instances.get_task_instances("~", "~", logical_date_gte=utc(2), logical_date_lte=utc(2), duration_gte=0.0).total_entries == 2
one = instances.get_task_instance("example", "mine", "first")
assert one.state == "success" and one.pid and one.try_number == 1 and one.dag_version.version_number == 1
assert one.rendered_fields["bash"].startswith("echo told "), one.rendered_fields
refused(404, instances.get_task_instance, "example", "mine", "third")
assert instances.get_task_instance_tries("example", "mine", "first").task_instances[0].try_number == 1
assert instances.get_task_instance_try_details("example", "mine", "first", 1).state == "success"
batch = models.TaskInstancesBatchBody(dag_ids=["example"], task_ids=["first"], state=["success"], logical_date_lte=utc(3))
assert instances.get_task_instances_batch("~", "~", batch).total_entries == 1
assert instances.get_task_instance_dependencies("example", "mine", "first").dependencies == []
assert instances.get_extra_links("example", "mine", "first").total_entries == 0
refused(400, instances.get_external_log_url, "example", "mine", "first", 1)
log = instances.get_log("example", "mine", "first", 1)
assert any("told 7" in line.event for line in log.content.actual_instance), log
plain = requests.get(
    f"{HOST}/api/v2/dags/example/dagRuns/mine/taskInstances/first/logs/1",
    headers={"Accept": "text/plain"},
    timeout=10,
)
assert "told 7" in plain.text and plain.headers["content-type"].startswith("text/plain")

runs.trigger_dag_run("mapped", models.TriggerDAGRunPostBody(logical_date=None, dag_run_id="m"))
until(lambda: runs.get_dag_run("mapped", "m").state == "success")
mapped = instances.get_mapped_task_instances("mapped", "m", "each", order_by=["-map_index"])
assert [task.map_index for task in mapped.task_instances] == [1, 0]
assert instances.get_mapped_task_instance("mapped", "m", "each", 1).map_index == 1
assert instances.get_mapped_task_instance_tries("mapped", "m", "each", 1).total_entries == 1
assert instances.get_mapped_task_instance_try_details("mapped", "m", "each", 1, 1).try_number == 1
assert instances.get_task_instance_dependencies_by_map_index("mapped", "m", "each", 1).dependencies == []
log = instances.get_log("mapped", "m", "each", 1, map_index=1)
assert any("item b" in line.event for line in log.content.actual_instance), log

runs.trigger_dag_run("blocked", models.TriggerDAGRunPostBody(logical_date=None, dag_run_id="b"))
why = until(lambda: instances.get_task_instance_dependencies("blocked", "b", "stuck").dependencies)
assert "nowhere" in why[0].reason, why
would = instances.patch_task_instance_dry_run("blocked", "b", "stuck", models.PatchTaskInstanceBody(new_state="success"))
assert would.task_instances[0].state == "queued", would
marked = instances.patch_task_instance("blocked", "b", "stuck", models.PatchTaskInstanceBody(new_state="success"))
assert marked.task_instances[0].state == "success", marked
until(lambda: runs.get_dag_run("blocked", "b").state == "success")
each = ("mapped", "m", "each", 1)
instances.patch_task_instance_dry_run_by_map_index(*each, models.PatchTaskInstanceBody(new_state="failed"))
failed = instances.patch_task_instance_by_map_index(*each, models.PatchTaskInstanceBody(new_state="failed"))
assert [task.map_index for task in failed.task_instances] == [1], failed

clear = models.ClearTaskInstancesBody(dag_run_id="mine", task_ids=[names("second")], only_failed=False)
assert instances.post_clear_task_instances("example", clear).total_entries == 1
clear = models.ClearTaskInstancesBody(
    start_date=utc(1), end_date=utc(3), only_failed=False, dry_run=False, include_upstream=True, task_ids=[names("second")]
)
assert instances.post_clear_task_instances("example", clear).total_entries == 2
until(lambda: runs.get_dag_run("example", "mine").state == "success")
until(lambda: instances.get_task_instance("example", "mine", "first").try_number == 2)
cleared = runs.clear_dag_run("example", "mine", models.DAGRunClearBody(dry_run=False)).actual_instance
assert cleared.dag_run_id == "mine", cleared
until(lambda: runs.get_dag_run("example", "mine").state == "success")

# XComs.
xcoms = api.XComApi(airflow)
of_first = {"dag_id": "example", "dag_run_id": "mine", "task_id": "first"}
by_hand = {**of_first, "xcom_key": "by hand"}
assert xcoms.get_xcom_entries(**of_first).xcom_entries[0].key == "return_value"
assert xcoms.get_xcom_entries("~", "~", "~", xcom_key_pattern="return%").total_entries >= 1
assert xcoms.get_xcom_entry(**of_first, xcom_key="return_value").actual_instance.value == "seven"
made = xcoms.create_xcom_entry(**of_first, x_com_create_body=models.XComCreateBody(key="by hand", value={"a": [1, 2]}))
assert made.value == {"a": [1, 2]}, made
refused(409, xcoms.create_xcom_entry, **of_first, x_com_create_body=models.XComCreateBody(key="by hand", value=1))
assert xcoms.update_xcom_entry(**by_hand, x_com_update_body=models.XComUpdateBody(value=2)).value == 2
assert xcoms.get_xcom_entry(**by_hand, stringify=True).actual_instance.value == "2"
xcoms.delete_xcom_entry(**by_hand)
refused(404, xcoms.get_xcom_entry, **by_hand)

# Variables.
variables = api.VariableApi(airflow)
made = variables.post_variable(models.VariableBody(key="rows", value="5", description="how many"))
assert (made.value, made.description, made.is_encrypted) == ("5", "how many", True), made
refused(409, variables.post_variable, models.VariableBody(key="rows", value="5"))
assert variables.patch_variable("rows", models.VariableBody(key="rows", value={"a": 1})).value == '{"a":1}'
masked = variables.patch_variable("rows", models.VariableBody(key="rows", value="6", description="x"), update_mask=["value"])
assert (masked.value, masked.description) == ("6", "how many"), masked
assert variables.get_variables(order_by=["-key"], variable_key_pattern="ow").variables[0].key == "rows"
bulk = models.BulkBodyVariableBody.from_dict(
    {
        "actions": [
            {"action": "create", "action_on_existence": "skip", "entities": [{"key": "a", "value": "1"}, {"key": "rows", "value": "0"}]},
            {"action": "update", "action_on_non_existence": "fail", "entities": [{"key": "none", "value": "1"}]},
            {"action": "delete", "action_on_non_existence": "skip", "entities": ["a", "gone"]},
        ]
    }
)
done = variables.bulk_variables(bulk)
assert done.create.success == ["a"] and done.delete.success == ["a"], done
assert done.update.errors[0]["status_code"] == 404, done
assert variables.get_variable("rows").value == "6"
variables.delete_variable("rows")
refused(404, variables.get_variable, "rows")

# Connections.
connections = api.ConnectionApi(airflow)
body = models.ConnectionBody(
    connection_id="db", conn_type="postgres", host="db", login="me", password="hunter2", schema="rows", port=5432,
    extra='{"sslmode": "require"}', description="the rows",
)
made = connections.post_connection(body)
assert (made.password, made.port, made.extra) == ("***", 5432, '{"sslmode":"require"}'), made
refused(409, connections.post_connection, body)
body.host = "other"
assert connections.patch_connection("db", body, update_mask=["host"]).host == "other"
assert connections.get_connection("db").login == "me"
assert connections.get_connections(connection_id_pattern="d%").connections[0].connection_id == "db"
tested = connections.test_connection(models.ConnectionBody(connection_id="here", conn_type="http", host=HOST))
assert tested.status and "200" in tested.message, tested
tested = connections.test_connection(models.ConnectionBody(connection_id="db", conn_type="sqlite", host="/none.db"))
assert not tested.status and "/none.db" in tested.message, tested
bulk = {"actions": [{"action": "delete", "entities": ["db"]}]}
assert connections.bulk_connections(models.BulkBodyConnectionBody.from_dict(bulk)).delete.success == ["db"]
connections.post_connection(models.ConnectionBody(connection_id="cloud", conn_type="aws", login="key", password="s"))
connections.delete_connection("cloud")
refused(404, connections.get_connection, "cloud")

# Pools.
pools = api.PoolApi(airflow)
made = pools.post_pool(models.PoolBody(name="few", slots=2, description="not many"))
assert (made.slots, made.open_slots) == (2, 2), made
refused(409, pools.post_pool, models.PoolBody(name="few", slots=2))
assert pools.patch_pool("few", models.PoolPatchBody(slots=3)).slots == 3
assert pools.get_pool("few").description == "not many"
assert pools.get_pools(pool_name_pattern="few").total_entries == 1
bulk = {"actions": [{"action": "create", "action_on_existence": "overwrite", "entities": [{"name": "few", "slots": 4}]}]}
assert pools.bulk_pools(models.BulkBodyPoolBody.from_dict(bulk)).create.success == ["few"]
pools.delete_pool("few")
refused(404, pools.get_pool, "few")
refused(400, pools.delete_pool, "default_pool")

# Backfills.
backfills = api.BackfillApi(airflow)
body = models.BackfillPostBody(dag_id="example", from_date=utc(10), to_date=utc(12), max_active_runs=1)
assert backfills.create_backfill_dry_run(body).total_entries == 3
dags.patch_dag("example", models.DAGPatchBody(is_paused=True))
made = backfills.create_backfill(body)
assert made.reprocess_behavior == "none" and not made.is_paused, made
refused(409, backfills.create_backfill, body)
assert backfills.pause_backfill(made.id).is_paused
assert not backfills.unpause_backfill(made.id).is_paused
assert backfills.list_backfills(dag_id="example").total_entries == 1
assert backfills.get_backfill(made.id).dag_id == "example"
assert backfills.cancel_backfill(made.id).completed_at
refused(409, backfills.cancel_backfill, made.id)
refused(404, backfills.get_backfill, 1)

# Assets.
assets = api.AssetApi(airflow)
asset = assets.get_assets(name_pattern="sal", dag_ids=["example"]).assets[0]
assert asset.producing_tasks[0].task_id == "second" and asset.last_asset_event.timestamp, asset
made = assets.create_asset_event(models.CreateAssetEventsBody(asset_id=asset.id, extra={"rows": 3}))
assert assets.get_asset_events(asset_id=asset.id, order_by=["-id"]).asset_events[0].id == made.id
assert assets.get_asset(asset.id).uri == "sales"
assert assets.get_dag_asset_queued_events("example").total_entries == 0
assets.delete_dag_asset_queued_events("example")
assert assets.get_asset_aliases().total_entries == 0
refused(404, assets.get_asset, 1)

# Who did it.
events = api.EventLogApi(airflow)
page = events.get_event_logs(event="trigger_dag_run", owner="ana", order_by=["-when"])
assert page.total_entries == 3 and page.event_logs[0].dag_id == "blocked", page
assert events.get_event_log(page.event_logs[0].event_log_id).owner == "ana"
assert events.get_event_logs(dag_id="example", included_events=["clear_task_instances"]).total_entries >= 1

# What is forgotten.
runs.delete_dag_run("mapped", "m")
refused(404, runs.get_dag_run, "mapped", "m")
dags.delete_dag("blocked")

# Without a token, with a wrong one, and with a body that is none.
assert requests.get(f"{HOST}/api/v2/dags", timeout=10).status_code == 200
wrong = client.ApiClient(client.Configuration(host=HOST, access_token="wrong"))
refused(401, api.DAGApi(wrong).get_dags)
answer = requests.post(f"{HOST}/api/v2/dags/example/dagRuns", json={}, timeout=10)
assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "logical_date"], answer.text
print("all of it answered")
