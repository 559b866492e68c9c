"""Windows through Ray Data to the workers, with the desk at both ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen
from stancekit.prediction.cluster.desk import Desk, DeskHandle, given_out, sent
from stancekit.prediction.cluster.session import alive_nodes, threads_of
from stancekit.prediction.cluster.worker import Worker, as_opened, identity, model_files

if TYPE_CHECKING:
    import pyarrow as pa

_LOOK_SECONDS = 2.0
_LEAST_PATIENCE = 60.0
"""Seconds without anything coming back before something must be wrong, ..."""
_PATIENCE = 3
"""... and how many times as long as the slowest window has taken."""
_END_SECONDS = 10.0
_NOBODYS = -1


class Stream:
    """Gives windows to workers that Ray Data begins, keeps supplied, and begins anew when they die.

    A worker whose node is lost keeps the windows that it had, for when it is begun anew on another. Where there is no
    room for it, nothing more comes of them, and they have to be given out again.
    """

    def __init__(self, folder: Path, engine: EngineConfig, workers: int, same_as: Chosen | None) -> None:
        """Begin the workers; the arguments are those of ``scored_on_ray``."""
        import pyarrow as pa
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        # Where this node is the only one, it has the model.
        files = None if len(alive_nodes()) == 1 else ray.put(model_files(folder, same_as))
        expected = None
        if same_as is not None:
            expected, engine = identity(same_as), as_opened(engine, same_as)
        self._desk: DeskHandle = ray.remote(Desk).options(num_cpus=0, label_selector=here).remote()
        context = DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # A row, which is a whole window, makes a block by itself and goes on at once.
        context.target_max_block_size = 1
        with DataContext.current(context):
            begin = ray.data.from_arrow(pa.table({"place": [0]}))
            # It needs no processor: Ray Data neither takes one from a worker for it, nor makes it a part of one.
            given = begin.map_batches(partial(given_out, desk=self._desk), num_cpus=0, label_selector=here)
            self._done = given.map_batches(
                Worker,
                fn_constructor_args=(folder, engine, expected, files, self._desk),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=threads_of(engine),
                compute=ActorPoolStrategy(size=workers),
            )
        self._times: dict[int, float] = {}
        self._longest = 0.0
        self._patience = _LEAST_PATIENCE
        self._first = self._last = math.inf
        self._failed: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stancekit-cluster", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            # One at a time, and none fetched ahead: the last one must not wait for another.
            for _ in self._done.iter_batches(batch_size=None, prefetch_batches=0):
                if self._ended.is_set():
                    return
            self._failed = "the stream of windows has ended"
        except Exception as error:
            self._failed = _in_one_line(error)

    def give(self, number: int, pairs: Sequence[Pair]) -> None:
        """Give out a window.

        Raises:
            UserError: the cluster has failed.
        """
        import ray

        self._times[number] = time.monotonic()
        with _explained():
            ray.get(self._desk.give.remote(number, sent(number, pairs)))

    def collect(self) -> list[Mapping[str, Any]]:
        """Return the scores that have come back since the last time, as rows; wait a little where there are none.

        Raises:
            UserError: the cluster has failed.
        """
        import ray

        if self._failed is not None:
            raise _failure(self._failed)
        with _explained():
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
        """End the workers."""
        self._ended.set()
        # The stream is left when something comes out of it; that ends all of it at once, what hangs included. Of a
        # cluster that has failed nothing comes.
        with suppress(Exception):
            self._desk.give.remote(_NOBODYS, sent(_NOBODYS, []))
            self._thread.join(_END_SECONDS)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _failure(_in_one_line(error)) from error


def _failure(said: str) -> UserError:
    return UserError(f"engine.cluster=ray: the cluster failed: {said}")


def _in_one_line(error: Exception) -> str:
    """Return what went wrong with Ray itself, which tells it in pages."""
    cause = getattr(error, "cause", None) or error
    said = str(cause).strip().partition("\n")[0]
    return f"{type(cause).__name__}: {said}"
