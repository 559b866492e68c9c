"""Probabilities that mean what they say: a temperature and a conformal threshold, learned from dev rows.

Temperature scaling is that of Guo et al. (2017, On calibration of modern neural networks). The prediction sets are
those of Sadinle et al. (2019, Least ambiguous set-valued classifiers with bounded error levels), which is split
conformal prediction (Vovk et al., 2005, Algorithmic learning in a random world) with the score 1 - p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stancekit.models.base import Prediction, StanceModel
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_TEMPERATURE, _GREATEST_TEMPERATURE = 0.05, 20.0
_GAIN = 1e-9


@dataclass(frozen=True)
class Calibration:
    """What was learned from dev rows about a model's probabilities.

    ``temperature`` is what their logarithms are divided by. ``threshold`` is the largest 1 - p, after scaling, of an
    outcome in the prediction set; such sets hold the gold outcome of ``level`` of new rows like the dev ones, of which
    there were ``rows``.

    Raises:
        ValueError: a value is out of its range.
    """

    temperature: float
    threshold: float
    level: float
    rows: int

    def __post_init__(self) -> None:
        """Check the ranges; every check is false for a value that is not a number (NaN)."""
        _checked_temperature(self.temperature)
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"'threshold' must be from 0 to 1, found {self.threshold}")
        if not 0 < self.level < 1:
            raise ValueError(f"'level' must be between 0 and 1, found {self.level}")
        if self.rows < 1:
            raise ValueError(f"'rows' must be at least 1, found {self.rows}")

    def as_dict(self) -> dict[str, float | int]:
        """Return plain values, which ``from_dict`` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Calibration:
        """Return what ``as_dict`` gave.

        Raises:
            ValueError: a value is missing, unknown, of the wrong type or out of its range; names it.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise ValueError(f"unknown {', '.join(map(repr, unknown))} (valid: {', '.join(names)})")
        if missing := [name for name in names if name not in values]:
            raise ValueError(f"'{missing[0]}' is missing")
        temperature, threshold, level = (_number(values[name], name) for name in names[:3])
        rows = values["rows"]
        if isinstance(rows, bool) or not isinstance(rows, int):
            raise ValueError(f"'rows' must be a whole number, found {rows!r}")
        return cls(temperature, threshold, level, rows)


def fit(gold: NDArray[np.int64], probabilities: NDArray[np.float64], level: float = 0.9) -> Calibration:
    """Return the temperature and the conformal threshold that labelled rows ask for, none of them trained on.

    The temperature minimises the negative log-likelihood of the gold outcomes, from 0.05 to 20, where the logits are
    the logarithms of the probabilities (Guo et al., 2017). It is 1 where no other does better, as with probabilities
    that no temperature changes. The threshold is the ceil((n + 1) * level)-th smallest of the n rows' 1 - p of the gold
    outcome after scaling (Sadinle et al., 2019), or 1, every outcome, where there are too few rows for that.

    Args:
        gold: indices in ``OUTCOMES``, shape (rows,).
        probabilities: as the model gave them, shape (rows, 4), columns in the order of ``OUTCOMES``.
        level: the share of rows whose prediction set should hold the gold outcome, between 0 and 1.

    Raises:
        ValueError: there are no rows, or ``level`` is out of its range.
    """
    if not len(gold):
        raise ValueError("no rows to calibrate on")
    temperature = _temperature(gold, probabilities)
    scores = 1 - _of(gold, scale(probabilities, temperature))
    return Calibration(temperature, _conformal_quantile(scores, level), level, len(gold))


def scale(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities to the power of 1 / ``temperature``, made to sum to 1; shape (rows, outcomes) stays.

    Above 1 the temperature makes them less certain, below 1 more so. Zeros stay zeros, and the likeliest outcome stays
    the likeliest, unless it was so by no more than a rounding error.

    Raises:
        ValueError: the temperature is not a finite number above 0.
    """
    powers = np.exp(_logits(probabilities, _checked_temperature(temperature)))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


def prediction_sets(probabilities: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return which outcomes are in each row's prediction set, shape (rows, outcomes); a set may be empty.

    Args:
        probabilities: already scaled, shape (rows, outcomes).
        threshold: that of the ``Calibration``.
    """
    return np.asarray(1 - probabilities <= threshold, dtype=np.bool_)


class Calibrated:
    """A model whose probabilities are scaled by its calibration; which outcome is the likeliest stays."""

    def __init__(self, model: StanceModel, calibration: Calibration) -> None:
        """Put the two together."""
        self._model = model
        self._calibration = calibration

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        """Return a scaled probability for every outcome of every pair, in the order of the pairs."""
        prediction = self._model.predict(pairs, batch_size)
        return replace(prediction, probabilities=scale(prediction.probabilities, self._calibration.temperature))

    def write(self, folder: Path) -> None:
        """Write the model's own files; the calibration stands in the manifest."""
        self._model.write(folder)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"'{name}' must be a number, found {value!r}")
    return float(value)


def _checked_temperature(temperature: float) -> float:
    if not 0 < temperature < math.inf:
        raise ValueError(f"'temperature' must be a finite number above 0, found {temperature}")
    return temperature


def _of(gold: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every row's value for its gold outcome."""
    return values[np.arange(len(gold)), gold]


def _logits(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return scaled log-probabilities, each row shifted so that its greatest is 0: no power overflows."""
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities.astype(np.float64))
    # A tiny temperature sends what is not the greatest to minus infinity, which is what it should.
    with np.errstate(over="ignore"):
        return np.asarray((logs - logs.max(axis=-1, keepdims=True)) / temperature, dtype=np.float64)


def _temperature(gold: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    from scipy.optimize import minimize_scalar

    # A gold outcome of probability 0 is an infinite loss at every temperature: it says nothing about which is best.
    possible = _of(gold, probabilities) > 0
    if not possible.any():
        return 1.0
    gold, logits = gold[possible], _logits(probabilities[possible], 1.0)

    def loss(log_temperature: float) -> float:
        scaled = logits * math.exp(-log_temperature)
        return float((np.log(np.exp(scaled).sum(axis=1)) - _of(gold, scaled)).mean())

    # The loss is convex in 1 / T, so a bounded search along log T finds the one minimum.
    bounds = (math.log(_LEAST_TEMPERATURE), math.log(_GREATEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return math.exp(float(found.x)) if found.fun < loss(0.0) - _GAIN else 1.0


def _conformal_quantile(scores: NDArray[np.float64], level: float) -> float:
    # The product may lie a rounding error above a whole number, which ceil would take to the next.
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    return float(np.sort(scores)[max(rank, 1) - 1]) if rank <= len(scores) else 1.0
