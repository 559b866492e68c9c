"""Findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stancekit.pairs.model import Pair

Level = Literal["error", "warning", "ok", "skipped"]


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A pair and where it stands: its part of the data and its number there, from 1."""

    part: str
    number: int
    pair: Pair

    @property
    def name(self) -> str:
        """Return the id, or part and number where there is none."""
        return self.pair.id or f"{self.part}:{self.number}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: a level, a sentence, and the rows or values that it is about."""

    check: str
    level: Level
    message: str
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything that an audit found, and the numbers that its plots are drawn from."""

    name: str
    path: str
    fingerprint: str
    labels: Mapping[str, Mapping[str, int]]
    """Rows by part and outcome."""
    findings: Sequence[Finding]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Tables by the check that made them: shortcut scores, agreement, n-grams, statement lengths."""

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that fail a strict audit."""
        return [finding for finding in self.findings if finding.level == "error"]


def labelled_rows(parts: Mapping[str, Sequence[Pair]]) -> list[LabelledRow]:
    """Return the rows of all parts, numbered within each."""
    return [LabelledRow(part, number, pair) for part, pairs in parts.items() for number, pair in enumerate(pairs, 1)]


def shown(row: LabelledRow, **more: Any) -> dict[str, Any]:
    """Return a row as reports show it, with what a check has to say of it."""
    pair = row.pair
    values = {"row": row.name, "part": row.part, "label": pair.label, "holder": pair.holder, "target": pair.target}
    return {**values, "statement": pair.statement, **more}


def finding(check: str, level: Level, rows: Iterable[Mapping[str, Any]], bad: str, good: str) -> Finding:
    """Return a finding of ``level`` saying ``bad`` where there are rows, else one that says that all is ``good``.

    ``{count}`` in ``bad`` is the number of rows.
    """
    held = tuple(rows)
    return Finding(check, level, bad.format(count=len(held)), held) if held else Finding(check, "ok", good)
