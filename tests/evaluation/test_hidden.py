from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from stancekit.config.schema import TfidfConfig
from stancekit.evaluation.hidden import hidden_pairs, hide, warnings_of
from stancekit.evaluation.model import Hidden, Score
from stancekit.evaluation.predicting import predict_unique
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction, StanceModel
from stancekit.models.baselines import Baseline
from stancekit.pairs.model import Pair, pair_from_row
from tests.conftest import labelled_rows

VERBS = {"backs": "supports", "rejects": "rules_out", "reviews": "leaves_open"}


class Rule:
    """Gives all probability to the outcome that a rule names, and keeps what it was asked."""

    def __init__(self, rule: Callable[[Pair], str]) -> None:
        self._rule = rule
        self.asked: list[list[Pair]] = []

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        self.asked.append(list(pairs))
        outcomes = [OUTCOMES.index(self._rule(pair)) for pair in pairs]
        return Prediction(np.eye(len(OUTCOMES))[outcomes], np.zeros(len(pairs), dtype=bool))

    def write(self, folder: Path) -> None:
        raise NotImplementedError


def by_statement(pair: Pair) -> str:
    return next((outcome for verb, outcome in VERBS.items() if verb in pair.statement), "no_stance")


def by_target(pair: Pair) -> str:
    return {"the toll": "supports", "the tunnel": "rules_out", "the mine": "leaves_open"}.get(pair.target, "no_stance")


def by_holder(pair: Pair) -> str:
    return {"Ana": "supports", "Bo": "rules_out", "Cy": "leaves_open"}.get(pair.holder or "", "no_stance")


PAIRS = [
    Pair("Ana backs it.", "the toll", "Ana", "supports"),
    Pair("Ana backs that.", "the toll", "Ana", "supports"),
    Pair("Bo rejects it.", "the tunnel", "Bo", "rules_out"),
    Pair("Bo rejects that.", "the tunnel", "Bo", "rules_out"),
    Pair("Cy reviews it.", "the mine", "Cy", "leaves_open"),
    Pair("Cy reviews that.", "the mine", "Cy", "leaves_open"),
]


def predictions_of(model: StanceModel, pairs: Sequence[Pair]) -> Predictions:
    return Predictions(pairs, model.predict(pairs, 8).probabilities, [f"c{i}" for i in range(len(pairs))])


# With everything hidden from it, a rule says no_stance; three-way, all rows then fall to the first stance: an F1 of
# 2 * 2 / (2 + 6) for supports and of 0 for the others.
GUESSED = 0.5 / 3


def test_when_pairs_are_alike_then_each_is_scored_once_and_rows_come_back_in_order() -> None:
    one, two = Pair("Ana backs it.", "the toll"), Pair("Bo rejects it.", "the toll", "Bo", "rules_out", "7")
    model = Rule(by_statement)
    again = Pair("Ana backs it.", "the toll", None, "supports", "8")
    found = predict_unique(model, [one, two, again, two], 8)
    assert [[pair.statement for pair in asked] for asked in model.asked] == [[one.statement, two.statement]]
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]


def test_when_the_holder_differs_then_both_pairs_are_scored() -> None:
    found = predict_unique(Rule(by_holder), [Pair("It may.", "the toll", name) for name in ("Ana", "Bo", None)], 8)
    assert found.argmax(axis=1).tolist() == [0, 1, 3]


def test_when_there_are_no_pairs_then_there_are_no_rows_of_four() -> None:
    assert predict_unique(Rule(by_statement), [], 8).shape == (0, 4)


def test_when_a_column_is_hidden_then_all_else_stays() -> None:
    pair = Pair("Ana backs it.", "the toll", "Ana", "supports", "7", {"topic": "roads"})
    hidden = {column: hidden_pairs([pair], column)[0] for column in ("statement", "target", "holder")}
    rest = ("supports", "7", {"topic": "roads"})
    assert hidden == {
        "statement": Pair("", "the toll", "Ana", *rest),
        "target": Pair("Ana backs it.", "", "Ana", *rest),
        "holder": Pair("Ana backs it.", "the toll", None, *rest),
    }


def test_when_a_model_ignores_the_target_then_hiding_it_costs_exactly_nothing_and_warns() -> None:
    model = Rule(by_statement)
    wrong = Pair("Cy rejects that.", "the mine", "Cy", "leaves_open")
    hidden = hide(model, predictions_of(model, [*PAIRS[:5], wrong]), 8, draws=200)
    # Paired: a score that varies over the resamples still leaves a cost of nothing in every one.
    assert hidden["target"].cost == hidden["holder"].cost == Score(0, 0, 0)
    # supports 1, rules_out 2 * 2 / (2 + 3), leaves_open 2 * 1 / (2 + 1)
    assert hidden["target"].macro_f1 == pytest.approx((1 + 4 / 5 + 2 / 3) / 3)
    assert hidden["statement"].macro_f1 == pytest.approx(GUESSED)
    assert [one.check for one in warnings_of(hidden)] == ["target hidden"]


def test_when_a_model_reads_the_target_alone_then_the_statement_warns() -> None:
    model = Rule(by_target)
    hidden = hide(model, predictions_of(model, PAIRS), 8, draws=200)
    assert hidden["statement"].cost == Score(0, 0, 0) and hidden["statement"].macro_f1 == 1
    assert hidden["target"].macro_f1 == pytest.approx(GUESSED)
    assert hidden["target"].cost.value == pytest.approx(1 - GUESSED)
    assert 0 < hidden["target"].cost.low <= hidden["target"].cost.value <= hidden["target"].cost.high <= 1
    assert [one.check for one in warnings_of(hidden)] == ["statement hidden"]


def test_when_a_model_reads_the_holder_alone_then_target_and_statement_warn_and_the_holder_costs() -> None:
    model = Rule(by_holder)
    hidden = hide(model, predictions_of(model, PAIRS), 8, draws=50)
    assert list(hidden) == ["statement", "target", "holder"]
    assert hidden["holder"].cost.value == pytest.approx(1 - GUESSED)
    assert [one.check for one in warnings_of(hidden)] == ["target hidden", "statement hidden"]


def test_when_hiding_costs_half_the_rows_then_the_interval_lies_around_it() -> None:
    # The target decides for rows that say "it", the statement for the others.
    model = Rule(lambda pair: by_target(pair) if "it" in pair.statement else by_statement(pair))
    pairs = PAIRS * 20
    hidden = hide(model, predictions_of(model, pairs), 8, draws=500)
    # Half of every label stays right, the other half falls to supports: it gets 80 of 120 rows, 40 of them rightly.
    after = (2 * 40 / (40 + 80) + 2 * (2 * 20 / (40 + 20))) / 3
    cost = hidden["target"].cost
    assert cost.value == pytest.approx(1 - after)
    assert cost.value - 0.15 < cost.low < cost.value < cost.high < cost.value + 0.15


def test_when_the_same_seed_is_given_then_the_interval_is_the_same() -> None:
    model = Rule(by_target)
    found = [hide(model, predictions_of(model, PAIRS), 8, 100, seed)["target"].cost for seed in (1, 1, 2)]
    assert found[0] == found[1] and found[0].value == found[2].value


def test_when_no_pair_has_a_holder_then_hiding_it_is_left_out() -> None:
    model = Rule(by_statement)
    pairs = [Pair(pair.statement, pair.target, None, pair.label) for pair in PAIRS]
    assert list(hide(model, predictions_of(model, pairs), 8, draws=20)) == ["statement", "target"]


def test_when_no_gold_is_a_stance_then_nothing_is_hidden_and_nothing_warned() -> None:
    model = Rule(by_statement)
    hidden = hide(model, predictions_of(model, [Pair("It rains.", "the toll", None, "no_stance")]), 8, draws=20)
    assert hidden == {} and warnings_of(hidden) == []


def test_when_a_cost_is_small_then_the_warning_tells_the_numbers_in_words() -> None:
    hidden = {
        "statement": Hidden(0.9704, Score(-0.0004, -0.01, 0.02)),
        "target": Hidden(0.399, Score(0.013, -0.004, 0.030)),
    }
    target, statement = warnings_of(hidden)
    assert target.message == (
        "hiding the target costs 1.3 points of macro-F1 (.412 -> .399; 95 % interval −0.4 to 3.0): "
        "this model hardly uses the target, so its score says little about stance"
    )
    assert statement.message == (
        "hiding the statement costs 0.0 points of macro-F1 (.970 -> .970; 95 % interval −1.0 to 2.0): "
        "this model hardly uses the statement: its score can be had from target and holder alone"
    )


def test_when_a_cost_reaches_the_least_then_nothing_is_warned() -> None:
    hidden = {column: Hidden(0.5, Score(0.10, 0.0, 0.2)) for column in ("statement", "target")}
    assert warnings_of(hidden) == []
    assert len(warnings_of(hidden, least=0.11)) == 2
    assert warnings_of({"holder": Hidden(0.5, Score(0.0, 0.0, 0.0))}) == []


def test_when_a_trained_baseline_reads_verbs_then_only_the_statement_costs() -> None:
    config = TfidfConfig(kind="tfidf", name="tfidf", ngrams=(1, 1), min_count=1, c=10)
    model = Baseline.fit(config, [pair_from_row(row) for row in labelled_rows(200)], balanced=True, seed=0)
    pairs = [pair_from_row(row) for row in labelled_rows(80, seed=1)]
    hidden = hide(model, predictions_of(model, pairs), 16, draws=200)
    assert hidden["holder"].cost == Score(0, 0, 0)
    assert hidden["target"].cost.value < 0.1
    assert hidden["statement"].cost.value > 0.5
    assert [one.check for one in warnings_of(hidden)] == ["target hidden"]
