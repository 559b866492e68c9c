"""What hiding a column costs: a model that loses little without the target, or the statement, does not read stance.

After the hypothesis-only baselines of natural language inference (Poliak et al., 2018), but with the model as it is:
nothing is trained anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from stancekit.evaluation.bootstrap import drawn_scores, interval
from stancekit.evaluation.metrics import score
from stancekit.evaluation.model import Hidden, Score, Warned
from stancekit.evaluation.predicting import predict_unique
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import STANCES
from stancekit.metric_names import HEADLINE
from stancekit.models.base import StanceModel
from stancekit.pairs.model import Pair

Column = Literal["statement", "target", "holder"]

COLUMNS: tuple[Column, ...] = ("statement", "target", "holder")
"""What can be hidden, in the order of a report."""

_MEANING: dict[str, str] = {
    "target": "this model hardly uses the target, so its score says little about stance",
    "statement": "this model hardly uses the statement: its score can be had from target and holder alone",
}
"""What it means that a column is hardly used. Holders have none: most statements have one holder only."""


def hidden_pairs(pairs: Sequence[Pair], column: Column) -> list[Pair]:
    """Return the pairs with one column hidden: an empty statement or target, or an unknown holder."""
    if column == "holder":
        return [replace(pair, holder=None) for pair in pairs]
    if column == "target":
        return [replace(pair, target="") for pair in pairs]
    return [replace(pair, statement="") for pair in pairs]


def hide(model: StanceModel, predictions: Predictions, batch_size: int, draws: int, seed: int = 0) -> dict[str, Hidden]:
    """Return, by column, the three-way macro-F1 with that column hidden and what hiding it costs.

    The cost is the full score less the hidden one. Its 95 % interval comes from a paired cluster bootstrap: both scores
    are taken on the same resamples of whole clusters.

    Args:
        predictions: what ``model`` said of the rows with nothing hidden.
        draws: number of resamples.

    Returns:
        The columns in the order of ``COLUMNS``. ``holder`` is left out where no pair has one, and all are where no gold
        label is a stance: there is no three-way score then.
    """
    gold, groups, pairs = predictions.gold, predictions.groups, predictions.pairs
    if not (gold < len(STANCES)).any():
        return {}
    full = score(gold, predictions.probabilities)[HEADLINE]
    full_drawn = drawn_scores(gold, predictions.probabilities, groups, draws=draws, seed=seed)[HEADLINE]
    found: dict[str, Hidden] = {}
    for column in COLUMNS:
        if column == "holder" and not any(pair.holder for pair in pairs):
            continue
        probabilities = predict_unique(model, hidden_pairs(pairs, column), batch_size)
        value = score(gold, probabilities)[HEADLINE]
        drawn = drawn_scores(gold, probabilities, groups, draws=draws, seed=seed)[HEADLINE]
        found[column] = Hidden(value, Score(full - value, *interval(full_drawn - drawn)))
    return found


def warnings_of(hidden: Mapping[str, Hidden], least: float = 0.10) -> list[Warned]:
    """Return a warning for the target, and for the statement, where hiding it costs less than ``least`` of macro-F1."""
    return [
        Warned(f"{column} hidden", f"{_said(column, hidden[column])}: {meaning}")
        for column, meaning in _MEANING.items()
        if column in hidden and hidden[column].cost.value < least
    ]


def _said(column: str, found: Hidden) -> str:
    cost = found.cost
    before, after = (f"{value:.3f}".removeprefix("0") for value in (found.macro_f1 + cost.value, found.macro_f1))
    return (
        f"hiding the {column} costs {_points(cost.value)} points of macro-F1 "
        f"({before} -> {after}; 95 % interval {_points(cost.low)} to {_points(cost.high)})"
    )


def _points(value: float) -> str:
    # Adding zero turns the -0.0 that rounding can leave into 0.0.
    return f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "−")
