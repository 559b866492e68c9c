"""How many rows there are, where that can be told without reading them as rows."""

from __future__ import annotations

from collections.abc import Sequence

from stancekit.files.parquet import row_count
from stancekit.files.sources import Source

_CHUNK = 1 << 20


def count_rows(sources: Sequence[Source]) -> int | None:
    """Return about how many rows lie in files on this machine; None where only reading them would tell.

    Lines stand for rows: a cell with line breaks counts for several, and so do blank lines.

    Raises:
        UserError: a file cannot be read, or is no Parquet file.
    """
    total = 0
    for source in sources:
        if source.path is None or source.format.compression is not None:
            return None
        if source.size() == 0:
            continue
        if source.format.suffix == ".parquet":
            with source.open() as stream:
                total += row_count(stream, source.name)
            continue
        with source.open() as stream:
            lines, last = 0, b"\n"
            while chunk := stream.read(_CHUNK):
                lines += chunk.count(b"\n")
                last = chunk[-1:]
        header = source.format.suffix != ".jsonl"
        total += max(0, lines + (last != b"\n") - header)
    return total
