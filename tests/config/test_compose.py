from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from stancekit.config.compose import (
    config_dir,
    expand_variants,
    experiments_dir,
    groups,
    known_keys,
    load_config,
    validate,
)
from stancekit.config.data import DataConfig
from stancekit.config.schema import VERB_SCHEMAS, TrainConfig
from stancekit.errors import UserError
from stancekit.pairs.targets import load_targets
from stancekit.repeats.experiment import words_of
from tests.conftest import CliRunner

REQUIRED = {
    "pairs": ["input=a", "output=b.jsonl"],
    "train": [],
    "evaluate": [],
    "sweep": [],
    "compare": ["runs=[a,b]"],
    "promote": ["run=a"],
    "report": ["experiment=baselines"],
    "audit": [],
    "annotate": ["export=a.jsonl", "output=b.json"],
    "predict": ["input=a", "output=b.jsonl"],
    "fetch": [],
    "pool": ["output=b.jsonl"],
    "export": ["output=b"],
    "card": [],
    "ui": [],
}
NEEDS = {"model/folder": ["model.encoder.path=x"]}


def test_when_a_verb_is_composed_here_then_none_is_overlooked() -> None:
    assert REQUIRED.keys() == VERB_SCHEMAS.keys()


def all_yaml() -> list[Path]:
    return sorted([*config_dir().rglob("*.yaml"), *experiments_dir().glob("*.yaml")])


def test_when_the_configs_are_counted_then_none_is_overlooked() -> None:
    folders = {path.parent.name for path in all_yaml()}
    assert len(all_yaml()) >= 50
    assert {"configs", "data", "model", "training", "targets", "encoder", "experiments"} <= folders


@pytest.mark.parametrize("path", all_yaml(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_when_a_yaml_ships_then_it_composes_and_validates(path: Path) -> None:
    group = path.parent.name
    if path.parent == config_dir():
        load_config(path.stem, REQUIRED[path.stem])
    elif group == "targets":
        assert load_targets(path.stem).targets
    elif group == "experiments":
        load_config("train", words_of(path.stem))
    elif path.stem.startswith("_") or group == "encoder":
        users = [p for p in all_yaml() if path.stem in str(yaml.safe_load(p.read_text()).get("defaults", ""))]
        assert users, f"nothing includes {path}"
    else:
        verb = next(v for v in VERB_SCHEMAS if group in groups(v))
        needs = ["data.path=x"] if group == "data" and "path: ???" in path.read_text() else []
        load_config(verb, [f"{group}={path.stem}", *needs, *NEEDS.get(f"{group}/{path.stem}", []), *REQUIRED[verb]])


def test_when_every_word_is_wrong_then_one_message_names_them_all(cli: CliRunner) -> None:
    said = cli("train", "modle=minilm", "training.epochs=many", "model.input.max_length=3", "+new.key=1", code=2)
    assert "modle: unknown key; did you mean 'model'?" in said
    assert "training.epochs: Input should be a valid integer" in said
    assert "model.input.max_length: Input should be greater than or equal to 16, found 3" in said
    assert "new.key: unknown key" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=minilmm"], "model=minilmm: no such choice; did you mean 'minilm'?"),
        (["training.learing_rate=1"], "training.learing_rate: unknown key; did you mean 'training.learning_rate'?"),
        (["model=tfidf", "model.dropout=0.1"], "model.dropout: not a key of the chosen model"),
        (["model.input.target=x"], "model.input.target: Value error, expected a template with {target}"),
        (["seed=1,2"], "seed=1,2: several values need --multirun (-m)"),
        (["~seed"], "seed: a value is needed; give seed=…"),
        (["data=file"], "data.path: a value is needed; give data.path=…"),
        (["epochs"], "'epochs': expected key=value; did you mean"),
        (["data.split.dev=0.6", "data.split.test=0.6"], "dev and test together must leave rows to train on"),
        (["tracking.promote=sometimes"], "tracking.promote: Input should be 'when_better', 'always' or 'never'"),
    ],
)
def test_when_a_word_is_wrong_then_it_is_named_with_what_was_expected(
    cli: CliRunner, words: list[str], expected: str
) -> None:
    assert expected in cli("train", *words, code=2)


def test_when_a_path_has_signs_of_hydras_grammar_then_it_is_taken_as_it_is() -> None:
    name = "a,b (1) = ü's [x].jsonl"
    config = load_config("predict", [f"input={name}", "output=-", "model=models:/stancekit@champion"])
    assert config.model_dump()["input"] == name
    assert config.model_dump()["model"] == "models:/stancekit@champion"


def test_when_a_config_is_validated_then_it_is_frozen() -> None:
    config = load_config("train", [])
    assert isinstance(config, TrainConfig)
    with pytest.raises(Exception, match="frozen"):
        config.seed = 3


def test_when_a_folder_of_ones_own_is_given_then_its_choices_count(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("kind: majority\nname: mine\n")
    config = load_config("train", ["model=mine"], tmp_path)
    assert isinstance(config, TrainConfig) and config.model.name == "mine"
    with pytest.raises(UserError, match="no folder"):
        load_config("train", [], tmp_path / "none")


def test_when_an_experiment_is_chosen_then_it_overrides_groups_and_keys_and_words_override_it(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "e.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: tfidf\nseed: 4\n"
    )
    config = load_config("train", ["experiment=e"], tmp_path)
    assert isinstance(config, TrainConfig) and (config.model.kind, config.seed) == ("tfidf", 4)
    config = load_config("train", ["experiment=e", "seed=5"], tmp_path)
    assert isinstance(config, TrainConfig) and config.seed == 5


def test_when_keys_are_listed_then_every_member_of_a_union_is_among_them() -> None:
    keys = known_keys(VERB_SCHEMAS["train"])
    assert {"model.ngrams", "model.encoder.revision", "training.epochs", "data.tests.*"} <= set(keys)


def staged(*words: str) -> TrainConfig:
    config = load_config("train", list(words))
    assert isinstance(config, TrainConfig)
    return config


def test_when_a_stage_is_given_then_its_words_come_on_top_of_those_of_the_whole() -> None:
    config = staged(
        *("data=file", "data.path=/own.jsonl", "training.epochs=5", "training.batch_size=4", "seed=3", "model=mpnet"),
        "stages={nli: [data=lingnli, data.path=/nli, training.epochs=1], own: [training=quick, model.freeze_layers=2]}",
    )
    assert list(config.stages) == ["nli", "own"]
    nli, own = config.stages.values()
    assert (nli.data.name, nli.data.path, nli.training.epochs, nli.training.batch_size) == ("lingnli", "/nli", 1, 4)
    assert nli.data.labels == load_data("lingnli").labels and nli.model == config.model
    assert nli.overrides == ("data=lingnli", "data.path=/nli", "training.epochs=1")
    # A word for a key counts for more than the choice of a group, whichever of them was given later.
    assert (own.data, own.training.epochs, own.model.freeze_layers) == (config.data, 5, 2)
    assert (config.data.path, config.training.epochs, config.model.kind) == ("/own.jsonl", 5, "cross_encoder")


def load_data(name: str) -> DataConfig:
    return staged(f"data={name}", "data.path=x").data


def test_when_a_stage_mixes_sources_then_it_carries_what_their_corpora_are() -> None:
    config = staged("stages={first: ['data.mix={lingnli: {weight: 1, path: /nli}}']}")
    corpus = config.stages["first"].data.mix["lingnli"].corpus
    assert corpus is not None and (corpus.name, corpus.path) == ("lingnli", "/nli") and config.data.mix == {}


def test_when_an_experiment_has_stages_then_its_other_words_count_in_them(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "e.yaml").write_text(
        "# @package _global_\ntraining: {epochs: 7}\nstages:\n  first: [training.batch_size=2]\n  second: []\n"
    )
    config = load_config("train", ["experiment=e", "training.learning_rate=0.5"], tmp_path)
    assert isinstance(config, TrainConfig)
    found = [(s.training.epochs, s.training.batch_size, s.training.learning_rate) for s in config.stages.values()]
    assert found == [(7, 2, 0.5), (7, 16, 0.5)]


def test_when_a_stage_of_an_experiment_is_composed_then_it_has_no_stages_and_variants_of_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "e.yaml").write_text(
        "# @package _global_\nstages:\n  first: [training.epochs=1]\n"
        "variants:\n  short: [training.epochs=2]\n  long: [training.epochs=8]\n"
    )
    jobs = expand_variants("train", ["experiment=e"], tmp_path)
    configs = {name: load_config("train", words, tmp_path) for name, words in jobs.items()}
    assert list(configs) == ["short", "long"]
    for config, epochs in zip(configs.values(), (2, 8), strict=True):
        assert isinstance(config, TrainConfig) and config.training.epochs == epochs
        assert config.stages["first"].training.epochs == 1


def test_when_a_configuration_with_stages_is_recorded_then_it_reads_back_as_itself() -> None:
    config = staged("stages={first: [training.epochs=1, model.dropout=0]}")
    assert validate("train", config.model_dump(mode="json")) == config


@pytest.mark.parametrize("path", ["a,b (1) = ü's [x].jsonl", "it's", 'say "x"', "C:\\rows\\", "a\\'b"])
def test_when_a_stages_word_has_signs_of_hydras_grammar_then_it_is_taken_as_it_is(path: str) -> None:
    word = json.dumps(f"data.path={path}", ensure_ascii=False)
    config = staged("data=file", "data.path=x", f"stages={{first: [training.epochs=1, {word}]}}")
    assert config.stages["first"].data.path == path
    assert config.stages["first"].overrides == ("training.epochs=1", f"data.path={path}")


def test_when_the_words_of_variants_are_not_quoted_then_they_are_understood_as_in_a_yaml() -> None:
    assert staged("variants={small: [training.limit_rows=100, seed=2], all: []}").variants == {
        "small": ("training.limit_rows=100", "seed=2"),
        "all": (),
    }


@pytest.mark.parametrize(
    ("stage", "words", "expected"),
    [
        ("training.epoch=1", [], "stages.first: training.epoch: unknown key; did you mean 'training.epochs'?"),
        ("data=lingni", [], "stages.first: data=lingni: no such choice; did you mean 'lingnli'?"),
        ("data=file", [], "stages.first: data.path: a value is needed; give data.path=…"),
        ("training.epochs=many", [], "stages.first.training.epochs: Input should be a valid integer"),
        (
            "'model.lora={rank: 0, alpha: 8}'",
            [],
            "stages.first.model.lora.rank: Input should be greater than 0, found 0",
        ),
        ("training.epochs=[1", [], "'stages={first: [training.epochs=[1]}': not understood"),
        ("seed=4", [], "stages.first: seed=4: a stage has data, model, training of its own; all else is that of the"),
        ("evaluation.draws=100", [], "stages.first: evaluation.draws=100: a stage has data, model, training"),
        ("'stages={x: []}'", [], "stages.first: stages={x:[]}: a stage has data, model, training of its own"),
        ("model=mpnet", [], "stages.first: model.encoder differs from that of the whole"),
        ("model.pooling=own", [], "stages.first: model.pooling differs from that of the whole"),
        ("model.input.max_length=64", [], "stages.first: model.input differs from that of the whole"),
        (
            "'model.layers=[0,2]'",
            [],
            "model.layers differs from that of the whole; the weights of a stage go on in the",
        ),
        ("model=tfidf", [], "stages.first.model: Value error, tfidf is not trained by steps; expected a cross-encoder"),
        ("", ["model=tfidf"], "stages.first.model: Value error, tfidf is not trained by steps; expected a cross-enc"),
        ("model=minilm", ["model=majority"], "stages: majority is not trained by steps; expected a cross-encoder"),
        ("", ["folds=3"], "stages and folds exclude each other: a stage would train on rows of the tested fold"),
        (
            "training.metric=f_avg",
            [],
            "stages.first: training.metric: 'f_avg' is computed only for data that asks for it; add data.metrics=[f_a",
        ),
        (
            "data=lingnli",
            ["data=semeval2016_task6", "data.path=x", "training.metric=f_avg"],
            "stages.first: training.metric: 'f_avg' is computed only",
        ),
    ],
)
def test_when_a_stage_is_wrong_then_it_is_named_with_what_was_expected(
    cli: CliRunner, tmp_path: Path, stage: str, words: list[str], expected: str
) -> None:
    said = cli("train", *words, f"stages={{first: [{stage}]}}", code=2)
    assert expected in said and said.count("\n  - ") == 1, said
    assert not (tmp_path / "home").exists()


def test_when_several_stages_are_wrong_then_one_message_names_them_all(cli: CliRunner) -> None:
    said = cli("train", "stages={a: [training.epoch=1, modle=x], 'b c': [], d: [training.batch_size=0]}", code=2)
    assert "stages.a: training.epoch: unknown key" in said and "stages.a: modle: unknown key" in said
    assert "stages.b c" in said and "stages.d.training.batch_size: Input should be greater than 0" in said


@pytest.mark.parametrize("name", ["a/b", "../a", "a+b"])
def test_when_a_stages_name_cannot_be_a_files_then_it_is_refused(cli: CliRunner, name: str) -> None:
    assert "String should match pattern" in cli("train", f"stages={{'{name}': []}}", code=2)
