from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stancekit.config.compose import experiments_dir
from tests.conftest import CliRunner

EXPERIMENTS = sorted(path.stem for path in experiments_dir().glob("*.yaml"))


def test_when_experiments_are_listed_then_there_is_one() -> None:
    assert EXPERIMENTS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_when_an_experiment_is_run_in_miniature_then_it_ends_well(
    cli: CliRunner, tiny_overrides: list[str], experiment: str
) -> None:
    said = cli("train", f"experiment={experiment}", *tiny_overrides, "training.epochs=1")
    assert "epoch 1/1" in said and "was registered" in said


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_when_an_experiment_ships_then_its_question_and_command_lead_and_its_result_is_written(experiment: str) -> None:
    lines = (experiments_dir() / f"{experiment}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_" and "?" in lines[1] + lines[2]
    assert any(line.startswith("#   stancekit train") and f"experiment={experiment}" in line for line in lines)
    assert f"{experiment}.yaml" in (experiments_dir() / "README.md").read_text(encoding="utf-8")


def test_when_the_encoder_is_not_the_expected_one_then_no_run_is_begun(
    cli: CliRunner, tiny_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    words = ["model=folder", f"model.encoder.path={tmp_path / 'encoder'}", f"model.encoder.sha256={'0' * 64}"]
    assert "these are not the expected weights" in cli("train", *words, code=2)
    assert not (tmp_path / "home").exists()


def test_when_a_file_of_ones_own_lacks_the_column_to_split_by_then_the_way_out_is_named(
    cli: CliRunner, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("statement,target,label\nshe wants it,the toll,supports\n", encoding="utf-8")
    said = cli("train", f"data.path={tmp_path / 'mine.csv'}", code=2)
    assert (
        "data.split.by: no row has the column 'topic'" in said and "data=file keeps equal statements together" in said
    )
