"""How far two passes of labelling agree: raw, and Cohen's kappa (Cohen, 1960)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.labels import OUTCOMES


@dataclass(frozen=True, slots=True)
class Agreement:
    """``raw``: the share of rows with the same label; ``kappa``: what is left of it beyond chance, NaN if undefined."""

    rows: int
    raw: float
    kappa: float

    def __str__(self) -> str:
        """Say the three numbers."""
        return f"raw {self.raw:.3f}, κ {self.kappa:.3f} ({self.rows} rows)"


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Return the agreement of two passes over the same rows; there must be at least one row.

    Kappa is undefined where both passes give every row the same one label.
    """
    from sklearn.metrics import cohen_kappa_score

    raw = sum(one == other for one, other in zip(first, second, strict=True)) / len(first)
    same = len({*first, *second}) == 1
    return Agreement(len(first), raw, math.nan if same else float(cohen_kappa_score(list(first), list(second))))


def agreement_by_label(first: Sequence[str], second: Sequence[str]) -> dict[str, Agreement]:
    """Return, for every outcome that occurs, the agreement of two passes on whether a row has it."""
    found = {}
    for label in OUTCOMES:
        if label in first or label in second:
            one, other = ([("yes" if given == label else "no") for given in labels] for labels in (first, second))
            found[label] = agreement(one, other)
    return found
