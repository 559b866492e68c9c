"""Scores of rows that share a value: a phenomenon, a topic, a range of lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stancekit.evaluation.metrics import counts, macro_f1_of_present
from stancekit.evaluation.model import Slice
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import STANCES
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTHS = ((15, "1–15"), (30, "16–30"), (50, "31–50"))
"""The most words of a bin, and its name."""
_LONGEST = "over 50"


def slices(predictions: Predictions, columns: Sequence[str], least: int) -> list[Slice]:
    """Return the scores of every slice that has at least ``least`` rows with a stance as gold, the worst first.

    A slice is all rows with the same value in a column. A list puts its row into a slice for each value; an empty cell
    puts it into none. Two columns are made here and always there: ``words``, the length of the statement, and
    ``holder``, known or unknown; a column of ``columns`` with such a name takes its place.

    ``macro_f1`` is that of the three stances on rows with a stance as gold, but the mean over the stances that occur in
    the slice's gold alone: over a fixed list, a slice of one label could not score above a third. It is for finding
    weak spots, and not comparable between slices whose labels differ. ``rows`` and ``accuracy_outcomes`` count all rows
    of the slice.
    """
    values: dict[str, Callable[[Pair], Iterable[str]]] = {"words": _length, "holder": _holder}
    values |= {column: partial(cell_values, column=column) for column in columns}
    found = []
    for name, values_of in values.items():
        members: dict[str, list[int]] = defaultdict(list)
        for number, pair in enumerate(predictions.pairs):
            for value in values_of(pair):
                members[value].append(number)
        for value, numbers in members.items():
            rows = np.array(numbers)
            if (predictions.gold[rows] < len(STANCES)).sum() >= max(least, 1):
                found.append(_slice(name, value, predictions, rows))
    return sorted(found, key=_badness)


def worst(found: Iterable[Slice], number: int) -> tuple[Slice, ...]:
    """Return the ``number`` slices of the lowest macro-F1, the worst first."""
    return tuple(sorted(found, key=_badness)[:number])


def cell_values(pair: Pair, column: str) -> set[str]:
    """Return the values that a pair has in a column: every one of a list, none of an empty cell."""
    cell = pair.column(column)
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return {str(value) for value in cells if value is not None and str(value).strip()}


def _badness(one: Slice) -> tuple[float, str, str]:
    return one.macro_f1, one.name, one.value


def _length(pair: Pair) -> tuple[str]:
    words = len(pair.statement.split())
    return (next((name for most, name in _LENGTHS if words <= most), _LONGEST),)


def _holder(pair: Pair) -> tuple[str]:
    return ("known" if pair.holder else "unknown",)


def _slice(name: str, value: str, predictions: Predictions, rows: NDArray[np.int64]) -> Slice:
    gold = predictions.gold[rows]
    f1 = macro_f1_of_present(counts(gold, predictions.probabilities[rows]).stances)
    right = predictions.predicted[rows] == gold
    return Slice(name, value, len(rows), float(f1), float(right.mean()))
