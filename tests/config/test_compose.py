from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stancekit.config.compose import config_dir, experiments_dir, groups, known_keys, load_config
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
    "ui": [],
}
NEEDS = {"model/folder": ["model.encoder.path=x"]}


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
