from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stancekit.config.compose import expand_multirun, expand_variants, load_config
from stancekit.config.schema import CrossEncoderConfig, TrainConfig
from stancekit.errors import UserError
from stancekit.repeats.plan import OWN, Job, plan
from stancekit.repeats.tree import plan_hash
from stancekit.tracking.logging import config_hash


def train_config(*words: str, own: Path | None = None) -> TrainConfig:
    config = load_config("train", list(words), own)
    assert isinstance(config, TrainConfig)
    return config


def jobs(*words: str) -> list[Job]:
    (variant,) = plan({"": train_config(*words)})
    return list(variant.jobs)


def test_when_nothing_is_repeated_then_the_plan_is_one_training() -> None:
    (job,) = jobs("seed=7")
    assert (job.key, job.role, job.line, job.fold, job.config.seed) == ("model", "run", OWN, None, 7)
    (variant,) = plan({"": train_config()})
    assert variant.single


def test_when_seeds_are_given_then_each_training_is_that_of_its_seed_alone() -> None:
    found = jobs("seeds=5", "seed=20")
    assert [job.key for job in found] == ["seed 20", "seed 21", "seed 22", "seed 23", "seed 24"]
    assert {(job.role, job.line) for job in found} == {("seed", OWN)}
    assert [config_hash(job.config) for job in found] == [
        config_hash(train_config(f"seed={seed}")) for seed in range(20, 25)
    ]


def test_when_folds_are_given_then_each_is_a_training_of_the_same_seed() -> None:
    found = jobs("folds=5", "seed=3")
    assert [(job.key, job.fold) for job in found] == [(f"fold {fold}", fold) for fold in range(5)]
    assert {(job.role, job.line, job.config.seed) for job in found} == {("fold", OWN, 3)}
    # On other rows than a plain training, which must not pass for the same one.
    assert {config_hash(job.config) for job in found} == {config_hash(train_config("folds=5", "seed=3"))}


def test_when_seeds_and_folds_are_given_then_it_is_refused() -> None:
    with pytest.raises(UserError, match="folds and seeds exclude each other: give seeds=1 with folds"):
        train_config("folds=5", "seeds=2")


def hidden(job: Job) -> tuple[str, ...]:
    assert isinstance(job.config.model, CrossEncoderConfig)
    return job.config.model.input.hide


def test_when_baselines_are_asked_for_then_each_is_a_line_of_its_own() -> None:
    planned = jobs("baselines=true", "seeds=2", "seed=5", "training.epochs=2")
    found = {job.line: job for job in planned if job.line != OWN}
    assert list(found) == ["majority", "tfidf", "frozen_embeddings", "statement_only", "target_only"]
    assert [job.config.model.kind for job in found.values()] == [
        "majority",
        "tfidf",
        "frozen_embeddings",
        "cross_encoder",
        "cross_encoder",
    ]
    assert set(hidden(found["statement_only"])) == {"target", "holder"}
    assert set(hidden(found["target_only"])) == {"statement", "holder"}
    assert {(job.role, job.key == job.line) for job in found.values()} == {("baseline", True)}
    # All else is as it is for the model: the same data, seed and training.
    assert {(job.config.seed, job.config.training.epochs, job.config.seeds) for job in found.values()} == {(5, 2, 1)}
    names = [job.config.model.name for job in found.values()]
    assert len({*names, "minilm"}) == 6


def test_when_baselines_and_folds_are_asked_for_then_every_baseline_has_every_fold() -> None:
    found = jobs("baselines=true", "folds=3")
    assert len(found) == 3 * 6
    assert [(job.key, job.fold) for job in found if job.line == "tfidf"] == [
        ("tfidf, fold 0", 0),
        ("tfidf, fold 1", 1),
        ("tfidf, fold 2", 2),
    ]
    assert len({job.key for job in found}) == len(found)


def test_when_the_model_is_a_baseline_itself_then_it_is_not_trained_twice() -> None:
    found = jobs("model=tfidf", "baselines=true", "seeds=2")
    assert [job.line for job in found] == [OWN, OWN, "majority", "frozen_embeddings"]


def test_when_several_jobs_are_asked_for_then_each_combination_is_named_by_what_sets_it_apart() -> None:
    found = expand_multirun("train", ["model=majority,tfidf", "training.epochs=2", "seed=1,2"])
    assert found == {
        "model=majority seed=1": ["model=majority", "training.epochs=2", "seed=1"],
        "model=majority seed=2": ["model=majority", "training.epochs=2", "seed=2"],
        "model=tfidf seed=1": ["model=tfidf", "training.epochs=2", "seed=1"],
        "model=tfidf seed=2": ["model=tfidf", "training.epochs=2", "seed=2"],
    }
    with pytest.raises(UserError, match="model=tfdif: no such choice; did you mean 'tfidf'"):
        expand_multirun("train", ["model=majority,tfdif"])
    with pytest.raises(UserError, match="several values need --multirun"):
        expand_variants("train", ["seed=1,2"])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one's own with an experiment of two variants."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "sizes.yaml").write_text(
        "# @package _global_\n# Do rows help?\nvariants:\n"
        "  small: [training.limit_rows=40, seeds=2]\n  large: [training.limit_rows=80]\n",
        encoding="utf-8",
    )
    return tmp_path


def test_when_a_configuration_names_variants_then_each_is_composed_and_planned_by_itself(own: Path) -> None:
    words = expand_variants("train", ["experiment=sizes", "seed=4"], own)
    assert words == {
        "small": ["experiment=sizes", "seed=4", "training.limit_rows=40", "seeds=2"],
        "large": ["experiment=sizes", "seed=4", "training.limit_rows=80"],
    }
    variants = plan({name: train_config(*given, own=own) for name, given in words.items()})
    assert [(variant.name, variant.single) for variant in variants] == [("small", False), ("large", True)]
    assert [(job.key, job.config.training.limit_rows) for variant in variants for job in variant.jobs] == [
        ("seed 4", 40),
        ("seed 5", 40),
        ("model", 80),
    ]
    assert expand_variants("train", ["seed=4"], own) == {"": ["seed=4"]}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seeds": 3}, False),
        ({"baselines": True}, False),
        ({"seed": 14}, False),
        ({"name": "other"}, True),
        ({"resume": "abc"}, True),
    ],
    ids=lambda value: str(value),
)
def test_when_anything_changes_that_can_change_a_result_then_so_does_the_hash_of_the_plan(
    change: dict[str, Any], same: bool
) -> None:
    config = train_config("seeds=2")
    before = plan_hash(plan({"a": config, "b": config}))
    assert (plan_hash(plan({"a": config, "b": config.model_copy(update=change)})) == before) == same
    assert plan_hash(plan({"a": config, "c": config})) != before
