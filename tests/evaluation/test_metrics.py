from __future__ import annotations

import numpy as np
import pytest

from stancekit.evaluation.metrics import confusion, score


def one_hot(predicted: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.eye(4)[predicted]


def test_when_scores_are_worked_out_by_hand_then_they_agree() -> None:
    gold = np.array([0, 0, 1, 1, 2, 3])
    probabilities = one_hot([0, 1, 1, 1, 3, 3])
    values = score(gold, probabilities)
    # Three-way, the fifth row falls to the likeliest stance; with all three at zero that is the first.
    assert values["macro_f1"] == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    assert values["accuracy"] == pytest.approx(3 / 5)
    assert values["macro_f1_outcomes"] == pytest.approx((2 / 3 + 4 / 5 + 0 + 2 / 3) / 4)
    assert values["accuracy_outcomes"] == pytest.approx(4 / 6)
    assert values["rules_out/precision"] == pytest.approx(2 / 3) and values["rules_out/recall"] == 1
    assert values["leaves_open/f1"] == 0


def test_when_gold_is_no_stance_then_three_way_scores_do_not_see_the_row() -> None:
    with_it = score(np.array([0, 1, 2, 3]), one_hot([0, 1, 2, 0]))
    without = score(np.array([0, 1, 2]), one_hot([0, 1, 2]))
    assert with_it["macro_f1"] == without["macro_f1"] == 1
    assert with_it["macro_f1_outcomes"] < 1


def test_when_a_stance_is_never_predicted_then_the_average_still_has_three_parts() -> None:
    assert score(np.array([0, 0, 1]), one_hot([0, 0, 1]))["macro_f1"] == pytest.approx(2 / 3)


def test_when_no_row_has_a_stance_then_three_way_scores_are_zero() -> None:
    values = score(np.array([3, 3]), one_hot([3, 0]))
    assert (values["macro_f1"], values["accuracy"], values["accuracy_outcomes"]) == (0.0, 0.0, 0.5)


def test_when_rows_are_confused_then_gold_is_down_and_predicted_across() -> None:
    matrix = confusion(np.array([0, 0, 3]), one_hot([1, 0, 2]))
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
