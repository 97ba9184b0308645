"""Trains models with scikit-learn, LightGBM and XGBoost, writes them into the folder as ONNX or in their own formats, and
prints what onnxruntime or the library itself predicts with each."""

import json
import warnings

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import xgboost
from onnx import TensorProto, helper
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

warnings.filterwarnings("ignore")
random = np.random.default_rng(0)
ROWS = 300
mixed = pd.DataFrame({
    "a": random.normal(size=ROWS).astype(np.float32).astype(float),
    "b": (random.normal(size=ROWS) * 3).astype(np.float32).astype(float),
    "c": random.choice(["x", "y", "zé"], ROWS),
    "d": random.integers(0, 5, ROWS),
})
score = mixed.a + (mixed.c == "x") * 1.5 + (mixed.d == 2)
three = (score > 0.5).astype(int) + (mixed.b > 1)
two = (score > 0.5).astype(int)
words = np.array(["no", "maybe", "yes"])[three]
number = score * 2 + mixed.b
gaps = mixed.copy()
gaps.loc[::7, "a"] = np.nan
gaps.loc[::11, "b"] = np.nan
strange = gaps.copy()
strange.loc[3, "c"] = "never seen"

cases = []
refused = []  # What gives scores and no probabilities.
tables = {}
TARGETS = {"": 17, "ai.onnx.ml": 3}
COLUMNS = ["a", "b", "c", "d"]
INITIAL = [
    ("a", FloatTensorType([None, 1])),
    ("b", FloatTensorType([None, 1])),
    ("c", StringTensorType([None, 1])),
    ("d", Int64TensorType([None, 1])),
]


def cells(frame):
    return {
        name: [None if pd.isna(cell) else cell for cell in column.tolist()] for name, column in frame.items()
    }


def add(name, kind, file, frame, labels=None, probabilities=None, numbers=None, columns=()):
    if (table := str(id(frame))) not in tables:
        tables[table] = (frame, cells(frame))
    cases.append({
        "name": name, "format": kind, "file": file, "table": table, "columns": list(columns),
        "labels": None if labels is None else [str(label) for label in labels],
        "probabilities": None if probabilities is None else np.asarray(probabilities, float).tolist(),
        "numbers": None if numbers is None else np.asarray(numbers, float).ravel().tolist(),
    })


def add_onnx(name, model, frame, columns=()):
    """Adds a model with what onnxruntime says of the rows."""
    file = f"{name}.onnx"
    with open(file, "wb") as target:
        target.write(model.SerializeToString())
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
             "tensor(string)": object, "tensor(bool)": bool}
    if len(session.get_inputs()) == 1:
        only = session.get_inputs()[0]
        feeds = {only.name: frame.to_numpy().astype(kinds[only.type])}
    else:
        feeds = {}
        for given in session.get_inputs():
            column = frame[given.name].to_numpy().astype(kinds[given.type])
            feeds[given.name] = column.reshape(-1, 1) if len(given.shape) == 2 else column
    outputs = session.run(None, feeds)
    if len(outputs) == 1:
        add(name, "onnx", file, frame, numbers=outputs[0], columns=columns)
        return
    labels, *shares = outputs
    if isinstance(shares[0], list):
        shares = np.array([list(row.values()) for row in shares[0]])
    elif len(shares) == 1:
        shares = shares[0]
    else:
        shares = np.column_stack([np.ravel(share) for share in shares])
    if np.min(shares) < -1e-4 or np.max(shares) > 1.0001:
        refused.append(file)
        return
    add(name, "onnx", file, frame, labels=np.ravel(labels), probabilities=shares, columns=columns)


def prepared():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([
        ("numbers", numbers, ["a", "b"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["c"]),
        ("whole", OneHotEncoder(handle_unknown="ignore"), ["d"]),
    ])


for model, kind, shapes, convert in [
    (lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes, convert_lightgbm),
    (lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes, convert_lightgbm),
    (xgboost.XGBClassifier, "XGBoostXGBClassifier", calculate_linear_classifier_output_shapes, convert_xgboost),
    (xgboost.XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes, convert_xgboost),
]:
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]} if "Classifier" in kind else None
    update_registered_converter(model, kind, shapes, convert, options=options)

classifiers = {
    "forest": RandomForestClassifier(12, max_depth=5, random_state=0),
    "extra_trees": ExtraTreesClassifier(8, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=8, random_state=0),
    "logistic": LogisticRegression(),
    "svc": SVC(probability=True, random_state=0),
    "svc_poly": SVC(kernel="poly", coef0=1.0, probability=True, random_state=0),
    "neighbors": KNeighborsClassifier(5),
    "neighbors_weighted": KNeighborsClassifier(5, weights="distance"),
    "perceptron": MLPClassifier((9, 5), max_iter=40, random_state=0),
    "perceptron_tanh": MLPClassifier((6,), activation="tanh", max_iter=40, random_state=0),
    "bayes": GaussianNB(),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=3),
    "calibrated_isotonic": CalibratedClassifierCV(LogisticRegression(), cv=3, method="isotonic"),
    "ada": AdaBoostClassifier(n_estimators=5, random_state=0),
    "bagging": BaggingClassifier(n_estimators=4, random_state=0),
    "stacking": StackingClassifier([("one", LogisticRegression()), ("two", GaussianNB())]),
    "voting": VotingClassifier(
        [("one", LogisticRegression()), ("two", GaussianNB())], voting="soft", flatten_transform=False
    ),
    "descent": SGDClassifier(loss="log_loss", random_state=0),
    "lightgbm": lightgbm.LGBMClassifier(n_estimators=8, verbose=-1),
    "xgboost": xgboost.XGBClassifier(n_estimators=8),
}
failures = {}
for name, estimator in classifiers.items():
    for target_name, target in {"two": two, "three": three, "words": words}.items():
        if target_name == "words" and name == "xgboost":
            continue
        pipeline = make_pipeline(prepared(), estimator).fit(gaps, target)
        for layout in ([False, True, "columns"] if name in ("forest", "lightgbm", "xgboost", "logistic") else [False]):
            options = {id(pipeline): {"zipmap": layout}}
            if name.startswith("neighbors"):
                options[id(estimator)] = {"optim": "cdist"}
            case = f"{name}_{target_name}_{layout}"
            try:
                model = to_onnx(pipeline, initial_types=INITIAL, options=options,
                                target_opset=TARGETS if name in ("lightgbm", "xgboost") else None)
            except Exception as error:  # A converter that cannot is no failure of ours; the names are checked in Rust.
                failures[case] = f"{type(error).__name__}: {error}"[:200]
                continue
            add_onnx(case, model, strange)

regressors = {
    "forest": RandomForestRegressor(8, max_depth=5, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=8, random_state=0),
    "linear": LinearRegression(),
    "svr": SVR(),
    "neighbors": KNeighborsRegressor(4),
    "perceptron": MLPRegressor(hidden_layer_sizes=(8,), max_iter=40, random_state=0),
    "lightgbm": lightgbm.LGBMRegressor(n_estimators=8, verbose=-1),
    "xgboost": xgboost.XGBRegressor(n_estimators=8),
}
for name, estimator in regressors.items():
    pipeline = make_pipeline(prepared(), estimator).fit(gaps, number)
    options = {id(estimator): {"optim": "cdist"}} if name == "neighbors" else None
    model = to_onnx(pipeline, initial_types=INITIAL, options=options,
                    target_opset=TARGETS if name in ("lightgbm", "xgboost") else None)
    add_onnx(f"{name}_number", model, strange)

plain = mixed[["a", "b"]]
for step in [MinMaxScaler(), RobustScaler(), MaxAbsScaler(), Normalizer(), Normalizer("l1"), PolynomialFeatures(),
             KBinsDiscretizer(n_bins=3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), Binarizer(threshold=0.2)]:
    pipeline = make_pipeline(step, LogisticRegression()).fit(plain.to_numpy(np.float32), three)
    name = f"{type(step).__name__}_{getattr(step, 'norm', '')}"
    model = to_onnx(pipeline, plain.to_numpy(np.float32)[:1], options={"zipmap": False})
    add_onnx(name, model, plain, columns=["a", "b"])
ordinal = ColumnTransformer([
    ("texts", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c"]), ("rest", "passthrough", ["a"]),
])
model = to_onnx(make_pipeline(ordinal, RandomForestClassifier(5, random_state=0)).fit(mixed, words),
                initial_types=[INITIAL[0], INITIAL[2]] + INITIAL[1:2] + INITIAL[3:], options={"zipmap": False})
add_onnx("ordinal", model, mixed)


def hand_made(name, operator, outputs, frame, **attributes):
    """One operator by itself, with what onnxruntime makes of unusual attributes."""
    given = {key: value for key, value in attributes.items() if value != []}
    node = helper.make_node(operator, ["X"], outputs, domain="ai.onnx.ml", **given)
    infos = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(frame.columns)])]
    is_classifier = len(outputs) == 2
    made = [helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, None)]
    if is_classifier:
        made.insert(0, helper.make_tensor_value_info(outputs[0], TensorProto.INT64, None))
    graph = helper.make_graph([node], name, infos, made)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    add_onnx(name, model, frame, columns=list(frame.columns))


def stump(leaf, classes_of_leaves, weights, mode="BRANCH_LEQ", missing=0, trees=2):
    """Trees of one split each, on one column after the other."""
    lists = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                 "missing_value_tracks_true")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        for node in range(3):
            is_leaf = node > 0
            lists["treeids"].append(tree)
            lists["nodeids"].append(node)
            lists["featureids"].append(0 if is_leaf else tree % 2)
            lists["values"].append(0.0 if is_leaf else 0.3 * tree)
            lists["modes"].append("LEAF" if is_leaf else mode)
            lists["truenodeids"].append(0 if is_leaf else 1)
            lists["falsenodeids"].append(0 if is_leaf else 2)
            lists["missing_value_tracks_true"].append(0 if is_leaf else missing)
            if is_leaf:
                for output, weight in zip(classes_of_leaves, weights):
                    leaves["treeids"].append(tree)
                    leaves["nodeids"].append(node)
                    leaves["ids"].append(output)
                    leaves["weights"].append(weight * (0.4 if node == 1 else 1.0) * (tree + 1))
    return {f"nodes_{key}": value for key, value in lists.items()} | {
        f"{leaf}_{key}": value for key, value in leaves.items()
    }


holed = gaps[["a", "b"]].copy()
for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]:
    for missing in [0, 1]:
        hand_made(f"mode_{mode}_{missing}", "TreeEnsembleRegressor", ["Y"], holed, n_targets=1,
                  **stump("target", [0], [1.0], mode, missing))
for function in ["SUM", "AVERAGE", "MIN", "MAX"]:
    for base in [[], [0.25]]:
        hand_made(f"aggregate_{function}_{len(base)}", "TreeEnsembleRegressor", ["Y"], holed, n_targets=1, base_values=base,
                  aggregate_function=function, **stump("target", [0], [0.7]))
for transform in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]:
    for base in [[], [0.1], [0.1, 0.2]]:
        for leaf_classes, weights in [([0], [0.3]), ([1], [0.3]), ([0], [-0.3]), ([1], [-0.3]), ([0, 1], [0.2, 0.3])]:
            name = f"binary_{transform}_{len(base)}_{leaf_classes}_{weights[0]}"
            # With leaves for both classes onnxruntime answers 0 and 1, whatever the classes are called.
            hand_made(name, "TreeEnsembleClassifier", ["L", "Y"], holed, base_values=base, post_transform=transform,
                      classlabels_int64s=[0, 1] if len(leaf_classes) == 2 else [3, 7],
                      **stump("class", leaf_classes, weights))
    hand_made(f"many_{transform}", "TreeEnsembleClassifier", ["L", "Y"], holed, classlabels_int64s=[3, 7, 9],
              base_values=[0.1, 0.0, 0.2], post_transform=transform, **stump("class", [0, 2], [0.3, 0.1]))
    for base in [[], [0.1, 0.05, 0.2]]:
        for weights in [[0.2, 0.0, 0.1], [0.0, 0.2, 0.0], [0.0, 0.0, 0.0]]:
            if not base and not any(weights) and transform == "SOFTMAX_ZERO":
                continue  # onnxruntime divides by zero
            hand_made(f"zeros_{transform}_{len(base)}_{weights}", "TreeEnsembleClassifier", ["L", "Y"], holed,
                      classlabels_int64s=[3, 7, 9], base_values=base, post_transform=transform,
                      **stump("class", [0, 1, 2], weights))
    hand_made(f"linear_{transform}", "LinearClassifier", ["L", "Y"], plain, classlabels_ints=[3, 7],
              coefficients=[0.05, 0.02], intercepts=[0.4], post_transform=transform, multi_class=0)
    hand_made(f"linear_many_{transform}", "LinearClassifier", ["L", "Y"], plain, classlabels_ints=[3, 7, 9],
              coefficients=[0.03, 0.02, 0.02, 0.01, 0.0, 0.01], intercepts=[0.4, 0.3, 0.5], post_transform=transform)

# The libraries' own files.
frame = gaps[["a", "b", "d"]].copy()
frame["c"] = pd.Categorical(gaps.c)
frame.loc[::13, "c"] = np.nan
texts = gaps[["a", "b", "d"]].copy()
texts["c"] = frame.c.astype(object)


def add_lightgbm(name, model, rows, frame=None, is_class=None, text=None):
    booster = model.booster_ if hasattr(model, "booster_") else model
    file = f"{name}.lgb"
    booster.save_model(file)
    said = booster.predict(rows)
    columns = list(rows.columns)
    if is_class is None:
        is_class = hasattr(model, "predict_proba")
    if is_class:
        shares = np.column_stack([1 - said, said]) if said.ndim == 1 else said
        add(name, "lightgbm", file, frame, labels=shares.argmax(1), probabilities=shares, columns=columns)
    else:
        add(name, "lightgbm", file, frame, numbers=said, columns=columns)


quiet = {"n_estimators": 12, "verbose": -1, "min_data_per_group": 5, "cat_smooth": 1, "min_child_samples": 5}
spaced = frame.rename(columns={"a": "a a"})
spaced_texts = texts.rename(columns={"a": "a a"})
for target_name, target in {"two": two, "three": three}.items():
    for extra_name, extra in {
        "plain": {}, "onehot": {"max_cat_to_onehot": 8}, "sets": {"max_cat_to_onehot": 1}, "zero": {"zero_as_missing": True},
        "no_missing": {"use_missing": False}, "dart": {"boosting_type": "dart"},
        "rf": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    }.items():
        model = lightgbm.LGBMClassifier(**quiet | extra).fit(spaced, target)
        add_lightgbm(f"lgb_{target_name}_{extra_name}", model, spaced, spaced_texts)
model = lightgbm.LGBMClassifier(**quiet, objective="multiclassova").fit(spaced, three)
add_lightgbm("lgb_ova", model, spaced, spaced_texts)
positive = np.abs(number) + 0.1
for objective in ["regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie"]:
    model = lightgbm.LGBMRegressor(**quiet, objective=objective).fit(frame, positive)
    add_lightgbm(f"lgb_{objective}", model, frame, texts)
add_lightgbm("lgb_sqrt", lightgbm.LGBMRegressor(**quiet, reg_sqrt=True).fit(frame, number), frame, texts)
share = 1 / (1 + np.exp(-number))
for objective in ["cross_entropy", "cross_entropy_lambda"]:
    data = lightgbm.Dataset(frame, share)
    booster = lightgbm.train({"objective": objective, "verbose": -1}, data, 8)
    add_lightgbm(f"lgb_{objective}", booster, frame, texts)
codes = gaps[["a", "b", "d"]]
model = lightgbm.LGBMClassifier(**quiet, max_cat_to_onehot=1).fit(codes, three, categorical_feature=["d"])
odd = codes.copy()
odd["d"] = odd.d.astype(float)
odd.loc[5, "d"], odd.loc[6, "d"], odd.loc[7, "d"] = -3, 99, np.nan
add_lightgbm("lgb_codes", model, odd, odd)
model = lightgbm.LGBMRegressor(**quiet).fit(codes, np.ones(ROWS))
add_lightgbm("lgb_constant", model, codes, codes)


def add_xgboost(name, model, rows, frame, ending="json", is_class=None):
    file = f"{name}.{ending}"
    model.save_model(file)
    columns = list(rows.columns)
    if hasattr(model, "predict_proba"):
        shares = model.predict_proba(rows)
        add(name, "xgboost", file, frame, labels=model.predict(rows), probabilities=shares, columns=columns)
    else:
        add(name, "xgboost", file, frame, numbers=model.predict(rows), columns=columns)


# XGBoost 3.2 counts letters where bytes belong, and so cuts other letters than English ones off.
english = frame.assign(c=frame.c.cat.rename_categories({"zé": "ze"}))
english_texts = texts.assign(c=english.c.astype(object))
small = {"n_estimators": 12, "max_depth": 4}
for target_name, target in {"two": two, "three": three}.items():
    for extra_name, extra in {
        "plain": {}, "dart": {"booster": "dart", "rate_drop": 0.3}, "linear": {"booster": "gblinear"},
        "forest": {"num_parallel_tree": 3, "subsample": 0.7},
    }.items():
        kept = {key: value for key, value in small.items() if extra_name != "linear" or key != "max_depth"}
        model = xgboost.XGBClassifier(**kept | extra).fit(codes, target)
        for ending in ["json", "ubj"]:
            add_xgboost(f"xgb_{target_name}_{extra_name}_{ending}", model, codes, codes, ending)
    for extra_name, extra in {"onehot": {"max_cat_to_onehot": 8}, "sets": {"max_cat_to_onehot": 1}}.items():
        model = xgboost.XGBClassifier(**small | extra, enable_categorical=True).fit(english, target)
        for ending in ["json", "ubj"]:
            add_xgboost(f"xgb_{target_name}_{extra_name}_{ending}", model, english, english_texts, ending)
model = xgboost.XGBClassifier(**small, objective="binary:hinge").fit(codes, two)
model.save_model("xgb_hinge.json")
said = model.predict(codes).astype(int)
add("xgb_hinge", "xgboost", "xgb_hinge.json", codes, labels=said, probabilities=np.column_stack([1 - said, said]))
for objective in ["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "count:poisson", "reg:gamma",
                  "reg:tweedie", "reg:logistic", "reg:squaredlogerror", "reg:quantileerror"]:
    target = share if objective == "reg:logistic" else positive
    extra = {"quantile_alpha": 0.7} if objective == "reg:quantileerror" else {}
    model = xgboost.XGBRegressor(**small, objective=objective, **extra).fit(codes, target)
    add_xgboost(f"xgb_{objective.replace(':', '_')}", model, codes, codes)
model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3, base_score=0.3)
model.fit(codes[:200], two[:200], eval_set=[(codes[200:], two[200:])], verbose=False)
add_xgboost("xgb_stopped", model, codes, codes)
bare = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(codes.to_numpy(), two), 6)
bare.save_model("xgb_bare.json")
said = bare.predict(xgboost.DMatrix(codes.to_numpy()))
renamed = codes.rename(columns={"a": "f0", "b": "f1", "d": "f2"})
add("xgb_bare", "xgboost", "xgb_bare.json", renamed, labels=(said > 0.5).astype(int),
    probabilities=np.column_stack([1 - said, said]))

with open("cases.json", "w") as target:
    json.dump({"cases": cases, "tables": {key: value[1] for key, value in tables.items()}, "failures": failures, "refused": refused}, target)
print(json.dumps(len(cases)))
