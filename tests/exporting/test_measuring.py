from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from stancekit.exporting.measuring import Comparison, compare, rows_per_second, some
from stancekit.labels import OUTCOMES
from stancekit.prediction.tokens import TokenizedPairs


def rows(outcomes: list[int]) -> np.ndarray[Any, Any]:
    """Return probabilities that say these outcomes."""
    return np.eye(4)[outcomes] * 0.6 + 0.1


@pytest.mark.parametrize(
    ("agreement", "difference", "expected"),
    [
        (1.0, 0.0, None),
        (0.985, -0.005, None),
        (0.985, 0.2, None),
        (0.9849, 0.0, "gives the same label to 98.49% of the rows; at least 98.5%"),
        (1.0, -0.0051, "loses 0.51 points of macro-F1; at most 0.5"),
        (
            *(0.5, -0.1),
            "gives the same label to 50.00% of the rows; at least 98.5%; loses 10.00 points of macro-F1; at most 0.5",
        ),
    ],
)
def test_when_a_variant_agrees_too_little_or_loses_too_much_then_it_is_refused_with_every_reason(
    agreement: float, difference: float, expected: str | None
) -> None:
    assert Comparison(agreement, difference).refused == expected


def test_when_probabilities_are_compared_then_agreement_and_f1_are_those_worked_out_by_hand() -> None:
    gold = np.array([0, 1, 2, 3])
    found = compare(gold, rows([0, 1, 2, 3]), rows([0, 1, 1, 3]))
    # rules_out has one of one and a false one: F1 2/3; leaves_open none: 0; supports 1.
    assert found.agreement == 0.75 and found.f1_difference == pytest.approx((1 + 2 / 3) / 3 - 1)
    assert compare(gold, rows([0, 1, 1, 3]), rows([0, 1, 2, 3])).f1_difference == pytest.approx(1 - (1 + 2 / 3) / 3)
    same = compare(gold, rows([3, 3, 3, 3]), rows([3, 3, 3, 3]))
    assert (same.agreement, same.f1_difference, same.refused) == (1.0, 0.0, None)


def test_when_no_row_takes_a_stance_then_agreement_alone_decides() -> None:
    found = compare(np.array([3] * 4), rows([3, 3, 3, 0]), rows([3, 3, 0, 0]))
    assert (found.agreement, found.f1_difference) == (0.75, 0.0) and len(OUTCOMES) == 4


def tokenized(count: int) -> TokenizedPairs:
    ids = [np.array([number], dtype=np.int32) for number in range(count)]
    return TokenizedPairs(ids, ids[::-1], np.arange(4, count + 4), np.arange(count) % 2 == 1, {})


def test_when_scorers_are_timed_then_they_take_turns_and_the_median_round_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self._name = name

        def score(self, prepared: TokenizedPairs) -> None:
            turns.append(self._name)

    seconds = {"a": iter([4.0, 1.0, 2.0]), "b": iter([10.0, 30.0, 20.0])}
    clock = itertools.count()
    now = 0.0

    def tick() -> float:
        nonlocal now
        # Every second look at the clock is after a scorer was asked.
        if next(clock) % 2:
            now += next(seconds[turns[-1]])
        return now

    monkeypatch.setattr("stancekit.exporting.measuring.time.perf_counter", tick)
    scorers: Any = {"a": Named("a"), "b": Named("b")}
    assert rows_per_second(scorers, tokenized(10)) == {"a": 5.0, "b": 0.5}
    assert turns == ["a", "b"] * 3


def test_when_some_rows_are_taken_then_all_that_belongs_to_them_comes_in_the_order_asked_for() -> None:
    found = some(tokenized(5), [3, 0])
    assert [ids.tolist() for ids in found.firsts] == [[3], [0]] and [i.tolist() for i in found.seconds] == [[1], [4]]
    assert found.lengths.tolist() == [7, 4] and found.truncated.tolist() == [True, False] and not found.errors
