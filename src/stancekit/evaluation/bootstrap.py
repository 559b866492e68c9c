"""Intervals around scores: clusters of rows are drawn anew, since rows of one story or topic are not independent.

The bootstrap is that of Efron & Tibshirani (1993, An Introduction to the Bootstrap, chapter 13: percentile intervals),
with whole clusters drawn rather than rows (Field & Welsh, 2007, Bootstrapping clustered data). Every metric is a
function of a confusion matrix, and that of a resample is the sum of its clusters' matrices: so all draws cost one
product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stancekit.evaluation.metrics import Counts, counts, score, scores_of
from stancekit.evaluation.model import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stancekit.evaluation.predictions import Predictions

DRAWS = 1000
"""How many resamples an interval is made of."""

LEVEL = 0.95
"""The share of resamples that an interval holds."""


def resample(groups_count: int, draws: int, seed: int) -> NDArray[np.int64]:
    """Return how often each cluster is drawn, shape (draws, groups_count); every row sums to ``groups_count``.

    The same count and seed give the same draws: two models that are scored on the same rows are resampled together,
    which is what makes a bootstrap of their difference a paired one.

    Raises:
        ValueError: there is no cluster to draw.
    """
    if groups_count < 1:
        raise ValueError("no cluster to draw from")
    generator = np.random.default_rng(seed)
    drawn = np.empty((draws, groups_count), dtype=np.int64)
    # Counting uniform draws is multinomial too, and several times faster than numpy's multinomial for many clusters.
    for i in range(draws):
        drawn[i] = np.bincount(generator.integers(groups_count, size=groups_count), minlength=groups_count)
    return drawn


def drawn_scores(
    gold: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.int64],
    further: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of every resample, by their stable names, each of shape (draws,).

    Args:
        gold: indices in ``OUTCOMES``, shape (rows,), at least one row.
        probabilities: shape (rows, 4), columns in the order of ``OUTCOMES``.
        groups: the cluster of every row, numbers from 0 without gaps, shape (rows,).
        further: metrics beyond those of every evaluation, of ``stancekit.metric_names.FURTHER_METRICS``.
        draws: how many resamples; memory is 16 bytes for each of them and each cluster.
        seed: what the draws follow from; see ``resample``.

    Raises:
        ValueError: there are no rows.
    """
    by_cluster = counts(gold, probabilities, groups)
    weights = resample(len(by_cluster.outcomes), draws, seed).astype(np.float64)
    drawn = Counts(
        np.tensordot(weights, by_cluster.outcomes, axes=1),
        np.tensordot(weights, by_cluster.stances, axes=1),
    )
    return scores_of(drawn, further)


def interval(drawn: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of drawn scores: as much is cut off below as above (Efron & Tibshirani, 1993)."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def scored(
    predictions: Predictions, further: Sequence[str] = (), draws: int = DRAWS, seed: int = 0
) -> dict[str, Score]:
    """Return the scores of predictions by their stable names: the value on the rows themselves, with its interval.

    With a single cluster every resample is the rows themselves, so the interval is the value: it then says nothing of
    how sure the score is. With few clusters intervals are too narrow, and one need not hold its value.

    Raises:
        ValueError: there are no rows.
    """
    drawn = drawn_scores(predictions.gold, predictions.probabilities, predictions.groups, further, draws, seed)
    values = score(predictions.gold, predictions.probabilities, further)
    return {name: Score(value, *interval(drawn[name])) for name, value in values.items()}
