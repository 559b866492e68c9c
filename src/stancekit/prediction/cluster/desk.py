"""Where the windows of a driver are given out and their scores handed in, and how both travel.

A window travels as one row of an Arrow table, its columns lists as long as the window: Ray Data parts blocks between
rows alone, so a window stays whole and is batched as on one machine.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.scoring import Scores

_TEXTS = pa.large_list(pa.large_string())
_SENT = pa.schema([("window", pa.int64()), ("statement", _TEXTS), ("holder", _TEXTS), ("target", _TEXTS)])
_SCORED = pa.schema(
    [
        ("window", pa.int64()),
        ("attempt", pa.int64()),
        ("probabilities", pa.large_list(pa.float64())),
        ("truncated", pa.large_list(pa.bool_())),
        ("error_at", pa.large_list(pa.int64())),
        ("errors", _TEXTS),
        ("failure", pa.large_string()),
    ]
)


def sent(number: int, pairs: Sequence[Pair]) -> pa.Table:
    """Return the pairs of a window as they travel."""
    columns = [[pair.statement for pair in pairs], [pair.holder for pair in pairs], [pair.target for pair in pairs]]
    return pa.table([[number], *([column] for column in columns)], schema=_SENT)


def pairs_of(window: pa.Table) -> list[Pair]:
    """Return the pairs of a window that was ``sent``."""
    (row,) = window.to_pylist()
    cells = zip(row["statement"], row["target"], row["holder"], strict=True)
    return [Pair(statement, target, holder) for statement, target, holder in cells]


def handed_in(number: int, attempt: int, scores: Scores | None, failure: str | None = None) -> pa.Table:
    """Return the scores of a window, or why there are none, as they travel."""
    values: dict[str, Any] = {"window": number, "attempt": attempt, "failure": failure}
    if scores is not None:
        values |= {
            "probabilities": scores.probabilities.ravel(),
            "truncated": scores.truncated,
            "error_at": list(scores.errors),
            "errors": list(scores.errors.values()),
        }
    return pa.table([[values.get(name)] for name in _SCORED.names], schema=_SCORED)


def scored(row: Mapping[str, Any]) -> Scores:
    """Return the scores in a row that was ``handed_in``.

    Raises:
        UserError: there are none; says why.
    """
    if row["failure"] is not None:
        raise UserError(row["failure"])
    probabilities = np.array(row["probabilities"], dtype=np.float64).reshape(-1, len(OUTCOMES))
    errors = dict(zip(row["error_at"], row["errors"], strict=True))
    return Scores(probabilities, np.array(row["truncated"], dtype=np.bool_), errors)


class Desk:
    """What is away and what has come back; an actor on the driver's node.

    Both lie here and not with Ray Data alone: a task that is begun anew finds the windows that it had, and a node that
    is lost takes no scores with it.
    """

    def __init__(self) -> None:
        """Begin with nothing on it."""
        self._given: list[int] = []
        self._windows: dict[int, pa.Table] = {}
        self._attempts: Counter[int] = Counter()
        self._scored: list[pa.Table] = []
        self._changed = asyncio.Condition()

    async def give(self, number: int, window: pa.Table) -> None:
        """Give out a window, not for the first time perhaps."""
        async with self._changed:
            self._windows[number] = window
            self._given.append(number)
            self._changed.notify_all()

    async def take(self, place: int) -> pa.Table:
        """Return what was given out in such a place, from 0, once it was; for what is done, a window without pairs."""
        async with self._changed:
            await self._changed.wait_for(lambda: place < len(self._given))
        number = self._given[place]
        return self._windows[number] if number in self._windows else sent(number, [])

    async def begin(self, number: int) -> int:
        """Return how often a window was begun to be scored, this time included."""
        self._attempts[number] += 1
        return self._attempts[number]

    async def hand_in(self, number: int, scores: pa.Table) -> None:
        """Take the scores of a window; those that come a second time are the same."""
        async with self._changed:
            if self._windows.pop(number, None) is not None:
                self._scored.append(scores)
                self._changed.notify_all()
            self._attempts.pop(number, None)

    async def collect(self, seconds: float) -> list[pa.Table]:
        """Return what was handed in since the last time; nothing if nothing is within so many seconds."""
        async with self._changed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait_for(lambda: self._scored), seconds)
            found, self._scored = self._scored, []
        return found


DeskHandle = Any
"""The handle of a desk; Ray's own type for it knows no methods."""


def given_out(_: object, desk: DeskHandle) -> Iterator[pa.Table]:
    """Yield the windows that are given out, without end: the task that the stream begins with."""
    import ray

    for place in count():
        yield ray.get(desk.take.remote(place))
