"""How far a download in parts is: a bar on a terminal, otherwise a line per part."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


@contextmanager
def part_by_part(name: str, parts: int, folder: Path, say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Show how far the download of so many parts is; gives the function to call with the name of each that is there.

    Args:
        folder: where the parts grow, whatever writes them.
        say: prints a line where there is no terminal for a bar.
    """
    if not sys.stderr.isatty():
        numbers = itertools.count(1)
        yield lambda part: say(f"  part {next(numbers)} of {parts}: {part}")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("parts"),
        _BytesIn(folder),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=parts)
        yield lambda _: bar.advance(task)


class _BytesIn(ProgressColumn):
    """How many bytes a folder holds at the moment: what another process has downloaded into it so far."""

    max_refresh = 0.5

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def render(self, task: Task) -> Text:
        return Text(decimal(bytes_in(self._folder)))


def bytes_in(folder: Path) -> int:
    """Return the size of all files below a folder in bytes; files may come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
