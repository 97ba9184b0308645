"""Computes the figures of numbers of each case in ./cases.json with scikit-learn, without and with weights."""

import json
import warnings

from sklearn import metrics

warnings.simplefilter("ignore")
FIGURES = {
    "r2": metrics.r2_score,
    "explained_variance": metrics.explained_variance_score,
    "mean_squared_error": metrics.mean_squared_error,
    "root_mean_squared_error": metrics.root_mean_squared_error,
    "mean_absolute_error": metrics.mean_absolute_error,
    "median_absolute_error": metrics.median_absolute_error,
    "mean_absolute_percentage_error": metrics.mean_absolute_percentage_error,
}
answers = []
for truth, predicted, weights in json.load(open("cases.json")):
    answers.append([
        {name: float(figure(truth, predicted, sample_weight=weight)) for name, figure in FIGURES.items()}
        for weight in [None, weights]
    ])
print(json.dumps(answers))
