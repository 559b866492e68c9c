"""The bar of a run over many rows; a module of its own, as only a terminal needs what draws it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from stancekit.prediction.progress import duration, speed


class Bar:
    """A bar on a terminal, drawn from the moment it is made until ``stop``; any thread may advance it."""

    def __init__(self, total: int | None, label: str, done: int, clock: Callable[[], float], stream: TextIO) -> None:
        """Draw it with ``done`` rows of ``total``, which may be unknown; ``clock`` gives seconds."""
        self._drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Rows(done),
            console=Console(file=stream),
            # Rows may be on their way to standard output.
            redirect_stdout=False,
            get_time=clock,
        )
        self._task = self._drawn.add_task(label, total=total, completed=done)
        self._drawn.start()

    def advance(self, rows: int) -> None:
        """Move on by so many rows."""
        self._drawn.advance(self._task, rows)

    def stop(self) -> None:
        """Draw it a last time and leave it there."""
        self._drawn.stop()


class _Rows(ProgressColumn):
    """How many rows of how many, how many a second in this run, and the time left."""

    def __init__(self, done_before: int) -> None:
        super().__init__()
        self._done_before = done_before

    def render(self, task: Task) -> Text:
        said = f"{task.completed:,.0f}" + ("" if task.total is None else f" of {task.total:,.0f}") + " rows"
        now = task.completed - self._done_before
        if not now or not task.elapsed:
            return Text(said)
        rate = now / task.elapsed
        said += f", {speed(rate)}"
        left = task.remaining
        return Text(said if not left else f"{said}, {duration(left / rate)} left")
