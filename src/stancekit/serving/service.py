"""A saved model behind MLflow's interface: one row out for every row in, in order, and a bad row says why.

It is loaded from code, so that nothing is pickled, and asked in three ways::

    mlflow models serve --model-uri runs:/RUN_ID/model --env-manager local --port 5001

    mlflow.pyfunc.load_model("runs:/RUN_ID/model").predict(frame)

    found = mlflow.pyfunc.spark_udf(spark, "runs:/RUN_ID/model", env_manager="local")
    rows.withColumn("found", found(struct("statement", "target", "holder"))).select("*", "found.*")

In Spark the columns go in as one struct, by name, and the result is a struct of the output columns in their types:
``result_type`` is left out, as MLflow takes it from the signature.

It answers with the probabilities that its run recorded. A faster engine is asked for as in ``stancekit.load``: with
``model_config={"engine": "auto", "precision": "auto", "threads": 1}`` in ``load_model`` and ``spark_udf``, and for a
server with the same as JSON in the environment variable ``MLFLOW_PYFUNC_INFERENCE_CONFIG``.
"""

from __future__ import annotations

from typing import Any

# Not for type checkers alone: MLflow looks the annotations of `predict` up at run time.
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

import stancekit
from stancekit.serving.frames import frame_of, rows_of

SAVED_MODEL = "saved_model"
"""The artifact of a logged model that is the saved model's folder."""


class StanceService(PythonModel):
    """A saved model that MLflow loads and asks; threads may share it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the saved model, once, behind the engine that the model's MLflow configuration asks for.

        Raises:
            UserError: its folder is not whole, a hash is wrong, the encoder of a delta cannot be had, or the engine
                cannot run it.
        """
        self._predictor = stancekit.load(context.artifacts[SAVED_MODEL], **(context.model_config or {}))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the predicted columns for every row with ``statement``, ``target`` and, if known, ``holder``.

        The index is that of ``model_input``.
        """
        return frame_of(self._predictor.results(rows_of(model_input)), model_input.index)
