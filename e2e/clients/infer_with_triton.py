"""NVIDIA's client of the Open Inference Protocol asks Fragua's role serving.

usage: infer_with_triton.py ENDPOINTS_JSON SAMPLE_CSV_GZ
Prints one line of JSON with what it found; the test that calls it decides whether that is right.
"""

import gzip
import json
import sys
import urllib.request

import numpy
import pandas
from tritonclient import http
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

MODEL = "cover_type_class"
serving = json.load(open(sys.argv[1], encoding="utf-8"))["serving"]
client = http.InferenceServerClient(serving.removeprefix("http://"))
rows = pandas.read_csv(gzip.open(sys.argv[2], "rt")).drop(columns="Cover_Type").sample(100, random_state=3)

inputs = []
for tensor in client.get_model_metadata(MODEL)["inputs"]:
    values = rows[tensor["name"]].to_numpy(dtype=triton_to_np_dtype(tensor["datatype"]))
    given = http.InferInput(tensor["name"], [len(rows)], tensor["datatype"])
    given.set_data_from_numpy(values, binary_data=False)
    inputs.append(given)
wanted = [http.InferRequestedOutput(name, binary_data=False) for name in ("label", "probabilities")]
answer = client.infer(MODEL, inputs, request_id="asked-by-triton", outputs=wanted)

request = urllib.request.Request(
    serving + "/invocations",
    data=json.dumps({"dataframe_split": rows.to_dict(orient="split", index=False)}).encode(),
    headers={"content-type": "application/json"},
)
frame = pandas.DataFrame(json.load(urllib.request.urlopen(request))["predictions"])
try:
    client.infer(MODEL, inputs[1:], outputs=wanted)
    refused = None
except InferenceServerException as error:
    refused = error.message()

repository = client.get_model_repository_index()
client.load_model(MODEL)
try:
    client.unload_model(MODEL)
    kept = None
except InferenceServerException as error:
    kept = error.message()
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready(MODEL),
            "kept": kept,
            "server": client.get_server_metadata()["name"],
            "repository": [model["name"] for model in repository],
            "id": answer.get_response()["id"],
            "rows": len(rows),
            "equal_labels": int((answer.as_numpy("label") == frame["label"].to_numpy()).sum()),
            "largest_difference": float(
                numpy.abs(answer.as_numpy("probabilities") - frame.filter(like="proba_").to_numpy()).max()
            ),
            "refused": refused,
        }
    )
)
