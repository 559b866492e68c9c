"""Files that appear only when they are whole, and rows written to them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from stancekit.errors import UserError
from stancekit.files.compression import compressed
from stancekit.files.delimited import write_delimited
from stancekit.files.formats import ROW_SUFFIXES, STANDARD_STREAM, RowFormat, row_format
from stancekit.files.json_lines import encode_rows
from stancekit.files.parquet import write_parquet
from stancekit.files.remote import check_writable, local_path, upload

_WHAT = "output"


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


@contextmanager
def row_writer(path: Path | str, types: Mapping[str, Any] | None = None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that writes one row (a dict); the file is whole or absent.

    ``-`` writes JSONL to standard output as rows come. CSV, TSV and Parquet need all column names first, so their rows
    wait in a temporary file: memory stays flat. What goes to a URL is written here first, and put there at the end.

    Args:
        path: where to, by format and compression (``.jsonl.gz``).
        types: for Parquet, the types of columns where they are known; those of others follow from the values.

    Raises:
        UserError: the format is unknown, the folder cannot be written to, or the disk is full.
        BrokenPipeError: nobody reads standard output any more.
    """
    if str(path) == STANDARD_STREAM:
        yield _print_row
        return
    form = output_format(str(path))
    with local_output(str(path)) as local, whole_file(local, "wb") as out:
        if form.suffix == ".jsonl":
            with compressed(out, form.compression) as stream:
                yield lambda row: _write_row(stream, row)
            return
        # The spool lies beside the output, so that a full or read-only disk shows itself there and not in /tmp.
        with tempfile.TemporaryFile("w+b", dir=local.parent) as spool:

            def lines() -> Iterable[bytes]:
                spool.seek(0)
                return spool

            yield lambda row: _write_row(spool, row)
            write_table(out, form, lines, types or {})


def output_format(name: str) -> RowFormat:
    """Return the format of an output.

    Raises:
        UserError: it is unknown, or Parquet that is to be compressed once more.
    """
    form = row_format(name, _WHAT, ROW_SUFFIXES)
    if form.suffix == ".parquet" and form.compression:
        raise UserError(f"output: '{name}': Parquet is compressed within; expected a name that ends in .parquet")
    return form


@contextmanager
def local_output(name: str) -> Iterator[Path]:
    """Give the path to write an output to; what lies there at the end of the block is put where the name says.

    Raises:
        UserError: the protocol of a URL is unknown or not installed, or the file cannot be put there.
    """
    if (path := local_path(name)) is not None:
        yield path
        return
    check_writable(name, _WHAT)
    with tempfile.TemporaryDirectory(prefix="stancekit-") as folder:
        local = Path(folder) / name.rpartition("/")[2]
        yield local
        upload(local, name, _WHAT)


def write_table(
    out: IO[bytes], form: RowFormat, lines: Callable[[], Iterable[bytes]], types: Mapping[str, Any]
) -> None:
    """Write rows in JSON lines as CSV, TSV or Parquet.

    Args:
        out: the file, open for bytes, which can be sought in.
        form: the format.
        lines: gives all lines anew each time.
        types: for Parquet, the types of columns where they are known.
    """
    if form.suffix == ".parquet":
        write_parquet(out, lines, types)
        return
    with compressed(out, form.compression) as stream:
        write_delimited(stream, form.suffix, lambda: map(json.loads, lines()))


def _print_row(row: dict[str, Any]) -> None:
    try:
        # Bytes: JSON is UTF-8, whatever language the terminal speaks.
        sys.stdout.buffer.write(encode_rows([row]))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written would be tried once more when the interpreter ends.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        raise UserError(f"output: standard output cannot be written: {error.strerror}") from error


def _write_row(stream: IO[bytes], row: dict[str, Any]) -> None:
    stream.write(encode_rows([row]))
