from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stancekit.metric_names import METRICS
from tests.conftest import CliRunner, labelled_rows, write_jsonl

QUICK = ("evaluation.behaviour=null", "evaluation.mistakes=0", "evaluation.draws=100")


def assert_rows(said: str, rows: int, part: str) -> None:
    assert re.search(rf"^folder on {part}\n{rows} rows in \d+ clusters by \w+ of ", said, re.MULTILINE), said


@pytest.fixture(autouse=True)
def _use_trained(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCEKIT_HOME", str(trained[1]))


def test_when_the_trained_model_is_evaluated_again_then_the_scores_are_those_logged_in_training(
    cli: CliRunner, trained: tuple[str, Path], tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    run_id, home = trained
    data = home.parent / "labelled.jsonl"
    said = cli("evaluate", f"model={run_id}", f"data.path={data}", f"output={tmp_path / 'scores.json'}")
    result = json.loads((tmp_path / "scores.json").read_text())
    logged = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(run_id).data.metrics
    assert result["rows"] == 12 and result["part"] == "test"
    assert set(result["scores"]) == set(METRICS)
    for name, score in result["scores"].items():
        assert logged[f"test/{name}"] == pytest.approx(score["value"], abs=1e-12)
    for name in ("ece", "brier", "aurc"):
        assert logged[f"test/{name}"] == pytest.approx(result["calibration"][name], abs=1e-12)
    macro_f1 = result["scores"]["macro_f1"]
    assert macro_f1["low"] <= macro_f1["value"] <= macro_f1["high"]
    interval = rf"\[{macro_f1['low']:.3f}, {macro_f1['high']:.3f}\]"
    assert re.search(rf"^macro_f1 +{macro_f1['value']:.3f} +{interval} ", said, re.MULTILINE)
    page = (tmp_path / "scores.html").read_text(encoding="utf-8")
    assert f"{macro_f1['value']:.3f}" in page and "<script" not in page
    assert f"written: {tmp_path / 'scores.json'} and {tmp_path / 'scores.html'}" in said


def test_when_a_file_has_no_splits_then_all_its_rows_are_scored(cli: CliRunner, tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "split"} for row in labelled_rows(20)]
    assert_rows(
        cli("evaluate", "model=champion", f"data.path={write_jsonl(tmp_path / 'mine.jsonl', rows)}", *QUICK), 20, "all"
    )


def test_when_all_splits_are_asked_for_then_every_row_is_scored(cli: CliRunner, labelled_file: Path) -> None:
    assert_rows(cli("evaluate", "model=champion", f"data.path={labelled_file}", "split=all", *QUICK), 120, "all")


def test_when_the_split_column_is_empty_then_the_file_has_no_splits(cli: CliRunner, tmp_path: Path) -> None:
    rows = [row | {"split": ""} for row in labelled_rows(20)]
    assert_rows(
        cli("evaluate", "model=champion", f"data.path={write_jsonl(tmp_path / 'mine.jsonl', rows)}", *QUICK), 20, "all"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["split=tset"], "split=tset: no such rows in .*; did you mean 'test'?"),
        (["split=al"], "split=al: no such rows in .*; did you mean 'all'?"),
        (["data.path=none.jsonl"], "data.path: no file or folder 'none.jsonl'"),
        (["output={tmp}/scores.csv"], "output: '{tmp}/scores.csv' is no"),
        (["output={tmp}/labelled.jsonl/x.json"], "output: '{tmp}/labelled.jsonl/x.json' cannot be written"),
    ],
)
def test_when_something_is_wrong_then_the_message_says_what(
    cli: CliRunner, labelled_file: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    given = [word.format(tmp=tmp_path) for word in words]
    data = [] if any(word.startswith("data.path") for word in words) else [f"data.path={labelled_file}"]
    said = cli("evaluate", *given, *data, code=2)
    assert (
        expected.format(tmp=tmp_path).split(".*")[0] in said and expected.split(".*")[-1].format(tmp=tmp_path) in said
    )
