"""A report on a terminal, as JSON, as a page with figures and as a short table: what casts doubt on it always first."""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.evaluation import figures
from stancekit.files import whole_file
from stancekit.labels import COLOURS, OUTCOMES
from stancekit.metric_names import FURTHER_METRICS, HEADLINE, METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, RenderableType

    from stancekit.evaluation.model import CalibrationReport, Mistake, Report, Score

_SLICES, _MISTAKES, _MISTAKES_ON_PAGE = 10, 5, 50
_WIDTH = 110
"""Columns where the output is no terminal."""
_NONE = "–"
_STRONGEST = 0.45
"""How opaque the colour of the word is that weighs most: so that it can be read."""
_EXPECTED = {"change": "right before and after", "same": "the prediction stays"}
_FIGURES_OF = {
    "Scores": ("scores",),
    "Confusion": ("confusion",),
    "Hidden columns": ("hidden",),
    "Behaviour": ("behaviour",),
    "Calibration": ("risk_coverage",),
    "Confidence": ("reliability",),
}
"""The figures by the title of the table that they stand with."""
_COMPARED = (HEADLINE, "accuracy", "macro_f1_outcomes")


@dataclass(frozen=True)
class _Table:
    """A table for terminal and page alike; the columns named in ``texts`` are aligned left, the others hold numbers."""

    title: str
    caption: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: tuple[int, ...] = (0,)


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the report, warnings first: on standard output, or on the console that is given."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    out = console or Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)

    def show(shown: RenderableType) -> None:
        out.print(shown, crop=False)

    if report.warnings:
        lines = [Text.assemble((f"{_plain(w.check)}: ", "bold"), _plain(w.message)) for w in report.warnings]
        show(Panel(Text("\n").join(lines), title=_warned(report), title_align="left", border_style="red"))
    else:
        show(Text(_warned(report)))
    show(Text("\n" + _plain(_subject(report)), style="bold"))
    show(Text(_plain(_rows(report))))
    for table in (_scores(report), *_outcomes(report), _subsets(report), _hidden(report), _behaviour(report)):
        _show(out, table)
    show(Text.assemble(("\nCalibration: ", "bold"), _calibration_line(report.calibration)))
    _show(out, _slices(report), _SLICES)
    if report.mistakes:
        show(Text.assemble(("\nMost confident mistakes: ", "bold"), _of(_MISTAKES, len(report.mistakes), "first")))
        for mistake in report.mistakes[:_MISTAKES]:
            show(_mistake(mistake))
    if report.notes:
        show(Text("\nNotes", style="bold"))
        show(_pairs(("-", note) for note in report.notes))


def as_json(report: Report) -> str:
    """Return the whole report as JSON: keys as in ``stancekit.evaluation.model``, null for what is no number."""
    return json.dumps(_finite(asdict(report)), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def as_page(report: Report, images: Mapping[str, bytes] | None = None) -> str:
    """Return the report as one HTML page that needs no other file, with every table and every figure.

    Args:
        images: what ``drawn`` gave, where the figures have been drawn already.
    """
    from jinja2 import Environment

    images = drawn(report) if images is None else images
    tables = [_scores(report), *_outcomes(report), _subsets(report), _hidden(report), _behaviour(report)]
    tables += [*_calibration(report.calibration), _slices(report)]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(
        report=report,
        subject=_subject(report),
        rows=_rows(report),
        warned=_warned(report),
        tables=[table for table in tables if table.rows],
        plots={
            title: [base64.b64encode(images[name]).decode() for name in names if name in images]
            for title, names in _FIGURES_OF.items()
        },
        failing=[found for found in report.behaviour if found.failures],
        mistakes=[(mistake, _weighed(mistake)) for mistake in report.mistakes[:_MISTAKES_ON_PAGE]],
        counted=_of(_MISTAKES_ON_PAGE, len(report.mistakes), "first"),
        colours=COLOURS,
    )


def drawn(report: Report) -> dict[str, bytes]:
    """Return the figures that the report has something for, as PNG, by name; drawing is most of a page's time."""
    calibration = report.calibration
    wanted: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "scores": (True, lambda: figures.scores(report)),
        "confusion": (True, lambda: figures.confusion(report.confusion, f"{report.part} ({report.rows} pairs)")),
        "hidden": (bool(report.hidden), lambda: figures.hidden(report)),
        "behaviour": (bool(report.behaviour), lambda: figures.behaviour(report)),
        "risk_coverage": (bool(calibration.risk_coverage), lambda: figures.risk_coverage(calibration)),
        "reliability": (True, lambda: figures.reliability(calibration)),
    }
    return {name: _as_png(draw()) for name, (has_content, draw) in wanted.items() if has_content}


def write_report(report: Report, folder: Path, name: str, images: Mapping[str, bytes] | None = None) -> None:
    """Write ``{name}.json`` and ``{name}.html`` into a folder, which is made if need be.

    Args:
        images: what ``drawn`` gave, where the figures have been drawn already.

    Raises:
        UserError: the folder cannot be written to.
    """
    for suffix, text in (("json", as_json(report)), ("html", as_page(report, images))):
        with whole_file(folder / f"{name}.{suffix}") as stream:
            stream.write(text)


def markdown_table(report: Report) -> str:
    """Return the main scores as a Markdown table: metric, score, interval."""
    rows = [f"| {name} | {score} | {interval} |" for name, score, interval, _ in _scores(report).rows]
    return "\n".join(["| metric | score | 95 % interval |", "|---|---|---|", *rows]) + "\n"


def _subject(report: Report) -> str:
    return f"{report.model} on {report.part}"


def _rows(report: Report) -> str:
    clusters = f"{report.rows} rows in {report.clusters} clusters by {report.cluster_by}"
    return f"{clusters} of {report.data} (fingerprint {report.fingerprint})"


def _warned(report: Report) -> str:
    number = len(report.warnings)
    if not number:
        return "No warnings from the checks that were made."
    return f"{number} warning{'s' * (number > 1)}: read before you believe a score"


def _scores(report: Report) -> _Table:
    what = METRICS | FURTHER_METRICS
    names = [name for name in (*what, *report.scores) if name in report.scores and "/" not in name]
    rows = [
        (name, _number(score.value), _interval(score), what.get(name, ""))
        for name, score in ((name, report.scores[name]) for name in dict.fromkeys(names))
    ]
    caption = f"The main scores, with 95 % intervals from resampling {_plain(report.cluster_by)} clusters."
    return _Table("Scores", caption, ("metric", "score", "95 % interval", "what it is"), rows, (0, 3))


def _outcomes(report: Report) -> tuple[_Table, _Table]:
    support = {outcome: str(sum(row)) for outcome, row in zip(OUTCOMES, report.confusion, strict=True)}
    each = [
        (outcome, *(_score(report.scores[f"{outcome}/{name}"]) for name in ("precision", "recall", "f1")), rows)
        for outcome, rows in support.items()
    ]
    counted = [(outcome, *map(str, row)) for outcome, row in zip(OUTCOMES, report.confusion, strict=True)]
    return (
        _Table(
            "Outcomes",
            "How well each outcome is found among all rows; support is how many rows have it as gold.",
            ("outcome", "precision", "recall", "F1", "support"),
            each,
        ),
        _Table(
            "Confusion",
            "What the rows of each gold outcome (down) were predicted as (across).",
            ("gold", *OUTCOMES),
            counted,
        ),
    )


def _subsets(report: Report) -> _Table:
    names = [name for name in _COMPARED if all(name in subset.scores for subset in report.subsets.values())]
    every = (report.rows, report.scores)
    rows = {name: (subset.rows, subset.scores) for name, subset in report.subsets.items()}
    return _Table(
        "Seen and unseen targets",
        "The same scores on some of the rows alone, such as those whose target did not occur in training.",
        ("rows with", "rows", *names),
        [
            (_plain(name), str(number), *(_score(scores[metric]) for metric in names))
            for name, (number, scores) in ({"all": every} | rows if rows else {}).items()
        ],
    )


def _hidden(report: Report) -> _Table:
    rows = [
        (_plain(figures.hidden_name(column)), _number(found.macro_f1), _score(found.cost))
        for column, found in report.hidden.items()
    ]
    return _Table(
        "Hidden columns",
        "Three-way macro-F1 with a column hidden, and what that cost: a cost near 0 means that the model ignores it.",
        ("input", HEADLINE, "cost"),
        [("whole input", _number(report.value(HEADLINE)), _NONE), *rows] if rows else [],
    )


def _behaviour(report: Report) -> _Table:
    return _Table(
        "Behaviour",
        "Minimal edits: the share that passed, and the share that was right before and after the edit.",
        ("edit", "what is edited", "passes if", "tests", "passed", "right"),
        [
            (
                _plain(found.kind),
                _plain(found.what),
                _EXPECTED.get(found.expects, _plain(found.expects)),
                str(found.tests),
                _share(found.passed),
                _share(found.right),
            )
            for found in report.behaviour
        ],
        (0, 1, 2),
    )


def _calibration(found: CalibrationReport) -> list[_Table]:
    temperature = _number(found.temperature) if found.temperature is not None else "none fitted"
    measures = [
        ("ECE", _number(found.ece), "expected calibration error: how far confidence is from the share of right rows"),
        ("Brier score", _number(found.brier), "squared distance of the probabilities from the gold outcome"),
        ("AURC", _number(found.aurc), "mean share of errors over all shares of rows that are answered"),
        ("temperature", temperature, "what the logits are divided by; above 1 makes the model less sure"),
    ]
    if sets := found.conformal:
        measures += [
            ("sets: coverage", _share(sets.coverage), f"sets that hold the gold outcome; {sets.level:.0%} are wanted"),
            *(
                (f"sets: coverage of {outcome}", _share(share), f"the same where gold is {outcome}")
                for outcome, share in sets.coverage_by_outcome.items()
            ),
            ("sets: mean size", _number(sets.mean_size), "outcomes in a set, on average"),
            ("sets: empty", _share(sets.empty), "sets without any outcome"),
        ]
    bins = [(str(b.rows), _number(b.confidence), _number(b.accuracy)) for b in found.bins if b.rows]
    caption = "Whether probabilities over four outcomes mean what they say."
    return [
        _Table("Calibration", caption, ("measure", "value", "what it is"), measures, (0, 2)),
        _Table(
            "Confidence",
            "Rows of like confidence, and the share of them that is right.",
            ("rows", "confidence", "right"),
            bins,
            (),
        ),
    ]


def _calibration_line(found: CalibrationReport) -> str:
    fitted = "no temperature fitted" if found.temperature is None else f"temperature {_number(found.temperature)}"
    line = f"ECE {_number(found.ece)}, Brier {_number(found.brier)}, AURC {_number(found.aurc)}, {fitted}."
    if sets := found.conformal:
        each = ", ".join(f"{outcome} {_share(share)}" for outcome, share in sets.coverage_by_outcome.items())
        line += f" Prediction sets meant to hold the gold outcome in {sets.level:.0%} of the rows do so in "
        line += f"{_share(sets.coverage)} ({each}); mean size {_number(sets.mean_size, 2)}, empty {_share(sets.empty)}."
    return line


def _slices(report: Report) -> _Table:
    return _Table(
        "Slices",
        "Rows that share a value, the worst first; macro_f1 is over the stances that occur in the slice.",
        ("column", "value", "rows", HEADLINE, "accuracy_outcomes"),
        [
            (_plain(s.name), _plain(s.value), str(s.rows), _number(s.macro_f1), _number(s.accuracy_outcomes))
            for s in report.slices
        ],
        (0, 1),
    )


def _show(out: Console, table: _Table, most: int | None = None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not table.rows:
        return
    caption = f"{table.caption} {_of(most, len(table.rows), 'worst')}" if most else table.caption
    out.print(Text.assemble((f"\n{table.title}: ", "bold"), caption), crop=False)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column, heading in enumerate(table.headings):
        if column in table.texts:
            grid.add_column(Text(heading), overflow="fold", min_width=8)
        else:
            # Rich would cut a number short where the terminal is narrow; wider than the terminal is better.
            widest = max(len(text) for text in (heading, *(row[column] for row in table.rows)))
            grid.add_column(Text(heading), justify="right", no_wrap=True, min_width=widest)
    for row in table.rows[:most]:
        grid.add_row(*map(Text, row))
    out.print(grid, crop=False)


def _mistake(mistake: Mistake) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    named = f", id {mistake.id}" if mistake.id else ""
    head = f"{mistake.predicted} at {mistake.confidence:.1%}, gold {mistake.gold}{named}"
    words = " · ".join(f"{word} {_number(weight, 2)}" for word, weight in mistake.words)
    given = (("holder", mistake.holder), ("statement", mistake.statement), ("target", mistake.target), ("words", words))
    return Group(Text(_plain(head), style="bold"), _pairs((f"  {name}", text) for name, text in given if text))


def _pairs(lines: Iterable[tuple[str, str]]) -> RenderableType:
    """Return texts, each with what stands left of it, wrapped so that they stay right of it."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for left, text in lines:
        grid.add_row(Text(left), Text(_plain(text)))
    return grid


def _plain(text: str) -> str:
    """Return a text on one line, without the control characters that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _number(value: float | None, places: int = 3) -> str:
    # Adding zero turns the -0.0 that rounding can leave into 0.0.
    return _NONE if value is None or not math.isfinite(value) else f"{round(value, places) + 0.0:.{places}f}"


def _share(value: float | None) -> str:
    return _NONE if value is None or not math.isfinite(value) else f"{value:.1%}"


def _interval(score: Score) -> str:
    return f"[{_number(score.low)}, {_number(score.high)}]"


def _score(score: Score) -> str:
    return f"{_number(score.value)} {_interval(score)}"


def _of(most: int, number: int, which: str) -> str:
    return f"The {which} {most} of {number}." if number > most else f"All {number}."


def _weighed(mistake: Mistake) -> list[tuple[str, str, str]]:
    """Return the words of a mistake, each with its weight and how opaque its colour is."""
    most = max((weight for _, weight in mistake.words), default=0.0)
    return [
        (word, _number(weight, 2), f"{_STRONGEST * max(0.0, weight) / most if most > 0 else 0.0:.2f}")
        for word, weight in mistake.words
    ]


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ subject }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2330; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.2rem; font-size: 13px; }
caption { text-align: left; padding-bottom: .3rem; color: #5b6270; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #dde1e8; }
td + td, .pair { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.warnings { border: 2px solid #b0413e; background: #fbf1f0; padding: .6rem 1rem; margin: 1rem 0; }
.warnings p { margin: 0; color: #b0413e; font-weight: 600 } .warnings ul { margin: .4rem 0; padding-left: 1.2rem; }
.ok, .subject { color: #5b6270 }
.label { white-space: nowrap; border-left: .7em solid; padding-left: .35em; }
.word { display: inline-block; padding: 0 .3em; margin: 0 .2em .2em 0; border-radius: .2em; }
.word small { color: #5b6270 }
img { max-width: 100%; } code { font-size: 12px; } summary { cursor: pointer; margin: .3rem 0; }
</style></head><body>
{% macro label(name) %}
<span class="label" style="border-color: {{ colours[name] }}">{{ name }}</span>
{%- endmacro %}
{% macro pair(holder, statement, target) %}
{{ statement }}<br><span class="subject">{{ holder or "holder unknown" }} · {{ target }}</span>
{%- endmacro %}
<h1>{{ subject }}</h1>
{% if report.warnings %}
<div class="warnings"><p>{{ warned }}</p><ul>
{% for found in report.warnings %}
<li><b>{{ found.check }}</b>: {{ found.message }}</li>
{% endfor %}
</ul></div>
{% else %}
<p class="ok">{{ warned }}</p>
{% endif %}
<p class="subject">{{ rows }}</p>
{% for table in tables %}
<h2>{{ table.title }}</h2>
{% for image in plots[table.title] %}
<img alt="{{ table.title }}" src="data:image/png;base64,{{ image }}">
{% endfor %}
<table><caption>{{ table.caption }}</caption>
<tr>{% for heading in table.headings %}
<th{% if loop.index0 not in table.texts %} class="number"{% endif %}>{{ heading }}</th>
{% endfor %}</tr>
{% for row in table.rows %}
<tr>{% for value in row %}
<td{% if loop.index0 not in table.texts %} class="number"{% endif %}>
{%- if value in colours %}{{ label(value) }}{% else %}{{ value }}{% endif %}</td>
{% endfor %}</tr>
{% endfor %}</table>
{% if table.title == "Behaviour" %}
{% for found in failing %}
<details><summary>{{ found.kind }}: {{ found.failures|length }} failed tests</summary>
<table><caption>Each pair before and after the edit, with its gold outcome and the predicted one.</caption>
<tr><th>before</th><th>gold</th><th>predicted</th><th>after</th><th>gold</th><th>predicted</th></tr>
{% for f in found.failures %}
<tr><td class="pair">{{ pair(f.holder, f.statement, f.target) }}</td>
<td>{{ label(f.gold) }}</td><td>{{ label(f.predicted) }}</td>
<td>{{ pair(f.edited_holder, f.edited_statement, f.edited_target) }}</td><td>{{ label(f.edited_gold) }}</td>
<td>{{ label(f.edited_predicted) }}</td></tr>
{% endfor %}</table></details>
{% endfor %}
{% endif %}
{% endfor %}
{% if mistakes %}
<h2>Most confident mistakes</h2>
<table><caption>Errors of the model, the surest first, with the words whose removal lowers the probability of the wrong
outcome most, and by how much. {{ counted }}</caption>
<tr><th>pair</th><th>gold</th><th>predicted</th><th class="number">confidence</th><th>words</th></tr>
{% for mistake, words in mistakes %}
<tr><td class="pair">{{ pair(mistake.holder, mistake.statement, mistake.target) }}
{% if mistake.id %}<br><code>{{ mistake.id }}</code>{% endif %}</td>
<td>{{ label(mistake.gold) }}</td><td>{{ label(mistake.predicted) }}</td>
<td class="number">{{ "%.1f"|format(100 * mistake.confidence) }}%</td>
<td>{% for word, weight, strength in words %}
<span class="word" style="background: rgba(176, 65, 62, {{ strength }})">{{ word }} <small>{{ weight }}</small></span>
{% endfor %}</td></tr>
{% endfor %}</table>
{% endif %}
{% if report.notes %}
<h2>Notes</h2><ul>{% for note in report.notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% endif %}
</body></html>
"""
