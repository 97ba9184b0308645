"""Fits scikit-learn's pipeline on ./train.csv and prints its probabilities for ./test.csv."""

import json

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

train, test = (pd.read_csv(name).astype({"Wilderness_Area": object, "Soil_Type": object}) for name in ["train.csv", "test.csv"])
target, texts = "Cover_Type", ["Wilderness_Area", "Soil_Type"]
numbers = [name for name in train if name != target and name not in texts]
weights, class_weight, l1_ratio = open("weights.txt").read().split()
class_weight = None if class_weight == "none" else class_weight
l1_ratio = float(l1_ratio)
solver = "saga" if l1_ratio else "lbfgs"
pipeline = make_pipeline(
    ColumnTransformer([
        ("numbers", make_pipeline(KNNImputer(n_neighbors=4, weights=weights), StandardScaler()), numbers),
        ("texts", make_pipeline(
            SimpleImputer(strategy="most_frequent"),
            OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False),
        ), texts),
    ]),
    LogisticRegression(C=0.3, tol=1e-9, max_iter=20_000, class_weight=class_weight, l1_ratio=l1_ratio, solver=solver),
)
pipeline.fit(train.drop(columns=target), train[target])
print(json.dumps(pipeline.predict_proba(test.drop(columns=target)).tolist()))
