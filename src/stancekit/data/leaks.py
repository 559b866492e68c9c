"""What must not stand on both sides of a split: a story, a topic, a statement or its near-copy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from stancekit.errors import UserError
from stancekit.pairs.model import Pair

NEAR_COPY = 0.8
"""Jaccard similarity of word 3-grams from which two statements count as copies of each other."""

_PERMUTATIONS = 128
# Well below NEAR_COPY, so that the index proposes practically every pair that the exact similarity then decides on.
_PROPOSED = 0.5


def refuse_leaks(parts: Mapping[str, Sequence[Pair]], disjoint: Sequence[str], path: Path) -> None:
    """Check every two parts against each other.

    Raises:
        UserError: a value of a ``disjoint`` column, a statement or its near-copy stands in two parts; names it.
    """
    problems = []
    for column in disjoint:
        for one, other in combinations(parts, 2):
            values = {p.column(column) for p in parts[one]} & {p.column(column) for p in parts[other]} - {None}
            if values:
                problems.append(f"{column} {sorted(map(str, values))[0]!r} is in {one} and in {other}")
    problems.extend(_near_copies(parts))
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems[:5])
        more = f"\n  … and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(
            f"{path}: the split leaks, so a score on it would be too high:\n{listed}{more}\n"
            "  a column that keeps them together mends it: `split` in the file, or data.split.by=COLUMN"
        )


def shingles(text: str) -> set[str]:
    """Return the word 3-grams of a text, lower-cased; of a shorter text, its words as one."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def _near_copies(parts: Mapping[str, Sequence[Pair]]) -> list[str]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=_PROPOSED, num_perm=_PERMUTATIONS)
    owners: dict[str, tuple[str, str]] = {}
    problems = []
    for part, pairs in parts.items():
        hashed: dict[str, tuple[str, MinHash]] = {}
        for statement in dict.fromkeys(pair.statement for pair in pairs):
            grams = shingles(statement)
            sketch = MinHash(num_perm=_PERMUTATIONS)
            sketch.update_batch([gram.encode() for gram in sorted(grams)])
            # The index proposes, the exact similarity decides: MinHash alone errs on short statements.
            for key in index.query(sketch):
                other_part, other = owners[key]
                if len(grams & shingles(other)) / len(grams | shingles(other)) >= NEAR_COPY:
                    problems.append(f"near-copies in {other_part} and in {part}: {statement[:90]!r}")
                    break
            hashed[f"{part}:{len(hashed)}"] = (statement, sketch)
        for key, (statement, sketch) in hashed.items():
            owners[key] = (part, statement)
            index.insert(key, sketch)
    return problems
