"""Comparisons as text for the terminal, as Markdown, as JSON values and as a page: the verdict always first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from stancekit.evaluation.compare import Comparison, Difference, Disagreement, points
from stancekit.evaluation.model import Score

_SHOWN = 5
_ON_PAGE = 200
_NAME, _STATEMENT = 28, 160
_MARKUP = re.compile(r"[\\`*<>|&#]|](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would take for its own; brackets are that before a link alone, underscores at the ends of words."""
_READING = (
    "Differences are the second less the first, in points (hundredths), with 95 % intervals of a paired bootstrap "
    "over clusters; of repeats, the scores are means over the runs, and the runs are resampled too.",
    "A difference is shown (*) where its interval excludes 0. The intervals are not corrected for being many: of "
    "twenty metrics or slices of two equal models, about one is shown by chance.",
    "McNemar's test and the disagreements take all four outcomes, and the mean of the probabilities of repeats; the "
    "test takes the rows as independent, which those of one cluster are not.",
    "The macro-F1 of a slice is the mean over the stances that occur in its gold. Where all rows of a slice share one "
    "cluster, its statements are resampled.",
)


def as_text(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons for a terminal: verdict, metrics, McNemar's test, the first slices and disagreements."""
    return "\n\n".join([*map(_one_as_text, comparisons), "\n".join(_READING)])


def as_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons as Markdown: what ``as_text`` shows, with every slice."""
    reading = "\n".join(f"- {_plain(line)}" for line in _READING)
    return "\n\n".join([*map(_one_as_markdown, comparisons), "## How to read this", reading]) + "\n"


def as_dict(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return comparisons as values for JSON, every disagreement and slice included: keys as in ``Comparison``."""
    return [asdict(comparison) for comparison in comparisons]


def as_page(comparisons: Sequence[Comparison]) -> str:
    """Return comparisons as one HTML page that needs no other file: every slice, up to 200 disagreements of each."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    shown = [
        {
            "found": found,
            "heading": _heading(found),
            "rows": _rows(found),
            "mcnemar": _mcnemar(found),
            "headings": _headings(found),
            "metrics": [(m, _metric(m)) for m in found.metrics],
            "slices": [(s, _gap(s.difference)) for s in found.slices],
            "one_right": _one_right(found),
        }
        for found in comparisons
    ]
    return environment.from_string(_PAGE).render(comparisons=shown, most=_ON_PAGE, reading=_READING)


def _one_as_text(found: Comparison) -> str:
    lines = [found.verdict, *(f"note: {note}" for note in found.notes), "", f"{_heading(found)}: {_rows(found)}", ""]
    heads = tuple(_cut(head, _NAME) for head in _headings(found))
    lines += _columns([heads, *map(_metric, found.metrics)])
    lines += ["", _mcnemar(found)]
    if found.slices:
        lines += ["", f"Slices that differ most ({_of(_SHOWN, len(found.slices))}):"]
        lines += [
            f"  {s.name} {s.value} ({s.rows} rows): {s.first:.3f} and {s.other:.3f}, "
            f"difference {_gap(s.difference)}{' *' if s.shown else ''}"
            for s in found.slices[:_SHOWN]
        ]
    if found.disagreements:
        lines += ["", f"Disagreements ({_of(_SHOWN, len(found.disagreements))}; {_one_right(found)}):"]
        for row in found.disagreements[:_SHOWN]:
            lines.append(f"  {_subject(row)}: {_cut(row.statement, _STATEMENT)}")
            lines.append(f"    gold {row.gold}; {_said(found, row)}")
    return "\n".join(lines)


def _one_as_markdown(found: Comparison) -> str:
    blocks = [f"## {_plain(_heading(found))}", f"**{_plain(found.verdict)}**"]
    blocks += [f"Note: {_plain(note)}." for note in found.notes]
    blocks += [f"{_rows(found)[0].upper()}{_rows(found)[1:]}.", _table(_headings(found), map(_metric, found.metrics))]
    blocks.append(f"{_plain(_mcnemar(found))}.")
    if found.slices:
        rows = [
            (s.name, s.value, str(s.rows), f"{s.first:.3f}", f"{s.other:.3f}", _gap(s.difference), _star(s.shown))
            for s in found.slices
        ]
        head = ("slice", "value", "rows", found.first, found.other, "difference, points", "shown")
        blocks += ["### Slices, those that differ most first", _table(head, rows)]
    if found.disagreements:
        blocks.append(f"### Disagreements ({_of(_SHOWN, len(found.disagreements))}; {_one_right(found)})")
        said = [
            f"- {_plain(_subject(row))}: {_plain(_cut(row.statement, _STATEMENT))}  \n  gold {_plain(row.gold)}; "
            f"{_plain(_said(found, row))}"
            for row in found.disagreements[:_SHOWN]
        ]
        blocks.append("\n".join(said))
    return "\n\n".join(blocks)


def _heading(found: Comparison) -> str:
    return f"{found.first} and {found.other} on {found.part}"


def _rows(found: Comparison) -> str:
    runs = f", {found.runs[0]} and {found.runs[1]} runs" if max(found.runs) > 1 else ""
    return f"{found.rows} rows in {found.clusters} clusters, fingerprint {found.fingerprint}{runs}"


def _headings(found: Comparison) -> tuple[str, ...]:
    return "metric", found.first, found.other, "difference, points", "p", "shown"


def _metric(one: Difference) -> tuple[str, ...]:
    p = f"{one.p:.3f}" if one.p >= 0.001 else "<0.001"
    return one.metric, str(one.first), str(one.other), _gap(one.difference), p, _star(one.shown)


def _star(shown: bool) -> str:
    return "*" if shown else ""


def _gap(difference: Score) -> str:
    value, low, high = (points(x, sign=True) for x in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def _mcnemar(found: Comparison) -> str:
    test = found.mcnemar
    return (
        f"McNemar's test: {test.first_only} rows right by {found.first} alone, {test.other_only} by {found.other} "
        f"alone, exact p = {test.p:.2g}"
    )


def _one_right(found: Comparison) -> str:
    return f"one is right in {found.mcnemar.first_only + found.mcnemar.other_only}"


def _subject(row: Disagreement) -> str:
    known = [part for part in (row.id, row.holder) if part]
    return " · ".join([*known, row.target])


def _said(found: Comparison, row: Disagreement) -> str:
    return (
        f"{found.first}: {row.first} ({row.first_confidence:.2f}), "
        f"{found.other}: {row.other} ({row.other_confidence:.2f})"
    )


def _of(most: int, number: int) -> str:
    return f"{most} of {number}" if number > most else str(number)


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Comparison</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2330; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.2rem; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #dde1e8; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.verdict { font-size: 18px; font-weight: 600; }
.note { color: #9a6b00; }
.right { color: #2a7f62; }
.wrong { color: #b0413e; }
.shown td { background: #f1f5fb; font-weight: 600; }
footer { color: #5b6270; font-size: 13px; } code { font-size: 12px; } summary { cursor: pointer; }
</style></head><body>
{% for one in comparisons %}
{% set found = one.found %}
<h1>{{ one.heading }}</h1>
<p class="verdict">{{ found.verdict }}</p>
{% for note in found.notes %}
<p class="note">{{ note }}</p>
{% endfor %}
<p>{{ one.rows }}.</p>
<table><tr>{% for head in one.headings %}<th{% if not loop.first %} class="number"{% endif %}>{{ head }}</th>
{% endfor %}</tr>
{% for metric, cells in one.metrics %}
<tr{% if metric.shown %} class="shown"{% endif %}>
{% for cell in cells %}<td{% if not loop.first %} class="number"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
<p>{{ one.mcnemar }}.</p>
{% if found.slices %}
<h2>Slices, those that differ most first</h2>
<table><tr><th>slice</th><th>value</th><th class="number">rows</th><th class="number">{{ found.first }}</th>
<th class="number">{{ found.other }}</th><th class="number">difference, points</th></tr>
{% for slice, gap in one.slices %}
<tr{% if slice.shown %} class="shown"{% endif %}><td>{{ slice.name }}</td><td>{{ slice.value }}</td>
<td class="number">{{ slice.rows }}</td><td class="number">{{ "%.3f"|format(slice.first) }}</td>
<td class="number">{{ "%.3f"|format(slice.other) }}</td><td class="number">{{ gap }}</td></tr>
{% endfor %}</table>
{% endif %}
{% if found.disagreements %}
<h2>Disagreements</h2>
<details><summary>{{ [found.disagreements|length, most]|min }} of {{ found.disagreements|length }} rows;
{{ one.one_right }}</summary>
<table><tr><th>id</th><th>holder</th><th>target</th><th>statement</th><th>gold</th><th>{{ found.first }}</th>
<th>{{ found.other }}</th></tr>
{% for row in found.disagreements[:most] %}
<tr><td>{{ row.id or "" }}</td><td>{{ row.holder or "" }}</td><td>{{ row.target }}</td><td>{{ row.statement }}</td>
<td>{{ row.gold }}</td>
<td class="{{ 'right' if row.first == row.gold else 'wrong' }}">{{ row.first }}
{{ "%.2f"|format(row.first_confidence) }}</td>
<td class="{{ 'right' if row.other == row.gold else 'wrong' }}">{{ row.other }}
{{ "%.2f"|format(row.other_confidence) }}</td></tr>
{% endfor %}</table></details>
{% endif %}
{% endfor %}
<footer>{% for line in reading %}<p>{{ line }}</p>{% endfor %}</footer>
</body></html>
"""
