"""What runs a saved model: the seam for faster engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from stancekit.models.base import Prediction
from stancekit.models.saved import load_model
from stancekit.pairs.model import Pair


class Engine(Protocol):
    """Scores pairs; one instance serves one saved model."""

    def predict(self, pairs: Sequence[Pair]) -> Prediction:
        """Return the outcome probabilities of every pair, in order."""
        ...


class TorchEngine:
    """The model as it was trained, on the GPU where torch sees one."""

    def __init__(self, folder: Path, batch_size: int) -> None:
        """Load the saved model in ``folder``."""
        self._model = load_model(folder).model
        self._batch_size = batch_size

    def predict(self, pairs: Sequence[Pair]) -> Prediction:
        """Return the outcome probabilities of every pair, in order."""
        return self._model.predict(pairs, self._batch_size)


ENGINES: dict[str, Callable[[Path, int], Engine]] = {"torch": TorchEngine}
"""Every engine by the name that ``engine=`` takes; the schema lists the same names."""
