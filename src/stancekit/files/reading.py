"""The rows of any source, one after the other."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from stancekit.errors import UserError
from stancekit.files.compression import decompressed
from stancekit.files.delimited import read_delimited
from stancekit.files.formats import STANDARD_STREAM
from stancekit.files.json_lines import read_json_lines
from stancekit.files.parquet import read_parquet, schema_types
from stancekit.files.remote import reason_of
from stancekit.files.row import Row, Skip
from stancekit.files.sources import Source, find_sources


def read_rows(
    source: Path | str | Source | Sequence[Source], number_twins: bool = False, skip: int = 0
) -> Iterator[Row]:
    """Yield the rows of a source, or of several one after the other.

    A row that cannot be read is yielded with ``error`` set; the rows after it are read all the same.

    Args:
        source: what ``find_sources`` gave, or a name for it: a path, a glob, a URL, or ``-`` for JSONL on standard
            input.
        number_twins: in CSV and TSV, call the second column of one name ``name.1``, and so on, instead of refusing it.
        skip: how many rows to pass over at the beginning: at the cost of reading them, but for whole row groups of
            Parquet, which are not read.

    Raises:
        UserError: a file is missing, empty, unreadable, damaged or of another format, or changes while it is read. The
            rows before the place where that shows have come out.
    """
    sources = _sources(source)
    passed = Skip(skip)
    if len(sources) == 1:
        if sources[0].size() == 0:
            raise UserError(f"input: '{sources[0].name}' is empty; expected at least one row")
        yield from _rows(sources[0], number_twins, passed)
        return
    number = skip
    for each in sources:
        # Others write empty files for parts without rows.
        if each.size() == 0:
            continue
        place = "line" if each.format.suffix == ".jsonl" else "row"
        for row in _rows(each, number_twins, passed):
            number += 1
            error = f"{each.name}, {place} {row.number}: {row.error}" if row.error else None
            yield Row(number, row.values, error, each.name)


def parquet_types(source: Path | str | Source | Sequence[Source]) -> dict[str, Any]:
    """Return the Arrow types of the columns of Parquet files, where they agree; nothing for files of other formats.

    Raises:
        UserError: a file is missing or not Parquet.
    """
    if isinstance(source, str | Path) and (str(source) == STANDARD_STREAM or Path(source).is_dir()):
        return {}
    if isinstance(source, str | Path) and ".parquet" not in Path(source).name.lower():
        return {}
    types: dict[str, Any] = {}
    others: set[str] = set()
    for each in _sources(source):
        if each.format.suffix != ".parquet" or each.size() == 0:
            continue
        with _told(each), _seekable(each) as stream:
            for name, found in schema_types(stream, each.name).items():
                if types.setdefault(name, found) != found:
                    others.add(name)
    return {name: found for name, found in types.items() if name not in others}


def _sources(source: Path | str | Source | Sequence[Source]) -> Sequence[Source]:
    if isinstance(source, Source):
        return [source]
    return find_sources(str(source)) if isinstance(source, str | Path) else source


def _rows(source: Source, number_twins: bool, skip: Skip) -> Iterator[Row]:
    suffix = source.format.suffix
    with _told(source), source.unchanged():
        if suffix == ".parquet":
            with _seekable(source) as stream:
                yield from read_parquet(stream, source.name, skip)
        elif source.name == STANDARD_STREAM:
            yield from read_json_lines(source.open(), skip)
        else:
            with _opened(source) as stream:
                if suffix == ".jsonl":
                    yield from read_json_lines(stream, skip)
                else:
                    yield from read_delimited(stream, source.name, suffix, number_twins, skip)


def _opened(source: Source) -> IO[bytes]:
    return decompressed(source.open, source.format.compression, source.name)


@contextmanager
def _seekable(source: Source) -> Iterator[IO[bytes]]:
    """Give the decompressed bytes of a source; Parquet is read from its end, and so not as a stream."""
    with _opened(source) as stream:
        if source.format.compression is None:
            yield stream
            return
        with tempfile.TemporaryFile() as whole:
            shutil.copyfileobj(stream, whole)
            whole.seek(io.SEEK_SET)
            yield whole


@contextmanager
def _told(source: Source) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"input: '{source.name}' cannot be read: {reason_of(error)}") from error
