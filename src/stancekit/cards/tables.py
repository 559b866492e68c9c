"""The card's tables of what was measured: plain values in, Markdown out, and never a number that is not there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stancekit.cards.abstaining import answered, least_confidence
from stancekit.cards.gather import PARTS, Model
from stancekit.evaluation.model import Behaviour, Report, Score
from stancekit.labels import OUTCOMES

NOT_MEASURED = "not measured"
NONE = "–"

DETAILED = ("test", "test_seen", "seeds", "dev")
"""The order in which a part is looked for to be told about in detail: dev, which served to choose, comes last."""

_MISTAKES, _SLICES, _WORDS = 8, 5, 3
_EXPECTED = {"change": "it is right before and after", "same": "its prediction stays"}


@dataclass(frozen=True)
class Table:
    """A Markdown table; its cells are texts already, of whatever kind."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Return the lines of the table, without a line end after the last."""
        lines = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Return a text such that Markdown shows it as it is, on one line and in one cell of a table."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def side_by_side(models: Sequence[Model], rows: Sequence[tuple[str, Callable[[Model], str]]]) -> Table:
    """Return a table with a column for every model and a line for every property."""
    return Table(
        ["", *(f"`{model.name}`" for model in models)],
        [[what, *(value(model) for model in models)] for what, value in rows],
    )


def scores(models: Sequence[Model], metric: str) -> Table:
    """Return a metric with its interval: a line for every model, a column for every part."""
    return Table(
        ["model", *PARTS],
        [
            [f"`{model.name}`", *(_score(model.results[part], metric) if part in model.results else NOT_MEASURED
                                  for part in PARTS)]
            for model in models
        ],
    )  # fmt: skip


def outcomes(models: Sequence[Model]) -> Table:
    """Return the F1 of every outcome with its interval: a line for every model and part."""
    return _by_part(
        models, [f"F1 of {outcome}" for outcome in OUTCOMES],
        lambda model, report: [_score(report, f"{outcome}/f1") for outcome in OUTCOMES],
    )  # fmt: skip


def hidden(models: Sequence[Model]) -> Table:
    """Return what hiding a column costs: a line for every model and part."""

    def cells(model: Model, report: Report) -> list[str]:
        found = [report.hidden.get(column) for column in columns]
        return [f"{_number(one.macro_f1)}, costs {_shown(one.cost)}" if one else NOT_MEASURED for one in found]

    columns = ("statement", "target", "holder")
    return _by_part(models, [f"without the {column}" for column in columns], cells)


def behaviour(models: Sequence[Model]) -> Table:
    """Return how the models do on the behaviour tests: a line for every kind of edit, two columns for every model."""
    found = {model.name: _behaviour(model) for model in models}
    kinds = {one.kind: one for tests in found.values() for one in tests.values()}
    rows = []
    for kind, one in kinds.items():
        cells = [plain(kind), plain(one.what), _EXPECTED.get(one.expects, one.expects), str(one.tests)]
        for tests in found.values():
            own = tests.get(kind)
            cells += [_share(own.passed), _share(own.right)] if own else [NOT_MEASURED, NOT_MEASURED]
        rows.append(cells)
    each = [heading for model in models for heading in (f"`{model.name}` passed", f"`{model.name}` right")]
    return Table(["edit", "what is edited", "passed if", "tests", *each], rows)


def calibration(models: Sequence[Model]) -> Table:
    """Return whether the probabilities mean what they say: a line for every model and part."""

    def cells(model: Model, report: Report) -> list[str]:
        one = report.calibration
        shown = [_number(one.temperature), _number(one.ece), _number(one.brier), _number(one.aurc)]
        if (sets := one.conformal) is None:
            return [*shown, *[NOT_MEASURED] * 3]
        covered = {outcome: share for outcome, share in sets.coverage_by_outcome.items() if share is not None}
        least = min(covered, key=lambda outcome: covered[outcome])
        return [
            *shown,
            f"{_share(sets.coverage)} (wanted: {sets.level:.0%})",
            f"{_share(covered[least])} ({least})",
            f"{sets.mean_size:.2f}",
        ]

    headings = ["temperature", "ECE", "Brier", "AURC", "sets hold the gold outcome", "least often", "size of a set"]
    return _by_part(models, headings, cells)


def abstaining(models: Sequence[Model]) -> Table:
    """Return what abstaining does: the least confidence, chosen on dev, and what it leads to on every part."""

    def cells(model: Model, report: Report) -> list[str]:
        all_right = _share(answered(report.calibration.bins, 0.0).right)
        if "dev" not in model.results:
            return [NOT_MEASURED, all_right, NOT_MEASURED, NOT_MEASURED]
        least = least_confidence(model.results["dev"].calibration.bins)
        if least is None:
            return ["none is high enough", all_right, NONE, NONE]
        found = answered(report.calibration.bins, least)
        return [f"{least:.3f}", all_right, _share(found.share), _share(found.right)]

    return _by_part(models, ["answer above", "right among all", "answered", "right among the answered"], cells)


def mistakes(model: Model) -> Table | None:
    """Return a model's most confident mistakes, no two on one statement; None where they are not known."""
    if (report := model.result(*DETAILED)) is None or not report.mistakes:
        return None
    first = {one.statement: one for one in reversed(report.mistakes)}
    chosen = sorted(first.values(), key=lambda one: -one.confidence)[:_MISTAKES]
    headings = ["statement", "holder", "target", "gold", "predicted", "confidence", "what it hangs on"]
    return Table(
        headings,
        [
            [
                plain(one.statement),
                plain(one.holder or "unknown"),
                plain(one.target),
                one.gold,
                one.predicted,
                _share(one.confidence),
                ", ".join(plain(word) for word, _ in one.words[:_WORDS]) or NONE,
            ]
            for one in chosen
        ],
    )


def slices(model: Model) -> Table | None:
    """Return a model's worst slices; None where they are not known."""
    if (report := model.result(*DETAILED)) is None or not report.slices:
        return None
    return Table(
        ["column", "value", "rows", "macro-F1", "four-way accuracy"],
        [
            [plain(one.name), plain(one.value), str(one.rows), _number(one.macro_f1), _number(one.accuracy_outcomes)]
            for one in report.slices[:_SLICES]
        ],
    )


def detailed(model: Model) -> str | None:
    """Return the part that a model's mistakes and slices are of; None where it was evaluated on none."""
    report = model.result(*DETAILED)
    return report.part if report else None


def _by_part(
    models: Sequence[Model], headings: Sequence[str], cells: Callable[[Model, Report], Sequence[str]]
) -> Table:
    rows = []
    for model in models:
        for part in PARTS:
            report = model.results.get(part)
            found = cells(model, report) if report else [NOT_MEASURED] * len(headings)
            rows.append([f"`{model.name}`", part, *found])
    return Table(["model", "part", *headings], rows)


def _behaviour(model: Model) -> dict[str, Behaviour]:
    """Return a model's behaviour tests by kind: they are the same whatever part it was evaluated on."""
    found = next((report.behaviour for report in model.results.values() if report.behaviour), ())
    return {one.kind: one for one in found}


def _score(report: Report, metric: str) -> str:
    return _shown(report.scores[metric]) if metric in report.scores else NOT_MEASURED


def _shown(score: Score) -> str:
    return str(score) if math.isfinite(score.value) else NONE


def _number(value: float | None) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:.3f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"
