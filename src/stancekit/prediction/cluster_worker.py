"""What runs on a Ray cluster: the desk beside the driver, and the workers with the model.

A window travels as one row of an Arrow table, its columns lists as long as the window: Ray Data parts blocks between
rows alone, so a window stays whole and is batched as on one machine.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stancekit import __version__
from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen, open_scorer
from stancekit.prediction.scoring import Scorer, Scores

if TYPE_CHECKING:
    from ray import ObjectRef

MOST_ATTEMPTS = 5
"""How often a window is tried whose worker dies over it: more, and the window is what kills them."""

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


def scored(row: Mapping[str, Any]) -> Scores:
    """Return the scores in a row that a worker gave back.

    Raises:
        UserError: it could not score the window; says why, and where.
    """
    if row["failure"] is not None:
        raise UserError(row["failure"])
    probabilities = np.array(row["probabilities"], dtype=np.float64).reshape(-1, len(OUTCOMES))
    errors = dict(zip(row["error_at"], row["errors"], strict=True))
    return Scores(probabilities, np.array(row["truncated"], dtype=np.bool_), errors)


class Desk:
    """Where windows are given out and their scores handed in; an actor on the driver's node.

    Both lie here and not with Ray Data alone: a task that is begun anew finds the windows that it had, and a node that
    is lost takes no scores with it.
    """

    def __init__(self) -> None:
        """Begin with nothing on it."""
        self._given: list[int] = []
        self._windows: dict[int, pa.Table] = {}
        self._attempts: Counter[int] = Counter()
        self._scored: list[pa.Table] = []
        self._ended = False
        self._changed = asyncio.Condition()

    async def give(self, number: int, window: pa.Table) -> None:
        """Give out a window, not for the first time perhaps."""
        async with self._changed:
            self._windows[number] = window
            self._given.append(number)
            self._changed.notify_all()

    async def take(self, place: int) -> pa.Table | None:
        """Return what was given out in such a place, from 0, once it was; for what is done, a window without pairs.

        None stands for the end.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or place < len(self._given))
        if place >= len(self._given):
            return None
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
                del self._attempts[number]
                self._scored.append(scores)
                self._changed.notify_all()

    async def collect(self, seconds: float) -> list[pa.Table]:
        """Return what was handed in since the last time; nothing if nothing is within so many seconds."""
        async with self._changed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait_for(lambda: self._scored), seconds)
            found, self._scored = self._scored, []
        return found

    async def end(self) -> None:
        """Give out nothing more, nor again."""
        async with self._changed:
            self._ended = True
            self._windows.clear()
            self._changed.notify_all()


DeskHandle = Any
"""The handle of a desk; Ray's own type for it knows no methods."""


def given_out(_: object, desk: DeskHandle) -> Iterator[pa.Table]:
    """Yield the windows that are given out: the task that the stream begins with."""
    import ray

    for place in count():
        window = ray.get(desk.take.remote(place))
        if window is None:
            return
        yield window


class Worker:
    """Scores windows one at a time, with the model opened once."""

    def __init__(
        self,
        folder: Path,
        engine: EngineConfig,
        computes_as: Mapping[str, str | int] | None,
        files: ObjectRef[dict[str, bytes]] | None,
        desk: DeskHandle,
    ) -> None:
        """Keep what is needed to open the model, which the first window does.

        Args:
            folder: where the model lies on the driver's node, and perhaps here.
            engine: what it is opened with.
            computes_as: what the driver's engine says of itself, which must be the same here for the same digits.
            files: those in the folder, for a node that has none; None where all share one.
            desk: takes the scores.
        """
        self._folder = folder
        self._engine = engine
        self._computes_as = computes_as
        self._files = files
        self._desk = desk
        self._scorer: Scorer | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Hand in the scores of a window, or why there are none, and return its number."""
        import ray

        ray.get(self._desk.hand_in.remote(batch["window"][0].as_py(), self.scored(batch)))
        return batch.select(["window"])

    def scored(self, batch: pa.Table) -> pa.Table:
        """Return the scores of a window as they travel, or why there are none: Ray tells in pages what is raised."""
        (row,) = batch.to_pylist()
        columns = (row["statement"], row["target"], row["holder"])
        pairs = [Pair(statement, target, holder) for statement, target, holder in zip(*columns, strict=True)]
        found: dict[str, Any] = {name: None for name in _SCORED.names} | {"window": row["window"]}
        try:
            found["attempt"] = self._begin(row["window"])
            scores = self._score(pairs)
        except UserError as error:
            found["failure"] = f"a worker on {socket.gethostname()}: {error}"
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            said = str(error).strip().partition("\n")[0]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            found["failure"] = f"a worker on {socket.gethostname()} failed: {type(error).__name__}: {said} ({where})"
        else:
            found |= {
                "probabilities": scores.probabilities.ravel(),
                "truncated": scores.truncated,
                "error_at": list(scores.errors),
                "errors": list(scores.errors.values()),
            }
        return pa.table([[found[name]] for name in _SCORED.names], schema=_SCORED)

    def _begin(self, number: int) -> int:
        import ray

        attempt: int = ray.get(self._desk.begin.remote(number))
        if attempt > MOST_ATTEMPTS:
            raise UserError(
                f"window {number + 1:,} was begun {attempt - 1} times and never done: its workers died; it may take "
                "more memory than there is: try fewer engine.workers, or smaller engine.window_rows"
            )
        return attempt

    def _score(self, pairs: Sequence[Pair]) -> Scores:
        if self._scorer is None:
            self._scorer = self._opened().scorer
        return self._scorer.score(self._scorer.prepare(pairs))

    def _opened(self) -> Chosen:
        if self._folder.is_dir() or self._files is None:
            chosen = open_scorer(self._folder, self._engine)
        else:
            import ray

            # What is opened is in memory, or stays readable until it is closed: nothing is left behind on the node.
            with tempfile.TemporaryDirectory(prefix="stancekit-model-") as name:
                for file, data in ray.get(self._files).items():
                    path = Path(name, file)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                chosen = open_scorer(Path(name), self._engine)
        if self._computes_as is not None:
            refuse_other(self._computes_as, identity(chosen))
        return chosen


def identity(chosen: Chosen) -> dict[str, str | int]:
    """Return what must be the same on the driver and on every worker, so that the same digits come out."""
    return {"stancekit": __version__, "model": chosen.model["sha256"], **chosen.engine}


def refuse_other(driver: Mapping[str, str | int], worker: Mapping[str, str | int]) -> None:
    """Refuse a worker that would compute otherwise than the driver.

    Raises:
        UserError: says in what they differ.
    """
    names = [name for name in dict.fromkeys([*driver, *worker]) if driver.get(name) != worker.get(name)]
    if names:
        lines = [f"  {name}: {worker.get(name, 'none')}, on the driver {driver.get(name, 'none')}" for name in names]
        listed = "\n".join(lines)
        raise UserError(
            f"would compute otherwise than the driver, and other digits could come out:\n{listed}\n"
            "  expected: the same versions and processors that compute in the same formats, or engine.precision=fp32"
        )
