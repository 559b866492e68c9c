"""One reader per file format: bytes on disk to rows of text, with errors that say where the file is wrong."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stancekit.articles.front_matter import front_matter
from stancekit.errors import UserError, nearest

OPTIONAL_COLUMNS = ("id", "title", "date", "source", "url")
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class RawArticle:
    """One article as a file holds it; ``number`` counts from 1 and is None where the file is one article."""

    text: str
    where: str
    number: int | None = None
    id: str | None = None
    title: str | None = None
    date: str | None = None
    source: str | None = None
    url: str | None = None


def read_plain(path: Path) -> Iterator[RawArticle]:
    """Yield the one article of a text or Markdown file, character for character, without a byte order mark.

    Front matter stays in the text, and fills the fields that it names. Raises UserError if the file is empty, not
    UTF-8 or holds a NUL character.
    """
    text = _checked(_decoded(_bytes(path), path), str(path))
    named = front_matter(text)
    yield RawArticle(
        text=text,
        where=str(path),
        title=named.get("title"),
        date=named.get("date"),
        source=named.get("source"),
        url=named.get("url"),
    )


def read_html(path: Path) -> Iterator[RawArticle]:
    """Yield the one article that trafilatura finds in a web page, with title, date, source and URL beside the text.

    Raises UserError if trafilatura is not installed or finds no article.
    """
    try:
        from trafilatura import bare_extraction
    except ImportError as error:
        raise UserError(
            f"{path}: reading HTML needs trafilatura ({error}); install it with: pip install 'stancekit[html]'"
        ) from error
    found = bare_extraction(_bytes(path), include_comments=False, with_metadata=True)
    if found is None or isinstance(found, dict) or not found.text or not found.text.strip():
        raise UserError(f"{path}: found no article text in this page; expected an article, or its text as .txt")
    yield RawArticle(
        text=_checked(found.text, str(path)),
        where=str(path),
        title=found.title or None,
        date=found.date or None,
        source=found.sitename or None,
        url=found.url or None,
    )


def read_jsonl(path: Path) -> Iterator[RawArticle]:
    """Yield one article per line of JSON; blank lines are skipped, ``number`` is the line's number.

    Raises UserError for a line that is no JSON object, has no ``text`` or is not UTF-8, and for a file without rows.
    """
    empty = True
    try:
        with path.open("rb") as lines:
            offset = 0
            for number, raw in enumerate(lines, start=1):
                line = _decoded(raw, path, offset, number)
                offset += len(raw)
                if line.strip():
                    empty = False
                    yield _row(_json_object(line, f"{path}:{number}"), f"{path}:{number}", number)
    except OSError as error:
        raise _unreadable(path, error) from error
    if empty:
        raise UserError(f"{path} is empty; expected one JSON object with a 'text' on each line")


def read_parquet(path: Path) -> Iterator[RawArticle]:
    """Yield one article per row of a Parquet file, a batch at a time.

    Raises UserError if the file is no Parquet, has no ``text`` column or no rows, or if a row has no text.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "text" not in names:
                raise _no_text(str(path), "columns", names)
            if file.metadata.num_rows == 0:
                raise UserError(f"{path} is empty; expected one article in each row")
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=["text", *(set(OPTIONAL_COLUMNS) & set(names))]):
                for values in batch.to_pylist():
                    number += 1
                    yield _row(values, f"{path}: row {number}", number)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error
    except OSError as error:
        raise _unreadable(path, error) from error


READERS: dict[str, Callable[[Path], Iterator[RawArticle]]] = {
    ".txt": read_plain,
    ".md": read_plain,
    ".html": read_html,
    ".htm": read_html,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not raw.removeprefix(_BOM).strip():
        raise UserError(f"{path} is empty; expected the text of an article")
    return raw


def _decoded(raw: bytes, path: Path, offset: int = 0, line: int = 1) -> str:
    """Decode bytes that begin at ``offset`` in the file, on line number ``line``."""
    try:
        return (raw.removeprefix(_BOM) if offset == 0 else raw).decode("utf-8")
    except UnicodeDecodeError as error:
        # The error counts from after the byte order mark; the reader of the message counts from the file's start.
        at = error.start + (len(_BOM) if offset == 0 and raw.startswith(_BOM) else 0)
        guess = "; it looks like UTF-16" if offset == 0 and raw.startswith(_UTF16_BOMS) else ""
        at_line = line + raw[:at].count(b"\n")
        raise UserError(
            f"{path} is not UTF-8: byte 0x{raw[at]:02x} at offset {offset + at}, line {at_line}{guess}; "
            f"expected UTF-8 text"
        ) from error


def _checked(text: str, where: str) -> str:
    if not text.strip():
        raise UserError(f"{where}: the text is empty; expected the text of an article")
    if "\0" in text:
        raise UserError(f"{where}: a NUL character at offset {text.index(chr(0))}; expected text, not a binary file")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: half a surrogate pair, \\u{ord(text[error.start]):04x}, at offset {error.start} of the text; "
            f"expected whole characters"
        ) from error
    return text


def _json_object(line: str, where: str) -> Mapping[str, object]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}; expected one JSON object on each line") from error
    if not isinstance(value, dict):
        raise UserError(f"{where} is a JSON {type(value).__name__}; expected a JSON object with a 'text'")
    if "text" not in value:
        raise _no_text(where, "keys", list(value))
    return value


def _row(values: Mapping[str, object], where: str, number: int) -> RawArticle:
    text = values["text"]
    if not isinstance(text, str):
        raise UserError(f"{where}: 'text' is {_kind(text)}; expected a string")
    extra = {name: _field(values.get(name), name, where) for name in OPTIONAL_COLUMNS}
    return RawArticle(text=_checked(text.removeprefix("\ufeff"), where), where=where, number=number, **extra)


def _field(value: object, name: str, where: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UserError(f"{where}: '{name}' is {_kind(value)}; expected a string")


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _no_text(where: str, what: str, found: list[str]) -> UserError:
    listed = ", ".join(found) if found else "none"
    optional = ", ".join(OPTIONAL_COLUMNS)
    return UserError(
        f"{where}: no 'text' among the {what}; found: {listed}; expected: text (and optionally {optional})"
        f"{nearest('text', found)}"
    )


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read {path}: {error.strerror or error}")
