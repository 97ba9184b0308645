"""The API of the stack that Fragua takes the place of: one pickled pipeline behind FastAPI."""

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["MODEL"])


class Record(BaseModel):
    Elevation: float
    Aspect: float
    Slope: float
    Horizontal_Distance_To_Hydrology: float
    Vertical_Distance_To_Hydrology: float
    Horizontal_Distance_To_Roadways: float
    Hillshade_9am: float
    Hillshade_Noon: float
    Hillshade_3pm: float
    Horizontal_Distance_To_Fire_Points: float
    Wilderness_Area: str
    Soil_Type: str


class Split(BaseModel):
    columns: list[str]
    data: list[list[float | str]]


class Frame(BaseModel):
    dataframe_split: Split


# A function that is not `async` runs on another thread, which costs more and gains nothing: Python runs one at a time.
@app.post("/predict")
async def predict(record: Record):
    frame = pd.DataFrame([record.model_dump()])
    return {"Prediction": int(model.predict(frame)[0]), "Model Version": 1}


@app.post("/invocations")
async def invocations(frame: Frame):
    split = frame.dataframe_split
    return {"predictions": model.predict(pd.DataFrame(split.data, columns=split.columns)).tolist()}
