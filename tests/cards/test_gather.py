from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from stancekit.cards.gather import gather, missing
from stancekit.errors import UserError
from stancekit.evaluation.model import Score, Subset
from stancekit.evaluation.report import as_json
from tests.cards.conftest import NAME


def result(checkout: Path, part: str) -> Path:
    return checkout / "models/results" / NAME / f"{part}.json"


def test_when_a_model_was_evaluated_then_its_reports_are_read_back_as_they_were_written(checkout: Path) -> None:
    (model,) = gather([NAME])
    assert list(model.results) == ["dev", "test", "seeds"]
    for part, report in model.results.items():
        assert as_json(report) == result(checkout, part).read_text(encoding="utf-8")
        assert report.part == part and report.behaviour and report.mistakes
    assert model.manifest["data"]["test"] == model.results["test"].fingerprint
    assert model.recipe["training.epochs"] == 2 and model.recipe["data.name"] == "file"
    assert model.size == sum(file.stat().st_size for file in (checkout / "models" / NAME).iterdir())
    assert model.measured is None


def test_when_a_name_is_given_twice_then_the_model_is_there_once(checkout: Path) -> None:
    assert [model.name for model in gather([NAME, NAME])] == [NAME]


def test_when_a_score_was_no_number_then_it_is_none_again_and_other_gaps_stay_gaps(checkout: Path) -> None:
    (model,) = gather([NAME])
    nothing = Score(math.nan, math.nan, math.nan)
    report = replace(model.results["test"], subsets={"seen_targets": Subset(4, {"mcc": nothing})})
    mistake = replace(report.mistakes[0], holder=None)
    result(checkout, "test").write_text(as_json(replace(report, mistakes=(mistake,))), encoding="utf-8")
    (model,) = gather([NAME])
    found = model.results["test"]
    assert math.isnan(found.subsets["seen_targets"].scores["mcc"].value)
    assert found.mistakes[0].holder is None


def test_when_something_was_not_measured_then_the_command_that_measures_it_is_named(checkout: Path) -> None:
    assert missing(gather([NAME])) == [
        "tiny on test_seen: stancekit evaluate model=tiny data=stancebank split=test_seen "
        "output=models/results/tiny/test_seen.json",
        "tiny, its spread: stancekit train experiment=tiny; stancekit report experiment=tiny",
    ]
    (checkout / "models/results" / NAME / "training.json").unlink()
    assert "tiny, its cost: stancekit export model=RUN output=models/tiny" in missing(gather([NAME]))


@pytest.mark.parametrize(("unknown", "close"), [("tyni", "; did you mean 'tiny'?"), ("results", "")])
def test_when_a_model_does_not_ship_then_the_nearest_that_does_is_named(
    checkout: Path, unknown: str, close: str
) -> None:
    with pytest.raises(UserError) as refused:
        gather([NAME, unknown])
    assert str(refused.value) == f"models: '{unknown}' does not ship{close} (what ships: tiny)"


def test_when_nothing_ships_then_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stancekit.models.shipped.shipped_root", lambda: tmp_path)
    with pytest.raises(UserError, match=r"models: 'base' does not ship \(what ships: nothing yet\)"):
        gather(["base"])


def test_when_a_file_of_the_model_was_changed_then_there_is_no_card(checkout: Path) -> None:
    with (checkout / "models" / NAME / "config.yaml").open("a") as stream:
        stream.write("\n")
    with pytest.raises(UserError, match=r"the hash of '.*config\.yaml' is wrong"):
        gather([NAME])


def test_when_results_are_of_another_model_then_they_are_refused_with_the_command_to_evaluate_again(
    checkout: Path,
) -> None:
    values = json.loads(result(checkout, "test").read_text(encoding="utf-8"))
    fitted = values["calibration"]["temperature"]
    values["calibration"]["temperature"] = fitted + 0.25
    result(checkout, "test").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        gather([NAME])
    assert f"its temperature is {fitted + 0.25}, expected {fitted}" in str(refused.value)
    assert str(refused.value).endswith("split=test output=models/results/tiny/test.json")


def test_when_results_lie_under_the_name_of_another_part_then_they_are_refused(checkout: Path) -> None:
    result(checkout, "dev").replace(result(checkout, "test_seen"))
    with pytest.raises(UserError, match=r"test_seen\.json is a report on 'dev'; expected one on 'test_seen'"):
        gather([NAME])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not valid JSON"),
        ("[]", "the file: "),
        ('{"model": "tiny"}', "part: Field required; expected a report"),
    ],
)
def test_when_results_are_no_report_then_they_are_refused(checkout: Path, text: str, said: str) -> None:
    result(checkout, "test").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        gather([NAME])
    assert "test.json" in str(refused.value) and said in str(refused.value)
