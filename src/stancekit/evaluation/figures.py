"""The figures of an evaluation: each about 900 pixels wide, in the colours that the labels have on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stancekit.labels import COLOURS, OUTCOMES
from stancekit.metric_names import FURTHER_METRICS, METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from stancekit.evaluation.model import CalibrationReport, Report

"""The colour of every outcome."""

_PLAIN, _SOFT, _DARK = "#4a6fa5", "#a9bcd8", "#1d2330"
_WIDTH, _DPI = 8.2, 110
_BAR = 0.36
"""Inches that one bar or dot takes, with the space around it."""


def hidden_name(column: str) -> str:
    """Return what to call the input with a column hidden: a holder becomes unknown, as some are anyway."""
    return "holder masked" if column == "holder" else f"{column} hidden"


def confusion(matrix: ArrayLike, title: str) -> Figure:
    """Return the confusion matrix as a picture, each row in the colour of its gold outcome.

    A cell says how many rows it holds and what share of the rows with that gold outcome.

    Args:
        matrix: shape (4, 4), gold down and predicted across, in the order of ``OUTCOMES``.
        title: shown above the matrix, as it is.
    """
    from matplotlib.colors import to_rgb

    counts = np.asarray(matrix)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    colours = np.array([to_rgb(COLOURS[outcome]) for outcome in OUTCOMES])[:, None, :]
    shades = 1 - shares[..., None] * (1 - colours)
    figure, axes = _figure(4.2)
    axes.imshow(shades, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        # The weights are those of ITU-R BT.601 for perceived brightness.
        bright = shades[row, column] @ (0.299, 0.587, 0.114) > 0.6
        text = f"{count}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=_DARK if bright else "white")
    axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
    support = zip(OUTCOMES, counts.sum(axis=1), strict=True)
    axes.set_yticks(range(len(OUTCOMES)), [f"{outcome}\n{rows} rows" for outcome, rows in support])
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(1, len(OUTCOMES)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(OUTCOMES)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color("#dde1e8")
    axes.set(xlabel="predicted", ylabel="gold")
    axes.set_title(title, parse_math=False)
    return figure


def reliability(calibration: CalibrationReport) -> Figure:
    """Return how often rows of like confidence are right: dots by the diagonal mean what they say.

    Dots are the larger the more rows they stand for; below the diagonal the model is surer than it should be.
    """
    bins = [found for found in calibration.bins if found.rows]
    confidence = [found.confidence for found in bins]
    accuracy = [found.accuracy for found in bins]
    most = max((found.rows for found in bins), default=1)
    figure, axes = _figure(4.2)
    axes.plot([0, 1], [0, 1], color="#8a8f98", linestyle="--", linewidth=1, label="as right as it is sure", zorder=1)
    axes.vlines(confidence, confidence, accuracy, color=_SOFT, linewidth=3, zorder=2)
    axes.scatter(confidence, accuracy, [30 + 250 * found.rows / most for found in bins], color=_PLAIN, zorder=3)
    for found in bins:
        axes.annotate(
            str(found.rows),
            (found.confidence, found.accuracy),
            xytext=(0, -13 if found.accuracy < found.confidence else 13),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize="small",
        )
    axes.set(
        # The likeliest of four outcomes has at least a quarter: the room to the left of it would stay empty.
        xlim=(min([0.22, *(value - 0.02 for value in confidence)]), 1.02),
        ylim=(-0.08, 1.08),
        xlabel="mean confidence",
        ylabel="share of right rows",
        title=f"Expected calibration error {calibration.ece:.3f}, numbers are rows",
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def risk_coverage(calibration: CalibrationReport) -> Figure:
    """Return the share of errors among the rows that are answered, by how many of them are, most confident first."""
    share = [point[0] for point in calibration.risk_coverage]
    risk = [point[1] for point in calibration.risk_coverage]
    figure, axes = _figure(3.6)
    axes.fill_between(share, risk, color=_SOFT, alpha=0.5, linewidth=0)
    axes.plot(share, risk, color=_PLAIN, linewidth=2)
    if risk:
        axes.axhline(risk[-1], color="#8a8f98", linestyle="--", linewidth=1, label=f"all answered: {risk[-1]:.3f}")
        axes.legend(frameon=False, loc="upper left")
    axes.set(
        xlim=(0, 1),
        ylim=(0, max([0.1, *risk]) * 1.25),
        xlabel="share of the rows that are answered",
        ylabel="share of errors",
        title=f"Mean of the errors (AURC) {calibration.aurc:.3f}",
    )
    return figure


def scores(report: Report) -> Figure:
    """Return the main scores and the F1 of every outcome as dots, with their intervals as lines."""
    names = [name for name in (*METRICS, *FURTHER_METRICS) if name in report.scores and "/" not in name]
    names += [f"{outcome}/f1" for outcome in OUTCOMES if f"{outcome}/f1" in report.scores]
    figure, axes = _figure(_BAR * len(names) + 0.9)
    for position, name in enumerate(names):
        found = report.scores[name]
        colour = COLOURS.get(name.partition("/")[0], _PLAIN)
        axes.hlines(position, found.low, found.high, color=colour, linewidth=3, alpha=0.6)
        axes.plot(found.value, position, "o", color=colour, markersize=8)
        axes.text(1.02, position, str(found), transform=axes.get_yaxis_transform(), va="center", fontsize="small")
    axes.set_yticks(range(len(names)), names)
    axes.set(
        xlim=(min([0.0, *(report.scores[name].low - 0.02 for name in names)]), 1),
        ylim=(len(names) - 0.4, -0.6),
        xlabel="score, with its 95 % interval",
    )
    axes.grid(axis="x", color="#dde1e8")
    axes.set_axisbelow(True)
    return figure


def hidden(report: Report) -> Figure:
    """Return the three-way macro-F1 with the whole input and with each column hidden.

    A bar as long as the first one means that the model does not need what was hidden.
    """
    names = ["whole input", *map(hidden_name, report.hidden)]
    values = [report.value("macro_f1"), *(found.macro_f1 for found in report.hidden.values())]
    notes = ["", *(f", costs {found.cost}" for found in report.hidden.values())]
    figure, axes = _figure(_BAR * len(names) + 0.9)
    axes.barh(names, values, color=[_PLAIN] + [_SOFT] * len(report.hidden), height=0.7)
    axes.axvline(values[0], color=_DARK, linestyle="--", linewidth=1)
    _annotate(axes, [f"{value:.3f}{note}" for value, note in zip(values, notes, strict=True)])
    axes.set(xlim=(0, 1), xlabel="macro-F1 over three stances (dashed: whole input)")
    return figure


def behaviour(report: Report) -> Figure:
    """Return the share of tests passed for every kind of edit, in two colours by what the edit should do."""
    from matplotlib.patches import Patch

    expected = {"change": _PLAIN, "same": "#6b8f71"}
    figure, axes = _figure(_BAR * len(report.behaviour) + 1.2)
    axes.barh(
        [found.kind for found in report.behaviour],
        [found.passed for found in report.behaviour],
        color=[expected.get(found.expects, _SOFT) for found in report.behaviour],
        height=0.7,
    )
    _annotate(axes, [f"{found.passed:.0%} of {found.tests}" for found in report.behaviour])
    axes.set(xlim=(0, 1), xlabel="share of tests passed")
    figure.legend(
        handles=[Patch(color=colour) for colour in expected.values()],
        labels=["label changes: right before and after", "label stays: prediction stays"],
        loc="outside upper center",
        ncols=2,
        frameon=False,
    )
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _annotate(axes: Axes, texts: list[str]) -> None:
    """Write a text right of every place for a bar, outside the axes, so that no bar is too long for it."""
    axes.invert_yaxis()
    for position, text in enumerate(texts):
        axes.text(1.02, position, text, transform=axes.get_yaxis_transform(), va="center", fontsize="small")
