"""Rows in and out: JSONL, CSV and Parquet (TSV in alone), streamed; a file appears only when it is whole."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import os
import pickle
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from stancekit.errors import UserError, nearest
from stancekit.paths import siblings

ROW_SUFFIXES = (".jsonl", ".csv", ".parquet")
INPUT_SUFFIXES = (*ROW_SUFFIXES, ".tsv")
"""TSV is read as its media type defines it, without quoting: not every text could be written so."""
STANDARD_STREAM = "-"
_PARQUET_BATCH = 1024
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its number from 1 (the line, for JSONL), its values, and why it could not be read, if so."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def row_suffix(name: str, what: str, valid: Sequence[str] = ROW_SUFFIXES) -> str:
    """Return the suffix of a row file.

    Raises:
        UserError: the suffix is none of the ``valid`` ones.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in valid:
        close = nearest(suffix, valid) if suffix else ""
        raise UserError(f"{what}: '{name}' is no row format; expected {', '.join(valid)}{close}")
    return suffix


def read_rows(path: Path | str, number_twins: bool = False) -> Iterator[Row]:
    """Yield the rows of a JSONL, CSV, TSV or Parquet file, or of JSONL on standard input (``-``).

    A row that cannot be read is yielded with ``error`` set; the rows after it are read all the same.

    Args:
        number_twins: in CSV and TSV, call the second column of one name ``name.1``, and so on, instead of refusing it.

    Raises:
        UserError: the file is missing, empty, unreadable or of another format.
    """
    if str(path) == STANDARD_STREAM:
        yield from _jsonl(sys.stdin.buffer)
        return
    path = Path(path)
    suffix = row_suffix(str(path), "input", INPUT_SUFFIXES)
    if not path.is_file():
        raise UserError(f"input: no file '{path}'{nearest(path.name, siblings(path))}")
    if path.stat().st_size == 0:
        raise UserError(f"input: '{path}' is empty; expected at least one row")
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
        else:
            with path.open("rb") as stream:
                delimiter = "\t" if suffix == ".tsv" else ","
                yield from _jsonl(stream) if suffix == ".jsonl" else _csv(stream, path, delimiter, number_twins)
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
        except (ValueError, RecursionError) as error:
            yield Row(number, error=f"not JSON that can be read: {str(error).partition(';')[0]}")
        else:
            if isinstance(values, dict):
                yield _whole_characters(number, values)
            else:
                yield Row(number, error=f"expected a JSON object, found {type(values).__name__}")


def _whole_characters(number: int, values: dict[str, Any]) -> Row:
    """Return the row; one with half a surrogate pair, which no file can hold, is an error with that half replaced."""
    text = json.dumps(values, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Row(number, json.loads(text.encode("utf-8", "replace")), "half a surrogate pair: not a whole character")
    return Row(number, values)


def _csv(stream: BinaryIO, path: Path, delimiter: str, number_twins: bool) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    if stream.read(2) in _UTF16:
        raise UserError(f"input: '{path}' is not UTF-8: it looks like UTF-16; save it as UTF-8")
    stream.seek(0)
    # Bytes that are no UTF-8 come through as lone surrogates, so that one bad cell costs one row and not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    reader: csv.DictReader[str] = csv.DictReader(
        lines,
        restkey="",
        restval=None,
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    if not reader.fieldnames:
        raise UserError(f"input: '{path}' has no header row")
    if number_twins:
        names = list(reader.fieldnames)
        reader.fieldnames = [f"{n}.{k}" if (k := names[:i].count(n)) else n for i, n in enumerate(names)]
    if twice := sorted({name for name in reader.fieldnames if list(reader.fieldnames).count(name) > 1}):
        raise UserError(f"input: '{path}' has the column '{twice[0]}' twice; expected a name of its own for each")
    number = 0
    while True:
        number += 1
        begun = reader.line_num + 1
        lines.seen.clear()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            column = _broken_column("".join(lines.seen), list(reader.fieldnames))
            if "unexpected end of data" in str(error):
                raise UserError(
                    f"input: '{path}', line {begun}, column '{column}': "
                    "a quotation mark opens a cell that is never closed"
                ) from error
            yield Row(number, error=f"not CSV in column '{column}': {error}")
            continue
        extra = values.pop("", None) if "" not in reader.fieldnames else None
        if extra:
            yield Row(number, values, f"{len(extra)} more cells than the header has columns")
        elif bad := [name for name, cell in values.items() if isinstance(cell, str) and _has_surrogate(cell)]:
            clean = {name: None if name in bad else cell for name, cell in values.items()}
            yield Row(number, clean, f"not UTF-8: column '{bad[0]}'")
        else:
            yield Row(number, values)


class _Lines:
    """The lines of a text, of which those since the last ``clear`` are kept, to say where a row breaks off."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text = iter(text)
        self.seen: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.seen.append(line)
        return line


def _broken_column(record: str, names: Sequence[str]) -> str:
    """Return the name of the cell in which a quotation mark has no partner or is followed by more text."""
    cell, quoted, begun = 0, False, True
    for i, sign in enumerate(record):
        if quoted:
            if sign == '"':
                quoted = False
                # A doubled quotation mark closes and opens again, and so stays within its cell.
                if record[i + 1 : i + 2] not in ("", ",", '"', "\r", "\n"):
                    break
        elif sign == '"' and (begun or record[i - 1] == '"'):
            quoted = True
        elif sign == ",":
            cell += 1
        begun = not quoted and sign == ","
    return names[cell] if cell < len(names) else str(cell + 1)


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
        # Libraries raise OSError without a number for troubles of their own: those are not this file's.
        if error.errno is None:
            raise
        raise UserError(f"output: '{path}' cannot be written: {error.strerror}; nothing was kept") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def parquet_types(path: Path | str) -> dict[str, Any]:
    """Return the column types of a Parquet file, and nothing for files of other formats."""
    if Path(path).suffix.lower() != ".parquet" or not Path(path).is_file():
        return {}
    import pyarrow.parquet as pq

    return {field.name: field.type for field in pq.read_schema(path)}


@contextmanager
def row_writer(path: Path | str, types: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Give a function that writes one row (a dict); the file is whole or absent.

    ``-`` writes JSONL to standard output as rows come. CSV and Parquet need all column names first, so their rows wait
    in a temporary file: memory stays flat.

    Args:
        types: for Parquet, the types of columns where they are known; those of others follow from the values.

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
    with whole_file(path, "wb") as out, tempfile.TemporaryFile("w+b", dir=path.parent) as spool:

        def write(row: dict[str, Any]) -> None:
            columns.update(dict.fromkeys(row))
            # Pickle keeps dates and decimals as they are; the file is ours alone and gone when the block ends.
            pickle.dump(row, spool)

        yield write
        if suffix == ".csv":
            _write_csv(out, columns, _spooled(spool))
        else:
            _write_parquet(out, columns, spool, types or {})


def _spooled(spool: IO[bytes]) -> Iterator[dict[str, Any]]:
    spool.seek(0)
    while True:
        try:
            yield pickle.load(spool)
        except EOFError:
            return


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        # NaN is no JSON; Python reads it, other programs stop at it.
        return json.dumps(_without_nan(value), ensure_ascii=False, default=str)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_csv(out: IO[bytes], columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: _json(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    text.detach()


def _write_parquet(out: IO[bytes], columns: Iterable[str], spool: IO[bytes], known: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, set[type]] = {name: set() for name in columns}
    for row in _spooled(spool):
        for name, value in row.items():
            if value is not None:
                # An integer beyond 64 bits has no column type of its own.
                kinds[name].add(str if isinstance(value, int) and value not in _INT64 else type(value))
    simple = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    types = {}
    for name, found in kinds.items():
        if name in known:
            types[name] = known[name]
        elif found == {int, float}:
            types[name] = pa.float64()
        else:
            # What no single column type holds, lists and objects included, is kept as JSON text.
            types[name] = simple.get(next(iter(found)), pa.string()) if len(found) == 1 else pa.string()
    schema = pa.schema(list(types.items()))
    with pq.ParquetWriter(out, schema) as writer:
        rows = _spooled(spool)
        while batch := list(itertools.islice(rows, _PARQUET_BATCH)):
            for row in batch:
                for name, value in row.items():
                    if value is not None and types[name] == pa.string() and not isinstance(value, str):
                        row[name] = _json(value)
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
