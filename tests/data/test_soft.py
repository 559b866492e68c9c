from __future__ import annotations

from typing import Any

import pytest

from stancekit.data.soft import COLUMNS, soft_columns, soft_labels
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair, pair_from_row

GIVEN = {"p_supports": 0.7, "p_rules_out": 0.1, "p_leaves_open": 0.15, "p_no_stance": 0.05}


def pair(**extra: Any) -> Pair:
    return pair_from_row({"statement": "we go", "target": "the port", "label": "supports", **extra})


def test_when_a_row_has_soft_labels_then_they_come_in_the_order_of_the_outcomes() -> None:
    found = soft_columns(pair(topic="x", **dict(reversed(GIVEN.items()))))
    assert list(found) == list(COLUMNS) == [f"p_{outcome}" for outcome in OUTCOMES]
    assert found == GIVEN


def test_when_a_csv_gives_them_as_text_then_they_are_numbers() -> None:
    assert soft_columns(pair(**{name: f" {value} " for name, value in GIVEN.items()})) == GIVEN
    assert soft_columns(pair(**{**GIVEN, "p_supports": "7e-1"})) == GIVEN


@pytest.mark.parametrize("extra", [{}, dict.fromkeys(GIVEN, ""), dict.fromkeys(GIVEN), {"pace": 1, "topic": "p_x"}])
def test_when_a_row_has_no_soft_labels_then_none_are_returned(extra: dict[str, Any]) -> None:
    assert soft_columns(pair(**extra)) == {}


def test_when_they_are_rounded_then_they_are_taken_as_they_are() -> None:
    rounded = {"p_supports": 0.33, "p_rules_out": 0.33, "p_leaves_open": 0.33, "p_no_stance": 0.0}
    assert soft_columns(pair(**rounded)) == rounded


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            {name: value for name, value in GIVEN.items() if name != "p_leaves_open"},
            "soft labels: no value in 'p_leaves_open' (found: p_no_stance, p_rules_out, p_supports; "
            "expected: p_supports, p_rules_out, p_leaves_open, p_no_stance)",
        ),
        ({**GIVEN, "p_rules_out": ""}, "no value in 'p_rules_out' (found: p_leaves_open, p_no_stance, p_supports;"),
        (
            {"p_favor": 0.6, "p_against": 0.3, "p_none": 0.1},
            "no value in 'p_supports' (found: p_against, p_favor, p_none; expected: p_supports,",
        ),
        ({**GIVEN, "p_supports": 0.5}, "p_no_stance add up to 0.80, expected 1"),
        ({**GIVEN, "p_supports": 0.9}, "p_no_stance add up to 1.20, expected 1"),
        (dict.fromkeys(GIVEN, 0), "p_no_stance add up to 0.00, expected 1"),
        ({**GIVEN, "p_supports": 70}, "expected a probability in 'p_supports', found 70"),
        ({**GIVEN, "p_no_stance": -0.05}, "expected a probability in 'p_no_stance', found -0.05"),
        ({**GIVEN, "p_supports": "much"}, "expected a probability in 'p_supports', found 'much'"),
        ({**GIVEN, "p_supports": float("nan")}, "expected a probability in 'p_supports', found nan"),
        ({**GIVEN, "p_supports": [0.7]}, "expected a probability in 'p_supports', found [0.7]"),
    ],
    ids=[
        *("missing", "empty", "other label names", "too little", "too much", "zeros"),
        *("percent", "negative", "word", "nan", "list"),
    ],
)
def test_when_soft_labels_are_broken_then_the_column_and_what_was_expected_are_named(
    extra: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError) as raised:
        soft_columns(pair(**extra))
    assert expected in str(raised.value) and str(raised.value).startswith("soft labels: ")
    with pytest.raises(UserError) as refused:
        soft_labels(pair(**extra), "stages.pool")
    assert str(refused.value) == f"stages.pool: the row of 'we go'…: {raised.value}"
