"""Spreadsheets: one row per pair out, a column to fill in, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stancekit.annotation.label_studio import CONTROL, NOBODY
from stancekit.annotation.model import PAIR_ID, Given, checked
from stancekit.errors import UserError, nearest
from stancekit.files import read_rows
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

LABEL, COMMENT, ANNOTATOR = "label", "comment", "annotator"


def sheet(pairs: Mapping[str, Pair], order: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a sheet in the given order, the columns to fill in empty."""
    for name in order:
        pair = pairs[name]
        yield {
            PAIR_ID: name,
            "holder": pair.holder or NOBODY,
            "target": pair.target,
            "statement": pair.statement,
            LABEL: "",
            COMMENT: "",
        }


def read_sheet(path: Path, pairs: dict[str, Pair]) -> Iterator[Given]:
    """Yield the labels of a sheet that was filled in; rows without a label are left out.

    The annotator is the one in the column ``annotator`` or, without it, the file's name.

    Raises:
        UserError: a column is missing, a cell is broken, a label unknown, a pair not ours or labelled twice.
    """
    seen: dict[tuple[str, str], str] = {}
    for row in read_rows(path):
        where = f"{path}, row {row.number}"
        if row.error:
            raise UserError(f"{where}: {row.error}")
        # Label Studio's own CSV export calls the column by the name of the choice.
        column = LABEL if LABEL in row.values else CONTROL
        if missing := [name for name in (PAIR_ID, column) if name not in row.values]:
            wanted = LABEL if missing[0] == CONTROL else missing[0]
            raise UserError(
                f"{where}: no column {wanted!r}{nearest(wanted, row.values)}\n  found: {', '.join(row.values)}\n"
                f"  expected: {PAIR_ID}, {LABEL} ({' | '.join(OUTCOMES)}) and, if wanted, {ANNOTATOR}, {COMMENT}"
            )
        label = str(row.values[column] or "").strip()
        if not label:
            continue
        annotator = str(row.values.get(ANNOTATOR) or path.stem)
        given = Given(str(row.values[PAIR_ID]), annotator, label, where)
        checked(given, pairs, row.values.get("statement"))
        if first := seen.get((given.pair_id, annotator)):
            raise UserError(f"{where}: {annotator} has labelled the pair {given.pair_id!r} in {first} already")
        seen[given.pair_id, annotator] = where
        yield given
