from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from stancekit.config.compose import load_config
from stancekit.config.schema import CrossEncoderConfig, FolderEncoder, LoraConfig, TrainingConfig
from stancekit.data.soft import COLUMNS
from stancekit.errors import UserError
from stancekit.evaluation.metrics import score
from stancekit.labels import OUTCOMES
from stancekit.models.adapting import choose_trained
from stancekit.models.base import label_indices
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.training.trainer import (
    BAD_BATCH,
    EpochLengthSampler,
    Fitted,
    Log,
    fit_cross_encoder,
    last_whole_checkpoint,
)
from tests.conftest import CliRunner, labelled_rows, run_id_in, spawn
from tests.models.helpers import config

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
    newest = max(
        home.glob("artifacts/models/*/artifacts/artifacts/*/model.safetensors"), key=lambda p: p.stat().st_mtime
    )
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


def own_config(tiny_encoder: Path, **changes: Any) -> CrossEncoderConfig:
    encoder = FolderEncoder(source="folder", path=str(tiny_encoder), name="tiny")
    return config(encoder, "mean").model_copy(update=changes)


def fit_config(
    model: CrossEncoderConfig,
    folder: Path,
    train: list[Pair] = PAIRS[:48],
    dev: list[Pair] = PAIRS[48:],
    start: Path | None = None,
    log: Log = lambda values, step: None,
    **changes: object,
) -> Fitted:
    return fit_cross_encoder(
        model,
        TRAINING.model_copy(update=changes),
        train,
        dev,
        eval_batch_size=8,
        seed=3,
        folder=folder,
        score=score,
        log=log,
        say=lambda line: None,
        start=start,
    )


LORA = LoraConfig(rank=2, alpha=4)


def test_when_adapters_are_trained_then_the_linear_weights_change_by_their_rank_and_all_below_the_head_else_stays(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    model = own_config(tiny_encoder, lora=LORA)
    before = CrossEncoder.from_encoder(model).network.state_dict()
    after = fit_config(model, tmp_path).model.network.state_dict()
    assert after.keys() == before.keys()
    linear = [name for name, value in before.items() if ".layer." in name and value.ndim == 2]
    assert len(linear) == 6
    for name in linear:
        sizes = torch.linalg.svdvals(after[name] - before[name])
        assert sizes[1] > 1e-3 and sizes[2] < 1e-5 * sizes[0], f"{name}: {sizes[:4]}"
    same = {name for name in before if torch.equal(after[name], before[name])}
    assert same == {name for name in before if name.startswith("encoder.")} - set(linear)
    assert any("embeddings" in name for name in same) and any("LayerNorm" in name for name in same)


@pytest.mark.parametrize("lora", [None, LORA], ids=["whole", "adapters"])
def test_when_training_is_interrupted_within_an_epoch_then_it_goes_on_to_the_weights_of_an_undisturbed_one(
    tiny_encoder: Path, tmp_path: Path, lora: LoraConfig | None
) -> None:
    model = own_config(tiny_encoder, lora=lora)
    undisturbed = fit_config(model, tmp_path / "a", checkpoint_steps=4)

    def stop(values: Mapping[str, float], step: int) -> None:
        if step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_config(model, tmp_path / "b", log=stop, checkpoint_steps=4)
    assert last_whole_checkpoint(tmp_path / "b") == tmp_path / "b" / "checkpoint-8", "six steps make an epoch"
    resumed = fit_config(model, tmp_path / "b", checkpoint_steps=4)
    assert weights(resumed.model) == weights(undisturbed.model)
    assert (resumed.steps, resumed.best_step) == (undisturbed.steps, undisturbed.best_step)
    # Once more, from its end: what was merged is merged again.
    assert weights(fit_config(model, tmp_path / "b", checkpoint_steps=4).model) == weights(undisturbed.model)


@pytest.mark.parametrize("lora", [None, LORA], ids=["whole", "adapters"])
def test_when_weights_to_start_with_are_given_then_training_goes_on_from_them(
    tiny_encoder: Path, tmp_path: Path, lora: LoraConfig | None
) -> None:
    torch.manual_seed(99)
    given = CrossEncoder.from_encoder(own_config(tiny_encoder)).network.state_dict()
    given = {name: value + 0.1 if value.is_floating_point() else value for name, value in given.items()}
    save_file(given, tmp_path / "start.safetensors")
    still: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    model = own_config(tiny_encoder, lora=lora)
    found = fit_config(model, tmp_path / "a", start=tmp_path / "start.safetensors", **still).model.network.state_dict()
    assert found.keys() == given.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, given[name], rtol=0, atol=1e-6)


def taught(pair: Pair) -> Pair:
    """Return the pair with a teacher who is sure of the outcome that comes after its label's."""
    said = OUTCOMES[(OUTCOMES.index(pair.label) + 1) % 4]
    soft = {f"p_{outcome}": "0.97" if outcome == said else "0.01" for outcome in reversed(OUTCOMES)}
    return replace(pair, extra=soft)


def test_when_rows_have_soft_labels_then_the_teacher_is_learned_from_and_not_the_label(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    train = [taught(pair) for pair in PAIRS[:48]]
    said = [COLUMNS.index(max(pair.extra, key=lambda name: float(pair.extra[name]))) for pair in train]
    dev = [replace(pair, label=OUTCOMES[outcome]) for pair, outcome in zip(PAIRS[:48], said, strict=True)]
    fitted = fit_config(own_config(tiny_encoder), tmp_path, train, dev, epochs=30, patience=30, learning_rate=0.003)
    found = fitted.model.predict(train, 8).probabilities.argmax(axis=1)
    assert np.mean(found == said) > 0.6 and np.mean(found == label_indices(train)) < 0.2


def test_when_a_row_has_broken_soft_labels_then_it_is_named_before_the_first_step(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    broken = [*PAIRS[:47], replace(PAIRS[47], extra={"p_favor": 0.6, "p_against": 0.4})]
    with pytest.raises(UserError) as raised:
        fit_config(own_config(tiny_encoder), tmp_path / "c", broken)
    start = f"training: the row of {PAIRS[47].statement[:60]!r}…: soft labels: no value in 'p_supports' (found: p_ag"
    assert str(raised.value).startswith(start)
    assert not list(tmp_path.glob("c/checkpoint-*"))


def spoil_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put infinity into the head just before the numbered step of a training."""

    def choose(network: Any, model: CrossEncoderConfig) -> None:
        choose_trained(network, model)
        steps = []

        def spoil(module: Any, given: Any) -> None:
            if module.training:
                steps.append(module)
                if len(steps) == number:
                    # Of both signs once multiplied: the sum is no number.
                    module.head.weight.data[1] = torch.inf

        network.register_forward_pre_hook(spoil)

    monkeypatch.setattr("stancekit.training.trainer.choose_trained", choose)


def test_when_the_loss_is_no_number_then_the_batch_and_the_last_good_checkpoint_are_kept(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own_config(tiny_encoder)
    train = [replace(pair, extra={**pair.extra, "day": date(2024, 2, 1)}) for pair in PAIRS[:48]]
    spoil_at(15, monkeypatch)
    with pytest.raises(UserError) as raised:
        fit_config(model, tmp_path, train)
    assert str(raised.value) == (
        "training: the loss became nan at step 15; expected a finite number\n"
        f"  the batch: {tmp_path / BAD_BATCH}\n"
        f"  the last good checkpoint: {tmp_path / 'checkpoint-12'}\n"
        "  lower training.learning_rate (now 0.01), or try training.precision=fp32"
    )
    inputs, _ = CrossEncoder.from_encoder(model).encode(train)
    sampler = EpochLengthSampler([len(row["input_ids"]) for row in inputs], 8, seed=3)
    sampler.set_epoch(2)
    expected = [train[i].row() | {"day": "2024-02-01"} for i in list(sampler)[16:24]]
    assert [json.loads(line) for line in (tmp_path / BAD_BATCH).read_text().splitlines()] == expected
    kept = load_file(tmp_path / "checkpoint-12" / "model.safetensors")
    assert all(np.isfinite(value).all() for value in kept.values())


def test_when_the_first_loss_is_no_number_then_it_is_said_that_there_is_no_checkpoint(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_at(1, monkeypatch)
    with pytest.raises(UserError, match=r"at step 1; .*\n.*\n  the last good checkpoint: none was written yet\n"):
        fit_config(own_config(tiny_encoder), tmp_path)
    assert len((tmp_path / BAD_BATCH).read_text().splitlines()) == 8


def test_when_the_loss_is_no_number_then_the_command_ends_as_at_a_mistake_and_the_run_can_be_gone_on_with(
    cli: CliRunner, tiny_overrides: list[str], tmp_path: Path
) -> None:
    # Six steps make an epoch.
    words = ["train", *tiny_overrides, "evaluation.behaviour=null", "evaluation.draws=100", "tracking.models=false"]
    with pytest.MonkeyPatch.context() as patch:
        spoil_at(8, patch)
        said = cli(*words, code=2)
    (folder,) = (tmp_path / "home" / "unfinished").glob("*/checkpoints")
    assert "stancekit: training: the loss became nan at step 8" in said
    assert f"the batch: {folder / BAD_BATCH}" in said and len((folder / BAD_BATCH).read_text().splitlines()) == 16
    assert f"the last good checkpoint: {folder / 'checkpoint-6'}" in said and (folder / "checkpoint-6/whole").exists()
    said = cli("train", "resume=last")
    assert run_id_in(said) == folder.parent.name and "epoch 1/3" not in said and "epoch 3/3" in said
