"""How far a run over many rows is: a bar on a terminal, otherwise a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from stancekit.prediction.bar import Bar

_LINE_EVERY = 60.0
"""Seconds between two lines; a run that is shorter says nothing."""


class Progress:
    """Counts the rows that are done, from any thread, and says so on standard error; rows per second, time left."""

    def __init__(
        self,
        total: int | None,
        label: str,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        """Say nothing yet.

        Args:
            total: how many rows there are; None where nobody knows.
            label: what is being done.
            done: how many of them an earlier run did, which says nothing of the speed of this one.
            clock: seconds, from any beginning.
            stream: where to write; standard error by default.
        """
        self._total = total
        self._label = label
        self._done = self._done_before = done
        self._clock = clock
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._begun = self._said = clock()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show the bar, where there is a terminal for it."""
        self._begun = self._said = self._clock()
        if self._stream.isatty():
            from stancekit.prediction.bar import Bar

            self._bar = Bar(self._total, self._label, self._done, self._clock, self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def update(self, rows: int) -> None:
        """Count rows that were done since the last call."""
        with self._lock:
            self._done += rows
            if self._bar is not None:
                self._bar.advance(rows)
                return
            now = self._clock()
            if now - self._said >= _LINE_EVERY:
                self._said = now
                print(self._line(now - self._begun), file=self._stream, flush=True)

    def _line(self, seconds: float) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        rate = (self._done - self._done_before) / seconds
        line = f"{self._label}: {self._done:,}{of} rows, {speed(rate)}"
        if self._total is None or rate == 0:
            return line
        return f"{line}, {duration(max(0, self._total - self._done) / rate)} left"


def speed(rate: float) -> str:
    """Return rows per second for people: ``1,020 a second``, ``0.4 a second``."""
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second"


def duration(seconds: float) -> str:
    """Return a time for people, to two digits or so: ``40 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
