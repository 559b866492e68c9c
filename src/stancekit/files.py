"""Rows in and out: JSONL, CSV and Parquet, streamed; output appears under its name only when it is whole."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from stancekit.errors import UserError, nearest

ROW_SUFFIXES = (".jsonl", ".csv", ".parquet")
STANDARD_STREAM = "-"
_PARQUET_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its number from 1 (the line, for JSONL), its values, and why it could not be read, if so."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def row_suffix(name: str, what: str) -> str:
    """Return the suffix of a row file.

    Raises:
        UserError: the suffix is none of ``ROW_SUFFIXES``.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in ROW_SUFFIXES:
        close = nearest(suffix, ROW_SUFFIXES) if suffix else ""
        raise UserError(f"{what}: '{name}' is no row format; expected {', '.join(ROW_SUFFIXES)}{close}")
    return suffix


def read_rows(path: Path | str) -> Iterator[Row]:
    """Yield the rows of a JSONL, CSV or Parquet file, or of JSONL on standard input (``-``).

    A row that cannot be read is yielded with ``error`` set; the rows after it are read all the same.

    Raises:
        UserError: the file is missing, empty, unreadable or of another format.
    """
    if str(path) == STANDARD_STREAM:
        yield from _jsonl(sys.stdin.buffer)
        return
    path = Path(path)
    suffix = row_suffix(str(path), "input")
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"input: no file '{path}'{nearest(path.name, siblings)}")
    if path.stat().st_size == 0:
        raise UserError(f"input: '{path}' is empty; expected at least one row")
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
        else:
            with path.open("rb") as stream:
                yield from _jsonl(stream) if suffix == ".jsonl" else _csv(stream, path)
    except OSError as error:
        raise UserError(f"input: '{path}' cannot be read: {error.strerror or error}") from error


def _jsonl(stream: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Row(number, error=f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line")
        except json.JSONDecodeError as error:
            yield Row(number, error=f"not JSON: {error.msg} at column {error.colno}")
        except RecursionError:
            yield Row(number, error="not JSON: nested too deeply")
        else:
            if isinstance(values, dict):
                yield Row(number, values)
            else:
                yield Row(number, error=f"expected a JSON object, found {type(values).__name__}")


def _csv(stream: BinaryIO, path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    # Bytes that are no UTF-8 come through as lone surrogates, so that one bad cell costs one row and not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.DictReader(text, restkey="", restval=None)
    if not reader.fieldnames:
        raise UserError(f"input: '{path}' has no header row")
    for number, values in enumerate(reader, 1):
        extra = values.pop("", None) if "" not in reader.fieldnames else None
        if extra:
            yield Row(number, values, f"{len(extra)} more cells than the header has columns")
        elif bad := [name for name, cell in values.items() if isinstance(cell, str) and _has_surrogate(cell)]:
            clean = {name: None if name in bad else cell for name, cell in values.items()}
            yield Row(number, clean, f"not UTF-8: column '{bad[0]}'")
        else:
            yield Row(number, values)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"input: '{path}' is not a Parquet file: {str(error).splitlines()[0]}") from error
    number = 0
    for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
        for values in batch.to_pylist():
            number += 1
            yield Row(number, values)


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that takes its name when the block ends well, and is removed otherwise.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UserError(f"output: '{path}' is a folder; expected a file name")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding, newline=None if "b" in mode else "") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"output: '{path}' cannot be written: {error.strerror or error}; nothing was kept") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def row_writer(path: Path | str) -> Iterator[Any]:
    """Give a function that writes one row (a dict); the file is whole or absent.

    ``-`` writes JSONL to standard output as rows come. CSV and Parquet need all column names first, so their rows wait
    in a temporary JSONL file: memory stays flat.

    Raises:
        UserError: the format is unknown, the folder cannot be written to, or the disk is full.
    """
    if str(path) == STANDARD_STREAM:
        yield lambda row: print(_json(row), flush=True)
        return
    path = Path(path)
    suffix = row_suffix(str(path), "output")
    if suffix == ".jsonl":
        with whole_file(path) as stream:
            yield lambda row: stream.write(_json(row) + "\n")
        return
    columns: dict[str, None] = {}
    # The spool lies beside the output, so that a full or read-only disk shows itself there and not in /tmp.
    with whole_file(path, "wb") as out, tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as spool:

        def write(row: dict[str, Any]) -> None:
            columns.update(dict.fromkeys(row))
            spool.write(_json(row) + "\n")

        yield write
        spool.seek(0)
        rows = (json.loads(line) for line in spool)
        if suffix == ".csv":
            _write_csv(out, columns, rows)
        else:
            _write_parquet(out, columns, rows, spool)


def _json(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)


def _write_csv(out: IO[bytes], columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: _json(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    text.detach()


def _write_parquet(out: IO[bytes], columns: dict[str, None], rows: Iterable[dict[str, Any]], spool: IO[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, set[type]] = {name: set() for name in columns}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds[name].add(type(value))
    simple = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    types = {}
    for name, found in kinds.items():
        if found == {int, float}:
            types[name] = pa.float64()
        else:
            # What no single column type holds, lists and objects included, is kept as JSON text.
            types[name] = simple.get(next(iter(found)), pa.string()) if len(found) == 1 else pa.string()
    schema = pa.schema(list(types.items()))
    spool.seek(0)
    with pq.ParquetWriter(out, schema) as writer:
        batch: list[dict[str, Any]] = []
        for line in spool:
            row = json.loads(line)
            for name, value in row.items():
                if value is not None and types[name] == pa.string() and not isinstance(value, str):
                    row[name] = _json(value)
            batch.append(row)
            if len(batch) == _PARQUET_BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
