"""Fits the classifier of the first line of ./model.txt on ./train.csv and prints its probabilities for ./test.csv.

A classifier without probabilities gives those that Fragua makes of its decisions: the logistic function of each class's,
made to sum to 1; of machines of pairs of more than two classes the softmax.
"""

import json

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
target, texts = "Cover_Type", ["Wilderness_Area", "Soil_Type"]
numbers = [name for name in train if name != target and name not in texts]
models = {model.__name__: model for model in [GaussianNB, LinearSVC, LogisticRegression, PCA, SVC]}
model, *turned = [eval(line, models) for line in open("model.txt").read().splitlines()]
pipeline = make_pipeline(
    ColumnTransformer([
        ("numbers", make_pipeline(StandardScaler(), *turned), numbers),
        ("texts", OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), texts),
    ]),
    model,
)
pipeline.fit(train.drop(columns=target), train[target])
rows = test.drop(columns=target)
if hasattr(pipeline, "predict_proba"):
    probabilities = pipeline.predict_proba(rows)
else:
    decisions = pipeline.decision_function(rows)
    if decisions.ndim == 1:
        decisions = np.column_stack([-decisions, decisions])
    pairs = isinstance(model, SVC) and decisions.shape[1] > 2
    probabilities = np.exp(decisions) if pairs else 1 / (1 + np.exp(-decisions))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
print(json.dumps(probabilities.tolist()))
