"""Makes what both sides serve: models.py make DATA TARGET ROWS FOLDER, and models.py register FOLDER URI NAME ALIAS KIND.

`make` trains two forests on ROWS rows and writes into the folder: the rows, the first forest as a pickle, both as ONNX, and
requests on other rows. `register` registers models of the folder with the MLflow server at URI under NAME, with ALIAS for the
first: both ONNX files, or with the KIND `own` the folder that `fragua learn fit` wrote.
"""

import json
import sys
from pathlib import Path

RECORDS = 200
BATCH_ROWS = 1_000


def make(data, target, rows, folder):
    import joblib
    import numpy as np
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pd.read_csv(data)
    train, rest = train_test_split(table, train_size=int(rows), random_state=42, stratify=table[target])
    train.to_csv(folder / "train.csv", index=False)
    features, labels = train.drop(columns=target), train[target]
    texts = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
    kinds = [(name, (StringTensorType if name in texts else FloatTensorType)([None, 1])) for name in features]
    for version in [1, 2]:
        encoder = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts), remainder="passthrough"
        )
        forest = RandomForestClassifier(n_estimators=100, n_jobs=2, random_state=version)
        pipeline = make_pipeline(encoder, forest).fit(features, labels)
        # Threads would only cost a single row time.
        forest.n_jobs = None
        graph = to_onnx(pipeline, initial_types=kinds, options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
        (folder / f"{version}.onnx").write_bytes(graph.SerializeToString())
        if version == 1:
            joblib.dump(pipeline, folder / "forest.joblib")
            first = pipeline

    # Where two classes are level, the last digit of a sum decides, and no two programs add in the same order.
    rest = rest.head(4 * (RECORDS + BATCH_ROWS)).drop(columns=target)
    shares = np.sort(first.predict_proba(rest), axis=1)
    asked = rest[shares[:, -1] - shares[:, -2] > 1e-6]
    records = asked.head(RECORDS).to_dict(orient="records")
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    batch = asked.iloc[RECORDS : RECORDS + BATCH_ROWS].to_dict(orient="split", index=False)
    (folder / "batch.jsonl").write_text(json.dumps({"dataframe_split": batch}) + "\n")
    features.head(5).to_json(folder / "example.json", orient="split", index=False)
    nodes = sum(tree.tree_.node_count for tree in first[-1].estimators_)
    print(json.dumps({"nodes": nodes}))


def register(folder, uri, name, alias, kind):
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    if kind == "own":
        client.create_registered_model(name)
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(folder / "own"), "model")
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    else:
        import onnx
        import pandas as pd
        from mlflow.models import infer_signature

        example = pd.read_json(folder / "example.json", orient="split")
        for version in [1, 2]:
            model = onnx.load(folder / f"{version}.onnx")
            with mlflow.start_run():
                mlflow.onnx.log_model(
                    model, name="model", signature=infer_signature(example), registered_model_name=name, pip_requirements=[]
                )
    client.set_registered_model_alias(name, alias, "1")


command, *arguments = sys.argv[1:]
if command == "make":
    *rest, folder = arguments
    make(*rest, Path(folder))
else:
    folder, *rest = arguments
    register(Path(folder), *rest)
