"""Windows of rows scored on a Ray cluster: read and put in order here, scored by the workers with Ray Data.

The driver, which is this process, reads the rows, sets the bad ones aside and folds equal pairs as on one machine; only
the pairs that are new travel. So the windows, the batches in them and the digits are those of one machine. As many
windows are on their way as keep the workers busy, however many there are in all.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError
from stancekit.files import Row
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen
from stancekit.prediction.cluster_session import alive_nodes, on_workers, session, workers_of
from stancekit.prediction.cluster_worker import Desk, DeskHandle, Worker, given_out, identity, scored, sent
from stancekit.prediction.memo import Memo
from stancekit.prediction.overlap import ahead
from stancekit.prediction.rows import Window, windows
from stancekit.prediction.scoring import Scores

if TYPE_CHECKING:
    import pyarrow as pa
    from ray import ObjectRef

_AHEAD = 3
"""Windows for each worker: one that it scores, one that waits there, one on its way."""
_LOOK_SECONDS = 2.0
_LEAST_PATIENCE = 60.0
"""Seconds without anything coming back before something must be wrong, ..."""
_PATIENCE = 3
"""... and how many times as long as the slowest window has taken."""
_END_SECONDS = 10.0


def scored_on_ray(
    rows: Iterable[Row], memo: Memo, folder: Path, engine: EngineConfig, same_as: Chosen | None = None
) -> Iterator[Window]:
    """Yield the rows as scored windows, in order, while later ones are being scored.

    A session of Ray that this process has is used and left as it is; otherwise one is begun, and ended at the end.

    Args:
        memo: as for one machine.
        folder: where the model lies; nodes that do not have it there are sent its files.
        engine: what the workers open it with, and which cluster they are on.
        same_as: the model as it was opened here; a worker that would compute otherwise is refused. None: not looked at.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached or has no room for a worker, or a window could
            not be scored; says why.
    """
    engine = on_workers(engine)
    with session(engine):
        workers = workers_of(engine)
        print(
            f"cluster: {workers:,} workers of {engine.threads} threads, {len(alive_nodes()):,} nodes", file=sys.stderr
        )
        source = ahead(windows(rows, engine.window_rows, _Elsewhere(), memo))
        with closing(_Stream(folder, engine, workers, same_as)) as stream:
            yield from _in_order(source, stream, _AHEAD * workers)


class _Elsewhere:
    """Stands in for a scorer where windows are made: their pairs are to travel as they are."""

    description = "ray"

    def prepare(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        return pairs

    def score(self, prepared: Sequence[Pair]) -> Scores:
        raise NotImplementedError("the workers do that")


def _in_order(source: Iterator[Window], stream: _Stream, most: int) -> Iterator[Window]:
    """Yield the windows in order, scored, with ``most`` of them on their way at a time."""
    waiting: deque[Window] = deque()
    away: dict[int, Window] = {}
    numbers = count()
    while True:
        while len(waiting) < most and (window := next(source, None)) is not None:
            waiting.append(window)
            if window.prepared:
                number = next(numbers)
                away[number] = window
                stream.give(number, window.prepared)
            else:
                window.new.scores = Scores(np.zeros((0, len(OUTCOMES))), np.zeros(0, dtype=np.bool_), {})
        if not waiting:
            return
        while waiting[0].new.scores is None:
            for row in stream.collect():
                away.pop(row["window"]).new.scores = scored(row)
                if row["attempt"] > 1:
                    print(f"note: window {row['window'] + 1:,} was begun anew: its worker died", file=sys.stderr)
            if stream.stuck():
                print("note: nothing comes back any more; what is away is given to others", file=sys.stderr)
                for number, window in away.items():
                    stream.give(number, window.prepared)
        yield waiting.popleft()


class _Stream:
    """Windows through Ray Data to the workers, with the desk at both ends.

    A worker whose node is lost keeps the windows that it had, for the day when it is begun anew elsewhere; where there
    is no room for that, they are given out again.
    """

    def __init__(self, folder: Path, engine: EngineConfig, workers: int, same_as: Chosen | None) -> None:
        """Begin the workers."""
        import pyarrow as pa
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        context = DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A row, which is a whole window, makes a block by itself and goes on at once.
        context.target_max_block_size = 1
        self._desk: DeskHandle = ray.remote(Desk).options(num_cpus=0, label_selector=here).remote()
        expected = None if same_as is None else identity(same_as)
        with DataContext.current(context):
            begin = ray.data.from_arrow(pa.table({"place": [0]}))
            # It needs no processor: Ray Data neither takes one from a worker for it, nor makes it a part of one.
            given = begin.map_batches(partial(given_out, desk=self._desk), num_cpus=0, label_selector=here)
            self._done = given.map_batches(
                Worker,
                fn_constructor_args=(folder, engine, expected, _files(folder), self._desk),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=engine.threads,
                compute=ActorPoolStrategy(size=workers),
            )
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="stancekit-cluster", daemon=True)
        self._thread.start()
        self._times: dict[int, float] = {}
        self._longest = 0.0
        self._patience = _LEAST_PATIENCE
        self._first = self._last = math.inf

    def _run(self) -> None:
        try:
            for _ in self._done.iter_batches():
                pass
            raise EOFError("the stream of windows has ended")
        except Exception as error:
            self._failed = error

    def give(self, number: int, pairs: Sequence[Pair]) -> None:
        """Give out a window."""
        import ray

        self._times[number] = time.monotonic()
        with _in_one_line():
            ray.get(self._desk.give.remote(number, sent(number, pairs)))

    def collect(self) -> list[Mapping[str, Any]]:
        """Return the scores that have come back since the last time, as rows; wait a little where there are none.

        Raises:
            UserError: the cluster has failed.
        """
        import ray

        with _in_one_line():
            if self._failed is not None:
                raise self._failed
            found: list[pa.Table] = ray.get(self._desk.collect.remote(_LOOK_SECONDS))
        rows = [row for table in found for row in table.to_pylist()]
        if rows:
            self._last = time.monotonic()
            self._first = min(self._first, self._last)
            # How long workers take to begin says nothing of how long windows take.
            begun = [max(self._first, self._times.pop(row["window"])) for row in rows]
            self._longest = max(self._longest, self._last - min(begun))
        return rows

    def stuck(self) -> bool:
        """Return whether nothing has come back for longer than a slow window takes; the next time after twice as long.

        Before anything came back there is nothing to compare with.
        """
        now = time.monotonic()
        if now - self._last < max(self._patience, _PATIENCE * self._longest):
            return False
        self._patience *= 2
        self._last = now
        return True

    def close(self) -> None:
        """End the workers, once they are done with what they are at, but for one that hangs."""
        import ray

        # Of a cluster that has failed nothing more is asked.
        with suppress(Exception):
            self._desk.end.remote()
            self._thread.join(_END_SECONDS)
            ray.kill(self._desk)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Say in one line what goes wrong with Ray itself, which tells it in pages."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "cause", None) or error
        said = str(cause).strip().partition("\n")[0]
        raise UserError(f"engine.cluster=ray: the cluster failed: {type(cause).__name__}: {said}") from error


def _files(folder: Path) -> ObjectRef[dict[str, bytes]] | None:
    """Return the files of a model, for the nodes that do not have it; None where this node is the only one."""
    import ray

    if len(alive_nodes()) == 1:
        return None
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return ray.put({str(path.relative_to(folder)): path.read_bytes() for path in paths})
