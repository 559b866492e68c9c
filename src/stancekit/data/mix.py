"""Further sources of training rows: weighed, capped, and rid of what they share with the evaluation sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from stancekit.config.data import MixSource
from stancekit.data.corpus import read_corpus
from stancekit.data.leaks import CopyIndex
from stancekit.data.soft import soft_labels
from stancekit.pairs.model import Pair

SOURCE = "source"
"""The column that says from which further source a training row came."""


@dataclass(frozen=True, slots=True)
class MixCount:
    """How many rows a source gave, of how many, and how many were removed because an evaluation set holds a copy."""

    taken: int
    removed: int
    available: int

    def __str__(self) -> str:
        """Say the counts."""
        return f"{self.taken} of {self.available} rows, {self.removed} removed that an evaluation set holds too"


def without_copies(train: Sequence[Pair], held_out: Mapping[str, Sequence[Pair]]) -> list[Pair]:
    """Return the training rows whose statement, or a near-copy of it, is in none of the evaluation sets."""
    is_copied = _copied(held_out)
    return [pair for pair in train if not is_copied(pair.statement)]


def _copied(held_out: Mapping[str, Sequence[Pair]]) -> Callable[[str], bool]:
    index = CopyIndex()
    for name, pairs in held_out.items():
        for statement in dict.fromkeys(pair.statement for pair in pairs):
            index.add(name, statement)
    return cache(lambda statement: index.copy_of(statement) is not None)


def mix_in(
    mix: Mapping[str, MixSource], own: int, held_out: Mapping[str, Sequence[Pair]]
) -> tuple[list[Pair], dict[str, MixCount]]:
    """Return the rows that every source gives to the training set, and the counts by source.

    Of each source ``weight`` times ``own`` rows are taken, at most its cap and all that it has: its rows for training
    or, where it has none of that name, all. A hash of their text decides which: the same on every machine, and the
    first thousand stay the first when more are wanted. A row is removed if its statement, or a near-copy, is in an
    evaluation set.

    Args:
        own: how many training rows there are without the mix.
        held_out: the evaluation sets, by name.

    Raises:
        UserError: a source cannot be read, or has broken soft labels.
    """
    if not mix:
        return [], {}
    is_copied = _copied(held_out)
    rows: list[Pair] = []
    counts = {}
    for name, source in mix.items():
        assert source.corpus is not None, "composed configurations carry the corpus of every source"
        found = read_corpus(source.corpus, f"data.mix.{name}").pairs
        available = [pair for pair in found if pair.column("split") == "train"] or found
        wanted = min(round(source.weight * own), source.cap or len(available))
        taken: list[Pair] = []
        removed = 0
        for pair in sorted(available, key=_draw):
            if len(taken) == wanted:
                break
            if is_copied(pair.statement):
                removed += 1
                continue
            # Ids and splits of another corpus mean nothing beside our own.
            taken.append(replace(pair, id=None, extra={SOURCE: name, **soft_labels(pair, f"data.mix.{name}")}))
        rows.extend(taken)
        counts[name] = MixCount(len(taken), removed, len(available))
    return rows, counts


def _draw(pair: Pair) -> bytes:
    return hashlib.sha256(f"{pair.statement}\x00{pair.target}\x00{pair.holder}\x00{pair.label}".encode()).digest()
