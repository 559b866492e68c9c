"""A model's scores on labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stancekit.evaluation.metrics import confusion, score
from stancekit.models.base import StanceModel, label_indices
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Evaluation:
    """Scores by their stable names, and the confusion matrix: gold down, predicted across, as ``OUTCOMES``."""

    scores: dict[str, float]
    matrix: NDArray[np.int64]


def evaluate(model: StanceModel, pairs: Sequence[Pair], batch_size: int) -> Evaluation:
    """Return how a model does on labelled pairs, of which there must be at least one."""
    gold = label_indices(pairs)
    probabilities = model.predict(pairs, batch_size).probabilities
    return Evaluation(score(gold, probabilities), confusion(gold, probabilities))
