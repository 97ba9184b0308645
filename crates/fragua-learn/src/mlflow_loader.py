"""Runs a model written by Fragua: a data frame goes in, a data frame of label and probabilities comes out.

MLflow's own loader for ONNX hands columns over as they are; onnxruntime then refuses the text columns of
pandas 3 and takes missing texts for the word "nan".
"""

import numpy as np
import onnxruntime
import pandas as pd


def _texts(column):
    return np.array(["" if pd.isna(value) else str(value) for value in column], dtype=object)


_READERS = {
    "tensor(string)": _texts,
    "tensor(int64)": lambda column: column.to_numpy(dtype=np.int64),
    "tensor(double)": lambda column: column.to_numpy(dtype=np.float64, na_value=np.nan),
}


class _Model:
    def __init__(self, path):
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(self, data, params=None):
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        inputs = {item.name: _READERS[item.type](frame[item.name]) for item in self._session.get_inputs()}
        names = [item.name for item in self._session.get_outputs()]
        return pd.DataFrame(dict(zip(names, self._session.run(names, inputs))), index=frame.index)


def _load_pyfunc(path, model_config=None):
    return _Model(path)
