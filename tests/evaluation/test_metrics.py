from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from stancekit.evaluation.metrics import Counts, counts, score, scores_of
from stancekit.labels import OUTCOMES
from stancekit.metric_names import FURTHER_METRICS, METRICS

Gold = NDArray[np.int64]
Probabilities = NDArray[np.float64]


def one_hot(predicted: list[int]) -> Probabilities:
    return np.eye(4)[predicted]


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Gold, Probabilities]:
    """Few rows lack labels in gold, in the predictions or in both; many rows have them all."""
    rows = draw(st.integers(1, 40))
    gold = draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
    weights = draw(st.lists(st.integers(0, 9), min_size=4 * rows, max_size=4 * rows))
    return np.array(gold), (np.array(weights).reshape(rows, 4) + 0.01) / 50


def by_reference(gold: Gold, probabilities: Probabilities) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    has = gold < 3
    gold_stance, predicted_stance = gold[has], probabilities[has, :3].argmax(axis=1)
    f1 = reference.f1_score(gold, predicted, labels=range(4), average=None, zero_division=0)
    values = {
        "macro_f1": 0.0,
        "accuracy": 0.0,
        "mcc": 0.0,
        "macro_f1_outcomes": f1.mean(),
        "accuracy_outcomes": reference.accuracy_score(gold, predicted),
        "mcc_outcomes": reference.matthews_corrcoef(gold, predicted),
        "f_avg": reference.f1_score(gold, predicted, labels=[0, 1], average="macro", zero_division=0),
    }
    if has.any():
        values["macro_f1"] = reference.f1_score(
            gold_stance, predicted_stance, labels=range(3), average="macro", zero_division=0
        )
        values["accuracy"] = reference.accuracy_score(gold_stance, predicted_stance)
        values["mcc"] = reference.matthews_corrcoef(gold_stance, predicted_stance)
    precision, recall, _, _ = reference.precision_recall_fscore_support(
        gold, predicted, labels=range(4), average=None, zero_division=0
    )
    for i, outcome in enumerate(OUTCOMES):
        values |= {f"{outcome}/precision": precision[i], f"{outcome}/recall": recall[i], f"{outcome}/f1": f1[i]}
    return values


@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:A single label was found")
@given(predictions())
def test_when_rows_are_scored_then_every_metric_is_that_of_scikit_learn(rows: tuple[Gold, Probabilities]) -> None:
    gold, probabilities = rows
    assert score(gold, probabilities, ["f_avg"]) == pytest.approx(by_reference(gold, probabilities), abs=1e-12)


def test_when_further_metrics_are_asked_for_then_only_they_are_added_to_those_of_every_evaluation() -> None:
    gold, probabilities = np.array([0, 1]), one_hot([0, 1])
    assert set(score(gold, probabilities)) == set(METRICS)
    for name in FURTHER_METRICS:
        assert set(score(gold, probabilities, [name])) == {*METRICS, name}


def test_when_scores_are_worked_out_by_hand_then_they_agree() -> None:
    gold = np.array([0, 0, 1, 1, 2, 3])
    values = score(gold, one_hot([0, 1, 1, 1, 3, 3]))
    # Three-way, the fifth row falls to the likeliest stance; with all three at zero that is the first.
    assert values["macro_f1"] == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    assert values["accuracy"] == pytest.approx(3 / 5)
    assert values["macro_f1_outcomes"] == pytest.approx((2 / 3 + 4 / 5 + 0 + 2 / 3) / 4)
    assert values["accuracy_outcomes"] == pytest.approx(4 / 6)
    assert values["rules_out/precision"] == pytest.approx(2 / 3) and values["rules_out/recall"] == 1
    # 4 right of 6; gold 2, 2, 1, 1 and predicted 1, 3, 0, 2: (4*6 - 10) / sqrt((36 - 10) * (36 - 14)).
    assert values["mcc_outcomes"] == pytest.approx(14 / (26 * 22) ** 0.5)


def test_when_gold_is_no_stance_then_three_way_scores_do_not_see_the_row() -> None:
    with_it = score(np.array([0, 1, 2, 3]), one_hot([0, 1, 2, 0]))
    without = score(np.array([0, 1, 2]), one_hot([0, 1, 2]))
    for name in ("macro_f1", "accuracy", "mcc"):
        assert with_it[name] == without[name] == 1
    assert with_it["macro_f1_outcomes"] < 1


def test_when_a_row_with_a_stance_is_called_no_stance_then_three_way_scores_take_its_likeliest_stance() -> None:
    values = score(np.array([1]), np.array([[0.1, 0.3, 0.1, 0.5]]))
    assert (values["accuracy"], values["accuracy_outcomes"]) == (1.0, 0.0)


def test_when_a_label_neither_occurs_nor_is_predicted_then_the_averages_still_count_it() -> None:
    values = score(np.array([0, 0, 1]), one_hot([0, 0, 1]))
    assert values["macro_f1"] == pytest.approx(2 / 3)
    assert values["macro_f1_outcomes"] == pytest.approx(2 / 4)


def test_when_no_row_has_a_stance_then_three_way_scores_are_zero() -> None:
    values = score(np.array([3, 3]), one_hot([3, 0]), list(FURTHER_METRICS))
    assert (values["macro_f1"], values["accuracy"], values["mcc"]) == (0.0, 0.0, 0.0)
    assert (values["supports/precision"], values["supports/recall"], values["f_avg"]) == (0.0, 0.0, 0.0)
    assert values["accuracy_outcomes"] == 0.5


def test_when_all_rows_get_one_label_then_the_correlation_is_zero() -> None:
    values = score(np.array([0, 1, 2]), one_hot([1, 1, 1]))
    assert (values["mcc"], values["mcc_outcomes"]) == (0.0, 0.0)


def test_when_there_are_no_counts_then_every_score_is_zero() -> None:
    values = scores_of(Counts(np.zeros((2, 4, 4)), np.zeros((2, 3, 3))), list(FURTHER_METRICS))
    assert {name: value.tolist() for name, value in values.items()} == {
        name: [0.0, 0.0] for name in [*METRICS, *FURTHER_METRICS]
    }


def test_when_f_avg_is_worked_out_by_hand_then_it_is_the_mean_f1_of_two_stances_over_all_rows() -> None:
    # supports: 1 right, 2 predicted (one was no_stance), 2 gold; rules_out: 1 right, 1 predicted, 2 gold.
    values = score(np.array([0, 0, 1, 1, 2, 3]), one_hot([0, 3, 1, 2, 2, 0]), ["f_avg"])
    assert values["f_avg"] == pytest.approx((2 / 4 + 2 / 3) / 2)


def test_when_fnc_is_worked_out_by_hand_then_a_stance_is_worth_four_times_the_telling_apart() -> None:
    # In the order of the rows: 1, .25 (related, wrong stance), 0 (missed), 1, .25 (unrelated), 0 (false alarm).
    values = score(np.array([0, 0, 1, 2, 3, 3]), one_hot([0, 1, 3, 2, 3, 0]), ["fnc"])
    assert values["fnc"] == pytest.approx(2.5 / (4 * 1 + 2 * 0.25))


def test_when_rows_are_counted_then_gold_is_down_and_predicted_across() -> None:
    found = counts(np.array([0, 0, 3]), np.array([[0.1, 0.9, 0, 0], [0, 0.1, 0.3, 0.6], [0, 0, 1.0, 0]]))
    assert found.outcomes.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert found.stances.tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]


@settings(deadline=None)
@given(predictions(), st.integers(1, 5))
def test_when_rows_are_counted_by_group_then_each_has_its_own_counts_and_they_sum_to_the_whole(
    rows: tuple[Gold, Probabilities], number: int
) -> None:
    gold, probabilities = rows
    groups = np.arange(len(gold)) % number
    found, whole = counts(gold, probabilities, groups), counts(gold, probabilities)
    assert found.outcomes.sum(axis=0).tolist() == whole.outcomes.tolist()
    assert found.stances.sum(axis=0).tolist() == whole.stances.tolist()
    last = groups == groups.max()
    assert found.outcomes[-1].tolist() == counts(gold[last], probabilities[last]).outcomes.tolist()
    assert {name: value[-1] for name, value in scores_of(found).items()} == score(gold[last], probabilities[last])


def test_when_a_group_has_no_rows_then_its_counts_are_zero() -> None:
    found = counts(np.array([0, 1]), one_hot([0, 1]), np.array([0, 2]))
    assert found.outcomes.sum(axis=(1, 2)).tolist() == [1, 0, 1]
    assert found.stances.shape == (3, 3, 3)
