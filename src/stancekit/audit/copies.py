"""Rows that stand twice, statements that are copies of each other, and series made from one template."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.audit.model import Finding, LabelledRow, finding, shown
from stancekit.data.leaks import CopyIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "group"
"""The column that says which statements belong together on purpose: minimal pairs, variants."""

_BLOCK = 2048
# Words that begin with a capital letter within a sentence, numbers, and what stands in quotation marks.
_NAMES = re.compile(r"(?<![.!?:”\"]\s)(?<!^)\b[A-Z]\w*(?:[-’'.]\w+)*|\d[\d.,:]*|[“\"][^”\"]{1,60}[”\"]")
_SERIES_ALIKE = 0.6


def exact_copies(rows: Sequence[LabelledRow]) -> Finding:
    """Find rows that have statement, holder, target and label in common with an earlier one."""
    seen: dict[tuple[str, str | None, str, str | None], LabelledRow] = {}
    twice = []
    for row in rows:
        pair = row.pair
        first = seen.setdefault((pair.statement, pair.holder, pair.target, pair.label), row)
        if first is not row:
            twice.append(shown(row, copy_of=first.name))
    return finding("exact copies", "error", twice, "{count} rows stand twice", "no row stands twice")


def near_copies(rows: Sequence[LabelledRow], threshold: float) -> Finding:
    """Find statements of one part that are near-copies of each other without being of one group."""
    index = CopyIndex(threshold)
    held: dict[str, LabelledRow] = {}
    found = []
    for row in _by_statement(rows):
        for _, text in index.copies_of(row.pair.statement):
            other = held[text]
            if other.part == row.part and not _together(row, other):
                found.append(shown(row, copy_of=other.name, other=text))
                break
        held[row.pair.statement] = row
        index.add(row.part, row.pair.statement)
    bad = f"{{count}} statements are near-copies (Jaccard ≥ {threshold}) of another that is not of their group"
    return finding("near-copies", "warning", found, bad, "no near-copies but within groups")


def alike(
    rows: Sequence[LabelledRow], own: Collection[str], vectors: NDArray[np.float32], threshold: float
) -> list[Finding]:
    """Find statements that mean the same by their embeddings: across parts, and within one outside its groups.

    Args:
        own: the parts within which to look; the others are compared across parts alone.
        vectors: one unit vector for every distinct statement, in the order of its first row.
    """
    firsts = _by_statement(rows)
    across: list[dict[str, Any]] = []
    within: list[dict[str, Any]] = []
    for begin in range(0, len(firsts), _BLOCK):
        similarity = vectors[begin : begin + _BLOCK] @ vectors.T
        for i, j in zip(*np.nonzero(similarity >= threshold), strict=True):
            one, other = firsts[begin + int(i)], firsts[int(j)]
            if begin + i >= j or _together(one, other):
                continue
            values = shown(other, copy_of=one.name, other=one.pair.statement, cosine=round(float(similarity[i, j]), 3))
            if one.part != other.part:
                across.append(values)
            elif one.part in own:
                within.append(values)
    for found in (across, within):
        found.sort(key=lambda values: -values["cosine"])
    say = f"mean the same (cosine ≥ {threshold})"
    return [
        finding("alike across splits", "error", across, f"{{count}} statements of two parts {say}", "none"),
        finding("alike within a split", "warning", within, f"{{count}} statements of one part {say}", "none"),
    ]


def series(rows: Sequence[LabelledRow], size: int) -> Finding:
    """Find statements of ``size`` or more groups that are one template, filled with other names and numbers."""
    index = CopyIndex(_SERIES_ALIKE)
    held: dict[str, list[LabelledRow]] = {}
    root: dict[str, str] = {}

    def find(mask: str) -> str:
        while root[mask] != mask:
            root[mask] = root[root[mask]]
            mask = root[mask]
        return mask

    for row in _by_statement(rows):
        mask = _NAMES.sub("_", row.pair.statement)
        if mask not in held:
            held[mask], root[mask] = [], mask
            for _, other in index.copies_of(mask):
                root[find(other)] = find(mask)
            index.add(row.part, mask)
        held[mask].append(row)
    clusters: dict[str, list[LabelledRow]] = defaultdict(list)
    for mask, masked in held.items():
        clusters[find(mask)].extend(masked)
    found: list[dict[str, Any]] = []
    for cluster in clusters.values():
        groups = {row.pair.column(GROUP) or row.name for row in cluster}
        if len(groups) >= size:
            found.extend(shown(row, series=cluster[0].name) for row in cluster)
    bad = "{count} statements belong to series that differ in names and numbers alone"
    return finding("template series", "error", found, bad, f"no series of {size} or more")


def repeated_ngrams(
    rows: Sequence[LabelledRow], length: int, share: float, least: int
) -> tuple[Finding, list[dict[str, Any]]]:
    """Find word n-grams that stand in more than ``share`` of the statements, and in ``least`` at least.

    Returns:
        The finding, and the twenty most frequent n-grams with their counts and shares.
    """
    firsts = _by_statement(rows)
    counts: Counter[str] = Counter()
    for row in firsts:
        counts.update(set(_ngrams(row.pair.statement, length)))
    total = max(1, len(firsts))
    table: list[dict[str, Any]] = [
        {"ngram": gram, "statements": n, "share": round(n / total, 5)} for gram, n in counts.most_common(20)
    ]
    often = [entry for entry in table if entry["statements"] > share * total and entry["statements"] >= least]
    first = table[0] if table else {"ngram": "", "share": 0.0}
    good = f"the most frequent of {length} words ('{first['ngram']}') stands in {first['share']:.2%} of the statements"
    bad = f"{{count}} sequences of {length} words stand in more than {share:.1%} of the {total} statements"
    return finding("repeated n-grams", "error", often, bad, good), table


def conflicts(rows: Sequence[LabelledRow]) -> Finding:
    """Find rows that have statement, holder and target in common with others but another label."""
    held: dict[tuple[str, str | None, str], list[LabelledRow]] = defaultdict(list)
    for row in rows:
        held[row.pair.statement, row.pair.holder, row.pair.target].append(row)
    found = [
        shown(row, labels=", ".join(sorted({str(r.pair.label) for r in group})))
        for group in held.values()
        if len({r.pair.label for r in group}) > 1
        for row in group
    ]
    bad = "{count} rows have the statement, holder and target of another, but not its label"
    return finding("label conflicts", "error", found, bad, "no two rows contradict each other")


def _ngrams(text: str, length: int) -> Iterator[str]:
    words = re.findall(r"\w+", text.lower())
    for i in range(len(words) - length + 1):
        yield " ".join(words[i : i + length])


def _by_statement(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """Return the first row of every distinct statement."""
    firsts: dict[str, LabelledRow] = {}
    for row in rows:
        firsts.setdefault(row.pair.statement, row)
    return list(firsts.values())


def _together(one: LabelledRow, other: LabelledRow) -> bool:
    group = one.pair.column(GROUP)
    return group is not None and group == other.pair.column(GROUP)


def distinct_statements(rows: Sequence[LabelledRow]) -> list[str]:
    """Return every distinct statement, in the order of its first row."""
    return [row.pair.statement for row in _by_statement(rows)]
