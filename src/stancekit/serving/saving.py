"""How a saved model is written as an MLflow model: with code that loads it, signature and input example, unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from stancekit import __version__
from stancekit.prediction.rows import PREDICTED_COLUMNS
from stancekit.serving.frames import FLAG, NUMBERS
from stancekit.serving.service import SAVED_MODEL

if TYPE_CHECKING:
    import pandas as pd

FLAVOR = "pyfunc.ModelFromCode"
"""What MLflow calls models of this kind."""

ENGINE = {"engine": "torch", "precision": "fp32", "threads": None}
"""What ``stancekit.load`` is asked for: the digits of the run wherever it is served; MLflow lets it be overridden."""

_CODE = Path(__file__).with_name("model_code.py")


def save_model(path: str, folder: Path, input_example: pd.DataFrame, mlflow_model: Model | None = None) -> None:
    """Write the saved model in ``folder`` as an MLflow model into a new folder, in which it lies unchanged.

    ``Model.log`` calls it with a model of its own, for a model that is logged.
    """
    model = mlflow_model or Model()
    mlflow.pyfunc.save_model(
        path=path,
        mlflow_model=model,
        python_model=str(_CODE),
        artifacts={SAVED_MODEL: str(folder)},
        model_config=dict(ENGINE),
        signature=_signature(),
        input_example=input_example,
        pip_requirements=[f"stancekit=={__version__}"],
    )
    _forget_where(model, folder)
    model.save(str(Path(path, MLMODEL_FILE_NAME)))


def _signature() -> ModelSignature:
    text = DataType.string
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(text, "statement"),
        ColSpec(text, "target"),
        ColSpec(text, "holder", required=False),
    ]
    kinds = {FLAG: DataType.boolean, **dict.fromkeys(NUMBERS, DataType.double)}
    always = ("status", FLAG)
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(kinds.get(name, text), name, required=name in always) for name in PREDICTED_COLUMNS
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _forget_where(model: Model, folder: Path) -> None:
    """Take out where code and folder lay on this machine: MLflow needs the names alone, and others read them."""
    flavor = model.flavors[mlflow.pyfunc.FLAVOR_NAME]
    flavor["model_code_path"] = _CODE.name
    flavor["artifacts"][SAVED_MODEL]["uri"] = folder.name
