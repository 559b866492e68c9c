"""Scores over a fixed list of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from stancekit.labels import OUTCOMES, STANCES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def score(gold: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Return the scores of predictions, by their stable names.

    ``macro_f1`` and ``accuracy`` are three-way: rows whose gold is one of the stances, each given its likeliest stance.
    ``macro_f1_outcomes``, ``accuracy_outcomes`` and the scores of each label (``supports/f1``, …) are over all rows and
    all four outcomes. A score whose denominator is zero is 0.
    There must be at least one row.

    Args:
        gold: indices in ``OUTCOMES``, shape (rows,).
        probabilities: shape (rows, 4), columns in the order of ``OUTCOMES``.
    """
    predicted = probabilities.argmax(axis=1)
    has_stance = gold < len(STANCES)
    stance_gold = gold[has_stance]
    stance_predicted = probabilities[has_stance, : len(STANCES)].argmax(axis=1)
    stances, outcomes = range(len(STANCES)), range(len(OUTCOMES))
    values = {
        "macro_f1": _macro_f1(stance_gold, stance_predicted, stances),
        "accuracy": float(accuracy_score(stance_gold, stance_predicted)) if len(stance_gold) else 0.0,
        "macro_f1_outcomes": _macro_f1(gold, predicted, outcomes),
        "accuracy_outcomes": float(accuracy_score(gold, predicted)),
    }
    each = precision_recall_fscore_support(gold, predicted, labels=list(outcomes), zero_division=0)
    for i, label in enumerate(OUTCOMES):
        for name, column in zip(("precision", "recall", "f1"), each, strict=False):
            values[f"{label}/{name}"] = float(column[i])
    return values


def _macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: range) -> float:
    if not len(gold):
        return 0.0
    return float(f1_score(gold, predicted, labels=list(labels), average="macro", zero_division=0))


def confusion(gold: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how often gold (rows) was predicted as what (columns), both in the order of ``OUTCOMES``."""
    return np.asarray(confusion_matrix(gold, probabilities.argmax(axis=1), labels=list(range(len(OUTCOMES)))))
