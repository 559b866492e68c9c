from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.numpy import load_file

from stancekit.config.compose import load_config
from stancekit.config.schema import FolderEncoder, TrainingConfig
from stancekit.evaluation.metrics import score
from stancekit.models.base import label_indices
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import pair_from_row
from stancekit.training.trainer import EpochLengthSampler, Fitted, Log, fit_cross_encoder, last_whole_checkpoint
from tests.conftest import CliRunner, labelled_rows, run_id_in, spawn
from tests.models.test_cross_encoder import config

PAIRS = [pair_from_row(row) for row in labelled_rows(64)]
TRAINING = TrainingConfig(
    metric="macro_f1",
    epochs=3,
    batch_size=8,
    learning_rate=0.01,
    warmup=0.1,
    weight_decay=0.01,
    label_smoothing=0.0,
    class_weights="balanced",
    patience=3,
    precision="fp32",
    checkpoint_steps=None,
    limit_rows=None,
    sample="first",
)


def fit(tiny_encoder: Path, folder: Path, seed: int = 3, **changes: object) -> tuple[Fitted, list[str]]:
    return fit_logged(tiny_encoder, folder, "own", seed, lambda values, step: None, **changes)


def fit_logged(
    tiny_encoder: Path, folder: Path, pooling: Literal["own", "mean"], seed: int, log: Log, **changes: object
) -> tuple[Fitted, list[str]]:
    said: list[str] = []
    fitted = fit_cross_encoder(
        config(FolderEncoder(source="folder", path=str(tiny_encoder), name="tiny"), pooling),
        TRAINING.model_copy(update=changes),
        PAIRS[:48],
        PAIRS[48:],
        eval_batch_size=8,
        seed=seed,
        folder=folder,
        score=score,
        log=log,
        say=said.append,
    )
    return fitted, said


def weights(model: CrossEncoder) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.network.state_dict().items()}


def test_when_config_and_seed_are_the_same_then_so_are_the_weights_and_another_seed_differs(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    first, _ = fit(tiny_encoder, tmp_path / "a")
    second, _ = fit(tiny_encoder, tmp_path / "b")
    other, _ = fit(tiny_encoder, tmp_path / "c", seed=4)
    assert weights(first.model) == weights(second.model) != weights(other.model)


def test_when_the_words_decide_then_training_learns_them(tiny_encoder: Path, tmp_path: Path) -> None:
    fitted, said = fit(tiny_encoder, tmp_path, epochs=30, patience=30, learning_rate=0.003)
    gold = [str(pair.label) for pair in PAIRS[:48]]
    found = fitted.model.predict(PAIRS[:48], 8).outcomes()
    assert np.mean([g == f for g, f in zip(gold, found, strict=True)]) > 0.6
    assert len(said) == 30 and said[0].startswith("epoch 1/30 · train loss ")


def test_when_dev_does_not_get_better_then_training_stops_and_the_best_epoch_is_kept(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    fitted, said = fit(tiny_encoder, tmp_path, epochs=30, patience=2, learning_rate=1e-7)
    assert len(said) == 3 and fitted.best_step == 6 and fitted.steps == 18


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 30, "patience": 2, "learning_rate": 1e-7}, {"epochs": 2}],
    ids=["stopped early", "all epochs"],
)
def test_when_a_run_is_killed_after_its_last_epoch_then_it_is_not_trained_further(
    tiny_encoder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    fitted, _ = fit(tiny_encoder, tmp_path, **changes)
    again, said = fit(tiny_encoder, tmp_path, **changes)
    assert said == [] and (again.steps, again.best_step, again.best_dev) == (
        fitted.steps,
        fitted.best_step,
        fitted.best_dev,
    )
    assert weights(again.model) == weights(fitted.model)


def test_when_bf16_is_asked_for_then_training_runs_in_it(tiny_encoder: Path, tmp_path: Path) -> None:
    fitted, _ = fit(tiny_encoder, tmp_path, precision="bf16", epochs=1)
    assert fitted.bf16
    assert {str(value.dtype) for value in fitted.model.network.state_dict().values()} <= {
        "torch.float32",
        "torch.int64",
    }


@pytest.mark.parametrize("pooling", ["own", "mean"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_when_training_has_ended_then_the_model_predicts_the_same_bits_as_once_saved_and_loaded(
    tiny_encoder: Path, tmp_path: Path, precision: str, pooling: Literal["own", "mean"]
) -> None:
    fitted, _ = fit_logged(tiny_encoder, tmp_path / "c", pooling, 3, lambda values, step: None, precision=precision)
    own = config(FolderEncoder(source="folder", path=str(tiny_encoder), name="tiny"), pooling)
    save_model(fitted.model, tmp_path / "saved", own, {}, {})
    loaded = load_model(tmp_path / "saved").model
    found = fitted.model.predict(PAIRS, 8).probabilities
    np.testing.assert_array_equal(found, loaded.predict(PAIRS, 8).probabilities)
    fitted.model.bf16 = True
    assert not np.array_equal(found, fitted.model.predict(PAIRS, 8).probabilities), "bf16 would not be told apart"


@pytest.mark.parametrize("metric", ["macro_f1", "supports/f1"])
def test_when_a_metric_is_chosen_then_the_epoch_that_is_best_by_it_is_kept(
    tiny_encoder: Path, tmp_path: Path, metric: str
) -> None:
    curves: dict[str, dict[int, float]] = {"macro_f1": {}, "supports/f1": {}}

    def log(values: Mapping[str, float], step: int) -> None:
        for name, curve in curves.items():
            if f"dev/{name}" in values:
                curve[step] = values[f"dev/{name}"]

    changes = {"metric": metric, "epochs": 6, "patience": 6, "learning_rate": 0.005}
    fitted, said = fit_logged(tiny_encoder, tmp_path, "own", 1, log, **changes)
    best = {name: max(curve, key=lambda step: curve[step]) for name, curve in curves.items()}
    assert best["macro_f1"] != best["supports/f1"], "the test needs curves that peak at different epochs"
    assert (fitted.best_step, fitted.best_dev) == (best[metric], curves[metric][best[metric]])
    reached = score(label_indices(PAIRS[48:]), fitted.model.predict(PAIRS[48:], 8).probabilities)
    assert reached[metric] == pytest.approx(fitted.best_dev)
    shown = "macro-F1" if metric == "macro_f1" else metric
    assert len(said) == 6 and all(f"dev {shown} {curves[metric][6 * (i + 1)]:.3f}" in said[i] for i in range(6))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("suports/f1", "training.metric: Value error, no metric 'suports/f1'; did you mean 'supports/f1'?"),
        ("f_avg", "training.metric: 'f_avg' is computed only for data that asks for it; add data.metrics=[f_avg]"),
    ],
)
def test_when_a_metric_will_not_be_computed_then_it_is_refused_before_training(
    cli: CliRunner, tiny_overrides: list[str], tmp_path: Path, metric: str, expected: str
) -> None:
    assert expected in cli("train", *tiny_overrides, f"training.metric={metric}", code=2)
    assert not (tmp_path / "home").exists()


def test_when_the_data_asks_for_a_further_metric_then_training_can_select_by_it(
    cli: CliRunner, tiny_overrides: list[str]
) -> None:
    words = ["training.metric=f_avg", "data.metrics=[f_avg]", "training.epochs=1", "evaluation.behaviour=null"]
    assert "epoch 1/1 · train loss" in (said := cli("train", *tiny_overrides, *words)) and "dev f_avg 0." in said


def test_when_rows_are_ordered_then_seed_and_epoch_alone_decide_and_like_lengths_meet() -> None:
    lengths = [5 + (i * 37) % 60 for i in range(400)]
    sampler = EpochLengthSampler(lengths, 8, seed=1)
    first = list(sampler)
    assert first == list(EpochLengthSampler(lengths, 8, seed=1)) and sorted(first) == list(range(400))
    sampler.set_epoch(1)
    assert list(sampler) != first
    batches = [[lengths[i] for i in first[j : j + 8]] for j in range(0, 400, 8)]
    assert np.mean([max(batch) - min(batch) for batch in batches]) < 15


def test_when_a_checkpoint_was_cut_off_then_the_one_before_it_counts(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "whole").touch()
    (tmp_path / "checkpoint-10" / "whole").touch()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert last_whole_checkpoint(tmp_path / "none") is None


def saved_weights(home: Path) -> bytes:
    newest = max(home.glob("artifacts/models/*/artifacts/data/*/model.safetensors"), key=lambda p: p.stat().st_mtime)
    return b"".join(value.tobytes() for _, value in sorted(load_file(newest).items()))


def kill_when(process: subprocess.Popen[str], home: Path, checkpoint: int) -> str:
    """Kill the process as soon as it has begun to write the numbered checkpoint; return its run id."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if any(home.glob(f"unfinished/*/checkpoints/checkpoint-{checkpoint}")):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL, process.stdout.read() if process.stdout else ""
    return next(home.glob("unfinished/*")).name


@pytest.mark.parametrize(
    ("every", "kill_at"), [("null", 22), ("4", 16)], ids=["after the first epoch", "within the second epoch"]
)
def test_when_training_is_killed_and_resumed_then_the_weights_are_those_of_an_undisturbed_run(
    cli: CliRunner, tiny_overrides: list[str], tmp_path: Path, every: str, kill_at: int
) -> None:
    words = ["train", *tiny_overrides, "training.batch_size=8", f"training.checkpoint_steps={every}"]
    cli(*words)
    undisturbed = saved_weights(tmp_path / "home")
    home = tmp_path / "other"
    run_id = kill_when(spawn(words, STANCEKIT_HOME=str(home)), home, kill_at)
    resumed = spawn(["train", "resume=last"], STANCEKIT_HOME=str(home))
    output, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, output
    assert run_id_in(output) == run_id
    assert "epoch 1/3" not in output and "epoch 3/3" in output, "it began anew instead of going on"
    assert saved_weights(home) == undisturbed
    assert not (home / "unfinished" / run_id).exists()


def test_when_the_data_changed_since_then_a_run_is_not_resumed(
    cli: CliRunner, tiny_overrides: list[str], labelled_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "unfinished" / "abc"
    folder.mkdir(parents=True)
    state = {"config": load_config("train", tiny_overrides).model_dump(mode="json"), "data": {"train": "other"}}
    (folder / "config.json").write_text(json.dumps(state))
    assert "resume=abc: the data has changed since (train, dev, test)" in cli("train", "resume=abc", code=2)
    said = cli("train", "resume=abc", "training.epochs=9", code=2)
    assert "resume=abc: a resumed run keeps its own config; leave out every other key=value" in said
    said = cli("train", "resume=abd", code=2)
    assert "resume=abd: no unfinished run of that name; did you mean 'abc'?" in said
    assert os.listdir(folder) == ["config.json"]
