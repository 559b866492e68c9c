"""What speaks against a score, in words: nobody has to ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from stancekit.evaluation.bootstrap import LEVEL, drawn_scores, interval
from stancekit.evaluation.hidden import warnings_of
from stancekit.evaluation.metrics import counts, score
from stancekit.evaluation.model import Hidden, Score, Warned
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES, STANCES
from stancekit.metric_names import HEADLINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GUESSING = 1 / len(STANCES)
_FEW_CLUSTERS = 10
_COPIES = 0.005
_ROTATED = 0.05
_BETTER_THAN_GUESSING = 0.3
_ORDERS = sorted(
    permutations(range(len(OUTCOMES))), key=lambda order: sum(j != column for j, column in enumerate(order))
)
"""In which the names of the outcomes could be meant: first as they are, then those that move fewer of them."""


def suspicions(
    predictions: Predictions,
    scores: Mapping[str, Score],
    hidden: Mapping[str, Hidden],
    copies: NDArray[np.bool_] | None,
    needs_target: float,
) -> Iterator[Warned]:
    """Yield what a reader must know before believing the scores, the gravest first.

    Args:
        copies: for every row whether its statement was trained on; None where that is not known.
        needs_target: how much macro-F1 hiding the target, or the statement, must cost.
    """
    if copies is not None and copies.mean() > _COPIES:
        yield _leaked(predictions, copies)
    if found := _rotated(predictions):
        yield found
        # A score under wrong names rises as readily as it falls: the columns that move it are used.
        hidden = {column: one for column, one in hidden.items() if abs(one.cost.value) < needs_target}
    yield from warnings_of(hidden, needs_target)
    headline = scores[HEADLINE]
    if headline.low <= _GUESSING:
        yield Warned("guessing", f"macro-F1 {headline} is not shown to be better than guessing ({_GUESSING:.3f})")
    never = set(range(len(STANCES))) & set(predictions.gold) - set(predictions.predicted)
    for i in sorted(never):
        rows = int((predictions.gold == i).sum())
        said = f"the model never says {OUTCOMES[i]}, the label of {rows} row{'s' * (rows > 1)}"
        yield Warned("missing label", said)
    if (clusters := len(set(predictions.clusters))) < _FEW_CLUSTERS:
        yield Warned("few clusters", f"the rows fall into {clusters} clusters only: the intervals are too narrow")


def _leaked(predictions: Predictions, copies: NDArray[np.bool_]) -> Warned:
    said = (
        f"the statements of {int(copies.sum())} of {len(copies)} rows ({copies.mean():.1%}), or near-copies of them, "
    )
    said += "were trained on: the score is too high"
    new = predictions.take(np.flatnonzero(~copies))
    if (new.gold < len(STANCES)).any():
        said += f"; macro-F1 on the other {len(new.pairs)} rows is {score(new.gold, new.probabilities)[HEADLINE]:.3f}"
    return Warned("trained on", said)


def _rotated(predictions: Predictions) -> Warned | None:
    """Return a warning where the same predictions under other label names score clearly better than as they are.

    Clearly: by five points, beyond what a constant answer reaches, and beyond the interval of the difference, which is
    that of the luckiest of all orders (Bonferroni's correction): a model that guesses always has an order that looks
    better.
    """
    gold, probabilities, groups = predictions.gold, predictions.probabilities, predictions.groups
    shares = _shares(predictions)
    scores = {
        order: score(gold, probabilities[:, list(order)])["macro_f1_outcomes"]
        for order in _ORDERS
        if _is_borne_out(order, shares)
    }
    order = max(scores, key=lambda one: scores[one])
    own, best = scores[_ORDERS[0]], scores[order]
    if best - own < _ROTATED or best < _BETTER_THAN_GUESSING:
        return None
    renamed = drawn_scores(gold, probabilities[:, list(order)], groups)["macro_f1_outcomes"]
    as_it_is = drawn_scores(gold, probabilities, groups)["macro_f1_outcomes"]
    if interval(renamed - as_it_is, 1 - (1 - LEVEL) / len(_ORDERS))[0] <= 0:
        return None
    # Column j of the renamed probabilities is the model's column order[j].
    said = ", ".join(f"'{OUTCOMES[column]}' means {OUTCOMES[j]}" for j, column in enumerate(order) if j != column)
    return Warned(
        "label names",
        f"the labels look mixed up: read as {said}, the same predictions score {best:.3f} over four outcomes instead "
        f"of {own:.3f}; check the order of the label names in the training data and in the model",
    )


def _shares(predictions: Predictions) -> NDArray[np.float64]:
    """Return for every gold outcome (down) the share of its rows that is called each outcome (across)."""
    matrix = counts(predictions.gold, predictions.probabilities).outcomes
    return np.asarray(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))


def _is_borne_out(order: Sequence[int], shares: NDArray[np.float64]) -> bool:
    """Return whether every outcome that is read anew is called by its new name more than either is by its own.

    Otherwise a model that only avoids a label, as one of natural language inference avoids no_stance, would be taken
    for one whose names are mixed up.
    """
    moved = [(j, column) for j, column in enumerate(order) if j != column]
    return all(shares[j, column] >= max(shares[j, j], shares[column, column]) for j, column in moved)
