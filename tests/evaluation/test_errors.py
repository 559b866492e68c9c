from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from stancekit.config.schema import TfidfConfig
from stancekit.evaluation.errors import mistakes
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction, StanceModel
from stancekit.models.baselines import Baseline
from stancekit.pairs.model import Pair, pair_from_row
from tests.conftest import labelled_rows


class Sum:
    """Adds up what words weigh to the probability of ``supports``, from .3; the rest is shared by the others."""

    def __init__(self, statement: Mapping[str, float], target: Mapping[str, float]) -> None:
        self._statement, self._target = statement, target
        self.asked: list[list[Pair]] = []

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        self.asked.append(list(pairs))
        rows = np.zeros((len(pairs), len(OUTCOMES)))
        for row, pair in zip(rows, pairs, strict=True):
            words, target = set(re.findall(r"\w+", pair.statement)), set(re.findall(r"\w+", pair.target))
            row[0] = 0.3 + sum(weight for word, weight in self._statement.items() if word in words)
            row[0] += sum(weight for word, weight in self._target.items() if word in target)
            row[1:] = (1 - row[0]) / 3
        return Prediction(rows, np.zeros(len(pairs), dtype=bool))

    def write(self, folder: Path) -> None:
        raise NotImplementedError


def predictions_of(model: StanceModel, pairs: Sequence[Pair]) -> Predictions:
    return Predictions(pairs, model.predict(pairs, 8).probabilities, [f"c{i}" for i in range(len(pairs))])


def test_when_words_weigh_something_then_they_are_listed_as_they_stand_the_heaviest_first() -> None:
    model = Sum({"backs": 0.4, "gladly": 0.1, "hardly": -0.05}, {"tunnel": 0.2, "gladly": 0.9})
    wrong = Pair('Ana "gladly, hardly backs', "the tunnel", "Ana", "rules_out", "7")
    (found,) = mistakes(model, predictions_of(model, [wrong]), 10, 8)
    assert (found.id, found.holder, found.statement, found.target) == ("7", "Ana", wrong.statement, "the tunnel")
    assert (found.gold, found.predicted) == ("rules_out", "supports")
    assert found.confidence == pytest.approx(0.95)
    assert [word for word, _ in found.words] == ["backs", "target: tunnel", '"gladly,']
    assert [weight for _, weight in found.words] == pytest.approx([0.4, 0.2, 0.1])


def test_when_many_are_wrong_then_the_most_confident_come_first_and_right_ones_never() -> None:
    model = Sum({"wants": 0.6, "backs": 0.5, "likes": 0.4, "sees": 0.3}, {})
    texts = (("likes", "no_stance"), ("wants", "supports"), ("sees", "rules_out"), ("backs", "leaves_open"))
    pairs = [Pair(f"Ana {verb} it.", "the toll", None, label, verb) for verb, label in texts]
    found = mistakes(model, predictions_of(model, pairs), 2, 8)
    assert [(one.id, one.gold) for one in found] == [("backs", "leaves_open"), ("likes", "no_stance")]
    assert [one.confidence for one in found] == pytest.approx([0.8, 0.7])
    assert [[word for word, _ in one.words] for one in found] == [["backs"], ["likes"]]
    assert [one.words[0][1] for one in found] == pytest.approx([0.5, 0.4])


def test_when_more_than_five_words_weigh_something_then_the_five_heaviest_stay() -> None:
    weights = {"a": 0.01, "b": 0.06, "c": 0.05, "d": 0.04, "e": 0.03, "f": 0.02}
    model = Sum(weights, {})
    (found,) = mistakes(model, predictions_of(model, [Pair("a b c d e f", "it", None, "no_stance")]), 1, 8)
    assert [word for word, _ in found.words] == ["b", "c", "d", "e", "f"]


def test_when_a_statement_is_long_then_only_its_first_sixty_words_are_tried() -> None:
    model = Sum({"sixtieth": 0.1, "after": 0.3}, {"toll": 0.05})
    statement = "so " * 59 + "sixtieth after"
    predictions = predictions_of(model, [Pair(statement, "toll", None, "no_stance")])
    model.asked.clear()
    (found,) = mistakes(model, predictions, 1, 8)
    assert [word for word, _ in found.words] == ["sixtieth", "target: toll"]
    # The pair as it is, without any one "so", without the sixtieth word, without the target's.
    assert [len(asked) for asked in model.asked] == [4]


def test_when_a_word_is_left_out_then_the_rest_stands_as_it_was() -> None:
    model = Sum({"b": 0.3}, {})
    predictions = predictions_of(model, [Pair("a  b\nc.", "the toll", "Ana", "no_stance")])
    model.asked.clear()
    mistakes(model, predictions, 1, 8)
    assert [(pair.statement, pair.target, pair.holder) for pair in model.asked[0]] == [
        ("a  b\nc.", "the toll", "Ana"),
        ("b\nc.", "the toll", "Ana"),
        ("a  c.", "the toll", "Ana"),
        ("a  b", "the toll", "Ana"),
        ("a  b\nc.", "toll", "Ana"),
        ("a  b\nc.", "the", "Ana"),
    ]


def test_when_several_rows_are_wrong_then_the_model_is_asked_once() -> None:
    model = Sum({"backs": 0.3}, {})
    predictions = predictions_of(model, [Pair(f"{name} backs", "it", None, "no_stance") for name in ("Ana", "Bo")])
    model.asked.clear()
    assert len(mistakes(model, predictions, 5, 8)) == 2
    # Both without their name are the same pair.
    assert [len(asked) for asked in model.asked] == [7]


def test_when_stored_probabilities_are_calibrated_then_weights_are_still_those_of_the_model() -> None:
    model = Sum({"backs": 0.5}, {})
    stored = Predictions(
        [Pair("Ana backs it.", "the toll", None, "no_stance")], np.array([[0.5, 0.2, 0.2, 0.1]]), ["c"]
    )
    (found,) = mistakes(model, stored, 1, 8)
    assert found.confidence == 0.5
    ((word, weight),) = found.words
    assert word == "backs" and weight == pytest.approx(0.5)


def test_when_nothing_is_wrong_then_there_are_no_mistakes() -> None:
    model = Sum({"backs": 0.5}, {})
    assert mistakes(model, predictions_of(model, [Pair("Ana backs it.", "it", None, "supports")]), 5, 8) == ()


def test_when_a_trained_baseline_reads_verbs_then_the_verb_weighs_most() -> None:
    config = TfidfConfig(kind="tfidf", name="tfidf", ngrams=(1, 1), min_count=1, c=10)
    model = Baseline.fit(config, [pair_from_row(row) for row in labelled_rows(200)], balanced=True, seed=0)
    # Mislabelled on purpose, so that a right reading is a mistake.
    rows = [row | {"label": "rules_out"} for row in labelled_rows(80, seed=1) if row["label"] == "supports"]
    predictions = predictions_of(model, [pair_from_row(row) for row in rows])
    found = mistakes(model, predictions, 8, 16)
    assert len(found) == 8 and {one.predicted for one in found} == {"supports"}
    assert {one.words[0][0] for one in found} <= {"backs", "orders", "wants"}
    assert found[0].confidence == predictions.probabilities.max()
    assert [one.confidence for one in found] == sorted((one.confidence for one in found), reverse=True)
