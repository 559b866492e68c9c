"""Scores over a fixed list of labels, as functions of confusion matrices: so a thousand resamples cost one product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stancekit.labels import OUTCOMES, STANCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NO_STANCE = OUTCOMES.index("no_stance")
_RELATED = 0.25
"""What the Fake News Challenge gives for telling related from unrelated; an exact stance gives the rest."""


@dataclass(frozen=True)
class Counts:
    """Confusion matrices, gold down and predicted across; leading dimensions, such as resamples, are free.

    ``outcomes``: shape (…, 4, 4), all rows, each given its likeliest outcome. ``stances``: shape (…, 3, 3), the rows
    whose gold is a stance, each given its likeliest stance.
    """

    outcomes: NDArray[np.float64]
    stances: NDArray[np.float64]


def counts(
    gold: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
) -> Counts:
    """Return the confusion matrices of predictions, or one for every group of rows.

    Args:
        gold: indices in ``OUTCOMES``, shape (rows,).
        probabilities: shape (rows, 4), columns in the order of ``OUTCOMES``.
        groups: the group of every row, numbers from 0, shape (rows,); the matrices get a leading dimension for them.
    """
    outcomes, stances = len(OUTCOMES), len(STANCES)
    row_groups = np.zeros(len(gold), dtype=np.int64) if groups is None else groups
    number = int(row_groups.max(initial=-1)) + 1 if groups is not None else 1
    four = np.zeros((number, outcomes, outcomes))
    np.add.at(four, (row_groups, gold, probabilities.argmax(axis=1)), 1)
    has = gold < stances
    three = np.zeros((number, stances, stances))
    np.add.at(three, (row_groups[has], gold[has], probabilities[has, :stances].argmax(axis=1)), 1)
    return Counts(four, three) if groups is not None else Counts(four[0], three[0])


def scores_of(found: Counts, further: Sequence[str] = ()) -> dict[str, NDArray[np.float64]]:
    """Return the scores by their stable names, each in the shape of the leading dimensions of ``found``.

    A score whose denominator is zero is 0. The labels are fixed: one that neither occurs nor is predicted counts as an
    F1 of 0.

    Args:
        further: metrics beyond those of every evaluation, of ``stancekit.metric_names.FURTHER_METRICS``.
    """
    precision, recall, f1 = _each(found.outcomes)
    values = {
        "macro_f1": _each(found.stances)[2].mean(axis=-1),
        "accuracy": _accuracy(found.stances),
        "mcc": _mcc(found.stances),
        "macro_f1_outcomes": f1.mean(axis=-1),
        "accuracy_outcomes": _accuracy(found.outcomes),
        "mcc_outcomes": _mcc(found.outcomes),
    }
    for i, label in enumerate(OUTCOMES):
        values[f"{label}/precision"] = precision[..., i]
        values[f"{label}/recall"] = recall[..., i]
        values[f"{label}/f1"] = f1[..., i]
    if "f_avg" in further:
        values["f_avg"] = (values["supports/f1"] + values["rules_out/f1"]) / 2
    if "fnc" in further:
        values["fnc"] = _fnc(found.outcomes)
    return values


def score(gold: NDArray[np.int64], probabilities: NDArray[np.float64], further: Sequence[str] = ()) -> dict[str, float]:
    """Return the scores of predictions, by their stable names: ``scores_of`` for one set of rows, at least one."""
    return {name: float(value) for name, value in scores_of(counts(gold, probabilities), further).items()}


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole != 0))


def _each(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return precision, recall and F1 of every label, in the last dimension."""
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    predicted, gold = matrix.sum(axis=-2), matrix.sum(axis=-1)
    return _share(right, predicted), _share(right, gold), _share(2 * right, predicted + gold)


def _accuracy(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return _share(np.asarray(np.trace(matrix, axis1=-2, axis2=-1)), matrix.sum(axis=(-2, -1)))


def _mcc(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Matthews' correlation for several labels (Gorodkin, 2004)."""
    total = matrix.sum(axis=(-2, -1))
    gold, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    both = np.trace(matrix, axis1=-2, axis2=-1) * total - (gold * predicted).sum(axis=-1)
    spread = (total**2 - (gold**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return _share(both, np.sqrt(spread))


def macro_f1_of_present(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 of the labels that occur in the gold of each matrix, gold down, of shape (…, 3, 3)."""
    occurs = matrices.sum(axis=-1) > 0
    return np.asarray(np.where(occurs, _each(matrices)[2], 0).sum(axis=-1) / occurs.sum(axis=-1))


def _fnc(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.zeros((len(OUTCOMES), len(OUTCOMES)))
    weights[:_NO_STANCE, :_NO_STANCE] = _RELATED
    np.fill_diagonal(weights, 1.0)
    weights[_NO_STANCE, _NO_STANCE] = _RELATED
    gold = matrix.sum(axis=-1)
    attainable = (gold * weights.diagonal()).sum(axis=-1)
    return _share((matrix * weights).sum(axis=(-2, -1)), attainable)
