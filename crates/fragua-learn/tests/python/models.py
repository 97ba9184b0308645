"""Loads ./model with onnxruntime and with MLflow and predicts the rows of ./test.csv."""

import json

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
import pandas as pd

onnx.checker.check_model("model/model.onnx", full_check=True)
model = mlflow.pyfunc.load_model("model")
schema = {column.name: column.type.name for column in model.metadata.get_input_schema()}

rows = pd.read_csv("test.csv", keep_default_na=False, na_values=[""], dtype={
    name: {"long": "int64", "double": "float64", "string": "object"}[kind] for name, kind in schema.items()
})[list(schema)]
for name, kind in schema.items():
    if kind == "string":
        # onnxruntime takes Python strings only, not pandas' own string type.
        rows[name] = rows[name].fillna("").astype(object)

session = onnxruntime.InferenceSession("model/model.onnx", providers=["CPUExecutionProvider"])
output_names = [output.name for output in session.get_outputs()]


def run(frame):
    outputs = session.run(None, {name: frame[name].to_numpy() for name in schema})
    return dict(zip(output_names, outputs))


def labels(values):
    return [str(value) for value in np.asarray(values).ravel()]


together = run(rows)
one_by_one = [labels(run(rows.iloc[i : i + 1])[output_names[0]])[0] for i in range(min(300, len(rows)))]
# As a user would read the rows: pandas' own string type, and missing texts as missing.
plain = pd.read_csv("test.csv", keep_default_na=False, na_values=[""])[list(schema)]
plain = plain.astype({name: "float64" for name, kind in schema.items() if kind == "double"})
frame = model.predict(plain)
assert mlflow.onnx.load_model("model").producer_name == "fragua"
example = model.metadata.load_input_example("model")
probabilities = [together[name].tolist() for name in output_names[1:]]
print(json.dumps({
    "onnxruntime": labels(together[output_names[0]]),
    "one_by_one": one_by_one,
    "pyfunc": labels(frame[output_names[0]]),
    "probabilities": [list(row) for row in zip(*probabilities)],
    # As texts, which keep every bit.
    "numbers": labels(together[output_names[0]]),
    "pyfunc_numbers": labels(frame[output_names[0]]),
    "columns": list(frame.columns),
    "example_label": labels(pd.DataFrame(model.predict(example))[output_names[0]])[0],
}))
