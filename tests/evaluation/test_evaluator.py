from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stancekit.config.compose import load_config
from stancekit.config.schema import EvaluateConfig, EvaluationConfig
from stancekit.data.trace import Trace
from stancekit.errors import UserError
from stancekit.evaluation.evaluate import Evaluator, require_stances
from stancekit.evaluation.predictions import Predictions, cluster_column, clusters_of
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction
from stancekit.models.calibration import Calibration
from stancekit.pairs.model import Pair

CONFIG = load_config("evaluate", ["evaluation.draws=100", "evaluation.mistakes=3"])
assert isinstance(CONFIG, EvaluateConfig)
SETTINGS, DATA = CONFIG.evaluation, CONFIG.data
QUICK = SETTINGS.model_copy(update={"behaviour": None})
SOURCE = Path("rows.jsonl")


class FirstWord:
    """Says the outcome that the first word of the statement names, supports for any other; counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        self.calls.append(len(pairs))
        words = [(pair.statement.split() or [""])[0] for pair in pairs]
        said = [OUTCOMES.index(word) if word in OUTCOMES else 0 for word in words]
        return Prediction(np.eye(4)[said] * 0.6 + 0.1, np.zeros(len(pairs), dtype=bool))

    def write(self, folder: Path) -> None:
        raise NotImplementedError


def rows(count: int, wrong: int = 0, **extra: Any) -> list[Pair]:
    """Rows with the label in the statement's first word; the last ``wrong`` of them have another label than it says."""
    pairs = [
        Pair(
            f"{OUTCOMES[i % 4]} number{i} one{i} two{i} three{i} four{i} five{i}",
            f"target {i % 5}",
            None,
            OUTCOMES[i % 4],
            f"r{i}",
            {"topic": f"t{i % 12}", **extra},
        )
        for i in range(count)
    ]
    return [
        replace(pair, label=OUTCOMES[(OUTCOMES.index(str(pair.label)) + (i >= count - wrong)) % 4])
        for i, pair in enumerate(pairs)
    ]


def evaluator(settings: EvaluationConfig = QUICK, **known: Any) -> tuple[Evaluator, FirstWord]:
    model = FirstWord()
    return Evaluator(model, "mine", settings, DATA, **known), model


def test_when_rows_are_evaluated_then_the_report_says_what_of_which_rows() -> None:
    pairs = rows(48, wrong=4)
    report = evaluator()[0].evaluate(pairs, "dev", SOURCE).report
    assert (report.model, report.part, report.data) == ("mine", "dev", "rows.jsonl")
    assert (report.rows, report.clusters, report.cluster_by) == (48, 12, "topic")
    # Of each outcome one row is said to be the one before.
    assert report.confusion == ((11, 0, 0, 1), (1, 11, 0, 0), (0, 1, 11, 0), (0, 0, 1, 11))
    assert report.value("accuracy_outcomes") == 44 / 48
    low, high = report.scores["accuracy_outcomes"].low, report.scores["accuracy_outcomes"].high
    assert low < 44 / 48 < high
    assert {mistake.id for mistake in report.mistakes} == {"r44", "r45", "r46"}
    assert report.hidden["target"].cost.value == 0 and "holder" not in report.hidden
    assert [found.check for found in report.warnings] == ["target hidden"]


def test_when_predictions_are_known_and_the_look_is_not_thorough_then_the_model_is_not_asked() -> None:
    evaluating, model = evaluator(SETTINGS)
    known = evaluating.predict(rows(48))
    assert model.calls == [48]
    evaluated = evaluating.evaluate(rows(48), "dev", SOURCE, thorough=False, predictions=known)
    assert model.calls == [48] and evaluated.predictions is known
    report = evaluated.report
    assert (report.hidden, report.behaviour, report.mistakes, report.warnings) == ({}, (), (), ())
    assert "hidden columns, behaviour and mistakes are looked at on the test sets" in report.notes


def test_when_two_sets_are_evaluated_then_the_behaviour_tests_are_run_once() -> None:
    evaluating, model = evaluator(SETTINGS)
    one, other = (evaluating.evaluate(rows(count), "test", SOURCE).report for count in (48, 60))
    assert len(one.behaviour) == 7 and one.behaviour is other.behaviour is evaluating.behaviour
    assert sum(calls > 600 for calls in model.calls) == 1


def test_when_there_are_no_behaviour_tests_then_none_are_run() -> None:
    assert evaluator()[0].behaviour == ()


def test_when_targets_are_known_from_training_then_the_others_are_scored_by_themselves() -> None:
    pairs = rows(100, wrong=40)
    trace = Trace.of([Pair("nothing of these", f"Target {i}.") for i in range(3)])
    report = evaluator(trace=trace)[0].evaluate(pairs, "test", SOURCE).report
    seen = [i for i in range(100) if i % 5 < 3]
    right = sum(i < 60 for i in seen)
    assert {name: part.rows for name, part in report.subsets.items()} == {"seen_targets": 60, "unseen_targets": 40}
    assert report.subsets["seen_targets"].scores["accuracy_outcomes"].value == pytest.approx(right / 60)
    assert report.subsets["unseen_targets"].scores["accuracy_outcomes"].value == pytest.approx((60 - right) / 40)


@pytest.mark.parametrize(
    ("count", "held", "notes"),
    [
        (100, ["unseen_targets", "seen_targets"], []),
        (95, ["unseen_targets"], ["rows whose target was seen in training: 19, too few for scores of their own "]),
    ],
)
def test_when_a_kind_of_target_has_too_few_rows_then_that_is_noted(
    count: int, held: list[str], notes: list[str]
) -> None:
    trace = Trace.of([Pair("nothing of these", "target 4")])
    report = (
        evaluator(trace=trace, calibration=Calibration(1.0, 0.5, 0.9, 10))[0]
        .evaluate(rows(count), "test", SOURCE)
        .report
    )
    assert set(report.subsets) == set(held)
    assert [note.partition("(")[0] for note in report.notes] == notes


def test_when_nothing_is_known_of_a_model_then_what_cannot_be_told_is_noted() -> None:
    report = evaluator()[0].evaluate(rows(48), "test", SOURCE).report
    assert report.notes == (
        "the model does not say what it was trained on: neither new targets nor leaked statements can be told",
        "no temperature was fitted to this model: its probabilities are as they come",
    )
    assert report.subsets == {} and report.calibration.temperature is None


def test_when_statements_were_trained_on_then_their_number_is_warned_of() -> None:
    pairs = rows(48)
    trace = Trace.of([replace(pair, target="another", label=None) for pair in pairs[:12]])
    report = evaluator(trace=trace)[0].evaluate(pairs, "test", SOURCE).report
    assert report.warnings[0].check == "trained on"
    assert report.warnings[0].message.startswith("the statements of 12 of 48 rows (25.0%), or near-copies of them, ")


def test_when_stances_are_missing_then_all_of_them_are_named_and_present_takes_the_set() -> None:
    pairs = [pair for pair in rows(48) if pair.label in ("leaves_open", "no_stance")]
    message = "test: none of its 24 rows is labelled supports or rules_out, so a macro-F1 over the three stances"
    with pytest.raises(UserError, match=re.escape(message)):
        evaluator()[0].evaluate(pairs, "test", SOURCE)
    present = QUICK.model_copy(update={"labels": "present"})
    report = evaluator(present)[0].evaluate(pairs, "test", SOURCE).report
    assert report.value("macro_f1") == pytest.approx(1 / 3) and report.value("leaves_open/f1") == 1


def test_when_no_stance_alone_is_missing_then_the_set_is_scored() -> None:
    pairs = [pair for pair in rows(48) if pair.label != "no_stance"]
    require_stances(pairs, "test", QUICK)
    assert evaluator()[0].evaluate(pairs, "test", SOURCE).report.value("macro_f1") == 1


def test_when_rows_share_a_story_then_they_are_resampled_together() -> None:
    pairs = rows(48, story="one")
    assert cluster_column(pairs, ("story", "topic")) == "topic"
    assert cluster_column([replace(pairs[0], extra={"story": "two"}), *pairs], ("story", "topic")) == "story"


@pytest.mark.parametrize(
    ("stories", "expected"),
    [
        (["a", "b"], "story"),
        (["a", None], "statement"),
        (["a", ""], "statement"),
        ([0, 1], "story"),
        ([None, None], "statement"),
    ],
)
def test_when_a_column_does_not_divide_the_rows_then_it_is_not_clustered_by(stories: list[Any], expected: str) -> None:
    pairs = [Pair(f"s{i}", "t", extra={"story": story}) for i, story in enumerate(stories)]
    assert cluster_column(pairs, ("story", "topic")) == expected


def test_when_a_row_has_no_value_to_cluster_by_then_its_statement_is_its_cluster_and_a_zero_is_a_value() -> None:
    pairs = [Pair(f"s{i}", "t", extra={"story": story}) for i, story in enumerate([0, 0, 1, None, ""])]
    assert clusters_of(pairs, "story") == ["0", "0", "1", "s3", "s4"]


def test_when_predictions_are_written_and_read_then_every_column_and_every_bit_is_the_same(tmp_path: Path) -> None:
    pairs = [
        Pair(
            "„No“,\nshe said", "closing it", "Ann", "rules_out", "1", {"phenomena": ["negation", "quote"], "start": 7}
        ),
        Pair("maybe", "closing it", None, "leaves_open", None, {"phenomena": [], "score": 0.1 + 0.2, "flag": True}),
    ]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=2)
    before = Predictions(pairs, probabilities, ["story, with a comma", "2"])
    before.write(tmp_path / "p.jsonl")
    after = Predictions.read(tmp_path / "p.jsonl")
    assert list(after.pairs) == pairs and list(after.clusters) == ["story, with a comma", "2"]
    np.testing.assert_array_equal(after.probabilities, probabilities)
    assert after.fingerprint == before.fingerprint
    assert after.gold.tolist() == [1, 2] and after.predicted.tolist() == probabilities.argmax(axis=1).tolist()


def test_when_rows_are_taken_then_pairs_probabilities_and_clusters_go_together() -> None:
    predictions = evaluator()[0].predict(rows(8))
    some = predictions.take(np.array([5, 2]))
    assert [pair.id for pair in some.pairs] == ["r5", "r2"] and some.clusters == ["t5", "t2"]
    np.testing.assert_array_equal(some.probabilities, predictions.probabilities[[5, 2]])
    assert some.groups.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (json.dumps({"statement": "s", "target": "t", "label": "supports", "cluster": "c"}), "'p_supports'"),
        (json.dumps({f"p_{name}": 0.25 for name in OUTCOMES} | {"statement": "s", "target": "t"}), "'cluster'"),
        (json.dumps({f"p_{name}": 0.25 for name in OUTCOMES} | {"cluster": "c", "target": "t"}), "statement"),
        ("{", "not JSON"),
    ],
)
def test_when_a_file_holds_no_predictions_then_it_is_refused_by_row(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"p.jsonl, row 1: no stored prediction: .*{expected}"):
        Predictions.read(path)
