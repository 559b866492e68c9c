"""Rows read and put in order here, and scored by the workers of a Ray cluster.

The driver, which is this process, reads the rows, sets the bad ones aside and folds equal pairs as on one machine; only
the pairs that are new travel. So the windows, the batches in them and the digits are those of one machine. As many
windows are on their way as keep the workers busy, however many there are in all.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np

from stancekit.config.schema import EngineConfig
from stancekit.files import Row
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen
from stancekit.prediction.cluster.desk import scored
from stancekit.prediction.cluster.session import alive_nodes, session, threads_of, workers_of
from stancekit.prediction.cluster.stream import Stream
from stancekit.prediction.memo import Memo
from stancekit.prediction.overlap import ahead
from stancekit.prediction.rows import Window, windows
from stancekit.prediction.scoring import Scores

_AHEAD = 3
"""Windows for each worker: one that it scores, one that waits there, one on its way."""


def scored_on_ray(
    rows: Iterable[Row], memo: Memo, folder: Path, engine: EngineConfig, same_as: Chosen | None = None
) -> Iterator[Window]:
    """Yield the rows as scored windows, in order, while later ones are being scored.

    A session of Ray that this process has is used and left as it is; otherwise one is begun, and ended at the end.

    Args:
        rows: as they are read.
        memo: as for one machine.
        folder: where the model lies; nodes that do not have it there are sent its files.
        engine: what the workers open it with, and which cluster they are on.
        same_as: the model as it was opened here; a worker that would compute otherwise is refused. None: not looked at.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached or has no room for a worker, or a window could
            not be scored; says why.
    """
    with session(engine):
        workers = workers_of(engine)
        each, nodes = threads_of(engine), len(alive_nodes())
        print(f"cluster: workers {workers:,}, threads of each {each:,}, nodes {nodes:,}", file=sys.stderr)
        source = ahead(windows(rows, engine.window_rows, _Elsewhere(), memo))
        with closing(Stream(folder, engine, workers, same_as)) as stream:
            yield from _in_order(source, stream, _AHEAD * workers)


class _Elsewhere:
    """Stands in for a scorer where windows are made: their pairs are to travel as they are."""

    description = "ray"

    def prepare(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        return pairs

    def score(self, prepared: Sequence[Pair]) -> Scores:
        raise NotImplementedError("the workers do that")


def _in_order(source: Iterator[Window], stream: Stream, most: int) -> Iterator[Window]:
    """Yield the windows in order, scored, with ``most`` of them here at a time."""
    here: deque[Window] = deque()
    away: dict[int, Window] = {}
    numbers = count()
    while True:
        while len(here) < most and (window := next(source, None)) is not None:
            here.append(window)
            if window.prepared:
                number = next(numbers)
                away[number] = window
                stream.give(number, window.prepared)
            else:
                window.new.scores = Scores(np.zeros((0, len(OUTCOMES))), np.zeros(0, dtype=np.bool_), {})
        if not here:
            return
        while here[0].new.scores is None:
            for row in stream.collect():
                away.pop(row["window"]).new.scores = scored(row)
                if row["attempt"] > 1:
                    _say(f"window {row['window'] + 1:,} was begun {row['attempt']} times: a worker died, or hangs")
            if stream.stuck():
                _say("nothing comes back any more: what is away is given to other workers")
                for number, window in away.items():
                    stream.give(number, window.prepared)
        yield here.popleft()


def _say(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)
