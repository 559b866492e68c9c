from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stancekit.files import Row
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.memo import Memo
from stancekit.prediction.rows import (
    PREDICTED_COLUMNS,
    PROBABILITIES,
    bad_result,
    count,
    labelled,
    labelled_rows,
    score,
    windows,
)
from stancekit.prediction.scoring import Scores

GOOD = {"statement": "3", "target": "t"}


class ByStatement:
    """A scorer by whose probabilities a pair is known again: its statement is a number; one with ``!`` is refused."""

    description = "by statement"

    def __init__(self) -> None:
        self.scored: list[str] = []

    def prepare(self, pairs: Sequence[Pair]) -> list[Pair]:
        return list(pairs)

    def score(self, prepared: Sequence[Pair]) -> Scores:
        self.scored += [pair.statement for pair in prepared]
        sizes = [int(pair.statement.strip("!")) for pair in prepared]
        probabilities = np.full((len(sizes), 4), 0.1)
        for row, size in enumerate(sizes):
            probabilities[row, size % 4] = 0.7 - size * 1e-7
        errors = {row: f"refused {pair.statement}" for row, pair in enumerate(prepared) if "!" in pair.statement}
        return Scores(probabilities, np.array([size % 2 == 1 for size in sizes], dtype=bool), errors)


def label(rows: Sequence[dict[str, Any] | Row], size: int = 100) -> tuple[list[dict[str, Any]], ByStatement]:
    """Return rows with their predicted columns, labelled in windows of ``size``, and what scored them."""
    scorer, memo = ByStatement(), Memo()
    stream = (row if isinstance(row, Row) else Row(number, row) for number, row in enumerate(rows, 1))
    found: list[dict[str, Any]] = []
    for window in windows(stream, size, scorer, memo):
        score(window, scorer)
        assert [
            {**row, **result} for row, result in zip((r.values for r in window.rows), labelled(window), strict=True)
        ]
        found += labelled_rows(window)
    return found, scorer


def test_when_a_row_is_labelled_then_every_column_is_what_its_probabilities_say() -> None:
    ((row,), _) = label([GOOD | {"id": 7}])
    assert row == {
        **{"statement": "3", "target": "t", "id": 7, "stance": "no_stance"},
        **{"p_supports": 0.1, "p_rules_out": 0.1, "p_leaves_open": 0.1, "p_no_stance": 0.7, "confidence": 0.7},
        **{"status": "ok", "error": None, "truncated": True},
    }
    assert list(row)[3:] == list(PREDICTED_COLUMNS) and list(PROBABILITIES) == [f"p_{o}" for o in OUTCOMES]


def test_when_probabilities_have_many_digits_then_six_are_kept_and_confidence_is_the_same_number() -> None:
    ((row,), _) = label([GOOD | {"statement": "26"}])
    assert (row["p_leaves_open"], row["confidence"], row["stance"]) == (0.699997, 0.699997, "leaves_open")


def test_when_rows_are_bad_then_each_says_why_in_its_place_and_none_is_scored() -> None:
    rows: list[dict[str, Any] | Row] = [
        GOOD,
        Row(2, {"statement": "half"}, "not JSON: …"),
        {"target": "t"},
        {"statement": " ", "target": "t"},
        {"statement": 5, "target": "t"},
        {"statement": "5!", "target": "t"},
        {"statement": "5", "target": "t", "holder": 3},
        {"statement": "\ud800", "target": "t"},
        {"statement": "6", "target": "t"},
    ]
    found, scorer = label(rows)
    assert scorer.scored == ["3", "5!", "6"]
    assert [row["status"] for row in found] == ["ok", *["error"] * 7, "ok"]
    reasons = [row["error"] for row in found]
    assert reasons[1:7] == [
        *("not JSON: …", "'statement' is missing", "'statement' is empty", "'statement' must be text, found int"),
        *("refused 5!", "'holder' must be text or nothing, found int"),
    ]
    assert "half a surrogate pair" in str(reasons[7])
    for row in found[1:8]:
        assert [row[name] for name in ("stance", *PROBABILITIES, "confidence")] == [None] * 6
        assert row["truncated"] is False
    assert found[1]["statement"] == "half" and next(iter(found[2])) == "target"


def test_when_a_row_was_labelled_before_then_our_columns_are_replaced_and_stand_last() -> None:
    ((row,), _) = label([{"error": "old", "statement": "3", "stance": "mine", "target": "t", "p_supports": 9}])
    assert list(row) == ["statement", "target", *PREDICTED_COLUMNS] and row["error"] is None
    assert row["stance"] == "no_stance" and row["p_supports"] == 0.1


CELLS = st.sampled_from(["1", "2", "3", "4", "5!", "", " ", None])
TABLES = st.lists(st.fixed_dictionaries({"statement": CELLS, "target": st.sampled_from(["a", "b", ""])}), max_size=25)


@given(TABLES, st.integers(1, 30))
def test_when_windows_are_of_another_size_then_rows_and_order_are_the_same_and_no_pair_is_scored_twice(
    rows: list[dict[str, Any]], size: int
) -> None:
    whole, _ = label(rows)
    found, scorer = label(rows, size)
    assert found == whole and len(found) == len(rows)
    good = {(row["statement"], row["target"]) for row in rows if (row["statement"] or "").strip() and row["target"]}
    assert len(scorer.scored) == len(good)


@pytest.mark.parametrize(("rows", "size", "expected"), [(0, 3, []), (3, 3, [3]), (7, 3, [3, 3, 1])])
def test_when_rows_are_read_in_windows_then_only_the_last_is_shorter(rows: int, size: int, expected: list[int]) -> None:
    stream = (Row(number, GOOD) for number in range(rows))
    assert [len(window.rows) for window in windows(stream, size, ByStatement(), Memo())] == expected


def test_when_outcomes_are_counted_then_bad_rows_are_errors() -> None:
    found, _ = label([GOOD, GOOD | {"statement": "2"}, GOOD | {"statement": "7"}, {}])
    assert count(found) == {"no_stance": 2, "leaves_open": 1, "error": 1} and count([]) == {}
    assert list(bad_result("why")) == list(PREDICTED_COLUMNS)
