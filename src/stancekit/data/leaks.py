"""What must not stand on both sides of a split: a story, a topic, a statement or its near-copy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.errors import UserError
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from datasketch import MinHash

NEAR_COPY = 0.8
"""Jaccard similarity of word 3-grams from which two statements count as copies of each other."""

_PERMUTATIONS = 128


@dataclass(frozen=True, slots=True)
class Crossing:
    """What stands on both sides of a split: the column, or None for a statement; the value, and where it stands."""

    column: str | None
    value: str
    parts: tuple[str, str]

    def __str__(self) -> str:
        """Say what leaks."""
        one, other = self.parts
        if self.column is None:
            return f"near-copies in {one} and in {other}: {self.value[:90]!r}"
        return f"{self.column} {self.value!r} is in {one} and in {other}"


def crossings(
    parts: Mapping[str, Sequence[Pair]],
    disjoint: Sequence[str],
    shared: Mapping[str, Sequence[str]],
    near_copy: float = NEAR_COPY,
) -> list[Crossing]:
    """Return the values of ``disjoint`` columns and the statements, or their near-copies, that stand in two parts.

    Args:
        shared: by part, the columns that it has in common with train on purpose.
        near_copy: the similarity of word 3-grams from which two statements are copies.
    """
    found: list[Crossing] = []
    for column in disjoint:
        for one, other in combinations(parts, 2):
            if "train" in (one, other) and column in {*shared.get(one, ()), *shared.get(other, ())}:
                continue
            values = _values(parts[one], column) & _values(parts[other], column)
            found.extend(Crossing(column, value, (one, other)) for value in sorted(values))
    index = CopyIndex(near_copy)
    for part, pairs in parts.items():
        statements = list(dict.fromkeys(pair.statement for pair in pairs))
        for statement in statements:
            if copy := index.copy_of(statement):
                found.append(Crossing(None, statement, (copy[0], part)))
        for statement in statements:
            index.add(part, statement)
    return found


def refuse_leaks(
    parts: Mapping[str, Sequence[Pair]],
    disjoint: Sequence[str],
    shared: Mapping[str, Sequence[str]],
    path: Path,
    copies_too: bool = True,
) -> None:
    """Check every two parts against each other, as ``crossings`` does; for statements if ``copies_too``.

    Raises:
        UserError: something stands in two parts; names it.
    """
    problems = crossings(parts, disjoint, shared)
    if problems := [problem for problem in problems if copies_too or problem.column]:
        listed = "\n".join(f"  - {problem}" for problem in problems[:5])
        more = f"\n  … and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(
            f"{path}: the split leaks, so a score on it would be too high:\n{listed}{more}\n"
            "  a column that keeps them together mends it: `split` in the file, or data.split.by=COLUMN"
        )


def _values(pairs: Sequence[Pair], column: str) -> set[str]:
    return {str(value) for pair in pairs if (value := pair.column(column)) is not None}


def shingles(text: str) -> set[str]:
    """Return the word 3-grams of a text, lower-cased; of a shorter text, its words as one."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


class CopyIndex:
    """Statements, searched for near-copies of another: MinHash proposes, the exact similarity decides."""

    def __init__(self, threshold: float = NEAR_COPY) -> None:
        """Take ``threshold``, the Jaccard similarity of word 3-grams from which two statements are copies."""
        from datasketch import MinHashLSH

        self._threshold = threshold
        # Below the threshold, so that practically every pair is proposed that the exact similarity then decides on.
        self._index = MinHashLSH(threshold=threshold - 0.3, num_perm=_PERMUTATIONS)
        self._held: list[tuple[str, str, frozenset[str]]] = []

    def add(self, owner: str, statement: str) -> None:
        """Hold a statement under the name of what it belongs to."""
        grams, sketch = _prepared(statement)
        self._index.insert(len(self._held), sketch)
        self._held.append((owner, statement, grams))

    def copies_of(self, statement: str) -> Iterator[tuple[str, str]]:
        """Yield the owner and the text of every near-copy that is held, the statement itself included."""
        grams, sketch = _prepared(statement)
        for key in sorted(self._index.query(sketch)):
            owner, other, others = self._held[key]
            if len(grams & others) / len(grams | others) >= self._threshold:
                yield owner, other

    def copy_of(self, statement: str) -> tuple[str, str] | None:
        """Return the first near-copy, or None."""
        return next(self.copies_of(statement), None)


# The split is checked for leaks and then audited, each time over all statements.
@lru_cache(maxsize=20_000)
def _prepared(statement: str) -> tuple[frozenset[str], MinHash]:
    """Return the shingles of a statement and their MinHash."""
    grams = frozenset(shingles(statement))
    sketch = _empty_sketch().copy()
    sketch.update_batch([gram.encode() for gram in sorted(grams)])
    return grams, sketch


@cache
def _empty_sketch() -> MinHash:
    """Return what every sketch begins as: drawing its permutations takes as long as using them."""
    from datasketch import MinHash

    return MinHash(num_perm=_PERMUTATIONS)
