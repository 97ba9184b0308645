"""What the scripts share: the clients of the server under test, and how to be refused."""

import os

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

MLFLOW_2 = mlflow.__version__.startswith("2.")
address = os.environ["MLFLOW_TRACKING_URI"]
client = MlflowClient()


def refused(code, call):
    try:
        call()
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, error.message)
        return error.message
    raise AssertionError(f"not refused with {code}")
