"""How far a model's probabilities can be believed: calibration error, risk and coverage, prediction sets.

The expected calibration error follows Guo et al. (2017, On calibration of modern neural networks), the risk-coverage
curve Geifman & El-Yaniv (2017, Selective classification for deep neural networks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stancekit.evaluation.model import Bin, CalibrationReport, Conformal
from stancekit.labels import OUTCOMES
from stancekit.models.calibration import Calibration, prediction_sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 15
_POINTS = 100


def report(
    gold: NDArray[np.int64], probabilities: NDArray[np.float64], calibration: Calibration | None
) -> CalibrationReport:
    """Return how far probabilities can be believed on labelled rows, of which there must be at least one.

    The calibration error is over 15 bins of equal width (Guo et al., 2017), of which those without rows are left out.
    The Brier score sums the squared errors of all outcomes, so it is from 0 to 2 (Brier, 1950). Rows of equal
    confidence enter the risk-coverage curve in the order given; the curve has 100 points at most, while ``aurc`` is the
    mean over as many as there are rows.

    Args:
        gold: indices in ``OUTCOMES``, shape (rows,).
        probabilities: already scaled, shape (rows, 4), columns in the order of ``OUTCOMES``.
        calibration: what they were scaled with, if anything; without it there are no prediction sets.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    bins = _bins(confidence, right)
    curve, aurc = _risk_coverage(confidence, right)
    return CalibrationReport(
        temperature=calibration.temperature if calibration else None,
        ece=sum(bin_.rows * abs(bin_.accuracy - bin_.confidence) for bin_ in bins) / len(gold),
        brier=float(((probabilities - np.eye(len(OUTCOMES))[gold]) ** 2).sum(axis=1).mean()),
        bins=bins,
        risk_coverage=curve,
        aurc=aurc,
        conformal=_conformal(gold, probabilities, calibration) if calibration else None,
    )


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, _BINS + 1)
    # Each bin holds its upper edge; without the outer edges a confidence of 1 + 1e-16 is still in the last one.
    places = np.digitize(confidence, edges[1:-1], right=True)
    return tuple(
        Bin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (places == place for place in np.unique(places))
    )


def _risk_coverage(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[tuple[tuple[float, float], ...], float]:
    rows = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    risks = np.cumsum(~right[order]) / np.arange(1, rows + 1)
    points = min(rows, _POINTS)
    answered = [-(-point * rows // points) for point in range(1, points + 1)]
    return tuple((number / rows, float(risks[number - 1])) for number in answered), float(risks.mean())


def _conformal(gold: NDArray[np.int64], probabilities: NDArray[np.float64], calibration: Calibration) -> Conformal:
    sets = prediction_sets(probabilities, calibration.threshold)
    held = sets[np.arange(len(gold)), gold]
    sizes = sets.sum(axis=1)
    return Conformal(
        level=calibration.level,
        coverage=float(held.mean()),
        coverage_by_outcome={
            outcome: float(held[gold == i].mean()) if (gold == i).any() else None for i, outcome in enumerate(OUTCOMES)
        },
        mean_size=float(sizes.mean()),
        empty=float((sizes == 0).mean()),
    )
