"""One row out for every row in, in order; a bad row becomes a row that says why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from stancekit.errors import UserError
from stancekit.files import Row
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair, pair_from_row

if TYPE_CHECKING:
    # At run time the verb brings the engine, and with it torch, only when all else is in order.
    from stancekit.prediction.engine import Engine

PREDICTED_COLUMNS = (
    "stance",
    *(f"p_{outcome}" for outcome in OUTCOMES),
    "confidence",
    "status",
    "error",
    "truncated",
)


def label_rows(rows: Iterable[Row], engine: Engine, chunk_rows: int) -> Iterator[dict[str, Any]]:
    """Yield every row with the predicted columns after its own; at most ``chunk_rows`` rows are held at a time."""
    stream = iter(rows)
    while chunk := list(islice(stream, chunk_rows)):
        results: list[dict[str, Any] | None] = []
        pairs: list[Pair] = []
        for row in chunk:
            try:
                if row.error:
                    raise ValueError(row.error)
                pairs.append(pair_from_row(row.values))
                results.append(None)
            except ValueError as error:
                results.append(_bad(str(error)))
        labelled = iter(_labelled(pairs, engine))
        for row, result in zip(chunk, results, strict=True):
            # Columns of ours that the input already has, as from an earlier prediction, are replaced.
            own = {name: value for name, value in row.values.items() if name not in PREDICTED_COLUMNS}
            yield {**own, **(result or next(labelled))}


def _labelled(pairs: list[Pair], engine: Engine) -> list[dict[str, Any]]:
    if not pairs:
        return []
    try:
        prediction = engine.predict(pairs)
    except UserError as error:
        # One pair that cannot be scored must not cost the others: halves find it.
        if len(pairs) == 1:
            return [_bad(str(error))]
        middle = len(pairs) // 2
        return _labelled(pairs[:middle], engine) + _labelled(pairs[middle:], engine)
    rows = zip(prediction.outcomes(), prediction.probabilities, prediction.truncated, strict=True)
    return [
        {
            "stance": outcome,
            **{f"p_{name}": round(float(p), 6) for name, p in zip(OUTCOMES, probabilities, strict=True)},
            "confidence": round(float(probabilities.max()), 6),
            "status": "ok",
            "error": None,
            "truncated": bool(truncated),
        }
        for outcome, probabilities, truncated in rows
    ]


def _bad(reason: str) -> dict[str, Any]:
    return {**dict.fromkeys(PREDICTED_COLUMNS), "status": "error", "error": reason, "truncated": False}
