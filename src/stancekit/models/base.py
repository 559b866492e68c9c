"""The one interface of every model, transformer or baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """Probabilities of shape (pairs, 4), columns in the order of ``OUTCOMES``; and whether a statement was cut."""

    probabilities: NDArray[np.float64]
    truncated: NDArray[np.bool_]

    def outcomes(self) -> list[str]:
        """Return the likeliest of the four outcomes of every pair."""
        return [OUTCOMES[i] for i in self.probabilities.argmax(axis=1)]


class StanceModel(Protocol):
    """What training returns, a folder keeps and prediction uses."""

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        """Return a probability for every outcome of every pair, in the order of the pairs."""
        ...

    def write(self, folder: Path) -> None:
        """Write the model's own files into an existing folder."""
        ...


def label_indices(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Return the index in ``OUTCOMES`` of every pair's label."""
    return np.array([OUTCOMES.index(str(pair.label)) for pair in pairs], dtype=np.int64)
