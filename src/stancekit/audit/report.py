"""A report as text, as JSON and as a page with plots."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.audit.model import Report
from stancekit.files import whole_file
from stancekit.labels import COLOURS, OUTCOMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = ("report.txt", "report.json", "report.html")

_SHOWN = 5
_ON_PAGE = 50
_SIGNS = {"error": "ERROR", "warning": "warn", "ok": "ok", "skipped": "-"}


def as_text(report: Report) -> str:
    """Return the report for a terminal: a line for every check, and the first rows of those that found something."""
    lines = [f"{report.name}: {report.path} (fingerprint {report.fingerprint})"]
    for part, counts in report.labels.items():
        total = sum(counts.values())
        each = ", ".join(f"{label} {count} ({count / total:.0%})" for label, count in counts.items())
        lines.append(f"  {part:<10} {total:>6} pairs   {each}")
    lines.append("")
    for found in report.findings:
        lines.append(f"{_SIGNS[found.level]:<6} {found.check}: {found.message}")
        if found.level in ("error", "warning"):
            lines += [f"         {_row_as_text(row)}" for row in found.rows[:_SHOWN]]
            if len(found.rows) > _SHOWN:
                lines.append(f"         … and {len(found.rows) - _SHOWN} more")
    counts = {level: sum(f.level == level for f in report.findings) for level in ("error", "warning")}
    lines.append(f"\n{counts['error']} errors, {counts['warning']} warnings in {len(report.findings)} checks")
    return "\n".join(lines)


def _row_as_text(row: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in row.items() if value is not None and name != "holder"}
    return " | ".join(f"{name} {_cut(str(value), 80)}" for name, value in shown.items())


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def as_json(report: Report) -> str:
    """Return the whole report as JSON, every row included."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=2, default=str) + "\n"


def as_page(report: Report) -> str:
    """Return the report as one HTML page that needs no other file."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    plots = {title: _as_image(figure) for title, figure in _figures(report).items()}
    counted = {level: sum(f.level == level for f in report.findings) for level in ("error", "warning")}
    return environment.from_string(_PAGE).render(
        report=report, plots=plots, outcomes=OUTCOMES, signs=_SIGNS, most=_ON_PAGE, counted=counted
    )


def write_report(report: Report, folder: Path) -> None:
    """Write ``FILES`` into a folder, which is made if need be.

    Raises:
        UserError: the folder cannot be written to.
    """
    texts = (as_text(report) + "\n", as_json(report), as_page(report))
    for name, text in zip(FILES, texts, strict=True):
        with whole_file(folder / name) as stream:
            stream.write(text)


def _figures(report: Report) -> dict[str, Figure]:
    from matplotlib.figure import Figure

    figures = {}
    figure = Figure(figsize=(7, 0.5 * len(report.labels) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    left = dict.fromkeys(report.labels, 0.0)
    for label in OUTCOMES:
        shares = {part: counts[label] / max(1, sum(counts.values())) for part, counts in report.labels.items()}
        axes.barh(list(shares), list(shares.values()), left=list(left.values()), color=COLOURS[label], label=label)
        left = {part: left[part] + share for part, share in shares.items()}
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the rows")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.3), frameon=False, fontsize="small")
    figures["Labels by split"] = figure
    if scores := report.numbers.get("shortcuts"):
        figure = Figure(figsize=(7, 0.28 * len(scores) + 1), layout="constrained")
        axes = figure.add_subplot()
        names = [f"{s['sees']} alone · {s['classifier']} · {s['part']}" for s in scores]
        axes.barh(names, [s["macro_f1"] for s in scores], color="#4a6fa5")
        axes.axvline(1 / 3, color="k", linestyle="--", linewidth=1)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize="small")
        axes.set(xlim=(0, 1), xlabel="macro-F1 of three stances (dashed: guessing)")
        figures["What can be guessed from one column"] = figure
    if kappas := (report.numbers.get("agreement") or {}).get("by_phenomenon"):
        known = {name: value["kappa"] for name, value in kappas.items() if value["kappa"] is not None}
        figure = Figure(figsize=(7, 0.25 * len(known) + 1), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(list(known), list(known.values()), color="#6b8f71")
        axes.axvline(0.8, color="k", linestyle="--", linewidth=1)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize="small")
        axes.set(xlim=(0, 1), xlabel="Cohen's κ of two passes")
        figures["Agreement by phenomenon"] = figure
    if words := report.numbers.get("words"):
        figure = Figure(figsize=(7, 2.6), layout="constrained")
        axes = figure.add_subplot()
        axes.hist(words, bins=range(0, max(words) + 6, 5), color="#4a6fa5")
        axes.set(xlabel="words of a statement", ylabel="statements")
        figures["Length of the statements"] = figure
    return figures


def _as_image(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return base64.b64encode(stream.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Audit of {{ report.name }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2330; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.2rem; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #dde1e8; }
.error { color: #b0413e; font-weight: 600 }
.warning { color: #9a6b00 }
.ok { color: #2a7f62 }
.skipped { color: #8a8f98 }
img { max-width: 100%; } code { font-size: 12px; } summary { cursor: pointer; }
</style></head><body>
<h1>Audit of {{ report.name }}</h1>
<p><code>{{ report.path }}</code>, fingerprint <code>{{ report.fingerprint }}</code>:
<span class="error">{{ counted.error }} errors</span>, <span class="warning">{{ counted.warning }} warnings</span>
in {{ report.findings|length }} checks.</p>
<table><tr><th>split</th><th>pairs</th>{% for label in outcomes %}<th>{{ label }}</th>{% endfor %}</tr>
{% for part, counts in report.labels.items() %}
<tr><td>{{ part }}</td><td>{{ counts.values()|sum }}</td>
{% for label in outcomes %}<td>{{ counts[label] }}</td>{% endfor %}</tr>
{% endfor %}</table>
<h2>Checks</h2>
{% for found in report.findings %}
<p><span class="{{ found.level }}">{{ signs[found.level] }}</span> <b>{{ found.check }}</b>: {{ found.message }}</p>
{% if found.rows and found.level != "ok" %}
<details><summary>{{ [found.rows|length, most]|min }} of {{ found.rows|length }} rows</summary>
<table><tr>{% for name in found.rows[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in found.rows[:most] %}
<tr>{% for value in row.values() %}<td>{{ "" if value is none else value }}</td>{% endfor %}</tr>
{% endfor %}</table></details>
{% endif %}
{% endfor %}
<h2>Plots</h2>
{% for title, image in plots.items() %}
<h3>{{ title }}</h3><img alt="{{ title }}" src="data:image/png;base64,{{ image }}">
{% endfor %}
</body></html>
"""
