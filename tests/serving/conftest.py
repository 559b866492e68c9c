"""The session's trained model as MLflow keeps it, and rows to ask it about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stancekit.models.saved import load_model
from stancekit.pairs.model import Pair
from stancekit.tracking.registry import find_model
from tests.conftest import labelled_rows
from tests.models.test_shipped import TRACKING

ROWS = [{name: row[name] for name in ("statement", "target", "holder")} for row in labelled_rows(12, seed=3)]
P = ("p_supports", "p_rules_out", "p_leaves_open", "p_no_stance")


@dataclass(frozen=True)
class Logged:
    """A logged model: its run, the home of its store, the saved model's folder and MLflow's folder around it."""

    run_id: str
    home: Path
    saved: Path
    folder: Path
    probabilities: NDArray[np.float64]

    @property
    def store(self) -> str:
        """The tracking URI of its store."""
        return f"sqlite:///{self.home / 'mlflow.db'}"


@pytest.fixture(scope="session")
def logged(trained: tuple[str, Path]) -> Logged:
    """The model of the session's trained run, with the probabilities that it gives the rows outside MLflow."""
    run_id, home = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        saved = find_model(run_id, TRACKING)
    pairs = [Pair(**row) for row in ROWS]
    probabilities = load_model(saved).model.predict(pairs, 5).probabilities
    return Logged(run_id, home, saved, saved.parents[1], probabilities)
