"""One file out of the parts that were written of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from stancekit.files.compression import compressed
from stancekit.files.formats import STANDARD_STREAM
from stancekit.files.parquet import join_parquet
from stancekit.files.writing import local_output, output_format, whole_file, write_table


def assemble(parts: Sequence[Path], output: Path | str, types: Mapping[str, Any] | None = None) -> None:
    """Write the rows of the parts, in their order, to one file: the bytes that a row writer would have written.

    Memory stays flat; the parts stay where they are.

    Args:
        parts: files of JSON lines, as ``encode_rows`` gives them; or Parquet files (``.parquet``) of one schema.
        output: a path or URL, whose ending says the format and compression, or ``-``; Parquet parts make Parquet alone.
        types: for Parquet from JSON lines, the types of columns where they are known, as of a Parquet input.

    Raises:
        UserError: the output's format is unknown, or it cannot be written.
    """
    if str(output) == STANDARD_STREAM:
        sys.stdout.flush()
        _concatenate(parts, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    form = output_format(str(output))
    with local_output(str(output)) as path, whole_file(path, "wb") as out:
        if form.suffix == ".parquet" and parts and parts[0].suffix == ".parquet":
            join_parquet(out, parts)
        elif form.suffix == ".jsonl":
            with compressed(out, form.compression) as stream:
                _concatenate(parts, stream)
        else:
            write_table(out, form, lambda: _lines(parts), types or {})


def _concatenate(parts: Sequence[Path], stream: IO[bytes]) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, stream, 2**20)


def _lines(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as source:
            yield from source
