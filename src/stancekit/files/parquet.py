"""Parquet, in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stancekit.errors import UserError
from stancekit.files.columns import MisfitError, kinds_of, schema_of, table_of
from stancekit.files.row import Row, Skip

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 1024
_GROUP_ROWS = 8192
_GROUP_BYTES = 32 * 2**20
"""Of the rows as JSON: what is held at a time however long they are."""
_UNREADABLE = (ValueError, OverflowError, TypeError, NotImplementedError, LookupError)
"""What is raised for a value that Python has no form for; the last for a time zone that is unknown here."""


def read_parquet(stream: IO[bytes], name: str, skip: Skip) -> Iterator[Row]:
    """Yield the rows of a Parquet file; one with a value that Python has no form for is an error.

    Raises:
        UserError: the file is no Parquet file, names a column twice or is damaged; the rows before the damage come out.
    """
    file = _opened(stream, name)
    _refuse_twins(file.schema_arrow, name)
    number = 0
    with _told(name, "is damaged"):
        for group in range(file.num_row_groups):
            found = file.metadata.row_group(group)
            if skip.rows >= found.num_rows:
                number += skip.take(found.num_rows)
                continue
            # Long rows come in small batches: what counts is the memory.
            fitting = _GROUP_BYTES * max(found.num_rows, 1) // max(found.total_byte_size, 1)
            size = max(1, min(_BATCH_ROWS, fitting))
            met = 0
            for batch in file.iter_batches(batch_size=size, row_groups=[group]):
                met += batch.num_rows
                passed = skip.take(batch.num_rows)
                number += passed
                for values, error in _values(batch.slice(passed)):
                    number += 1
                    yield Row(number, values, error)
            if met != found.num_rows:
                # Arrow takes some damaged pages for the end of their column.
                raise ValueError(f"row group {group + 1} holds {met} rows where it should hold {found.num_rows}")


def row_count(stream: IO[bytes], name: str) -> int:
    """Return how many rows a Parquet file says that it has.

    Raises:
        UserError: the file is no Parquet file.
    """
    return int(_opened(stream, name).metadata.num_rows)


def schema_types(stream: IO[bytes], name: str) -> dict[str, Any]:
    """Return the Arrow types of a Parquet file's columns by name.

    Raises:
        UserError: the file is no Parquet file or names a column twice.
    """
    schema = _opened(stream, name).schema_arrow
    _refuse_twins(schema, name)
    return {field.name: field.type for field in schema}


def write_parquet(out: IO[bytes], lines: Callable[[], Iterable[bytes]], known: Mapping[str, Any]) -> None:
    """Write rows in JSON lines as a Parquet file.

    Args:
        out: the file, which can be sought in.
        lines: gives all lines anew each time; the first time for the columns and the types of their values.
        known: the Arrow types of columns where they are known; a column whose values do not fit goes without, and one
            whose values fit no type together, as 0.5 and an integer that no float is equal to, becomes JSON text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds, known = kinds_of(lines()), dict(known)
    while True:
        schema = schema_of(kinds, known)
        try:
            with pq.ParquetWriter(out, schema) as writer:
                for rows in _groups(lines()):
                    writer.write_table(table_of(rows, schema))
        except MisfitError as misfit:
            if known.pop(misfit.column, None) is None:
                known[misfit.column] = pa.string()
            out.seek(0)
            out.truncate()
        else:
            return


def join_parquet(out: IO[bytes], parts: Sequence[Path]) -> None:
    """Write the row groups of Parquet files of one schema, which are ours, to a file, one after the other."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(out, pq.read_schema(parts[0])) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))


def _opened(stream: IO[bytes], name: str) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    with _told(name, "is not a Parquet file"):
        # A column of a row group may be larger than the memory: it is read in pieces.
        return pq.ParquetFile(stream, buffer_size=2**20, pre_buffer=False, page_checksum_verification=True)


def _refuse_twins(schema: pa.Schema, name: str) -> None:
    for column in schema.names:
        if schema.names.count(column) > 1:
            raise UserError(f"input: '{name}' has the column '{column}' twice; expected a name of its own for each")


@contextmanager
def _told(name: str, trouble: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        said = str(error).strip().splitlines()
        raise UserError(f"input: '{name}' {trouble}: {said[0] if said else type(error).__name__}") from error


def _values(batch: pa.RecordBatch) -> Iterable[tuple[dict[str, Any], str | None]]:
    try:
        return [(values, None) for values in batch.to_pylist()]
    except _UNREADABLE:
        # One value that Python has no form for, as a year beyond 9999, must cost its row alone.
        return [_one(batch, number) for number in range(batch.num_rows)]


def _one(batch: pa.RecordBatch, number: int) -> tuple[dict[str, Any], str | None]:
    values: dict[str, Any] = {}
    reason = None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[number].as_py()
        except _UNREADABLE as error:
            values[name] = None
            reason = reason or f"a value that cannot be read: column '{name}': {str(error).splitlines()[0]}"
    return values, reason


def _groups(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        rows.append(json.loads(line))
        size += len(line)
        if len(rows) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
