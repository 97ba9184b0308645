"""Computes the figures of each case in ./cases.json with scikit-learn."""

import json
import warnings

import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")


def figures(truth, predicted, shares, weights):
    classes = list(range(shares.shape[1]))
    options = {"sample_weight": weights}
    figures = {
        "accuracy": metrics.accuracy_score(truth, predicted, **options),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted, **options),
        "matthews_corrcoef": metrics.matthews_corrcoef(truth, predicted, **options),
        "cohen_kappa": metrics.cohen_kappa_score(truth, predicted, labels=classes, **options),
        "log_loss": metrics.log_loss(truth, shares, labels=classes, **options),
        "brier_score": metrics.brier_score_loss(truth, shares, labels=classes, **options),
    }
    for average in ["macro", "weighted"]:
        named = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
        for name, figure in named.items():
            figures[f"{name}_{average}"] = figure(truth, predicted, average=average, zero_division=0, **options)
    # The rows of 32-bit shares sum to 1 only nearly; one class against the rest does not depend on it.
    positives = classes[1:] if len(classes) == 2 else classes
    areas = [metrics.roc_auc_score(truth == c, shares[:, c], **options) for c in positives]
    figures["roc_auc_ovr"] = np.mean(areas)
    if len(classes) > 2 and weights is None and np.allclose(shares.sum(axis=1), 1):
        whole = metrics.roc_auc_score(truth, shares, multi_class="ovr", average="macro")
        assert abs(whole - figures["roc_auc_ovr"]) < 1e-12
    precisions = [metrics.average_precision_score(truth == c, shares[:, c], **options) for c in positives]
    figures["average_precision"] = np.mean(precisions)
    for k in [2, 3, 5]:
        if k < len(classes):
            figures[f"top_{k}_accuracy"] = metrics.top_k_accuracy_score(truth, shares, k=k, labels=classes, **options)
    return {name: float(value) for name, value in figures.items()}


answers = []
for case in json.load(open("cases.json")):
    truth, predicted = np.array(case["truth"]), np.array(case["predicted"])
    # What the 32-bit numbers are in 64 bits.
    shares = np.array(case["probabilities"], dtype=np.float32).astype(np.float64)
    confusion = metrics.confusion_matrix(truth, predicted, labels=list(range(shares.shape[1])))
    weights = np.array(case["weights"])
    answers.append([
        figures(truth, predicted, shares, None), figures(truth, predicted, shares, weights), confusion.tolist()
    ])
print(json.dumps(answers))
