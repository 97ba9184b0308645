"""Computes the figures of each case in ./cases.json with scikit-learn."""

import json
import warnings

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_score, recall_score
from sklearn.metrics import roc_auc_score

warnings.simplefilter("ignore")
answers = []
for case in json.load(open("cases.json")):
    truth, predicted = case["truth"], case["predicted"]
    # What the 32-bit numbers are in 64 bits.
    shares = np.array(case["probabilities"], dtype=np.float32).astype(np.float64)
    classes = list(range(shares.shape[1]))
    figures = {"accuracy": accuracy_score(truth, predicted), "log_loss": log_loss(truth, shares, labels=classes)}
    for average in ["macro", "weighted"]:
        named = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
        for name, figure in named.items():
            figures[f"{name}_{average}"] = figure(truth, predicted, average=average, zero_division=0)
    if len(classes) == 2:
        figures["roc_auc_ovr"] = roc_auc_score(truth, shares[:, 1])
    else:
        # The rows of 32-bit shares sum to 1 only nearly; one class against the rest does not depend on it.
        areas = [roc_auc_score(np.array(truth) == c, shares[:, c]) for c in classes]
        figures["roc_auc_ovr"] = float(np.mean(areas))
        if np.allclose(shares.sum(axis=1), 1):
            whole = roc_auc_score(truth, shares, multi_class="ovr", average="macro")
            assert abs(whole - figures["roc_auc_ovr"]) < 1e-12
    answers.append([figures, confusion_matrix(truth, predicted, labels=classes).tolist()])
print(json.dumps(answers))
