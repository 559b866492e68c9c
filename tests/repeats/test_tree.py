from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.evaluation.predictions import Predictions
from stancekit.metric_names import METRICS
from stancekit.repeats import one
from stancekit.repeats.describe import describe_run
from stancekit.repeats.plan import plan
from stancekit.repeats.summary import from_table
from stancekit.repeats.tree import plan_hash
from stancekit.tracking.logging import config_hash, log_inputs
from stancekit.tracking.results import LINE, ROLE, VARIANT, stored_predictions
from tests.conftest import CliRunner, labelled_rows, spawn, write_jsonl
from tests.repeats.conftest import Tree
from tests.repeats.test_plan import train_config


@pytest.fixture(scope="module")
def seeds(spread: tuple[Path, Path]) -> Tree:
    """Two seeds of the tiny transformer, undisturbed."""
    return Tree(spread[0])


def test_when_seeds_are_trained_then_each_is_a_child_of_one_parent(seeds: Tree) -> None:
    assert seeds.statuses == ["FINISHED"] * 3 and seeds.keys() == ["seed 13", "seed 14"]
    assert seeds.root.info.run_name == "folder repeated" and seeds.root.data.tags[ROLE] == "repeats"
    for child, seed in zip(seeds.below(), ("13", "14"), strict=True):
        assert (child.data.params["seed"], child.info.run_name) == (seed, f"seed {seed}")
        assert (child.data.tags[ROLE], child.data.tags[LINE]) == ("seed", "model")


def test_when_seeds_are_trained_then_the_parent_carries_mean_deviation_and_interval_of_every_metric(
    seeds: Tree,
) -> None:
    found = seeds.root.data.metrics
    for part in ("dev", "test"):
        for metric in METRICS:
            name = f"{part}/{metric}"
            values = [child.data.metrics[name] for child in seeds.below()]
            assert found[name] == pytest.approx(np.mean(values))
            assert found[f"{name}_sd"] == pytest.approx(np.std(values, ddof=1))
            assert 0 <= found[f"{name}_low"] <= found[f"{name}_high"] <= 1 or "mcc" in metric
    assert found["test/macro_f1_low"] < found["test/macro_f1"] <= found["test/macro_f1_high"]
    assert found["seconds"] == pytest.approx(sum(child.data.metrics["seconds"] for child in seeds.below()))
    spread = from_table(json.loads(seeds.artifact(seeds.root, "summary.json")))["folder"].parts["test"]["macro_f1"]
    assert (spread.mean, spread.low) == (found["test/macro_f1"], found["test/macro_f1_low"])


def test_when_seeds_are_trained_then_the_parent_has_the_plots_of_what_they_say_together(seeds: Tree) -> None:
    plots = {f"{part}_{plot}.png" for part in ("dev", "test") for plot in ("confusion", "reliability", "risk_coverage")}
    assert seeds.artifacts(seeds.root, "evaluation") == plots


def described(run: Any) -> str:
    """Return the command in a run's description."""
    found = re.search(r"Repeat it(?:, with every fold)?: `(stancekit train .*)`", run.data.tags["mlflow.note.content"])
    assert found is not None
    return found[1]


def test_when_a_run_of_a_tree_is_repeated_as_described_then_its_configuration_is_the_same(seeds: Tree) -> None:
    for run in seeds.below():
        config = train_config(*shlex.split(described(run))[2:])
        assert config_hash(config) == run.data.tags["stancekit.config_hash"]
    again = train_config(*shlex.split(described(seeds.root))[2:])
    assert plan_hash(plan({"": again})) == seeds.root.data.tags["stancekit.config_hash"]


def wait_for_child(process: subprocess.Popen[str], home: Path, number: int) -> str:
    """Wait until the numbered child has begun to write a checkpoint; return its run id."""
    seen: list[str] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        for path in home.glob("unfinished/*/checkpoints/checkpoint-*"):
            if (run_id := path.parents[1].name) not in seen:
                seen.append(run_id)
        if len(seen) == number:
            return run_id
        time.sleep(0.002)
    raise AssertionError(process.communicate()[0])


def test_when_a_process_is_killed_within_the_second_child_then_resuming_trains_what_is_missing_alone(
    seeds: Tree, home: Path, tiny_words: list[str], cli: CliRunner
) -> None:
    process = spawn(["train", *tiny_words, "seeds=2"])
    second = wait_for_child(process, home, 2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = Tree(home)
    assert before.statuses == ["FINISHED", "RUNNING", "RUNNING"]
    first, killed = before.below()
    assert (first.info.status, killed.info.run_id) == ("FINISHED", second)

    said = cli("train", "resume=last")
    assert f"seed 13: done before ({first.info.run_id})" in said and f"run {second} (seed 14)" in said
    assert said.count("epoch 1/1") <= 1
    after = Tree(home)
    assert after.statuses == ["FINISHED"] * 3 and after.root.info.run_id == before.root.info.run_id
    assert [run.info.run_id for run in after.below()] == [first.info.run_id, second]
    assert after.below()[0].info.end_time == first.info.end_time
    assert after.below()[1].data.params == seeds.below()[1].data.params
    # As text: the parts and lines in the same order too.
    assert after.artifact(after.root, "summary.json") == seeds.artifact(seeds.root, "summary.json")
    scores = {name: value for name, value in after.root.data.metrics.items() if name != "seconds"}
    assert scores == {name: value for name, value in seeds.root.data.metrics.items() if name != "seconds"}
    assert described(after.root) == described(seeds.root)
    assert not list((home / "unfinished").iterdir())
    assert "resume=last: no unfinished run of that name" in cli("train", "resume=last", code=2)


def test_when_a_child_is_stopped_before_its_inputs_are_recorded_then_they_are_once_it_goes_on(
    home: Path, data_words: list[str], tmp_path: Path, cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def stopped_at_the_second(config: TrainConfig, dataset: Dataset) -> None:
        seen.append(config.seed)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        log_inputs(config, dataset)

    monkeypatch.setattr("stancekit.tracking.logging.log_inputs", stopped_at_the_second)
    path = write_jsonl(tmp_path / "mine.jsonl", labelled_rows(120))
    cli("train", *data_words, f"data.path={path}", "model=majority", "seeds=2", code=130)
    write_jsonl(path, labelled_rows(116))
    parent = Tree(home).root.info.run_id
    said = cli("train", "resume=last", code=2)
    assert f"resume={parent}: the data has changed since (test); start a new run" in said
    write_jsonl(path, labelled_rows(120))
    cli("train", "resume=last")
    found = Tree(home)
    assert seen == [13, 14, 14] and found.statuses == ["FINISHED"] * 3
    for run, seed in zip(found.below(), ("13", "14"), strict=True):
        assert run.data.params["seed"] == seed and run.inputs is not None
        assert len(run.inputs.dataset_inputs) == 3


def test_when_folds_are_trained_then_every_row_is_tested_once_and_the_parent_pools_them(
    home: Path, data_words: list[str], cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[object] = []
    monkeypatch.setattr("stancekit.verbs.train._register", lambda *given, **_: registered.append(given))
    cli("train", *data_words, "model=tfidf", "folds=3")
    found = Tree(home)
    assert registered == [], "their models have seen rows of the corpus's own test set"
    assert found.keys() == ["fold 0", "fold 1", "fold 2"] and found.statuses == ["FINISHED"] * 4
    runs = found.below()
    tested: list[Predictions] = [stored_predictions(found.client, run, "test") for run in runs]
    assert Counter(str(pair.id) for one in tested for pair in one.pairs) == Counter(f"r{i}" for i in range(120))
    topics = [{str(pair.column("topic")) for pair in one.pairs} for one in tested]
    assert sum(len(held) for held in topics) == len(set.union(*topics)) == 10
    assert len({run.data.tags["stancekit.data.test"] for run in runs}) == 3
    assert found.root.data.metrics["test/accuracy"] == pytest.approx(
        np.mean([run.data.metrics["test/accuracy"] for run in runs])
    )
    assert "test_confusion.png" in found.artifacts(found.root, "evaluation")
    for run in runs:
        assert "folds=3" in described(run)
        assert config_hash(train_config(*shlex.split(described(run))[2:])) == run.data.tags["stancekit.config_hash"]


def test_when_a_fold_could_not_be_scored_or_leaks_then_no_run_is_begun(
    home: Path, data_words: list[str], tmp_path: Path, cli: CliRunner
) -> None:
    words = [*data_words, "model=majority"]
    rows = labelled_rows(120)
    for row in rows:
        row["label"] = "no_stance" if row["topic"] == "topic 3" else row["label"]
    poor = f"data.path={write_jsonl(tmp_path / 'poor.jsonl', rows)}"
    said = cli("train", *words, poor, "folds=10", code=2)
    assert re.search(
        r"fold \d, (dev|test): none of its \d+ rows is labelled supports or rules_out or leaves_open", said
    )
    said = cli("train", *words, "folds=3", "data.split.by=statement", code=2)
    assert "folds=3: topic 'topic 0' is in fold 0 and in fold 1" in said and "data.split.by=topic" in said
    assert "folds=2: one fold is test and one is dev" in cli("train", *words, "folds=2", code=2)
    assert not (home / "unfinished").exists()


def test_when_baselines_are_asked_for_then_they_are_children_beside_the_model(
    home: Path, tiny_words: list[str], cli: CliRunner
) -> None:
    said = cli("train", *tiny_words, "baselines=true")
    found = Tree(home)
    lines = ["model", "majority", "tfidf", "frozen_embeddings", "statement_only", "target_only"]
    assert found.keys() == lines and found.statuses == ["FINISHED"] * 7
    assert [run.data.tags[ROLE] for run in found.below()] == ["run"] + ["baseline"] * 5
    summary = json.loads(found.artifact(found.root, "summary.json"))
    assert list(summary) == ["folder", *lines[1:]]
    for run, line in zip(found.below(), summary.values(), strict=True):
        assert line["parts"]["test"]["macro_f1"]["mean"] == run.data.metrics["test/macro_f1"]
        assert config_hash(train_config(*shlex.split(described(run))[2:])) == run.data.tags["stancekit.config_hash"]
    # What the model itself reaches stands with the parent, whatever the baselines reach.
    assert found.root.data.metrics["test/macro_f1"] == found.below()[0].data.metrics["test/macro_f1"]
    assert "\n| statement_only | 1 | " in said
    by_line = {run.data.tags[LINE]: run.data.metrics for run in found.below()}
    # Without the target there is nothing that hiding it could cost.
    assert by_line["statement_only"]["test/target_hidden/cost"] == 0.0
    assert by_line["target_only"]["test/statement_hidden/cost"] == 0.0


def test_when_several_jobs_are_run_then_each_is_a_child_of_one_parent(
    home: Path, data_words: list[str], cli: CliRunner
) -> None:
    cli("train", *data_words, "-m", "model=majority,tfidf")
    found = Tree(home)
    assert found.root.data.tags[ROLE] == "experiment" and found.statuses == ["FINISHED"] * 3
    assert [run.data.tags[VARIANT] for run in found.below()] == ["model=majority", "model=tfidf"]
    assert [run.info.run_name for run in found.below()] == ["model=majority", "model=tfidf"]
    assert [run.data.params["model"] for run in found.below()] == ["majority", "tfidf"]
    summary = from_table(json.loads(found.artifact(found.root, "summary.json")))
    assert list(summary) == ["model=majority", "model=tfidf"]
    f1 = [run.data.metrics["test/macro_f1"] for run in found.below()]
    assert [one.parts["test"]["macro_f1"].mean for one in summary.values()] == f1 and f1[0] != f1[1]
    assert "majority, tfidf on **file**" in found.root.data.tags["mlflow.note.content"]


def test_when_ctrl_c_stops_variants_then_its_words_go_on_and_keep_what_was_finished_on_all_three_levels(
    home: Path, data_words: list[str], tmp_path: Path, cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "kinds.yaml").write_text(
        "# @package _global_\n# Which kind?\nvariants:\n  common: [model=majority, seeds=2]\n"
        "  words: [model=tfidf, seeds=2]\n  alone: [model=majority]\n",
        encoding="utf-8",
    )
    described_runs: list[str] = []

    def stopped_at_the_fourth(config: TrainConfig, *rest: Any) -> str:
        described_runs.append(f"{config.model.name} {config.seed}")
        if len(described_runs) == 4:
            signal.raise_signal(signal.SIGINT)
        return describe_run(config, *rest)

    monkeypatch.setattr(one, "describe_run", stopped_at_the_fourth)
    said = cli("train", *data_words, "--config-dir", str(tmp_path), "experiment=kinds", code=130)
    before = Tree(home)
    assert f"interrupted; go on with: stancekit train resume={before.root.info.run_id}\n" in said
    assert said.count("go on with") == 1
    assert before.root.data.tags[ROLE] == "experiment" and before.root.info.status == "KILLED"
    common, words = before.below()
    assert (common.info.status, words.info.status) == ("FINISHED", "KILLED")
    assert [run.info.status for run in before.below(words)] == ["FINISHED", "KILLED"]
    assert before.statuses.count("FINISHED") == 4 and before.statuses.count("KILLED") == 3

    cli("train", f"resume={before.root.info.run_id}")
    after = Tree(home)
    assert described_runs[4:] == ["tfidf 14", "majority 13"]
    assert after.root.info.run_id == before.root.info.run_id and after.statuses == ["FINISHED"] * 8
    assert [run.info.run_name for run in after.below()] == ["common", "words", "alone"]
    assert [after.keys(run) for run in after.below()] == [["seed 13", "seed 14"]] * 2 + [[]]
    assert [run.data.tags[ROLE] for run in after.below()] == ["repeats", "repeats", "run"]
    kept = after.below()[0]
    assert (kept.info.run_id, kept.info.end_time) == (common.info.run_id, common.info.end_time)
    assert kept.data.metrics == common.data.metrics
    summary, own = (from_table(json.loads(after.artifact(run, "summary.json"))) for run in (after.root, kept))
    assert {name: line.runs for name, line in summary.items()} == {"common": 2, "words": 2, "alone": 1}
    assert own == {"common": summary["common"]}
