"""Labelled pairs: read, checked, split and fingerprinted."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from stancekit.config.data import DataConfig, SplitConfig
from stancekit.data.corpus import read_corpus, read_labelled
from stancekit.data.leaks import refuse_leaks
from stancekit.data.mix import MixCount, mix_in, without_copies
from stancekit.errors import UserError, nearest
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.paths import find_file

SPLITS = ("train", "dev", "test")
FURTHER_TEST = "test_"
"""How the names of further test splits begin."""


@dataclass(frozen=True)
class Parts:
    """The rows of a corpus by split, ``train`` and ``dev`` among them, and of further test sets; unchecked yet.

    ``left_out`` counts the rows of the files that carry no outcome, by reason.
    """

    path: Path
    rows: dict[str, list[Pair]]
    tests: dict[str, list[Pair]]
    sources: dict[str, Path]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Dataset:
    """Train and dev rows, and every test set by its name; ``parts`` says which of them are the corpus's own.

    ``train`` holds the corpus's own rows, less those ``removed`` because dev or test has them too, and then those of
    the further sources, counted in ``mixed``.
    """

    name: str
    parts: Parts
    train: list[Pair]
    dev: list[Pair]
    tests: dict[str, list[Pair]]
    removed: int
    mixed: dict[str, MixCount]

    @property
    def sources(self) -> dict[str, Path]:
        """The file that every part came from."""
        return self.parts.sources

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every part."""
        parts = {"train": self.train, "dev": self.dev, **self.tests}
        return {name: fingerprint(pairs) for name, pairs in parts.items()}


def fingerprint(pairs: Iterable[Pair]) -> str:
    """Return 16 hexadecimal digits that change with any statement, holder, target or label, but not with the order."""
    rows = sorted(json.dumps([p.statement, p.holder, p.target, p.label]) for p in pairs)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def read_parts(config: DataConfig) -> Parts:
    """Return every part of the data that ``config`` names.

    Raises:
        UserError: a file is bad, or a test set has the name of a split.
    """
    corpus = read_corpus(config)
    rows = split_rows(corpus.pairs, config.split, corpus.path)
    sources = dict.fromkeys(rows, corpus.path)
    for name, path in config.tests.items():
        if name in rows:
            raise UserError(f"data.tests.{name}: '{name}' is the name of a split; choose another")
        sources[name] = find_file(path, f"data.tests.{name}")
    tests = {name: read_labelled(sources[name]) for name in config.tests}
    return Parts(corpus.path, rows, tests, sources, corpus.left_out)


def load_dataset(config: DataConfig, limit: int | None = None, seed: int | None = None) -> Dataset:
    """Return the training, dev and test rows that ``config`` names, checked against leaks, further sources mixed in.

    Args:
        limit: keep only so many of its own training rows.
        seed: draws which; None keeps the first.

    Raises:
        UserError: a file is bad, a split is empty, training has one class only, or a story, topic or near-copy stands
            on both sides of a split.
    """
    parts = read_parts(config)
    path, sources = parts.path, parts.sources
    whole, dev = parts.rows["train"], parts.rows["dev"]
    tests = {name: pairs for name, pairs in parts.rows.items() if name not in ("train", "dev") and pairs} | parts.tests
    held_out = {"dev": dev, **tests}
    removed = 0
    if config.overlap == "remove":
        kept = without_copies(whole, held_out)
        removed, whole = len(whole) - len(kept), kept
    train = limited(whole, limit, seed)
    gone = f"; removed from train, being in dev or test too: {removed}" if removed else ""
    for name, pairs in (("train", train), ("dev", dev)):
        if not pairs:
            raise UserError(f"{path}: the split '{name}' has no rows (rows per split: {_sizes(parts.rows)}{gone})")
    if len(labels := {pair.label for pair in train}) < 2:
        raise UserError(
            f"{path}: all {len(train)} training rows are labelled '{labels.pop()}'; "
            f"expected at least two of {', '.join(OUTCOMES)}"
        )
    for column in config.disjoint:
        if all(pair.column(column) is None for pair in train):
            columns = sorted(train[0].row())
            raise UserError(
                f"data.disjoint: no training row has the column '{column}'{nearest(column, columns)} "
                f"(columns: {', '.join(columns)})"
            )
    copies_too = config.overlap == "refuse"
    refuse_leaks({"train": train, **held_out}, config.disjoint, config.shared, path, copies_too)
    further, mixed = mix_in(config.mix, len(train), held_out)
    sources = {name: sources[name] for name in ("train", *held_out)}
    # What is wrong with the data does not depend on how much of it is trained on.
    own = {"train": whole + further, "dev": dev, **{name: p for name, p in tests.items() if name not in parts.tests}}
    parts = replace(parts, rows=own, sources=sources)
    return Dataset(config.name, parts, train + further, dev, tests, removed, mixed)


def limited(pairs: Sequence[Pair], limit: int | None, seed: int | None) -> list[Pair]:
    """Return so many of the pairs: the first, or those that ``seed`` draws; all of them where there are no more."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    return list(pairs[:limit]) if seed is None else random.Random(seed).sample(list(pairs), limit)


def split_rows(pairs: Sequence[Pair], config: SplitConfig, path: Path) -> dict[str, list[Pair]]:
    """Return the pairs by split: by their ``split`` column or, without one, whole groups of equal ``by`` together.

    A group falls into the same split on every machine and whatever other rows there are: its hash decides. Where the
    splits are given and dev is not among them, its share is taken from train in the same way.

    Raises:
        UserError: an unknown split name, or no row has the column to group by.
    """
    parts: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    if not any(pair.column("split") for pair in pairs):
        _has_column(pairs, config.by, path)
        for pair in pairs:
            share = _share(pair, config.by)
            name = "test" if share < config.test else "dev" if share < config.test + config.dev else "train"
            parts[name].append(pair)
        return parts
    for number, pair in enumerate(pairs, 1):
        split = str(pair.column("split") or "")
        if split not in SPLITS and not split.startswith(FURTHER_TEST):
            valid = ", ".join(SPLITS)
            close = nearest(split, SPLITS)
            raise UserError(
                f"{path}, row {number}: unknown split {split!r}{close} (valid: {valid} and names with {FURTHER_TEST}…)"
            )
        parts.setdefault(split, []).append(pair)
    if not parts["dev"] and config.dev:
        _has_column(parts["train"], config.by, path)
        train, parts["train"] = parts["train"], []
        for pair in train:
            parts["dev" if _share(pair, config.by) < config.dev else "train"].append(pair)
    return parts


def _has_column(pairs: Sequence[Pair], column: str, path: Path) -> None:
    if pairs and all(pair.column(column) is None for pair in pairs):
        columns = sorted({*pairs[0].row()})
        raise UserError(
            f"{path}: data.split.by: no row has the column '{column}'{nearest(column, columns)} "
            f"(columns: {', '.join(columns)}); data=file keeps equal statements together instead"
        )


def _share(pair: Pair, column: str) -> float:
    """Return the place of a pair's group between 0 and 1, which its hash decides."""
    group = pair.column(column)
    digest = hashlib.sha256(str(pair.statement if group is None else group).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _sizes(parts: dict[str, list[Pair]]) -> str:
    return ", ".join(f"{name} {len(pairs)}" for name, pairs in parts.items())


def label_counts(pairs: Iterable[Pair]) -> dict[str, int]:
    """Return how many pairs have each outcome, in the order of ``OUTCOMES``."""
    counts = Counter(pair.label for pair in pairs)
    return {label: counts.get(label, 0) for label in OUTCOMES}
