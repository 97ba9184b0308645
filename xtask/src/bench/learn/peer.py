"""Measures one model of a peer: peer.py TRAIN TEST TARGET MODEL. Prints one line of JSON, as `measure` of fragua-learn does.

With MODEL `split`, TRAIN and TEST are made from the file that follows TARGET: 70 and 30 rows of 100, by class.
"""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd

train_path, test_path, target, model, *rest = sys.argv[1:]
THREADS = 2


def cpu():
    return time.process_time()


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if model == "split":
    from sklearn.model_selection import train_test_split

    table = pd.read_csv(rest[0])
    parts = train_test_split(table, test_size=0.3, random_state=42, stratify=table[target])
    for part, path in zip(parts, [train_path, test_path]):
        part.to_csv(path, index=False)
    sys.exit()

from sklearn.compose import make_column_transformer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

train, test = pd.read_csv(train_path), pd.read_csv(test_path)
texts = [name for name in train if name != target and not pd.api.types.is_numeric_dtype(train[name])]
encoder = make_column_transformer(
    (OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False, dtype=np.float32), texts),
    remainder="passthrough",
)
labels = LabelEncoder().fit(train[target])
features, truth = encoder.fit_transform(train.drop(columns=target)).astype(np.float32), labels.transform(train[target])
if model == "random_forest":
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(n_estimators=100, n_jobs=THREADS, random_state=0)
elif model == "extra_trees":
    from sklearn.ensemble import ExtraTreesClassifier

    estimator = ExtraTreesClassifier(n_estimators=100, n_jobs=THREADS, random_state=0)
elif model == "lightgbm":
    from lightgbm import LGBMClassifier

    estimator = LGBMClassifier(n_estimators=100, n_jobs=THREADS, random_state=0, verbose=-1, **json.loads(rest[0]))
else:
    from xgboost import XGBClassifier

    estimator = XGBClassifier(n_estimators=100, n_jobs=THREADS, random_state=0, **json.loads(rest[0]))
wall, used = time.time(), cpu()
estimator.fit(features, truth)
wall, used, held = time.time() - wall, cpu() - used, peak()

rows = test.drop(columns=target)
matrix = encoder.transform(rows).astype(np.float32)
began, count = cpu(), 0
while cpu() - began < 1:
    predicted = estimator.predict(matrix)
    count += len(matrix)
rate = count / (cpu() - began)
single = []
for row in range(30):
    started = time.perf_counter()
    estimator.predict(encoder.transform(rows.iloc[row : row + 1]).astype(np.float32))
    single.append(time.perf_counter() - started)
expected = labels.transform(test[target])
print(json.dumps({
    "fit_seconds": wall,
    "fit_cpu_seconds": used,
    "peak_mebibytes": held,
    "accuracy": accuracy_score(expected, predicted),
    "f1_macro": f1_score(expected, predicted, average="macro"),
    "rows_per_cpu_second": rate,
    "one_row_microseconds": float(np.median(single)) * 1e6,
}))
