"""Labelled pairs: read, checked, split and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stancekit.config.schema import DataConfig, SplitConfig
from stancekit.data.leaks import refuse_leaks
from stancekit.errors import UserError, nearest
from stancekit.files import read_rows
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.paths import find_file

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Dataset:
    """Train and dev rows, and every test set by its name; ``sources`` says which file each came from."""

    name: str
    sources: dict[str, Path]
    train: list[Pair]
    dev: list[Pair]
    tests: dict[str, list[Pair]]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every part."""
        parts = {"train": self.train, "dev": self.dev, **self.tests}
        return {name: fingerprint(pairs) for name, pairs in parts.items()}


def fingerprint(pairs: Iterable[Pair]) -> str:
    """Return 16 hexadecimal digits that change with any statement, holder, target or label, but not with the order."""
    rows = sorted(json.dumps([p.statement, p.holder, p.target, p.label]) for p in pairs)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def read_labelled(path: Path) -> list[Pair]:
    """Return the labelled pairs of a file.

    Raises:
        UserError: a row cannot be read, a column is missing or a label is unknown; names the file and the row.
    """
    pairs = []
    for row in read_rows(path):
        where = f"{path}, row {row.number}"
        if row.error:
            raise UserError(f"{where}: {row.error}")
        if missing := [name for name in ("statement", "target", "label") if name not in row.values]:
            raise UserError(
                f"{where}: no column {', '.join(map(repr, missing))}{nearest(missing[0], row.values)}\n"
                f"  found: {', '.join(row.values)}\n"
                "  expected: statement, target, label and, if known, holder, id, split"
            )
        try:
            pair = pair_from_row(row.values)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        if pair.label not in OUTCOMES:
            close = nearest(str(pair.label), OUTCOMES)
            raise UserError(f"{where}: unknown label {pair.label!r}{close} (valid: {', '.join(OUTCOMES)})")
        pairs.append(pair)
    if not pairs:
        raise UserError(f"{path}: no rows; expected at least one labelled pair")
    return pairs


def load_dataset(config: DataConfig, limit: int | None = None) -> Dataset:
    """Return the training, dev and test rows that ``config`` names, checked against leaks.

    Args:
        limit: keep only so many training rows, the first.

    Raises:
        UserError: a file is bad, a split is empty, training has one class only, or a story, topic or near-copy stands
            on both sides of a split.
    """
    path = find_file(config.path, "data.path")
    parts = split_rows(read_labelled(path), config.split, path)
    parts["train"] = parts["train"][:limit]
    for name in ("train", "dev"):
        if not parts[name]:
            raise UserError(f"{path}: the split '{name}' has no rows (rows per split: {_sizes(parts)})")
    if len(labels := {pair.label for pair in parts["train"]}) < 2:
        raise UserError(
            f"{path}: all {len(parts['train'])} training rows are labelled '{labels.pop()}'; "
            f"expected at least two of {', '.join(OUTCOMES)}"
        )
    tests = {"test": parts["test"]} if parts["test"] else {}
    sources = dict.fromkeys(("train", "dev", *tests), path)
    for name, test_path in config.tests.items():
        if name in SPLITS:
            raise UserError(f"data.tests.{name}: '{name}' is the name of a split; choose another")
        sources[name] = find_file(test_path, f"data.tests.{name}")
        tests[name] = read_labelled(sources[name])
    for column in config.disjoint:
        if all(pair.column(column) is None for pair in parts["train"]):
            columns = sorted(parts["train"][0].row())
            raise UserError(
                f"data.disjoint: no training row has the column '{column}'{nearest(column, columns)} "
                f"(columns: {', '.join(columns)})"
            )
    refuse_leaks({"train": parts["train"], "dev": parts["dev"], **tests}, config.disjoint, path)
    return Dataset(config.name, sources, parts["train"], parts["dev"], tests)


def split_rows(pairs: Sequence[Pair], config: SplitConfig, path: Path) -> dict[str, list[Pair]]:
    """Return the pairs by split: by their ``split`` column or, without one, whole groups of equal ``by`` together.

    A group falls into the same split on every machine and whatever other rows there are: its hash decides.

    Raises:
        UserError: an unknown split name, or no row has the column to group by.
    """
    parts: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    if any(pair.column("split") for pair in pairs):
        for number, pair in enumerate(pairs, 1):
            split = str(pair.column("split") or "")
            if split not in parts:
                valid = ", ".join(SPLITS)
                close = nearest(split, SPLITS)
                raise UserError(f"{path}, row {number}: unknown split {split!r}{close} (valid: {valid})")
            parts[split].append(pair)
        return parts
    if all(pair.column(config.by) is None for pair in pairs):
        columns = sorted({*pairs[0].row()})
        raise UserError(
            f"data.split.by: no row has the column '{config.by}'{nearest(config.by, columns)} "
            f"(columns: {', '.join(columns)}); data=file keeps equal statements together instead"
        )
    for pair in pairs:
        group = pair.column(config.by)
        digest = hashlib.sha256(str(pair.statement if group is None else group).encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        name = "test" if share < config.test else "dev" if share < config.test + config.dev else "train"
        parts[name].append(pair)
    return parts


def _sizes(parts: dict[str, list[Pair]]) -> str:
    return ", ".join(f"{name} {len(pairs)}" for name, pairs in parts.items())


def label_counts(pairs: Iterable[Pair]) -> dict[str, int]:
    """Return how many pairs have each outcome, in the order of ``OUTCOMES``."""
    counts = Counter(pair.label for pair in pairs)
    return {label: counts.get(label, 0) for label in OUTCOMES}
