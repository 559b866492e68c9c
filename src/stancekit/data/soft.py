"""Soft labels: the probabilities that a teacher gave a row, in the columns in which `stancekit predict` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

COLUMNS = tuple(f"p_{outcome}" for outcome in OUTCOMES)
"""One column for every outcome, in the order of ``OUTCOMES``."""

_ROUNDING = 0.02


def soft_labels(pair: Pair, where: str) -> Mapping[str, float]:
    """Return a pair's soft labels as ``soft_columns`` does.

    Raises:
        UserError: they are none; names the pair and ``where`` it stands.
    """
    try:
        return soft_columns(pair)
    except ValueError as error:
        raise UserError(f"{where}: the row of {pair.statement[:60]!r}…: {error}") from error


def soft_columns(pair: Pair) -> Mapping[str, float]:
    """Return a pair's soft labels by column; none where it has no such column, or they are all empty.

    Raises:
        ValueError: some are missing, one is no probability, or they do not add up to 1: those of a teacher with other
            label names, for instance.
    """
    given = {name: pair.column(name) for name in pair.extra if name.startswith("p_")}
    if all(value is None for value in given.values()):
        return {}
    if missing := [name for name in COLUMNS if given.get(name) is None]:
        found = ", ".join(sorted(name for name, value in given.items() if value is not None))
        raise ValueError(f"soft labels: no value in '{missing[0]}' (found: {found}; expected: {', '.join(COLUMNS)})")
    values = {}
    for name in COLUMNS:
        try:
            values[name] = float(given[name])
        except (TypeError, ValueError):
            values[name] = math.nan
        if not 0 <= values[name] <= 1:
            raise ValueError(f"soft labels: expected a probability in '{name}', found {given[name]!r}")
    if abs(total := sum(values.values()) - 1) > _ROUNDING:
        raise ValueError(f"soft labels: {', '.join(COLUMNS)} add up to {1 + total:.2f}, expected 1")
    return values
