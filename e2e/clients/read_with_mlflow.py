"""The unmodified mlflow client reads what the demo left: runs, the model, its predictions.

usage: read_with_mlflow.py ENDPOINTS_JSON SAMPLE_CSV_GZ
Prints one line of JSON with what it found; the test that calls it decides whether that is right.
"""

import gzip
import json
import sys
import urllib.request

import mlflow
import pandas

endpoints = json.load(open(sys.argv[1], encoding="utf-8"))
mlflow.set_tracking_uri(endpoints["tracking"])

runs = mlflow.search_runs(search_all_experiments=True, filter_string="metrics.accuracy > 0.5", order_by=["metrics.f1_macro DESC"])
client = mlflow.MlflowClient()
champion = client.get_model_version_by_alias("cover_type_class", "champion")
run = client.get_run(champion.run_id)
candidates = mlflow.search_runs(
    search_all_experiments=True, filter_string=f"tags.mlflow.parentRunId = '{champion.run_id}'"
)

table = pandas.read_csv(gzip.open(sys.argv[2], "rt"))
rows = table.drop(columns="Cover_Type").sample(1000, random_state=1)
model = mlflow.pyfunc.load_model("models:/cover_type_class@champion")
rows = rows.astype({name: object for name in ("Wilderness_Area", "Soil_Type")})
here = model.predict(rows)

request = urllib.request.Request(
    endpoints["serving"] + "/invocations",
    data=json.dumps({"dataframe_split": rows.to_dict(orient="split", index=False)}).encode(),
    headers={"content-type": "application/json"},
)
there = pandas.DataFrame(json.load(urllib.request.urlopen(request))["predictions"])



def probabilities(frame):
    return frame.filter(like="proba_").to_numpy(dtype=float)


print(
    json.dumps(
        {
            "runs": len(runs),
            "candidates": len(candidates),
            "version": int(champion.version),
            "accuracy": run.data.metrics["accuracy"],
            "datasets": [
                {"name": entry.dataset.name, "digest": entry.dataset.digest, "source": entry.dataset.source}
                for entry in run.inputs.dataset_inputs
            ],
            "artifacts": sorted(entry.path for entry in client.list_artifacts(champion.run_id)),
            "rows": len(here),
            "equal_labels": int((here["label"].to_numpy() == there["label"].to_numpy()).sum()),
            "largest_difference": float(abs(probabilities(here) - probabilities(there)).max()),
        }
    )
)
