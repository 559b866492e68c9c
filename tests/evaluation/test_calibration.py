from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss

from stancekit.evaluation.calibration import report
from stancekit.labels import OUTCOMES
from stancekit.models.calibration import Calibration, fit, prediction_sets, scale

Gold = NDArray[np.int64]
Probabilities = NDArray[np.float64]


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier whose features are the probabilities."""

    classes_ = np.arange(4)

    def fit(self, features: Probabilities, labels: Gold) -> Given:
        return self

    def predict(self, features: Probabilities) -> Gold:
        return np.asarray(features.argmax(axis=1))

    def predict_proba(self, features: Probabilities) -> Probabilities:
        return features

    def __sklearn_is_fitted__(self) -> bool:
        return True


def calibrated(rows: int, seed: int) -> tuple[Gold, Probabilities]:
    """Gold outcomes drawn from the very probabilities."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(4, 0.8), size=rows)
    gold = (generator.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return np.minimum(gold, 3), probabilities


def probability_rows(least: int) -> st.SearchStrategy[Probabilities]:
    row = st.lists(st.integers(least, 1000), min_size=4, max_size=4).filter(any)
    return st.lists(row, min_size=1, max_size=8).map(lambda rows: np.array(rows) / np.array(rows).sum(1, keepdims=True))


@settings(deadline=None)
@given(probability_rows(0), st.floats(0.05, 20))
def test_when_probabilities_are_scaled_then_sums_zeros_and_the_likeliest_stay(
    probabilities: Probabilities, temperature: float
) -> None:
    scaled = scale(probabilities, temperature)
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert (scaled[probabilities == 0] == 0).all()
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_when_probabilities_are_scaled_by_hand_then_they_agree() -> None:
    assert scale(np.array([[0.6, 0.2, 0.2, 0.0]]), 0.5)[0] == pytest.approx([9 / 11, 1 / 11, 1 / 11, 0])
    assert scale(np.array([[0.64, 0.16, 0.16, 0.04]]), 2.0)[0] == pytest.approx([8 / 18, 4 / 18, 4 / 18, 2 / 18])


@settings(deadline=None)
@given(probability_rows(1), st.floats(0.5, 2))
def test_when_scaling_is_undone_then_the_probabilities_are_back(
    probabilities: Probabilities, temperature: float
) -> None:
    assert scale(scale(probabilities, temperature), 1 / temperature) == pytest.approx(probabilities)


@pytest.mark.parametrize("temperature", [1e-300, 1e300])
def test_when_a_temperature_is_extreme_then_probabilities_stay_finite(temperature: float) -> None:
    scaled = scale(np.array([[0.5, 0.3, 0.2, 1e-300]]), temperature)
    assert scaled[0] == pytest.approx([1, 0, 0, 0] if temperature < 1 else [0.25] * 4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_when_a_temperature_is_impossible_then_scaling_says_so(temperature: float) -> None:
    with pytest.raises(ValueError, match="'temperature' must be a finite number above 0"):
        scale(np.full((1, 4), 0.25), temperature)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_when_calibrated_probabilities_were_sharpened_then_the_temperature_undoes_it(temperature: float) -> None:
    gold, probabilities = calibrated(6000, seed=1)
    found = fit(gold, scale(probabilities, 1 / temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.rows == 6000


def test_when_probabilities_are_scaled_then_they_are_those_of_scikit_learns_temperature_scaling() -> None:
    gold, probabilities = calibrated(800, seed=2)
    sharpened = scale(probabilities, 0.5)
    model = CalibratedClassifierCV(FrozenEstimator(Given()), method="temperature").fit(sharpened, gold)
    ours = scale(sharpened, fit(gold, sharpened).temperature)
    assert ours == pytest.approx(model.predict_proba(sharpened), abs=1e-4)


def test_when_confident_probabilities_have_nothing_to_do_with_the_labels_then_they_are_flattened() -> None:
    gold, probabilities = calibrated(500, seed=3)
    confident = scale(probabilities, 0.3)
    shuffled = np.random.default_rng(3).permutation(gold)
    assert fit(shuffled, confident).temperature > 10


def test_when_every_likeliest_outcome_is_gold_then_the_temperature_is_the_least_allowed() -> None:
    _, probabilities = calibrated(50, seed=4)
    assert fit(probabilities.argmax(axis=1), probabilities).temperature == pytest.approx(0.05, rel=1e-3)


def test_when_no_temperature_changes_the_loss_then_it_is_one() -> None:
    gold = np.array([0, 1, 2, 3, 0, 1])
    assert fit(gold, np.full((6, 4), 0.25)).temperature == 1
    assert fit(gold, np.eye(4)[gold]).temperature == 1
    assert fit(gold, np.eye(4)[(gold + 1) % 4]).temperature == 1


def test_when_a_gold_outcome_has_probability_zero_then_the_other_rows_decide_the_temperature() -> None:
    gold, probabilities = calibrated(300, seed=5)
    impossible = np.array([[0.7, 0.3, 0.0, 0.0]])
    found = fit(np.append(gold, 3), np.vstack([scale(probabilities, 0.5), impossible]))
    assert found.temperature == pytest.approx(fit(gold, scale(probabilities, 0.5)).temperature)


# The rank is (rows + 1) * level, rounded up; 100 * .55 is 55.00000000000001 in floating point.
@pytest.mark.parametrize(("rows", "level", "rank"), [(19, 0.8, 16), (20, 0.8, 17), (19, 0.95, 19), (99, 0.55, 55)])
def test_when_a_threshold_is_fitted_then_it_is_the_score_of_the_rank_that_the_level_asks_for(
    rows: int, level: float, rank: int
) -> None:
    gold, probabilities = calibrated(rows, seed=6)
    found = fit(gold, probabilities, level)
    scores = 1 - scale(probabilities, found.temperature)[np.arange(rows), gold]
    assert (scores < found.threshold).sum() == rank - 1
    assert (scores == found.threshold).sum() == 1


@pytest.mark.parametrize(("rows", "level", "all_in"), [(8, 0.9, True), (9, 0.9, False), (99, 0.995, True)])
def test_when_there_are_too_few_rows_for_the_level_then_every_outcome_is_in_the_set(
    rows: int, level: float, all_in: bool
) -> None:
    gold, probabilities = calibrated(rows, seed=7)
    found = fit(gold, probabilities, level)
    assert (found.threshold == 1) == all_in
    assert prediction_sets(np.eye(4), found.threshold).all() == all_in


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [40, 199, 503])
def test_when_sets_are_formed_then_they_are_those_of_mapie(rows: int, level: float) -> None:
    gold, probabilities = calibrated(rows, seed=rows)
    _, new = calibrated(400, seed=8)
    found = fit(gold, probabilities, level)
    theirs = SplitConformalClassifier(Given(), confidence_level=level, conformity_score="lac", prefit=True)
    theirs.conformalize(scale(probabilities, found.temperature), gold)
    scaled = scale(new, found.temperature)
    sets = prediction_sets(scaled, found.threshold)
    assert 1 < sets.sum(axis=1).mean() < 4
    assert (sets == theirs.predict_set(scaled)[1][:, :, 0]).all()


def test_when_new_rows_are_like_the_dev_rows_then_sets_hold_gold_as_often_as_promised() -> None:
    gold, probabilities = calibrated(4000, seed=9)
    dev, new = slice(0, 2000), slice(2000, None)
    for level in (0.8, 0.9):
        found = fit(gold[dev], probabilities[dev], level)
        conformal = report(gold[new], scale(probabilities[new], found.temperature), found).conformal
        assert conformal is not None
        assert conformal.level == level
        assert conformal.coverage == pytest.approx(level, abs=0.02)


def test_when_there_are_no_rows_or_no_such_level_then_fitting_says_so() -> None:
    with pytest.raises(ValueError, match="no rows"):
        fit(np.array([], dtype=np.int64), np.zeros((0, 4)))
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError):
            fit(*calibrated(20, seed=0), level=level)


# Confidences .9, .6, .5, .95; the second and the fourth are wrong.
GOLD = np.array([0, 1, 2, 3])
BY_HAND = np.array([[0.9, 0.1, 0, 0], [0.6, 0.4, 0, 0], [0.1, 0.2, 0.5, 0.2], [0.95, 0, 0, 0.05]])


def test_when_rows_are_binned_then_bins_and_calibration_error_are_those_worked_out_by_hand() -> None:
    found = report(GOLD, BY_HAND, None)
    # Widths of 1/15: .5 is in (7/15, 8/15], .6 the upper edge of (8/15, 9/15], .9 in (13/15, 14/15], .95 in the last.
    assert [bin_.rows for bin_ in found.bins] == [1, 1, 1, 1]
    assert [bin_.confidence for bin_ in found.bins] == pytest.approx([0.5, 0.6, 0.9, 0.95])
    assert [bin_.accuracy for bin_ in found.bins] == [1, 0, 1, 0]
    assert found.ece == pytest.approx((0.5 + 0.6 + 0.1 + 0.95) / 4)
    assert (found.temperature, found.conformal) == (None, None)


def test_when_rows_share_a_bin_then_their_errors_cancel_before_they_count() -> None:
    probabilities = np.array([[0.8, 0.2, 0, 0], [0.76, 0.24, 0, 0], [0.75, 0.25, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    found = report(np.array([0, 1, 0, 3]), probabilities, None)
    assert [(bin_.rows, bin_.accuracy) for bin_ in found.bins] == [(1, 1.0), (3, pytest.approx(2 / 3))]
    assert found.bins[1].confidence == pytest.approx((0.8 + 0.76 + 0.75) / 3)
    assert found.ece == pytest.approx((0.6 + abs(2 - (0.8 + 0.76 + 0.75))) / 4)


def test_when_confidence_is_one_then_the_row_is_in_the_last_bin() -> None:
    found = report(np.array([0, 0]), np.array([[1.0, 0, 0, 0], [1 + 1e-12, 0, 0, 0]]), None)
    assert [bin_.rows for bin_ in found.bins] == [2]
    assert found.ece == pytest.approx(0)


def test_when_the_brier_score_is_worked_out_by_hand_then_it_agrees_and_is_that_of_scikit_learn() -> None:
    errors = [0.01 + 0.01, 0.36 + 0.36, 0.01 + 0.04 + 0.25 + 0.04, 0.9025 + 0.9025]
    assert report(GOLD, BY_HAND, None).brier == pytest.approx(sum(errors) / 4)
    gold, probabilities = calibrated(200, seed=10)
    theirs = brier_score_loss(gold, probabilities, labels=range(4), scale_by_half=False)
    assert report(gold, probabilities, None).brier == pytest.approx(theirs)
    assert report(np.array([0]), np.eye(4)[[1]], None).brier == 2


def test_when_the_most_confident_are_answered_first_then_risks_are_those_worked_out_by_hand() -> None:
    found = report(GOLD, BY_HAND, None)
    assert [coverage for coverage, _ in found.risk_coverage] == [0.25, 0.5, 0.75, 1]
    assert [risk for _, risk in found.risk_coverage] == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])
    assert found.aurc == pytest.approx((1 + 1 / 2 + 2 / 3 + 2 / 4) / 4)


def test_when_confidences_are_equal_then_rows_keep_their_order() -> None:
    gold = np.arange(90) % 4
    probabilities = np.array([[0.7, 0.3, 0, 0], [0.4, 0.6, 0, 0], [0.7, 0.3, 0, 0]] * 30)
    found = report(gold, probabilities, None)
    # Python's sort is stable.
    order = sorted(range(90), key=lambda row: -probabilities[row].max())
    wrong = [probabilities[row].argmax() != gold[row] for row in order]
    risks = [sum(wrong[:number]) / number for number in range(1, 91)]
    assert [risk for _, risk in found.risk_coverage] == pytest.approx(risks)


def test_when_there_are_many_rows_then_the_curve_is_thinned_but_not_its_mean() -> None:
    gold, probabilities = calibrated(250, seed=11)
    found = report(gold, probabilities, None)
    order = np.argsort(-probabilities.max(axis=1))
    wrong = (probabilities.argmax(axis=1) != gold)[order]
    risks = [wrong[:number].mean() for number in range(1, 251)]
    assert len(found.risk_coverage) == 100
    assert found.risk_coverage[0] == pytest.approx((3 / 250, risks[2]))
    assert found.risk_coverage[-1] == pytest.approx((1, wrong.mean()))
    assert found.aurc == pytest.approx(np.mean(risks))


def test_when_sets_are_reported_then_coverage_and_sizes_are_those_worked_out_by_hand() -> None:
    calibration = Calibration(temperature=2.0, threshold=0.45, level=0.9, rows=20)
    gold = np.array([0, 1, 2, 0])
    found = report(gold, BY_HAND, calibration)
    assert found.temperature == 2.0 and found.conformal is not None
    # In a set from p = .55: {supports}, {supports}, none, {supports}.
    assert found.conformal.coverage == 2 / 4
    assert found.conformal.coverage_by_outcome == dict(zip(OUTCOMES, (1.0, 0.0, 0.0, None), strict=True))
    assert found.conformal.mean_size == 3 / 4
    assert found.conformal.empty == 1 / 4


def test_when_a_calibration_is_written_then_it_is_read_back_exactly() -> None:
    found = fit(*calibrated(123, seed=12))
    assert Calibration.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.5}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"threshold": -0.01}, "threshold"),
        ({"threshold": 1.01}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"level": 0}, "level"),
        ({"level": 1}, "level"),
        ({"rows": 0}, "rows"),
        ({"rows": 12.5}, "rows"),
        ({"temprature": 1.0}, "temprature"),
    ],
)
def test_when_a_stored_value_is_bad_then_reading_names_it(change: dict[str, object], named: str) -> None:
    values: dict[str, object] = {"temperature": 1.5, "threshold": 0.8, "level": 0.9, "rows": 100}
    assert Calibration.from_dict(values).temperature == 1.5
    with pytest.raises(ValueError, match=f"'{named}'"):
        Calibration.from_dict(values | change)


@pytest.mark.parametrize("name", ["temperature", "threshold", "level", "rows"])
def test_when_a_stored_value_is_missing_then_reading_names_it(name: str) -> None:
    values = {"temperature": 1.5, "threshold": 0.8, "level": 0.9, "rows": 100}
    del values[name]
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        Calibration.from_dict(values)
