"""Fits scikit-learn's forest of 100 trees on ./train.csv and measures it on ./test.csv."""

import json

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
target, texts = "Cover_Type", ["Wilderness_Area", "Soil_Type"]
numbers = [name for name in train if name != target and name not in texts]
pipeline = make_pipeline(
    make_column_transformer(
        (StandardScaler(), numbers),
        (OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), texts),
    ),
    RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=2),
)
pipeline.fit(train.drop(columns=target), train[target])
predicted = pipeline.predict(test.drop(columns=target))
print(json.dumps({
    "accuracy": accuracy_score(test[target], predicted),
    "f1_macro": f1_score(test[target], predicted, average="macro"),
}))
