from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stancekit.data.dataset import load_dataset
from stancekit.repeats.command import command
from stancekit.repeats.describe import describe_repeats, summary_table
from stancekit.repeats.plan import plan
from stancekit.repeats.summary import Spread, Summary
from stancekit.tracking.logging import config_hash
from tests.repeats.test_plan import train_config

WORDS = [
    [],
    ["seeds=5", "seed=0"],
    ["training=debug", "training.learning_rate=3.0e-5", "evaluation.slices=[]", "evaluation.behaviour=null"],
    ["data=file", "data.path='/a b/it''s {mine}.jsonl'".replace("''", "\\'"), "data.disjoint=['a, b',c d,'1']"],
    ["data=vast", "data.path=/x", "data.name=mine", "data.split.by=topic"],
    ["data.tests.mine=/x/y.jsonl", "~data.tests.seeds", "model.input.statement='{holder}, who said: {statement}'"],
    ["data.mix.anli.weight=0.5", "data.mix.anli.cap=100", "data.mix.anli.path=/x"],
    ["model=tfidf", "model.ngrams=[1,3]", "training.class_weights=none"],
    ["model=folder", "model.encoder.path=encoders/mine", "model.name=mine", "model.pooling=own"],
    ["model=roberta_base", f"model.encoder.revision={'a' * 40}"],
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words) or "nothing")
def test_when_a_training_is_described_then_its_command_composes_to_the_same_configuration(words: list[str]) -> None:
    config = train_config(*words)
    said = command(config)
    assert said is not None
    verb, *again = shlex.split(said)[1:]
    assert verb == "train" and config_hash(train_config(*again)) == config_hash(config)


def test_when_baselines_and_folds_are_described_then_each_command_composes_to_its_configuration() -> None:
    config = train_config("model=folder", "model.encoder.path=/x", "folds=3", "baselines=true")
    (variant,) = plan({"": config})
    configs = {config_hash(job.config): job.config for job in variant.jobs}
    assert len(configs) == 6
    for held, config in configs.items():
        said = command(config)
        assert said is not None and "folds=3" in said
        assert config_hash(train_config(*shlex.split(said)[2:])) == held


def test_when_a_command_says_what_is_usual_then_it_leaves_it_out() -> None:
    assert command(train_config("data=stancebank", "model=minilm", "name=mine", "tracking.experiment=x")) == (
        "stancekit train"
    )
    assert command(train_config("model=majority", "seeds=3")) == "stancekit train model=majority seeds=3"


def test_when_no_command_composes_to_a_configuration_then_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(
        "name: mine\npath: /x\nlabels: {in favour: supports, it. is out: rules_out}\n", encoding="utf-8"
    )
    assert command(train_config("data=mine", own=tmp_path)) is None


def summary(mean: float, sd: float | None = None, runs: int = 1, parts: tuple[str, ...] = ("dev", "test")) -> Summary:
    spread = Spread(mean, sd, mean - 0.1, mean + 0.1)
    return Summary(runs, {part: {"macro_f1": spread} for part in parts})


def test_when_summaries_are_tabled_then_every_part_has_a_column_and_what_a_line_lacks_is_a_dash() -> None:
    lines = {"model": summary(0.5, 0.02, 3), "majority": summary(0.25, parts=("dev", "seeds"))}
    assert summary_table(lines) == [
        "| | runs | dev | test | seeds |",
        "|---|---|---|---|---|",
        "| model | 3 | 0.500 ± 0.020 [0.400, 0.600] | 0.500 ± 0.020 [0.400, 0.600] | – |",
        "| majority | 1 | 0.250 [0.150, 0.350] | – | 0.250 [0.150, 0.350] |",
    ]
    assert summary_table(lines, without=["dev", "seeds"])[0] == "| | runs | test |"


def test_when_a_parent_is_described_then_by_its_own_command_or_by_what_was_typed_for_several_variants(
    labelled_file: Path,
) -> None:
    words = ["data=file", f"data.path={labelled_file}"]
    first = train_config(*words, "model=majority", "seeds=2")
    second = train_config(*words, "model=tfidf", "seeds=2")
    data = load_dataset(first.data)
    one = describe_repeats("mine", [first], [data], {"majority": summary(0.5)}, "")
    assert one.startswith("**mine**: majority on **file**\n\n| | runs |")
    assert f"file: train 84 (`{data.fingerprints['train']}`), dev 24 " in one
    assert one.endswith(f"Repeat it: `stancekit train data=file model=majority data.path={labelled_file} seeds=2`")
    both = describe_repeats("mine", [first, second], [data, data], {"a": summary(0.5)}, "stancekit train experiment=x")
    assert both.startswith("**mine**: majority, tfidf on **file**") and both.count("Data, rows and") == 1
    assert both.endswith("Repeat it: `stancekit train experiment=x`")
