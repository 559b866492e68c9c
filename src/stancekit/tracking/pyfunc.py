"""How MLflow loads a saved model: ``mlflow.pyfunc.load_model`` calls ``_load_pyfunc``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.models.saved import load_model
from stancekit.pairs.model import pair_from_row

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 64


class StancePyfunc:
    """A saved model behind MLflow's interface."""

    def __init__(self, model: StanceModel) -> None:
        """Keep the loaded model."""
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return stance and probabilities for every row with ``statement``, ``target`` and, if known, ``holder``."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {str(name): value for name, value in row.items()} for row in model_input.to_dict("records")
        ]
        prediction = self._model.predict([pair_from_row(row) for row in rows], _BATCH)
        columns = {f"p_{label}": prediction.probabilities[:, i] for i, label in enumerate(OUTCOMES)}
        return pd.DataFrame({"stance": prediction.outcomes(), **columns})


def _load_pyfunc(data_path: str) -> StancePyfunc:
    return StancePyfunc(load_model(Path(data_path)).model)
