from __future__ import annotations

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run
from safetensors.numpy import load_file

from stancekit.cli import main
from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.data.trace import Trace
from stancekit.models.saved import load_model
from stancekit.pairs.model import pair_from_row
from stancekit.repeats.plan import plan
from stancekit.repeats.tree import plan_hash
from stancekit.tracking.logging import config_hash, log_inputs
from stancekit.tracking.results import JOB, LINE, ROLE
from stancekit.training import trainer
from tests.conftest import CliRunner, labelled_rows, spawn, write_jsonl
from tests.repeats.conftest import Homes, Tree
from tests.repeats.test_plan import train_config

COPIED = 3


@pytest.fixture(scope="module")
def other_rows() -> list[dict[str, Any]]:
    """Rows of another corpus: 56 to train on, of which three have statements of our own dev and test sets."""
    rows = labelled_rows(80, seed=7)
    for row in rows:
        row |= {"target": f"{row['target']} abroad", "statement": f"abroad {row['statement']}"}
    held_out = [row for row in labelled_rows(120) if row["split"] != "train"]
    own = [row for row in rows if row["split"] == "train"]
    assert len(own) == 56 and {row["split"] for row in (held_out[0], held_out[-1])} == {"dev", "test"}
    for row, copied in zip(own, (*held_out[:2], held_out[-1]), strict=False):
        row["statement"] = copied["statement"]
    return rows


@pytest.fixture(scope="module")
def other_file(other_rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("other") / "other.jsonl", other_rows)


def stages(**given: str) -> str:
    return f"stages={{{', '.join(f'{name}: [{words}]' for name, words in given.items())}}}"


@pytest.fixture(scope="module")
def staged_words(tiny_words: list[str], other_file: Path) -> list[str]:
    """The words of a training with two stages, the first with adapters on another corpus, that keeps its model."""
    first = (
        f"training.epochs=2, training.learning_rate=0.02, data.path={other_file}, 'model.lora={{rank: 2, alpha: 4}}'"
    )
    return [
        *tiny_words,
        *("training.epochs=2", "training.batch_size=8", "training.checkpoint_steps=2", "tracking.models=true"),
        stages(first=first, second="training.epochs=1, training.batch_size=16"),
    ]


Weights = dict[str, Any]


@dataclass
class Fit:
    """One training of a network: how many rows it had, the weights that it began with, if any were given, and ended."""

    rows: int
    start: Weights | None
    end: Weights


@dataclass
class Fits:
    """What takes the place of ``fit_cross_encoder``, and does as it does."""

    all: list[Fit] = field(default_factory=list)

    def __call__(self, *given: Any, **named: Any) -> trainer.Fitted:
        start = load_file(named["start"]) if named["start"] else None
        fitted = FIT(*given, **named)
        end = {name: value.numpy().copy() for name, value in fitted.model.network.state_dict().items()}
        self.all.append(Fit(len(given[2]), start, end))
        return fitted


FIT = trainer.fit_cross_encoder


@dataclass
class Staged:
    home: Path
    said: str
    fits: list[Fit]

    @property
    def model(self) -> Path:
        (found,) = self.home.glob("artifacts/models/*/artifacts/artifacts/stance_model")
        return found


@pytest.fixture(scope="module")
def staged(homes: Homes, staged_words: list[str]) -> Iterator[Staged]:
    """A training with two stages, undisturbed."""
    said: list[str] = []
    fits = Fits()
    home = homes.new()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        patch.setattr(trainer, "fit_cross_encoder", fits)
        for module in ("stancekit.verbs.train", "stancekit.terminal"):
            patch.setattr(f"{module}.say", said.append)
        assert main(["train", *staged_words]) == 0
    yield Staged(home, "\n".join(said), fits.all)


def curve(tree: Tree, run: Run, metric: str) -> list[int]:
    return [point.step for point in tree.client.get_metric_history(run.info.run_id, metric)]


def test_when_stages_are_given_then_each_is_a_child_run_with_its_curve(staged: Staged) -> None:
    tree = Tree(staged.home)
    assert tree.statuses == ["FINISHED"] * 3 and tree.keys() == ["first", "second"]
    first, second = tree.below()
    assert [run.info.run_name for run in (first, second)] == ["stage first", "stage second"]
    assert {(run.data.tags[ROLE], run.data.tags[LINE]) for run in (first, second)} == {("stage", "stage")}
    # 53 rows of 56 in batches of 8, twice, and 84 in batches of 16; then 84 in batches of 8, twice.
    assert [curve(tree, run, "dev/macro_f1") for run in (first, second, tree.root)] == [[7, 14], [6], [11, 22, 22]]
    assert [run.data.metrics["train_rows"] for run in (first, second, tree.root)] == [53, 84, 84]
    assert [run.data.params["learning_rate"] for run in (first, second)] == ["0.02", "0.01"]
    assert first.data.metrics["steps"] == 14 and first.data.metrics["best_step"] in (7, 14)
    for run in (first, second):
        assert tree.root.data.metrics[f"stages/{run.data.tags[JOB]}/seconds"] == run.data.metrics["seconds"] > 0
    assert first.data.tags["stancekit.data.train"] != second.data.tags["stancekit.data.train"]
    assert second.data.tags["stancekit.data.train"] == tree.root.data.tags["stancekit.data.train"]


def same(one: Weights | None, other: Weights) -> bool:
    return one is not None and one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in other)


def test_when_a_stage_has_ended_then_the_next_begins_with_its_weights(staged: Staged) -> None:
    first, second, last = staged.fits
    assert first.start is None and same(second.start, first.end) and same(last.start, second.end)
    assert not same(second.start, second.end) and not same(last.start, last.end)
    assert same(last.end, load_file(staged.model / "model.safetensors"))


def test_when_a_stage_holds_statements_of_dev_or_test_then_they_are_left_out_and_counted(staged: Staged) -> None:
    assert f"stage first (1 of 2): 53 pairs, {COPIED} left out that the evaluation sets hold too" in staged.said
    assert "stage second (2 of 2): 84 pairs\n" in staged.said
    assert [one.rows for one in staged.fits] == [53, 84, 84]


def test_when_a_model_was_trained_by_stages_then_its_trace_knows_what_they_learned_from_and_no_more(
    staged: Staged, other_rows: list[dict[str, Any]]
) -> None:
    found = load_model(staged.model).trace
    own = [pair_from_row(row) for row in labelled_rows(120) if row["split"] == "train"]
    others = [pair_from_row(row) for row in other_rows if row["split"] == "train"]
    expected, more = Trace.of([*others[COPIED:], *own]), Trace.of([*others, *own])
    assert found is not None and found.targets_seen(others).all()
    assert np.array_equal(found.targets, expected.targets) and np.array_equal(found.grams, expected.grams)
    assert len(expected.grams) < len(more.grams), "what was left out would not be missed"


def test_when_a_model_was_trained_by_stages_then_it_says_what_data_they_had(staged: Staged) -> None:
    tree = Tree(staged.home)
    found = load_model(staged.model).manifest["data"]
    assert list(found) == [
        "train",
        "dev",
        "test",
        *(f"stage {s} {p}" for s in ("first", "second") for p in ("train", "dev")),
    ]
    for run in tree.below():
        for part in ("train", "dev"):
            assert found[f"stage {run.data.tags[JOB]} {part}"] == run.data.tags[f"stancekit.data.{part}"]


def test_when_a_training_with_stages_is_repeated_as_described_then_its_configuration_is_the_same(
    staged: Staged,
) -> None:
    run = Tree(staged.home).root
    found = re.search(r"Repeat it: `(stancekit train .*)`", run.data.tags["mlflow.note.content"])
    assert found is not None and "stages={first:" in found[1]
    assert config_hash(train_config(*shlex.split(found[1])[2:])) == run.data.tags["stancekit.config_hash"]


def wait_for(process: subprocess.Popen[str], found: Callable[[], object]) -> None:
    """Kill the process as soon as it has left what is looked for."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if found():
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL, process.stdout.read() if process.stdout else ""


def output(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read()


def test_when_a_process_is_killed_within_and_between_stages_then_resuming_comes_to_the_same_weights(
    staged: Staged, home: Path, staged_words: list[str], cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there(name: str) -> bool:
        return any(home.glob(f"unfinished/*/{name}"))

    # Seven steps make an epoch: within the second of the first stage.
    process = spawn(["train", *staged_words, "tracking.models=false"])
    wait_for(process, lambda: there("stages/first/checkpoint-10"))
    assert not there("stages/first.safetensors")
    (run_id,) = (path.name for path in home.glob("unfinished/*"))

    process = spawn(["train", "resume=last"])
    wait_for(process, lambda: there("stages/first.safetensors"))
    said = output(process)
    assert "stage first (1 of 2): 53 pairs" in said and "epoch 1/2" not in said and "epoch 2/2" in said
    assert not there("stages/second.safetensors")
    tree = Tree(home)
    assert {run.data.tags[JOB]: run.info.status for run in tree.below()}["first"] == "FINISHED"

    process = spawn(["train", "resume=last"])
    wait_for(process, lambda: there("checkpoints/checkpoint-12"))
    said = output(process)
    assert "stage first (1 of 2): done before" in said and "stage second (2 of 2): 84 pairs" in said

    fits = Fits()
    monkeypatch.setattr(trainer, "fit_cross_encoder", fits)
    said = cli("train", "resume=last")
    assert all(f"stage {name} ({number} of 2): done before" in said for number, name in ((1, "first"), (2, "second")))
    assert "epoch 1/2" not in said and "epoch 2/2" in said, "it began anew instead of going on"
    (last,) = fits.all
    assert same(last.end, staged.fits[-1].end) and same(last.start, staged.fits[-2].end)
    after, before = Tree(home), Tree(staged.home)
    assert after.statuses == ["FINISHED"] * 3 and after.root.info.run_id == run_id
    assert after.keys() == ["first", "second"]
    for one, other in zip([after.root, *after.below()], [before.root, *before.below()], strict=True):
        assert one.data.params == other.data.params
        assert without_times(one) == without_times(other)
    assert not list((home / "unfinished").iterdir())


def without_times(run: Run) -> dict[str, float]:
    # The mean loss since the last report, which a resumed run begins anew.
    return {name: value for name, value in run.data.metrics.items() if not name.endswith(("seconds", "train/loss"))}


@pytest.fixture
def one_stage(tiny_words: list[str], other_rows: list[dict[str, Any]], tmp_path: Path) -> tuple[list[str], Path]:
    """The words of a training with one stage, whose file is this test's own."""
    path = write_jsonl(tmp_path / "stage.jsonl", other_rows)
    return [*tiny_words, stages(first=f"data.path={path}")], path


@pytest.mark.parametrize("part", ["train", "dev"])
def test_when_a_stages_data_has_changed_then_its_training_is_not_resumed(
    home: Path,
    one_stage: tuple[list[str], Path],
    other_rows: list[dict[str, Any]],
    cli: CliRunner,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    words, path = one_stage
    seen: list[str | None] = []

    def stopped_at_the_second(config: TrainConfig, dataset: Dataset) -> None:
        seen.append(config.name)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        log_inputs(config, dataset)

    monkeypatch.setattr("stancekit.tracking.logging.log_inputs", stopped_at_the_second)
    said = cli("train", *words, code=130)
    assert seen == [None, "first"] and Tree(home).statuses == ["KILLED"] * 2
    run_id = Tree(home).root.info.run_id
    assert f"go on with: stancekit train resume={run_id}" in said
    changed = [row | ({"target": "leaving the sea"} if row["split"] == part else {}) for row in other_rows]
    write_jsonl(path, changed)
    said = cli("train", "resume=last", code=2)
    assert f"resume={run_id}: the data has changed since (stage first {part}); start a new run" in said
    if part == "dev":
        return
    write_jsonl(path, other_rows)
    cli("train", "resume=last")
    tree = Tree(home)
    assert tree.statuses == ["FINISHED"] * 2 and tree.root.info.run_id == run_id


def test_when_a_stage_cannot_be_trained_then_it_is_told_before_anything_is_begun(
    home: Path, one_stage: tuple[list[str], Path], other_rows: list[dict[str, Any]], cli: CliRunner
) -> None:
    words, path = one_stage
    before = {str(one) for one in home.rglob("*")}
    write_jsonl(path, [*other_rows, {**other_rows[0], "id": "x", "label": "favour"}])
    said = cli("train", *words, code=2)
    assert (
        f"stages.first: {path}, row 81: unknown label 'favour' (valid: supports, rules_out, leaves_open, no_stance)"
        in said
    )
    write_jsonl(path, [other_rows[0] | {"p_favor": 0.7, "p_against": 0.3}, *other_rows[1:]])
    said = cli("train", *words, code=2)
    statement = other_rows[0]["statement"][:60]
    assert f"stages.first: the row of {statement!r}…: soft labels: no value in 'p_supports' (found: p_against" in said
    said = cli("train", *words, f"stages={{first: [data.path={path.parent / 'stag.jsonl'}]}}", code=2)
    assert "stages.first: data.path: no file or folder" in said and "did you mean 'stage.jsonl'?" in said
    said = cli("train", *words, "model.pooling=own", "stages={first: [model.pooling=mean]}", code=2)
    assert "stages.first: model.pooling differs from that of the whole" in said
    assert {str(one) for one in home.rglob("*")} == before


def test_when_a_stage_has_only_rows_of_dev_and_test_then_it_is_refused_and_nothing_is_left_to_resume(
    home: Path, one_stage: tuple[list[str], Path], cli: CliRunner
) -> None:
    words, path = one_stage
    rows = labelled_rows(120)
    held_out = [row | {"split": "train"} for row in rows if row["split"] != "train"]
    others = [row | {"split": "dev", "topic": "d"} for row in rows if row["split"] == "train"]
    write_jsonl(path, held_out + others)
    said = cli("train", *words, code=2)
    assert "stages.first: the evaluation sets hold all of its 36 training rows too, or near-copies of them" in said
    assert not list((home / "unfinished").iterdir()) and Tree(home).statuses == ["FAILED"]


def test_when_seeds_and_baselines_have_stages_then_each_transformer_has_its_own(
    home: Path, one_stage: tuple[list[str], Path], cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Fits()
    monkeypatch.setattr(trainer, "fit_cross_encoder", fits)
    # One of those that have no stages is enough.
    monkeypatch.setattr("stancekit.repeats.plan._BASELINES", ("majority",))
    words, _ = one_stage
    cli("train", *words, "training.limit_rows=24", "seeds=2", "baselines=true")
    tree = Tree(home)
    found = {run.data.tags[JOB]: run for run in tree.below()}
    assert list(found) == [*("seed 13", "seed 14", "majority", "statement_only", "target_only")]
    with_stages = ("seed 13", "seed 14", "statement_only", "target_only")
    assert {name: tree.keys(run) for name, run in found.items()} == {
        name: ["first"] if name in with_stages else [] for name in found
    }
    assert [run.data.params["seed"] for name in with_stages for run in tree.below(found[name])] == [
        *("13", "14", "13", "13")
    ]
    assert len(fits.all) == 8 and all(one.start is None for one in fits.all[::2])
    assert all(same(last.start, first.end) for first, last in zip(fits.all[::2], fits.all[1::2], strict=True))
    ends = [one.end["head.weight"].tobytes() for one in fits.all]
    assert len(set(ends)) == 8, "a stage sees the inputs of its whole: statement or target alone"
    # The stages are no repeats.
    scores = [found[name].data.metrics["test/macro_f1"] for name in ("seed 13", "seed 14")]
    assert tree.root.data.metrics["test/macro_f1"] == pytest.approx(np.mean(scores))
    assert tree.statuses == ["FINISHED"] * 10


def test_when_somebody_keeps_a_stages_corpus_elsewhere_then_the_plan_is_the_same() -> None:
    def hashed(*words: str) -> str:
        return plan_hash(plan({"": train_config("seeds=2", *words)}))

    nli = [hashed(stages(nli=f"data=lingnli, data.path=/{folder}, training.epochs=1")) for folder in "ab"]
    assert nli[0] == nli[1]
    others = [
        hashed(),
        hashed(stages(nli="data=lingnli, data.path=/a, training.epochs=2")),
        hashed(stages(other="data=lingnli, data.path=/a, training.epochs=1")),
        hashed(stages(nli="data=wanli, data.path=/a, training.epochs=1")),
        *(hashed(stages(nli=f"data=file, data.path=/{folder}, training.epochs=1")) for folder in "ab"),
    ]
    assert len({nli[0], *others}) == 7, "of a file of one's own, the path is what it is"
