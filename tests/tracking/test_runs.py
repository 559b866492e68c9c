from __future__ import annotations

import getpass
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from stancekit.config.schema import TrackingConfig
from stancekit.errors import Interrupted, UserError
from stancekit.evaluation.metrics import score
from stancekit.labels import OUTCOMES
from stancekit.models.saved import load_model
from stancekit.pairs.model import Pair
from stancekit.tracking.registry import find_model
from stancekit.tracking.results import stored_predictions
from stancekit.tracking.runs import close_dead_runs, process_tags, tracked_run
from stancekit.tracking.store import experiment_id, open_store, store_uri
from tests.conftest import CliRunner, labelled_rows, run_id_in, spawn, write_jsonl

ROOT = Path(__file__).resolve().parents[2]
_GIT = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
GIT_COMMIT = _GIT.stdout.strip() or "none"
TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=True, promote="when_better"
)


@pytest.fixture
def shared(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Run, MlflowClient]]:
    """The session's trained run, read through MLflow's client."""
    run_id, home = trained
    monkeypatch.setenv("STANCEKIT_HOME", str(home))
    client = open_store(TRACKING)
    yield client.get_run(run_id), client


def artifact(run: Run, path: str) -> Path:
    return Path(download_artifacts(run_id=run.info.run_id, artifact_path=path))


def test_when_a_run_has_ended_then_it_holds_knobs_tags_and_config(shared: tuple[Run, MlflowClient]) -> None:
    run, _ = shared
    assert run.info.status == "FINISHED" and run.info.run_name == "shared"
    assert run.data.params["learning_rate"] == "0.01" and run.data.params["seed"] == "13"
    assert len(run.data.tags["stancekit.config_hash"]) == 16 and len(run.data.tags["stancekit.data.train"]) == 16
    assert run.data.tags["stancekit.git_commit"] == GIT_COMMIT
    config = yaml.safe_load(artifact(run, "config.yaml").read_text())
    assert config["training"]["epochs"] == 2 and config["model"]["encoder"]["source"] == "folder"


def test_when_a_run_has_ended_then_its_data_are_mlflow_inputs(shared: tuple[Run, MlflowClient]) -> None:
    run, _ = shared
    assert run.inputs is not None
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"train", "dev", "test"}
    assert json.loads(str(inputs["train"].profile))["num_rows"] == 84


def test_when_a_run_has_ended_then_curves_and_scores_have_their_stable_names(
    shared: tuple[Run, MlflowClient],
) -> None:
    run, client = shared
    names = {
        f"{split}/{label}/{name}"
        for split in ("dev", "test")
        for label in OUTCOMES
        for name in ("precision", "recall", "f1")
    }
    names |= {"dev/macro_f1", "test/macro_f1", "test/macro_f1_outcomes", "test/accuracy", "train/loss", "dev/loss"}
    assert names <= set(run.data.metrics)
    curve = client.get_metric_history(run.info.run_id, "dev/loss")
    assert [point.step for point in curve] == [6, 12]
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) >= 2


def test_when_a_run_has_ended_then_its_evaluation_is_there_as_json_page_pictures_and_predictions(
    shared: tuple[Run, MlflowClient],
) -> None:
    run, client = shared
    report = json.loads(artifact(run, "evaluation/test.json").read_text())
    assert np.array(report["confusion"]).shape == (4, 4) and np.array(report["confusion"]).sum() == 12
    assert {found["kind"] for found in report["behaviour"]} >= {"negation", "polarity", "paraphrase"}
    assert run.data.metrics["behaviour/negation"] == next(
        found["passed"] for found in report["behaviour"] if found["kind"] == "negation"
    )
    assert "<html" in artifact(run, "evaluation/test.html").read_text()
    for picture in ("confusion", "reliability", "risk_coverage"):
        assert artifact(run, f"evaluation/test_{picture}.png").read_bytes().startswith(b"\x89PNG")
    predictions = stored_predictions(client, run, "test")
    assert score(predictions.gold, predictions.probabilities)["macro_f1"] == run.data.metrics["test/macro_f1"]
    assert predictions.fingerprint == run.data.tags["stancekit.data.test"] == report["fingerprint"]


def test_when_a_model_is_loaded_then_it_predicts_what_its_run_recorded(shared: tuple[Run, MlflowClient]) -> None:
    run, client = shared
    saved = load_model(find_model(run.info.run_id, TRACKING), "auto")
    assert saved.calibration is not None and saved.trace is not None and saved.calibration.rows == 24
    for part in ("dev", "test"):
        recorded = stored_predictions(client, run, part)
        # The recorded ones were computed in other batches.
        np.testing.assert_allclose(saved.model.predict(recorded.pairs, 64).probabilities, recorded.probabilities)


def test_when_the_model_is_read_back_then_mlflow_and_stancekit_give_the_same_probabilities(
    shared: tuple[Run, MlflowClient],
) -> None:
    run, client = shared
    version = client.get_model_version("stancekit", "1")
    assert version.run_id == run.info.run_id
    frame = pd.DataFrame(
        {
            "statement": ["the minister wants closing the port"],
            "target": ["closing the port"],
            "holder": ["the minister"],
        }
    )
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    signature = loaded.metadata.signature
    assert [column.name for column in signature.inputs] == ["statement", "target", "holder"]
    assert loaded.metadata.saved_input_example_info is not None
    found = loaded.predict(frame)
    own = load_model(find_model(run.info.run_id, TRACKING)).model
    pair = Pair(frame.statement[0], frame.target[0], frame.holder[0])
    probabilities = own.predict([pair], 1).probabilities[0]
    np.testing.assert_allclose(found[[f"p_{name}" for name in OUTCOMES]].to_numpy()[0], probabilities, atol=1e-6)
    without_holder = loaded.predict(frame[["statement", "target"]])
    assert without_holder.stance[0] in OUTCOMES


@pytest.mark.parametrize("name", ["champion", "latest", "runs:/{run}/model", "models:/stancekit@champion", "{run}"])
def test_when_a_model_is_named_in_any_way_then_it_is_the_same_folder(
    shared: tuple[Run, MlflowClient], name: str
) -> None:
    run, _ = shared
    found = find_model(name.format(run=run.info.run_id), TRACKING)
    assert load_model(found).manifest["data"]["train"] == run.data.tags["stancekit.data.train"]


def test_when_there_is_no_champion_then_the_error_says_which_command_trains_one() -> None:
    with pytest.raises(UserError, match=r"model=champion: no model registered .* train one with: stancekit train"):
        find_model("champion", TRACKING)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("defualt", "model: 'defualt': no such folder; did you mean 'default'?"),
        ("0" * 32, f"model={'0' * 32}: not found in the MLflow store sqlite:"),
        ("models:/nobody@champion", "model=models:/nobody@champion: not found"),
    ],
)
def test_when_a_model_is_not_there_then_the_error_says_where_it_was_looked_for(name: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        find_model(name, TRACKING)
    assert expected in str(error.value)


def test_when_two_processes_start_in_two_folders_then_they_use_one_store(tmp_path: Path) -> None:
    code = (
        "from stancekit.config.compose import load_config\n"
        "from stancekit.tracking.store import store_uri\n"
        "print(store_uri(load_config('ui', []).tracking))"
    )
    unset = {name: value for name, value in os.environ.items() if name != "STANCEKIT_HOME"}
    for given, expected in (({"STANCEKIT_HOME": str(tmp_path / "home")}, tmp_path / "home"), ({}, ROOT / "runs")):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, cwd=tmp_path / name, env=unset | given, capture_output=True, text=True)
            assert done.stdout.strip() == f"sqlite:///{expected / 'mlflow.db'}"


def test_when_another_store_is_configured_then_it_is_used_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mine.db'}"
    tracking = TRACKING.model_copy(update={"uri": uri})
    assert store_uri(tracking) == uri
    open_store(tracking)
    assert (tmp_path / "mine.db").exists() and not (tmp_path / "home").exists()
    with pytest.raises(UserError, match=r"tracking.uri: the MLflow store 'sqlite:.*mine.db/x.db' cannot be opened"):
        open_store(TRACKING.model_copy(update={"uri": f"{uri}/x.db"}))
    with pytest.raises(UserError, match=r"tracking.uri: the MLflow store 'no-such-scheme://x' cannot be opened"):
        open_store(TRACKING.model_copy(update={"uri": "no-such-scheme://x"}))


def test_when_the_store_is_of_another_mlflow_then_the_message_names_the_command_that_upgrades_it(
    cli: CliRunner, labelled_file: Path, tmp_path: Path
) -> None:
    open_store(TRACKING)
    database = tmp_path / "home" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        (newest,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        older = ScriptDirectory(str(Path(mlflow.__file__).parent / "store/db_migrations")).get_revision(newest)
        connection.execute("UPDATE alembic_version SET version_num = ?", (older.down_revision,))
        connection.commit()
    # In a process of its own: MLflow checks a store once in a process.
    process = spawn(["train", "data=file", f"data.path={labelled_file}", "data.disjoint=[topic]", "model=majority"])
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in said
    assert f"the MLflow store 'sqlite:///{database}' is of another MLflow than {mlflow.__version__}" in said
    assert f"copy the file to a safe place, then: mlflow db upgrade sqlite:///{database}" in said


def test_when_a_run_is_recorded_then_it_does_not_tell_user_host_or_home_folder(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "homes" / "zaphod-the-user"
    private.mkdir(parents=True)
    for name, value in {"LOGNAME": private.name, "USER": private.name, "HOME": str(private)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "gethostname", lambda: "heart-of-gold")
    assert getpass.getuser() == "zaphod-the-user" and Path.home() == private
    data = write_jsonl(private / "labelled.jsonl", labelled_rows(120))
    further = write_jsonl(private / "further.jsonl", [row | {"topic": "new"} for row in labelled_rows(12, seed=5)])
    words = ["data=file", f"data.path={data}", "data.disjoint=[topic]", f"data.tests={{further: {further}}}"]
    words += ["model=tfidf", "evaluation.behaviour=null", "evaluation.draws=100"]
    cli("train", *words, "seeds=2")
    monkeypatch.setattr(sys, "argv", ["stancekit", "train", *words])
    said = cli("train", *words)
    cli("evaluate", f"model={run_id_in(said)}", *words[:2], "evaluation.behaviour=null")
    with pytest.raises(FileNotFoundError), tracked_run(TRACKING, None, {"stancekit.command": f"train {data}"}):
        (private / "none.jsonl").read_text()

    client = open_store(TRACKING)
    runs = client.search_runs([experiment_id(client, TRACKING)])
    assert len(runs) == 6
    sources: set[str] = set()
    for run in runs:
        told = [str(run.data.tags), str(run.data.params), str(run.info.run_name)]
        for entry in run.inputs.dataset_inputs if run.inputs else []:
            sources.add(str(json.loads(entry.dataset.source)["uri"]))
            told += [str(entry.dataset.source), str(entry.dataset.name), str(entry.dataset.profile)]
        folders = ("", "evaluation", "audit")
        kept = [file.path for folder in folders for file in client.list_artifacts(run.info.run_id, folder)]
        # The configuration is kept as it was given.
        texts = [artifact(run, name).read_text() for name in kept if re.search(r"\.(json|jsonl|html|txt)$", name)]
        for secret in ("zaphod-the-user", "heart-of-gold"):
            assert secret not in " ".join([*told, *texts])
        assert run.data.tags["mlflow.user"] == ""
    assert sources == {"labelled.jsonl", "further.jsonl"}


def status(client: MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


@pytest.mark.parametrize(
    ("raised", "seen", "expected"),
    [
        (ValueError("a bug"), ValueError, "FAILED"),
        (KeyboardInterrupt(), Interrupted, "KILLED"),
        (SystemExit(1), SystemExit, "FAILED"),
    ],
    ids=["exception", "Ctrl-C", "exit"],
)
def test_when_a_run_ends_badly_then_its_status_says_how_and_the_traceback_is_kept(
    raised: BaseException, seen: type[BaseException], expected: str
) -> None:
    with pytest.raises(seen), tracked_run(TRACKING, None, {}) as active:
        raise raised
    client = open_store(TRACKING)
    assert status(client, active.info.run_id) == expected
    kept = artifact(client.get_run(active.info.run_id), "traceback.txt").read_text()
    assert type(raised).__name__ in kept and "raise raised" in kept


def running(home: Path) -> str:
    """Wait until a training process has begun its run, and return the run's id."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := list(home.glob("unfinished/*/checkpoints/checkpoint-*")):
            return found[0].parents[1].name
        time.sleep(0.05)
    raise AssertionError("training did not start")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_when_training_is_told_to_stop_then_the_run_is_killed_and_can_be_resumed(
    tiny_overrides: list[str], tmp_path: Path, number: int, code: int
) -> None:
    process = spawn(["train", *tiny_overrides, "training.epochs=300", "training.patience=300"])
    run_id = running(tmp_path / "home")
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code and f"go on with: stancekit train resume={run_id}" in output
    assert "Traceback" not in output
    run = open_store(TRACKING).get_run(run_id)
    assert run.info.status == "KILLED" and "trainer.py" in artifact(run, "traceback.txt").read_text()
    assert (tmp_path / "home" / "unfinished" / run_id / "config.json").exists()


def test_when_a_process_is_gone_then_its_run_is_closed_and_those_of_living_ones_are_not() -> None:
    client = open_store(TRACKING)
    experiment = experiment_id(client, TRACKING)
    own, gone = process_tags(), {**process_tags(), "stancekit.pid": "999999999"}
    recycled = {**process_tags(), "stancekit.pid_started": "1.00"}
    elsewhere = {**gone, "stancekit.host": "another-machine"}
    runs = [client.create_run(experiment, tags=tags).info.run_id for tags in (own, gone, recycled, elsewhere)]
    assert sorted(close_dead_runs(client, experiment)) == sorted(runs[1:3])
    assert [status(client, run_id) for run_id in runs] == ["RUNNING", "KILLED", "KILLED", "RUNNING"]
    assert close_dead_runs(client, experiment) == []


def test_when_a_run_is_still_going_then_it_is_not_resumed_by_another_process() -> None:
    client = open_store(TRACKING)
    parent = {**process_tags(), "stancekit.pid": str(os.getppid())}
    parent["stancekit.pid_started"] = f"{psutil.Process(os.getppid()).create_time():.2f}"
    run_id = client.create_run(experiment_id(client, TRACKING), tags=parent).info.run_id
    resumed = tracked_run(TRACKING, None, {}, run_id)
    with pytest.raises(UserError, match=f"run {run_id} is still running, as process {os.getppid()}; stop it"), resumed:
        pass
    assert status(client, run_id) == "RUNNING"


def test_when_the_port_is_taken_then_the_ui_says_so(cli: CliRunner) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = cli("ui", f"port={port}", code=2)
    assert f"port={port}: 127.0.0.1:{port} cannot be used (Address already in use)" in said


def test_when_whoever_reads_along_goes_away_then_training_goes_on(tiny_overrides: list[str]) -> None:
    process = spawn(["train", *tiny_overrides])
    assert process.stdout is not None and process.stdout.readline().startswith("data: ")
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    client = open_store(TRACKING)
    (run,) = client.search_runs([experiment_id(client, TRACKING)])
    assert run.info.status == "FINISHED"


def test_when_the_model_logged_is_a_baseline_then_the_same_verb_records_it(cli: CliRunner, labelled_file: Path) -> None:
    said = cli("train", "data=file", f"data.path={labelled_file}", "data.disjoint=[topic]", "model=tfidf")
    assert re.search(r"^run [0-9a-f]{32} \(tfidf-[0-9a-f]{6}\)$", said, re.MULTILINE)
    assert "version 1 was registered; model=champion is unchanged (a baseline or a trial run)" in said
    assert load_model(find_model("latest", TRACKING)).config.kind == "tfidf"


def test_when_the_ui_is_opened_then_it_serves_the_runs_of_the_store(trained: tuple[str, Path]) -> None:
    run_id, home = trained
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = spawn(["ui", f"port={port}"], STANCEKIT_HOME=str(home))
    try:
        answer: dict[str, Any] = {}
        deadline = time.monotonic() + 120
        while not answer and time.monotonic() < deadline:
            try:
                url = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/get?run_id={run_id}"
                with urllib.request.urlopen(url, timeout=5) as response:
                    answer = json.load(response)
            except OSError:
                time.sleep(0.2)
        assert answer["run"]["info"]["run_name"] == "shared"
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}" in output
