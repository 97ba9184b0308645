"""Fits scikit-learn's linear regressions on ./train.csv and prints their predictions for ./test.csv."""

import json
import warnings

from prepared import TARGET, test_values, train, train_values
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

warnings.simplefilter("ignore")
rows = len(train)
exact = {"tol": 1e-12, "max_iter": 1_000_000}
models = {
    "least squares": (LinearRegression(), None),
    # Ridge counts the sum of the squared errors, not half their mean.
    "ridge": (Ridge(alpha=2.0 * rows, solver="cholesky"), None),
    "lasso": (Lasso(alpha=3.0, **exact), None),
    "elastic net": (ElasticNet(alpha=0.5, l1_ratio=0.4, **exact), None),
    "weighted": (ElasticNet(alpha=0.5, l1_ratio=0.4, **exact), train["weight"]),
}
print(json.dumps({
    name: model.fit(train_values, train[TARGET], sample_weight=weight).predict(test_values).tolist()
    for name, (model, weight) in models.items()
}))
