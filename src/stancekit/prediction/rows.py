"""One row out for every row in, in order; a bad row becomes a row that says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from stancekit.files import Row
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.prediction.memo import Block, Memo
from stancekit.prediction.scoring import Scorer

PROBABILITIES = tuple(f"p_{outcome}" for outcome in OUTCOMES)
PREDICTED_COLUMNS = ("stance", *PROBABILITIES, "confidence", "status", "error", "truncated")
_REPLACED = frozenset(PREDICTED_COLUMNS)
_DIGITS = 6


@dataclass(frozen=True)
class Window:
    """Rows that are read, scored and written at a time, ready for the engine.

    Attributes:
        rows: as they were read.
        bad: why a row is no pair, by its place.
        places: where each other row's score will be, by its place.
        new: the pairs that were not met before; ``prepared`` is what the scorer made of them.
    """

    rows: Sequence[Row]
    bad: Mapping[int, str]
    places: Mapping[int, tuple[Block, int]]
    new: Block
    prepared: Any


def windows(rows: Iterable[Row], size: int, scorer: Scorer, memo: Memo) -> Iterator[Window]:
    """Yield the rows in windows of ``size``, bad ones set aside, the pairs that are new prepared for the scorer."""
    stream = iter(rows)
    while chunk := list(islice(stream, size)):
        yield prepare(chunk, scorer, memo)


def prepare(rows: Sequence[Row], scorer: Scorer, memo: Memo) -> Window:
    """Return rows as one window."""
    bad: dict[int, str] = {}
    pairs: dict[int, Pair] = {}
    for place, row in enumerate(rows):
        try:
            if row.error:
                raise ValueError(row.error)
            pairs[place] = pair_from_row(row.values)
        except ValueError as error:
            bad[place] = str(error)
    block, new, found = memo.fold(list(pairs.values()))
    return Window(rows, bad, dict(zip(pairs, found, strict=True)), block, scorer.prepare(new))


def score(window: Window, scorer: Scorer) -> None:
    """Score what is new in a window; the windows before it must have been scored."""
    window.new.scores = scorer.score(window.prepared)


def labelled(window: Window) -> list[dict[str, Any]]:
    """Return the predicted columns of every row of a scored window."""
    results = []
    for place in range(len(window.rows)):
        if (reason := window.bad.get(place)) is not None:
            results.append(bad_result(reason))
            continue
        block, at = window.places[place]
        assert block.scores is not None
        if (reason := block.scores.errors.get(at)) is not None:
            results.append(bad_result(reason))
            continue
        values = block.scores.probabilities[at]
        best = int(values.argmax())
        probabilities = [round(value, _DIGITS) for value in values.tolist()]
        results.append(
            {
                "stance": OUTCOMES[best],
                **dict(zip(PROBABILITIES, probabilities, strict=True)),
                "confidence": probabilities[best],
                "status": "ok",
                "error": None,
                "truncated": bool(block.scores.truncated[at]),
            }
        )
    return results


def labelled_rows(window: Window) -> list[dict[str, Any]]:
    """Return every row of a scored window with the predicted columns after its own; older ones of ours are replaced."""
    return [
        {**{name: value for name, value in row.values.items() if name not in _REPLACED}, **result}
        for row, result in zip(window.rows, labelled(window), strict=True)
    ]


def count(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how many rows there are of every outcome, and how many bad ones, as ``error``."""
    return Counter(row["stance"] or "error" for row in rows)


def bad_result(reason: str) -> dict[str, Any]:
    """Return the predicted columns of a row that could not be labelled."""
    return {**dict.fromkeys(PREDICTED_COLUMNS), "status": "error", "error": reason, "truncated": False}
