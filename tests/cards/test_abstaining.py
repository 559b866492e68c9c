from __future__ import annotations

import numpy as np
import pytest

from stancekit.cards.abstaining import answered, least_confidence
from stancekit.evaluation.calibration import report
from stancekit.evaluation.model import Bin


def test_when_the_bins_are_those_of_a_report_then_answering_above_an_edge_counts_as_the_rows_themselves_do() -> None:
    draw = np.random.default_rng(3)
    probabilities = draw.dirichlet([0.4] * 4, size=600)
    gold = draw.integers(4, size=600)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    bins = report(gold, probabilities, None).bins
    for edge in (4 / 15, 7 / 15, 11 / 15, 14 / 15):
        found = answered(bins, edge)
        above = confidence > edge
        assert found.share == pytest.approx(above.mean(), abs=1e-12)
        assert found.right == pytest.approx(right[above].mean(), abs=1e-12)


def test_when_a_confidence_lies_on_an_edge_then_it_is_not_above_it() -> None:
    edge = 11 / 15
    probabilities = np.array([[edge, 4 / 15, 0, 0], [edge + 1e-3, 4 / 15 - 1e-3, 0, 0]])
    assert answered(report(np.array([0, 0]), probabilities, None).bins, edge).share == 0.5


def test_when_surer_rows_are_righter_then_the_lowest_edge_that_is_right_enough_is_found() -> None:
    bins = [Bin(10, 0.35, 0.2), Bin(30, 0.62, 0.8), Bin(0, 0.7, 0.0), Bin(60, 0.99, 0.95)]
    # Above 9/15 30 * .8 + 60 * .95 = 81 of 90 are right, above 5/15 83 of 100.
    assert least_confidence(bins, right=0.9) == 9 / 15
    assert least_confidence(bins, right=0.83) == 5 / 15
    assert least_confidence(bins, right=0.91) == 14 / 15
    assert answered(bins, 9 / 15).share == 0.9 and answered(bins, 9 / 15).right == pytest.approx(0.9)


def test_when_not_even_the_surest_rows_are_right_enough_then_there_is_no_such_confidence() -> None:
    assert least_confidence([Bin(10, 0.5, 0.5), Bin(10, 0.95, 0.89)]) is None


def test_when_no_row_is_sure_enough_then_none_is_answered() -> None:
    found = answered([Bin(10, 0.5, 0.5)], 14 / 15)
    assert (found.share, found.right) == (0.0, None)
