from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stancekit.config.schema import TfidfConfig
from stancekit.errors import UserError
from stancekit.evaluation.behaviour import load_suite, run_suite
from stancekit.evaluation.model import Failure
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction
from stancekit.models.baselines import Baseline
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.paths import shipped_root
from tests.conftest import labelled_rows

NEGATION = """
kind: negation
what: the statement is negated, so the stance turns round
expects: change
tests:
  - statement: The minister will build the tunnel.
    holder: the minister
    target: building the tunnel
    label: supports
    edit: {statement: The minister will not build the tunnel.}
    edited_label: rules_out
  - statement: The minister will build the tower.
    target: building the tower
    label: supports
    edit: {statement: The minister will never build the tower.}
    edited_label: rules_out
  - statement: The minister may build the pier.
    target: building the pier
    label: leaves_open
    edit: {statement: The minister will not build the pier.}
    edited_label: rules_out
"""
RENAMED = """
kind: renamed_holder
what: the holder gets another name, so the stance stays
expects: same
tests:
  - statement: Ana will not pay the toll.
    holder: Ana
    target: the toll
    label: rules_out
    edit: {statement: Bo will not pay the toll., holder: Bo}
  - statement: Ana may raise the toll.
    holder: Ana
    target: the toll
    label: leaves_open
    edit: {statement: Bo may raise the toll., holder: Bo}
  - statement: Ana wants the toll.
    holder: Ana
    target: the toll
    label: supports
    edit: {statement: Knott wants the toll., holder: null}
"""


class Nots:
    """``rules_out`` where the statement has the letters "not", else ``supports``; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Pair]] = []

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        self.asked.append(list(pairs))
        rows = [int("not" in pair.statement) for pair in pairs]
        return Prediction(np.eye(len(OUTCOMES))[rows], np.zeros(len(pairs), dtype=bool))

    def write(self, folder: Path) -> None:
        raise NotImplementedError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "behaviour"
    folder.mkdir()
    (folder / "negation.yaml").write_text(NEGATION, encoding="utf-8")
    (folder / "renamed_holder.yaml").write_text(RENAMED, encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_suite(folder)
    return str(caught.value)


def test_when_a_folder_is_read_then_every_file_is_a_suite_and_only_edited_columns_change(folder: Path) -> None:
    negation, renamed = load_suite(folder)
    assert (negation.kind, negation.expects, len(negation.tests)) == ("negation", "change", 3)
    before = Pair("The minister will build the tunnel.", "building the tunnel", "the minister", "supports")
    assert negation.tests[0].before() == before
    edited = "The minister will not build the tunnel."
    assert negation.tests[0].after() == Pair(edited, "building the tunnel", "the minister", "rules_out")
    assert renamed.tests[1].after() == Pair("Bo may raise the toll.", "the toll", "Bo", "leaves_open")
    assert renamed.tests[2].after().holder is None


def test_when_a_change_is_expected_then_a_test_is_passed_if_both_outcomes_are_right(folder: Path) -> None:
    found = run_suite(Nots(), load_suite(folder), 8)[0]
    # The second is blind to "never", the third takes "may" for support.
    assert (found.kind, found.expects, found.tests) == ("negation", "change", 3)
    assert found.passed == found.right == pytest.approx(1 / 3)
    assert [failure.target for failure in found.failures] == ["building the tower", "building the pier"]
    assert found.failures[0] == Failure(
        kind="negation",
        holder=None,
        statement="The minister will build the tower.",
        target="building the tower",
        gold="supports",
        predicted="supports",
        edited_holder=None,
        edited_statement="The minister will never build the tower.",
        edited_target="building the tower",
        edited_gold="rules_out",
        edited_predicted="supports",
    )
    assert (found.failures[1].predicted, found.failures[1].edited_predicted) == ("supports", "rules_out")


def test_when_the_same_is_expected_then_equal_outcomes_pass_even_if_wrong(folder: Path) -> None:
    found = run_suite(Nots(), load_suite(folder), 8)[1]
    # "may" is wrong twice and so passes; "Knott" has the letters, so that the outcome changes.
    assert found.passed == pytest.approx(2 / 3) and found.right == pytest.approx(1 / 3)
    (failure,) = found.failures
    assert (failure.predicted, failure.edited_predicted) == ("supports", "rules_out")
    assert (failure.gold, failure.edited_gold) == ("supports", "supports")
    assert (failure.holder, failure.edited_holder) == ("Ana", None)


def test_when_suites_are_run_then_the_model_is_asked_once(folder: Path) -> None:
    model = Nots()
    run_suite(model, load_suite(folder), 8)
    assert [len(asked) for asked in model.asked] == [12]


def test_when_there_are_no_suites_then_nothing_is_found() -> None:
    assert run_suite(Nots(), [], 8) == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("label: leaves_open", "label: leave_open", "test 3, label: found 'leave_open'; did you mean 'leaves_open'?"),
        (
            "    edited_label: rules_out\n",
            "",
            "test 1, edited_label: is missing; expected one of rules_out, leaves_open",
        ),
        (
            "edited_label: rules_out",
            "edited_label: supports",
            "edited_label: found 'supports', the label before the edit",
        ),
        ("will not build the tunnel", "will build the tunnel", "test 1, edit: changes nothing; expected another"),
        (
            "edit: {statement: The",
            "edit: {statment: The",
            "test 1, edit.statment: unknown field; did you mean 'statement'?",
        ),
        ("    target: building the tower", "    targets: x", "test 2, targets: unknown field; did you mean 'target'?"),
        ("    target: building the tower\n", "", "test 2, target: is missing"),
        ("    target: building the tower", "    target: 7", "test 2, target: Input should be a valid string, found 7"),
        (
            "    target: building the tower",
            "    target: ' '",
            "test 2, target: expected text, which is not blank, found ' '",
        ),
        (
            "expects: change",
            "expects: changes",
            "expects: found 'changes'; did you mean 'change'? (valid: change, same)",
        ),
        ("expects: change", "expect: change", "expect: unknown field; did you mean 'expects'?"),
        ("kind: negation", "kind: Nega tion", "kind: String should match pattern"),
        ("kind: negation", "kind: renamed_holder", "the kind 'renamed_holder' stands in another file too"),
        ("edit: {statement: The", "edit: [The", "is not valid YAML"),
    ],
)
def test_when_a_file_has_a_mistake_then_file_test_and_field_are_named(
    folder: Path, old: str, new: str, said: str
) -> None:
    assert old in NEGATION
    (folder / "negation.yaml").write_text(NEGATION.replace(old, new, 1), encoding="utf-8")
    message = refusal(folder)
    assert said in message
    assert "negation.yaml" in message or "stands in another file" in message


def test_when_the_same_is_expected_then_a_label_after_the_edit_is_refused(folder: Path) -> None:
    wrong = RENAMED.replace("holder: Bo}", "holder: Bo}\n    edited_label: supports", 1)
    (folder / "renamed_holder.yaml").write_text(wrong, encoding="utf-8")
    message = refusal(folder)
    assert "renamed_holder.yaml" in message
    assert "test 1, edited_label: found 'supports' where the outcome must stay the same; expected none" in message


def test_when_a_file_has_several_mistakes_then_all_are_listed(folder: Path) -> None:
    wrong = NEGATION.replace("label: supports", "label: suports")
    (folder / "negation.yaml").write_text(wrong, encoding="utf-8")
    message = refusal(folder)
    assert "test 1, label" in message and "test 2, label" in message and "test 3" not in message


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b"])
def test_when_a_file_has_no_keys_then_the_expected_ones_are_named(folder: Path, text: str) -> None:
    (folder / "negation.yaml").write_text(text, encoding="utf-8")
    assert "expected kind, what, expects, tests" in refusal(folder)


def test_when_a_suite_has_no_tests_then_it_is_refused(folder: Path) -> None:
    (folder / "negation.yaml").write_text(NEGATION.partition("tests:")[0] + "tests: []\n", encoding="utf-8")
    assert "negation.yaml' is not valid:\n  - tests: " in refusal(folder)


def test_when_the_folder_is_missing_then_the_nearest_is_named(folder: Path) -> None:
    message = refusal(folder.parent / "behavior")
    assert "no folder" in message and "did you mean 'behaviour'?" in message


def test_when_the_folder_has_no_yaml_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    assert "no YAML file" in refusal(tmp_path)


def test_when_the_shipped_suite_is_read_then_it_has_every_kind_and_no_statement_twice() -> None:
    suites = load_suite(shipped_root() / "data" / "behaviour")
    expected = {
        "negation": "change",
        "polarity": "change",
        "not_ruled_out": "change",
        "swapped_holders": "change",
        "renamed_holder": "same",
        "paraphrase": "same",
        "irrelevant": "same",
    }
    assert {suite.kind: suite.expects for suite in suites} == expected
    assert sum(len(suite.tests) for suite in suites) >= 300
    statements = Counter(test.statement for suite in suites for test in suite.tests)
    assert [statement for statement, times in statements.items() if times > 1] == []


def test_when_a_shipped_kind_edits_then_it_touches_only_its_columns() -> None:
    columns = {
        "negation": {"statement"},
        "polarity": {"target"},
        "not_ruled_out": {"statement"},
        "swapped_holders": {"holder"},
        "renamed_holder": {"statement", "holder"},
        "paraphrase": {"statement"},
        "irrelevant": {"statement"},
    }
    for suite in load_suite(shipped_root() / "data" / "behaviour"):
        touched = {column for test in suite.tests for column in test.edit.model_fields_set}
        assert touched <= columns[suite.kind], suite.kind


def test_when_a_trained_baseline_ignores_the_holder_then_it_keeps_its_outcome_under_another(folder: Path) -> None:
    config = TfidfConfig(kind="tfidf", name="tfidf", ngrams=(1, 1), min_count=1, c=10)
    model = Baseline.fit(config, [pair_from_row(row) for row in labelled_rows(200)], balanced=True, seed=0)
    tests = "".join(
        f"  - {{statement: the minister {verb} closing the port, holder: the minister, target: closing the port, "
        f"label: {label}, edit: {{holder: the mayor}}}}\n"
        for verb, label in (("backs", "supports"), ("rejects", "rules_out"), ("reviews", "supports"))
    )
    head = "kind: renamed_holder\nwhat: another holder\nexpects: same\ntests:\n"
    (folder / "renamed_holder.yaml").write_text(head + tests, encoding="utf-8")
    found = run_suite(model, load_suite(folder), 4)[1]
    assert found.passed == 1 and found.right == pytest.approx(2 / 3)
