from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from stancekit.cards.from_run import training_of
from stancekit.cards.training import Stage, Training, read_training, write_training
from stancekit.errors import UserError
from stancekit.models.saved import load_model
from tests.cards.conftest import NAME, TRACKING, ship

TRAINING = Training(
    command="stancekit train model=mpnet",
    seconds=7200.0,
    interrupted=False,
    machine="x86_64, 2 cores, torch 2.13.0+cpu",
    threads=2,
    commit="0123456789abcdef",
    changed_since=False,
    rows=10301,
    soft_rows=0,
    parameters=109_000_000,
    stages=(Stage("nli", 1800.0), Stage("pool", 900.0)),
)


@pytest.fixture
def copied_run(trained: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MlflowClient, str]:
    """A client of a copy of the shared run's store, and a run of this test's own with the same configuration."""
    run_id, home = trained
    (tmp_path / "home").mkdir()
    shutil.copy(home / "mlflow.db", tmp_path / "home")
    home = tmp_path / "home"
    monkeypatch.setenv("STANCEKIT_HOME", str(home))
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    made = client.create_run(client.get_run(run_id).info.experiment_id, start_time=1_000_000)
    client.log_artifact(made.info.run_id, client.download_artifacts(run_id, "config.yaml"))
    return client, made.info.run_id


def test_when_a_training_is_written_then_it_lies_beside_the_results_and_is_read_back(tmp_path: Path) -> None:
    model = tmp_path / "models/base"
    assert read_training(model) is None
    assert write_training(TRAINING, model) == tmp_path / "models/results/base/training.json"
    assert read_training(model) == TRAINING
    assert not model.exists()


def test_when_the_file_is_not_valid_then_it_is_said_where(tmp_path: Path) -> None:
    path = write_training(TRAINING, tmp_path / "base")
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"seconds": "long"}))
    with pytest.raises(UserError, match=r"training\.json: seconds: .*; expected what `stancekit export` wrote"):
        read_training(tmp_path / "base")


def test_when_threads_are_known_then_hours_are_counted_for_each() -> None:
    assert TRAINING.cpu_hours == 4.0
    assert replace(TRAINING, threads=None).cpu_hours is None


def test_when_torch_could_use_an_accelerator_or_is_unknown_then_it_is_not_said_that_there_was_none() -> None:
    assert TRAINING.without_accelerator
    assert not replace(TRAINING, machine="x86_64, 16 cores, torch 2.13.0+cu130").without_accelerator
    assert not replace(TRAINING, machine=None).without_accelerator


def test_when_a_run_is_read_then_cost_command_and_size_are_what_it_says(
    trained: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, home = trained
    model = ship(trained, tmp_path)
    monkeypatch.setenv("STANCEKIT_HOME", str(home))
    found = training_of(run_id, TRACKING)
    run = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(run_id)
    assert found.seconds == pytest.approx(run.data.metrics["seconds"], abs=0.05) and not found.interrupted
    assert (found.rows, found.stages) == (run.data.metrics["train_rows"], ())
    assert found.command is not None and found.command.startswith("stancekit train data=file model=folder")
    assert found.commit == run.data.tags["stancekit.git_commit"]
    network = load_model(model, calibrated=False).model.network  # type: ignore[attr-defined]
    assert found.parameters == sum(weights.numel() for weights in network.parameters())
    # The run was carried by this machine, which is what it says where the run itself does not.
    assert found.machine is not None and found.threads is not None


def test_when_a_run_says_more_of_itself_then_that_is_taken(copied_run: tuple[MlflowClient, str]) -> None:
    client, run_id = copied_run
    metrics = {"training_seconds": 90, "seconds": 100, "train_rows": 5, "soft_rows": 3}
    for name, value in (metrics | {"stages/pool/seconds": 20, "stages/nli/seconds": 40}).items():
        client.log_metric(run_id, name, value)
    client.set_tag(run_id, "stancekit.machine", "arm64, 8 cores, torch 2.13.0")
    client.set_terminated(run_id, end_time=1_000_000 + 150_000)
    found = training_of(run_id, TRACKING)
    assert found.stages == (Stage("nli", 40.0), Stage("pool", 20.0))
    assert (found.rows, found.soft_rows, found.parameters) == (5, 3, None)
    assert (found.machine, found.threads, found.commit) == ("arm64, 8 cores, torch 2.13.0", 8, "none")
    assert not found.interrupted, "50 seconds beside the training are no interruption"
    client.set_tag(run_id, "stancekit.threads", "4")
    client.set_terminated(run_id, end_time=1_000_000 + 200_000)
    again = training_of(run_id, TRACKING)
    assert again.threads == 4 and again.interrupted


def test_when_the_machine_of_a_run_is_another_one_then_neither_it_nor_its_threads_are_made_up(
    copied_run: tuple[MlflowClient, str],
) -> None:
    client, run_id = copied_run
    for name in ("training_seconds", "seconds"):
        client.log_metric(run_id, name, 10)
    client.set_tag(run_id, "stancekit.host", "f" * 16)
    client.set_terminated(run_id)
    found = training_of(run_id, TRACKING)
    assert (found.machine, found.threads, found.cpu_hours) == (None, None, None)


def test_when_a_child_does_not_say_its_machine_then_its_parent_does(copied_run: tuple[MlflowClient, str]) -> None:
    client, run_id = copied_run
    parent = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    client.set_tag(parent, "stancekit.machine", "x86_64, 2 cores, torch 2.13.0+cpu")
    client.set_tag(run_id, "mlflow.parentRunId", parent)
    for name in ("training_seconds", "seconds"):
        client.log_metric(run_id, name, 10)
    client.set_terminated(run_id)
    assert training_of(run_id, TRACKING).machine == "x86_64, 2 cores, torch 2.13.0+cpu"


def test_when_a_run_is_no_training_then_it_is_refused(copied_run: tuple[MlflowClient, str]) -> None:
    client, run_id = copied_run
    client.log_metric(run_id, "seconds", 10)
    client.set_terminated(run_id)
    with pytest.raises(UserError, match=r"is no training; expected one that made a model"):
        training_of(run_id, TRACKING)


def test_when_there_is_no_such_run_then_it_is_said(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCEKIT_HOME", str(trained[1]))
    with pytest.raises(UserError, match=rf"'{NAME}': no run of that id or name"):
        training_of(NAME, TRACKING)
