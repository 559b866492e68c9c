"""CSV and TSV, in and out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

from stancekit.errors import UserError
from stancekit.files.columns import ColumnOrder
from stancekit.files.json_lines import to_json
from stancekit.files.row import Row, Skip

_UTF16 = ("\udcff\udcfe", "\udcfe\udcff")
"""The byte order marks of UTF-16, read as bytes that are no UTF-8."""
_LONGEST_CELL = 2**26
"""Characters. A longer one means a quotation mark without a partner; with no limit it would fill the memory."""
_UNCLOSED = "a quotation mark opens a cell that is never closed"
_BREAKS = str.maketrans("\t\n\r", "   ")


def read_delimited(stream: IO[bytes], name: str, suffix: str, number_twins: bool, skip: Skip) -> Iterator[Row]:
    """Yield the rows below the header of a CSV file, or of a TSV file, which knows no quotation marks.

    A row that is broken or has cells too many is an error; where a cell is never closed, the rest of the file is one.

    Raises:
        UserError: there is no header, it names a column twice or cannot be read, or the file is UTF-16.
    """
    csv.field_size_limit(_LONGEST_CELL)
    # Bytes that are no UTF-8 come through as lone surrogates, so that one bad cell costs one row and not the file.
    lines = _Lines(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    reader = csv.reader(
        lines,
        delimiter=_sign(suffix),
        quoting=csv.QUOTE_NONE if suffix == ".tsv" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    columns = _header(reader, lines, name, number_twins)
    number = 0
    while True:
        begun = reader.line_num + 1
        lines.seen.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            column, line, is_open = _broken_cell("".join(lines.seen), columns)
            reason = f"not CSV in column '{column}': {error}"
            if suffix == ".tsv":
                reason, is_open = f"not TSV: {error}", False
            elif is_open:
                count = reader.line_num - begun + 1 + lines.count_rest()
                reason = (
                    f"line {begun + line}, column '{column}': {_UNCLOSED}: the rest of the file, "
                    f"{count:,} line{'s' * (count > 1)}, is this one row"
                )
            if not skip.take():
                yield Row(number, error=reason)
            if is_open:
                return
        else:
            if cells:
                number += 1
                if not skip.rows or not skip.take():
                    yield _row(number, columns, cells)


def write_delimited(out: IO[bytes], suffix: str, rows: Callable[[], Iterable[dict[str, Any]]]) -> None:
    """Write rows as CSV, or as TSV, in which the tabs and line breaks within a cell become spaces.

    Args:
        out: the file.
        suffix: ``.csv`` or ``.tsv``.
        rows: gives all rows anew each time: the first time for their columns, in the order of a ``ColumnOrder``.
    """
    order = ColumnOrder()
    for row in rows():
        order.add(row)
    columns = order.names
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(cells: Sequence[Any]) -> None:
        if suffix == ".tsv":
            text.write(_unquoted(cells))
        else:
            # Python leaves a carriage return unquoted where lines end in a line feed; readers end the line there.
            returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
            (quoting if returns else plain).writerow(cells)

    write(columns)
    for row in rows():
        write([to_json(cell) if isinstance(cell := row.get(name), dict | list) else cell for name in columns])
    text.detach()


def _sign(suffix: str) -> str:
    return "\t" if suffix == ".tsv" else ","


def _unquoted(cells: Sequence[Any]) -> str:
    return "\t".join("" if cell is None else str(cell).translate(_BREAKS) for cell in cells) + "\n"


def _header(reader: Iterator[list[str]], lines: _Lines, name: str, number_twins: bool) -> list[str]:
    try:
        columns = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        raise UserError(f"input: '{name}': its header row is not CSV: {error}") from error
    if lines.seen and lines.seen[0].startswith(_UTF16):
        raise UserError(f"input: '{name}' is not UTF-8: it looks like UTF-16; save it as UTF-8")
    if not columns:
        raise UserError(f"input: '{name}' has no header row")
    if bad := [number for number, column in enumerate(columns, 1) if not _is_whole(column)]:
        raise UserError(
            f"input: '{name}' is not UTF-8: the name of column {bad[0]} in its header row; save it as UTF-8"
        )
    if number_twins:
        met: Counter[str] = Counter()
        for i, column in enumerate(columns):
            columns[i] = f"{column}.{met[column]}" if met[column] else column
            met[column] += 1
    if twice := sorted(column for column, count in Counter(columns).items() if count > 1):
        raise UserError(f"input: '{name}' has the column '{twice[0]}' twice; expected a name of its own for each")
    return columns


def _row(number: int, columns: Sequence[str], cells: list[str]) -> Row:
    extra = len(cells) - len(columns)
    values: dict[str, str | None] = dict(zip(columns, cells, strict=False))
    if extra < 0:
        values |= dict.fromkeys(columns[len(cells) :])
    if _is_whole("".join(cells)):
        return Row(number, values, f"{extra} more cells than the header has columns" if extra > 0 else None)
    bad = [column for column, cell in values.items() if cell is not None and not _is_whole(cell)]
    values |= dict.fromkeys(bad)
    return Row(number, values, f"not UTF-8: column '{bad[0]}'" if bad else "not UTF-8: a cell beyond the header's")


def _is_whole(text: str) -> bool:
    """Return whether a text is without lone surrogates, which stand for bytes that are no UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


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

    def count_rest(self) -> int:
        """Return the number of lines that were not read yet, and read them."""
        return sum(1 for _ in self._text)


def _broken_cell(record: str, columns: Sequence[str]) -> tuple[str, int, bool]:
    """Return where a quotation mark has no partner or more text after it, in a record of CSV that breaks off.

    Returns:
        The column, how many lines below the record's first its cell begins, and whether it was still open at the end.
    """
    cell, opened = 0, 0
    begun, quoted, closed = True, False, False
    for i, sign in enumerate(record):
        if quoted:
            quoted, closed = sign != '"', sign == '"'
        elif closed and sign == '"':
            # A doubled quotation mark closes and opens again, and so stays within its cell.
            quoted, closed = True, False
        elif sign == ",":
            cell += 1
            begun, closed = True, False
        elif closed and sign not in "\r\n":
            break
        elif begun and sign == '"':
            quoted, begun, opened = True, False, i
        else:
            begun = False
    column = columns[cell] if cell < len(columns) else str(cell + 1)
    return column, record.count("\n", 0, opened), quoted
