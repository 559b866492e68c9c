from __future__ import annotations

import numpy as np
import pytest

from stancekit.config.schema import TfidfConfig
from stancekit.evaluation.model import Slice
from stancekit.evaluation.predictions import Predictions
from stancekit.evaluation.slices import slices, worst
from stancekit.labels import OUTCOMES
from stancekit.models.baselines import Baseline
from stancekit.pairs.model import Pair, pair_from_row
from tests.conftest import labelled_rows


def predictions_of(rows: list[tuple[Pair, str]]) -> Predictions:
    """Return predictions that give all probability to the outcome beside each pair."""
    outcomes = [OUTCOMES.index(predicted) for _, predicted in rows]
    return Predictions([pair for pair, _ in rows], np.eye(len(OUTCOMES))[outcomes], ["one"] * len(rows))


def pair(label: str, **extra: object) -> Pair:
    return Pair("Ana said so.", "the toll", "Ana", label, extra=extra)


FIVE = predictions_of(
    [
        (pair("supports", phenomena=["hedge"], topic="roads"), "supports"),
        (pair("supports", phenomena=["hedge", "vote", "vote"], topic="roads"), "rules_out"),
        (pair("rules_out", phenomena=["vote"], topic=""), "rules_out"),
        (pair("no_stance", phenomena=["vote"], topic=None), "supports"),
        (pair("supports", phenomena=[], topic="mines"), "supports"),
    ]
)


def test_when_slices_are_worked_out_by_hand_then_they_agree_and_the_worst_comes_first() -> None:
    found = slices(FIVE, ["phenomena"], least=2)
    assert [(one.name, one.value, one.rows) for one in found] == [
        ("phenomena", "vote", 3),
        ("phenomena", "hedge", 2),
        ("holder", "known", 5),
        ("words", "1–15", 5),
    ]
    # vote: supports 0, rules_out 2 * 1 / (1 + 2); its row without a stance counts in the accuracy alone.
    # hedge: supports alone occurs, 2 * 1 / (2 + 1).
    # all: supports 2 * 2 / (3 + 2), rules_out 2 * 1 / (1 + 2).
    assert [one.macro_f1 for one in found] == pytest.approx([1 / 3, 2 / 3, 11 / 15, 11 / 15])
    assert [one.accuracy_outcomes for one in found] == pytest.approx([1 / 3, 1 / 2, 3 / 5, 3 / 5])


def test_when_a_slice_has_one_label_and_all_is_right_then_its_score_is_one() -> None:
    assert Slice("topic", "mines", 1, 1.0, 1.0) in slices(FIVE, ["topic"], least=1)


def test_when_a_slice_has_too_few_rows_with_a_stance_then_it_is_left_out() -> None:
    # vote has three rows, two of them with a stance.
    assert {one.name for one in slices(FIVE, ["phenomena"], least=3)} == {"words", "holder"}
    assert slices(FIVE, ["phenomena"], least=5) == []


def test_when_a_cell_is_empty_then_its_row_is_in_no_slice_of_the_column() -> None:
    found = slices(FIVE, ["topic"], least=1)
    assert {one.value for one in found if one.name == "topic"} == {"roads", "mines"}


def test_when_no_row_has_the_column_then_it_gives_no_slice() -> None:
    assert {one.name for one in slices(FIVE, ["register"], least=1)} == {"words", "holder"}


def test_when_several_columns_are_given_then_each_has_its_own_values() -> None:
    found = slices(FIVE, ["phenomena", "topic"], least=1)
    assert {(one.name, one.value) for one in found} == {
        ("phenomena", "hedge"),
        ("phenomena", "vote"),
        ("topic", "roads"),
        ("topic", "mines"),
        ("words", "1–15"),
        ("holder", "known"),
    }


def test_when_no_gold_is_a_stance_then_there_is_no_slice() -> None:
    assert slices(predictions_of([(pair("no_stance"), "no_stance")]), [], least=0) == []


def test_when_a_row_with_a_stance_is_given_none_then_its_likeliest_stance_counts() -> None:
    given = Predictions([pair("rules_out")], np.array([[0.1, 0.3, 0.1, 0.5]]), ["one"])
    found = slices(given, [], least=1)
    assert {(one.macro_f1, one.accuracy_outcomes) for one in found} == {(1.0, 0.0)}


@pytest.mark.parametrize(
    ("words", "value"),
    [(1, "1–15"), (15, "1–15"), (16, "16–30"), (30, "16–30"), (31, "31–50"), (50, "31–50"), (51, "over 50")],
)
def test_when_a_statement_has_so_many_words_then_it_is_in_that_bin(words: int, value: str) -> None:
    given = predictions_of([(Pair("so " * words, "the toll", None, "supports"), "supports")])
    assert [(one.name, one.value) for one in slices(given, [], least=1)] == [("holder", "unknown"), ("words", value)]


def test_when_a_column_has_the_name_of_a_built_in_one_then_it_takes_its_place() -> None:
    assert {one.value for one in slices(FIVE, ["holder"], least=1) if one.name == "holder"} == {"Ana"}


def test_when_the_worst_are_asked_for_then_the_lowest_scores_are_returned() -> None:
    made = [Slice("topic", value, 10, score, 0.5) for value, score in (("a", 0.5), ("b", 0.2), ("c", 0.9), ("d", 0.2))]
    assert [one.value for one in worst(made, 3)] == ["b", "d", "a"]
    assert worst(made, 0) == ()


def test_when_a_trained_baseline_never_saw_a_wording_then_its_slice_is_the_worst() -> None:
    config = TfidfConfig(kind="tfidf", name="tfidf", ngrams=(1, 1), min_count=1, c=10)
    model = Baseline.fit(config, [pair_from_row(row) for row in labelled_rows(200)], balanced=True, seed=0)
    verbs = {"backs": "cheers", "orders": "cheers", "wants": "cheers", "rejects": "shuns", "forbids": "shuns"}
    rows = labelled_rows(160, seed=1)
    for number, row in enumerate(rows):
        # Four rows, one of each label, share a wording.
        row["wording"] = "new" if number // 4 % 2 else "old"
        if row["wording"] == "new":
            row["statement"] = " ".join(verbs.get(word, word) for word in row["statement"].split())
    pairs = [pair_from_row(row) for row in rows]
    given = Predictions(pairs, model.predict(pairs, 16).probabilities, [str(pair.id) for pair in pairs])
    found = slices(given, ["wording"], least=20)
    assert (found[0].name, found[0].value, found[0].rows) == ("wording", "new", 80)
    assert next(one for one in found if one.value == "old").macro_f1 > 0.95 > found[0].macro_f1 + 0.2
