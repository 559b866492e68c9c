"""One row as it was read, and how many are to be passed over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input.

    Attributes:
        number: from 1: the row's or, in JSONL, the line's; through all files where there are several.
        values: its columns; what could be read of them where there is an ``error``.
        error: why it could not be read, if so; where there are several files, it begins with the file and the place.
        source: the name of its file where there are several.
    """

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    source: str | None = None


@dataclass(slots=True)
class Skip:
    """The rows at the beginning that are still to be passed over, counted down by whoever meets them."""

    rows: int = 0

    def take(self, available: int = 1) -> int:
        """Return how many of the next ``available`` rows are to be passed over, and count them as passed."""
        taken = min(self.rows, available)
        self.rows -= taken
        return taken
