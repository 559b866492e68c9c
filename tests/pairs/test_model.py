from __future__ import annotations

from typing import Any

import pytest

from stancekit.pairs.model import Pair, pair_from_row


def test_when_a_row_is_no_pair_then_the_reason_names_the_column() -> None:
    assert pair_from_row({"statement": "s", "target": "t", "holder": " ", "x": 1}) == Pair("s", "t", extra={"x": 1})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"target": "t"}, "'statement' is missing"),
        ({"statement": "", "target": "t"}, "'statement' is empty"),
        ({"statement": "s", "target": 3}, "'target' must be text, found int"),
        ({"statement": "s", "target": "t", "holder": 3}, "'holder' must be text or nothing, found int"),
    ]
    for row, reason in cases:
        with pytest.raises(ValueError, match=reason):
            pair_from_row(row)


def test_when_a_pair_becomes_a_row_then_an_unknown_label_has_no_column() -> None:
    assert list(Pair("s", "t", extra={"page": 1}).row()) == ["id", "statement", "holder", "target", "page"]
    assert Pair("s", "t", label="supports").row()["label"] == "supports"
