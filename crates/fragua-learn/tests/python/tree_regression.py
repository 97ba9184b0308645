"""Fits scikit-learn's tree regressions on ./train.csv and prints how much of ./test.csv they explain."""

import json

from prepared import TARGET, test, test_values, train, train_values
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.metrics import r2_score

models = {
    "forest": (RandomForestRegressor(random_state=0, n_jobs=2), None),
    "extra trees": (ExtraTreesRegressor(random_state=0, n_jobs=2), None),
    "boosting": (HistGradientBoostingRegressor(random_state=0, early_stopping=False), None),
    "absolute": (HistGradientBoostingRegressor(loss="absolute_error", random_state=0, early_stopping=False), None),
    "weighted forest": (RandomForestRegressor(random_state=0, n_jobs=2), train["weight"]),
    "weighted boosting": (HistGradientBoostingRegressor(random_state=0, early_stopping=False), train["weight"]),
}
print(json.dumps({
    name: {"r2": r2_score(test[TARGET], model.fit(train_values, train[TARGET], sample_weight=weight).predict(test_values))}
    for name, (model, weight) in models.items()
}))
