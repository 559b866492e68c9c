"""From which confidence on a model's answers can be relied on, and what is left when it abstains below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.evaluation.model import Bin

RIGHT = 0.9
"""The share of answers that should be right."""

_BINS = 15
"""How many bins of equal width a report sorts confidence into; each holds its upper edge."""


@dataclass(frozen=True)
class Answered:
    """The share of the rows that is answered, and the share of these that is right; None where no row is."""

    share: float
    right: float | None


def least_confidence(bins: Sequence[Bin], right: float = RIGHT) -> float | None:
    """Return the lowest edge of a bin such that of all rows above it at least ``right`` are right.

    Returns:
        None where not even the surest rows are right so often.
    """
    edges = sorted({_lower_edge(one) for one in bins if one.rows})
    return next((edge for edge in edges if (answered(bins, edge).right or 0) >= right), None)


def answered(bins: Sequence[Bin], least: float) -> Answered:
    """Return how many rows are answered, and how many of these rightly, when only those above ``least`` are.

    Args:
        bins: of a report; there must be at least one row in them.
        least: an edge, as ``least_confidence`` returns it.
    """
    above = [one for one in bins if one.rows and _lower_edge(one) >= least]
    rows = sum(one.rows for one in above)
    right = sum(one.rows * one.accuracy for one in above) / rows if rows else None
    return Answered(rows / sum(one.rows for one in bins), right)


def _lower_edge(one: Bin) -> float:
    # The mean confidence of a bin lies in it; a rounding error above an edge is still on it.
    return (math.ceil(one.confidence * _BINS - 1e-9) - 1) / _BINS
