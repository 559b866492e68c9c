from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from stancekit.config.compose import expand_variants, experiments_dir, load_config
from stancekit.config.schema import TrainConfig
from stancekit.data.soft import COLUMNS
from stancekit.repeats.experiment import as_markdown, question_of, read, readme_table, stale, words_of
from stancekit.repeats.plan import plan
from tests.conftest import CliRunner, labelled_rows, run_id_in, write_jsonl

EXPERIMENTS = sorted(path.stem for path in experiments_dir().glob("*.yaml"))


def test_when_experiments_are_listed_then_there_is_one() -> None:
    assert EXPERIMENTS


@pytest.fixture
def _same_threads() -> Iterator[None]:
    """Experiments say how many threads torch computes with, which would stay so for the tests that follow."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def tiny_model(own: Path, encoder: Path) -> str:
    """Write the tiny transformer as a choice of the group `model` in a folder of one's own; return its name."""
    (own / "model").mkdir(parents=True)
    (own / "model" / "tiny.yaml").write_text(
        f"defaults: [folder, _self_]\nencoder: {{path: {json.dumps(str(encoder))}}}\ninput: {{max_length: 64}}\n",
        encoding="utf-8",
    )
    return "tiny"


@pytest.mark.usefixtures("_same_threads")
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_when_an_experiment_is_run_in_miniature_then_every_training_that_it_plans_ends_well(
    cli: CliRunner, tiny_encoder: Path, tmp_path: Path, experiment: str
) -> None:
    rows = [row | {"group": f"group {number // 4}"} for number, row in enumerate(labelled_rows(80))]
    words = [f"experiment={experiment}", "data=file", f"data.path={write_jsonl(tmp_path / 'rows.jsonl', rows)}"]
    words += ["data.split.by=topic", "data.disjoint=[topic]", "training.epochs=1", "seeds=1"]
    words += ["evaluation.behaviour=null", "evaluation.mistakes=0", "evaluation.draws=100"]
    whole = load_config("train", words_of(experiment))
    assert isinstance(whole, TrainConfig)
    words += ["folds=3"] if whole.folds else []
    if whole.model.kind == "cross_encoder":
        # As a choice: where a variant chooses another model, keys of this one would be refused.
        words.append(f"model={tiny_model(tmp_path / 'own', tiny_encoder)}")
    if "stancebank_pool" in whole.data.mix:
        taught = [
            row | {"stance": row.pop("label")} | dict.fromkeys(COLUMNS, 0.25) for row in labelled_rows(40, seed=1)
        ]
        words.append(f"data.mix.stancebank_pool.path={write_jsonl(tmp_path / 'pool.jsonl', taught)}")
    own = tmp_path / "own"
    own.mkdir(exist_ok=True)
    configs = {name: load_config("train", given, own) for name, given in expand_variants("train", words, own).items()}
    planned = plan({name: config for name, config in configs.items() if isinstance(config, TrainConfig)})
    said = cli("train", "--config-dir", str(own), *words)
    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    if sum(len(variant.jobs) for variant in planned) == 1:
        run = re.search(r"^run ([0-9a-f]{32}) ", said, re.MULTILINE)
        assert run and client.get_run(run[1]).info.status == "FINISHED"
        assert all(f"stage {name} (" in said for name in whole.stages)
        return
    parent = re.search(r"^parent run ([0-9a-f]{32}) \(.+\): (\d+) trainings$", said, re.MULTILINE)
    assert parent and int(parent[2]) == sum(len(variant.jobs) for variant in planned)
    assert len(re.findall(r"^run [0-9a-f]{32} ", said, re.MULTILINE)) == int(parent[2])
    assert client.get_run(parent[1]).info.status == "FINISHED"
    table = json.loads(Path(client.download_artifacts(parent[1], "summary.json")).read_text(encoding="utf-8"))
    lines = {(variant.name, job.line) for variant in planned for job in variant.jobs}
    assert len(table) == len(lines) and all(f"\n| {name} | " in said for name in table)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_when_an_experiment_ships_then_its_question_and_command_lead_and_a_result_is_not_stale(experiment: str) -> None:
    lines = (experiments_dir() / f"{experiment}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_" and "?" in question_of(experiments_dir() / f"{experiment}.yaml")
    assert any(line.startswith("#   stancekit train") and f"experiment={experiment}" in line for line in lines)
    measured = read(experiment)
    if measured is None:
        row = next(line for line in readme_table().splitlines() if line.startswith(f"| [{experiment}]"))
        assert "not measured yet" in row
        return
    assert stale(measured) == [] and measured.learned
    page = (experiments_dir() / f"{experiment}.md").read_text(encoding="utf-8")
    assert page == as_markdown(measured)


def test_when_a_set_lacks_a_stance_then_it_is_refused_before_training_and_the_way_out_is_named(
    cli: CliRunner, tmp_path: Path
) -> None:
    rows = [row for row in labelled_rows(120) if row["split"] != "dev" or row["label"] != "rules_out"]
    words = ["data=file", f"data.path={write_jsonl(tmp_path / 'rows.jsonl', rows)}", "model=majority"]
    said = cli("train", *words, code=2)
    assert "dev: none of its 18 rows is labelled rules_out" in said and "evaluation.labels=present scores it" in said
    assert not (tmp_path / "home").exists()
    said = cli("train", *words, "evaluation.labels=present")
    assert "version 1 was registered" in said
    # Once for each part, though each lacks several.
    assert re.search(r"^WARNING dev: the model never says \w+, the label of 6 rows \(also: test\)$", said, re.MULTILINE)


def test_when_models_are_not_to_be_kept_then_the_run_has_none_and_nothing_is_registered(
    cli: CliRunner, labelled_file: Path, tmp_path: Path
) -> None:
    words = ["data=file", f"data.path={labelled_file}", "data.disjoint=[topic]", "model=tfidf"]
    said = cli("train", *words, "tracking.models=false")
    assert "registered" not in said and "use it:" not in said
    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    run = client.get_run(run_id_in(said))
    assert run.info.status == "FINISHED" and not (run.outputs and run.outputs.model_outputs)
    assert client.search_registered_models() == []
    kept = [Path(file.path).name for file in client.list_artifacts(run.info.run_id, "evaluation")]
    assert {"dev_predictions.jsonl", "test_predictions.jsonl", "test.json"} <= set(kept)
    assert f"run {run.info.run_id} has no model" in cli("promote", f"run={run.info.run_id}", code=2)


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
