"""The rows of ./train.csv and ./test.csv as the regression tests prepare them."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TARGET, TEXTS = "Elevation", ["Wilderness_Area", "Soil_Type"]
train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
numbers = [name for name in train if name not in [TARGET, "weight", *TEXTS]]
columns = ColumnTransformer([
    ("numbers", StandardScaler(), numbers),
    ("texts", OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), TEXTS),
])
train_values, test_values = columns.fit_transform(train), columns.transform(test)
