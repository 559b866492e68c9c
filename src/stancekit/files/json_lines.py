"""Rows as JSON, one a line: what is read, and what is written."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stancekit.files.row import Row, Skip

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HALF_OF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_MOST_NESTED = 100
"""Levels of lists and objects: Python's own limit depends on where a value is read and written, this one does not."""


def read_json_lines(stream: Iterable[bytes], skip: Skip) -> Iterator[Row]:
    """Yield a row for every line that is not blank; one that cannot be read has ``error`` set."""
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line or line.isspace() or (skip.rows and skip.take()):
            continue
        yield _row(number, line)


def encode_rows(rows: Iterable[dict[str, Any]]) -> bytes:
    """Return the rows as JSON lines in UTF-8: the bytes that a row writer puts in a ``.jsonl`` file."""
    return "".join([f"{to_json(row)}\n" for row in rows]).encode("utf-8", "replace")


def to_json(value: Any) -> str:
    """Return a value as JSON: NaN and infinities as null, bytes as Base64, and what JSON has no form for as text."""
    try:
        return _STRICT.encode(value)
    except ValueError:
        # NaN is no JSON; Python reads it, other programs stop at it.
        return _STRICT.encode(_without_nan(value))


def _row(number: int, line: bytes) -> Row:
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Row(number, error=f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return Row(number, error=f"not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return Row(number, error=f"not JSON that can be read: {str(error).partition(';')[0]}")
    if not isinstance(values, dict):
        return Row(number, error=f"expected a JSON object, found {type(values).__name__}")
    if line.count(b"[") + line.count(b"{") > _MOST_NESTED and _is_nested(values):
        return Row(number, error=f"not JSON that can be read: nested more than {_MOST_NESTED} levels deep")
    # Half a pair can only come from an escape: as bytes it is no UTF-8.
    if b"\\" in line and _HALF_OF_A_PAIR.search(line):
        return _whole_characters(number, values)
    return Row(number, values)


def _whole_characters(number: int, values: dict[str, Any]) -> Row:
    """Return the row; one with half a surrogate pair, which no file can hold, is an error with that half replaced."""
    text = json.dumps(values, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Row(number, json.loads(text.encode("utf-8", "replace")), "half a surrogate pair: not a whole character")
    return Row(number, values)


def _is_nested(values: dict[str, Any]) -> bool:
    level: Sequence[Any] = [values]
    for _ in range(_MOST_NESTED):
        inner = [part for value in level for part in (value.values() if isinstance(value, dict) else value)]
        level = [part for part in inner if isinstance(part, dict | list)]
    return bool(level)


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_STRICT = json.JSONEncoder(ensure_ascii=False, default=_as_text, allow_nan=False)
