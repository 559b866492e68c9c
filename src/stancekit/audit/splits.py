"""What stands on both sides of a split, and how labels and targets are spread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from stancekit.audit.copies import GROUP
from stancekit.audit.model import Finding, LabelledRow, finding, shown
from stancekit.data.dataset import label_counts
from stancekit.data.leaks import crossings
from stancekit.labels import STANCES
from stancekit.pairs.model import Pair

KEPT_APART = ("story", "topic", GROUP)
"""Columns whose values belong on one side of a split wherever they are there."""


def leaks(
    parts: Mapping[str, Sequence[Pair]], disjoint: Sequence[str], shared: Mapping[str, Sequence[str]], near_copy: float
) -> list[Finding]:
    """Find values of the columns to be kept apart, and statements or near-copies, that two parts have."""
    columns = list(dict.fromkeys((*disjoint, *KEPT_APART)))
    found = crossings(parts, columns, shared, near_copy)
    held = [
        column for column in columns if any(p.column(column) is not None for pairs in parts.values() for p in pairs)
    ]
    values = [{"column": c.column, "value": c.value, "parts": " and ".join(c.parts)} for c in found if c.column]
    copies = [{"statement": c.value, "parts": " and ".join(c.parts)} for c in found if c.column is None]
    return [
        finding(
            "groups across splits",
            "error",
            values,
            "{count} values that belong on one side stand on two",
            f"each {' and '.join(held)} stands on one side" if held else "no column says what belongs together",
        ),
        finding(
            "copies across splits",
            "error",
            copies,
            "{count} statements, or near-copies of them, stand in two parts",
            "no statement or near-copy stands in two parts",
        ),
    ]


def one_label_targets(rows: Sequence[LabelledRow]) -> Finding:
    """Find targets that stand in two rows or more, always with the same label."""
    labels: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row in rows:
        labels[row.pair.target][row.pair.label] += 1
    found = [
        {"target": target, "label": next(iter(counts)), "rows": counts.total()}
        for target, counts in labels.items()
        if len(counts) == 1 and counts.total() > 1
    ]
    single = sum(counts.total() == 1 for counts in labels.values())
    good = f"each of {len(labels) - single} targets has two labels at least" + (f", {single} stand once" * bool(single))
    bad = f"{{count}} of {len(labels)} targets have one label only, so that a model can do without the statement"
    return finding("targets with one label", "warning", found, bad, good)


def balance(parts: Mapping[str, Sequence[Pair]], least: float) -> Finding:
    """Find stances with less than ``least`` of the rows of a part."""
    found = []
    for part, pairs in parts.items():
        for label, count in label_counts(pairs).items():
            if label in STANCES and pairs and count / len(pairs) < least:
                found.append({"part": part, "label": label, "rows": count, "share": round(count / len(pairs), 3)})
    bad = f"{{count}} times a stance has less than {least:.0%} of a part"
    return finding("label balance", "warning", found, bad, f"each stance has {least:.0%} of every part or more")


def truncated(rows: Sequence[LabelledRow], lengths: Sequence[int], limit: int) -> Finding:
    """Find rows that the model would cut: ``lengths`` are tokens, ``limit`` is how many it reads."""
    found = [shown(row, tokens=length) for row, length in zip(rows, lengths, strict=True) if length > limit]
    bad = f"{{count}} rows are longer than the {limit} tokens that the model reads, and would be cut"
    return finding("truncated rows", "warning", found, bad, f"the longest of {max(lengths, default=0)} tokens fits")
