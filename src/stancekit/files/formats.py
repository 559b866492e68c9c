"""Which format and which compression the name of a row file stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from stancekit.errors import UserError, nearest

ROW_SUFFIXES = (".jsonl", ".csv", ".parquet", ".tsv")
INPUT_SUFFIXES = ROW_SUFFIXES
"""TSV is taken as its media type defines it, without quoting."""
STANDARD_STREAM = "-"
GZIP, ZSTD = "gz", "zst"
COMPRESSIONS = (GZIP, ZSTD)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """The format of a row file by its suffix, and ``gz`` or ``zst`` where it is compressed as a whole."""

    suffix: str
    compression: str | None = None


def row_suffix(name: str, what: str, valid: Sequence[str] = ROW_SUFFIXES) -> str:
    """Return the suffix of a file that is not compressed, in lower case.

    Raises:
        UserError: the suffix is none of the ``valid`` ones.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in valid:
        raise UserError(f"{what}: '{name}' is no row format; expected {', '.join(valid)}{_near(suffix, valid)}")
    return suffix


def row_format(name: str, what: str, valid: Sequence[str] = ROW_SUFFIXES) -> RowFormat:
    """Return the format and the compression of a row file: ``rows.jsonl.gz`` is ``RowFormat(".jsonl", "gz")``.

    Raises:
        UserError: the suffix is none of the ``valid`` ones, with or without ``.gz`` or ``.zst`` after it.
    """
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    compression = suffixes.pop().removeprefix(".") if suffixes and suffixes[-1][1:] in COMPRESSIONS else None
    if suffixes and suffixes[-1] in valid:
        return RowFormat(suffixes[-1], compression)
    ending = "".join([suffix.lower() for suffix in PurePath(name).suffixes][-2:])
    known = [*valid, *(f"{suffix}.{packed}" for suffix in valid for packed in COMPRESSIONS)]
    raise UserError(
        f"{what}: '{name}' is no row format; expected {', '.join(valid)}, compressed also with .gz or .zst after it"
        f"{_near(ending, known)}"
    )


def _near(ending: str, valid: Iterable[str]) -> str:
    return nearest(ending, valid) if ending else ""
