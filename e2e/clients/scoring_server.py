"""Sends the same requests to MLflow's own scoring server and to Fragua's role serving.

usage: scoring_server.py ENDPOINTS_JSON SAMPLE_CSV_GZ
Prints one line of JSON: for each request the two status codes, the two error codes, and whether the predictions are the same.
"""

import gzip
import io
import json
import os
import socket
import sys
import threading
import urllib.error
import urllib.request

import mlflow
import pandas
import uvicorn
from mlflow.pyfunc import scoring_server

endpoints = json.load(open(sys.argv[1], encoding="utf-8"))
mlflow.set_tracking_uri(endpoints["tracking"])
os.environ["MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"] = "60"
listener = socket.create_server(("127.0.0.1", 0))
app = scoring_server.init(mlflow.pyfunc.load_model("models:/cover_type_class@champion"))
server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
thread.start()
SERVERS = {"mlflow": f"http://127.0.0.1:{listener.getsockname()[1]}", "fragua": endpoints["serving"]}

rows = pandas.read_csv(gzip.open(sys.argv[2], "rt")).drop(columns="Cover_Type").sample(50, random_state=2)
records = rows.to_dict(orient="records")
parquet = io.BytesIO()
rows.to_parquet(parquet, index=False)
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


def as_json(body):
    return JSON, json.dumps(body).encode()


def without(name):
    return [{key: value for key, value in record.items() if key != name} for record in records]


split = rows.to_dict(orient="split", index=False)
REQUESTS = {
    "dataframe_split": as_json({"dataframe_split": split}),
    "dataframe_split without columns": as_json({"dataframe_split": {"data": split["data"]}}),
    "dataframe_records": as_json({"dataframe_records": records}),
    "instances": as_json({"instances": records}),
    "inputs of columns": as_json({"inputs": rows.to_dict(orient="list")}),
    "inputs of records": as_json({"inputs": records}),
    "one row of scalars": as_json({"inputs": records[0]}),
    "another order and one column more": as_json({"dataframe_records": [{"Id": 1, **dict(reversed(records[0].items()))}]}),
    "numbers as texts": as_json({"dataframe_records": [{**records[0], "Slope": "7"}]}),
    "charset": ("application/json; charset=UTF-8", as_json({"instances": records})[1]),
    "csv": (CSV, rows.to_csv(index=False).encode()),
    "csv in another order": (CSV, rows[rows.columns[::-1]].to_csv(index=False).encode()),
    "parquet": (PARQUET, parquet.getvalue()),
    "a column is missing": as_json({"dataframe_records": without("Slope")}),
    "a column is missing in csv": (CSV, rows.drop(columns="Slope").to_csv(index=False).encode()),
    "a text where a number belongs": as_json({"dataframe_records": [{**records[0], "Slope": "steep"}]}),
    "no number where a whole one belongs": as_json({"dataframe_records": [{**records[0], "Slope": None}]}),
    "no JSON": (JSON, b"{"),
    "a list": as_json(records),
    "no form": as_json({"rows": records}),
    "two forms": as_json({"inputs": records, "instances": records}),
    "no Parquet": (PARQUET, b"PAR1"),
    "another content type": ("text/plain", b"x"),
    "another charset": ("text/csv; charset=latin-1", b"x"),
    "another parameter": ("text/csv; header=present", b"x"),
}


def ask(server, content_type, body):
    request = urllib.request.Request(SERVERS[server] + "/invocations", data=body, headers={"content-type": content_type})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, text


def predictions(answer):
    return pandas.DataFrame(answer["predictions"]) if isinstance(answer, dict) and "predictions" in answer else None


def same(ours, theirs):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    numbers = [name for name in theirs if name != "label"]
    close = float(abs(ours[numbers] - theirs[numbers]).to_numpy().max()) < 1e-5
    return close and list(ours.columns) == list(theirs.columns) and ours["label"].tolist() == theirs["label"].tolist()


while not server.started:
    thread.join(0.01)
    if not thread.is_alive():
        sys.exit("the scoring server did not start")
found = {}
for name, (content_type, body) in REQUESTS.items():
    (our_status, ours), (status, theirs) = (ask(server, content_type, body) for server in ("fragua", "mlflow"))
    code = lambda answer: answer.get("error_code") if isinstance(answer, dict) else None
    found[name] = {
        "status": [our_status, status],
        "error_code": [code(ours), code(theirs)],
        "same_predictions": same(predictions(ours), predictions(theirs)),
        "rows": None if predictions(ours) is None else len(predictions(ours)),
        "ours": ours if our_status != 200 else None,
        "theirs": theirs if status != 200 else None,
    }
print(json.dumps(found))
