"""Webhooks with the unmodified client: made, listed, tested, delivered after a change, changed, deleted."""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import threading

from mlflow.entities.webhook import WebhookEvent

from common import client, refused

received = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.put((self.headers, body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"thanks")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/hook"


def next_request(secret):
    headers, body = received.get()
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body.decode()}"
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    assert headers["X-MLflow-Signature"] == "v1," + base64.b64encode(mac).decode()
    return json.loads(body)


made = client.create_webhook(
    name="forge",
    url=url,
    events=["registered_model.created", "model_version_alias.created"],
    description="tells the forge",
    secret="hammer",
)
assert made.url == url and made.status == "ACTIVE" and made.description == "tells the forge"
assert {str(event) for event in made.events} == {"registered_model.created", "model_version_alias.created"}
found = client.get_webhook(made.webhook_id)
assert (found.name, found.creation_timestamp) == ("forge", made.creation_timestamp)
assert [webhook.webhook_id for webhook in client.list_webhooks()] == [made.webhook_id]

result = client.test_webhook(made.webhook_id, "registered_model.created")
assert (result.success, result.response_status, result.response_body) == (True, 200, "thanks"), result
body = next_request("hammer")
assert (body["entity"], body["data"]["name"]) == ("registered_model", "example_model")
assert client.test_webhook(made.webhook_id).success
next_request("hammer")

client.create_registered_model("cover", tags={"team": "forest"}, description="trees")
body = next_request("hammer")
assert (body["entity"], body["action"]) == ("registered_model", "created")
assert body["data"] == {"name": "cover", "tags": {"team": "forest"}, "description": "trees"}
client.create_model_version("cover", "s3://bucket/model")
client.set_registered_model_alias("cover", "champion", "1")
# The version is no event of this webhook.
body = next_request("hammer")
assert body["data"] == {"name": "cover", "alias": "champion", "version": "1"}

changed = client.update_webhook(
    made.webhook_id, name="anvil", events=["model_version.created"], secret="tongs"
)
assert changed.name == "anvil" and [str(event) for event in changed.events] == ["model_version.created"]
client.create_model_version("cover", "s3://bucket/model")
assert next_request("tongs")["data"]["version"] == "2"
assert client.update_webhook(made.webhook_id, status="DISABLED").status == "DISABLED"
client.create_model_version("cover", "s3://bucket/model")
client.update_webhook(made.webhook_id, status="ACTIVE")
client.create_model_version("cover", "s3://bucket/model")
# Nothing was told while it was disabled.
assert next_request("tongs")["data"]["version"] == "4"

client.update_webhook(made.webhook_id, events=["prompt.created", "prompt_version.created", "prompt_alias.created"])
client.register_prompt("hello", "Hello {{name}}!", tags={"team": "forest"})
body = next_request("tongs")
assert (body["entity"], body["data"]["name"]) == ("prompt", "hello"), body
body = next_request("tongs")
assert (body["entity"], body["data"]["template"]) == ("prompt_version", "Hello {{name}}!"), body
assert client.load_prompt("prompts:/hello/1").template == "Hello {{name}}!"
client.set_prompt_alias("hello", "champion", 1)
assert next_request("tongs")["data"] == {"name": "hello", "alias": "champion", "version": "1"}

for name, bad_url, events in [
    ("a", "ftp://example.com/", ["registered_model.created"]),
    ("not a name", url, ["registered_model.created"]),
    ("a", "", ["registered_model.created"]),
    ("a", url, []),
]:
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_webhook(name, bad_url, events))
client.delete_webhook(made.webhook_id)
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_webhook(made.webhook_id))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.test_webhook(made.webhook_id, WebhookEvent("prompt", "created")))
assert client.list_webhooks() == []
