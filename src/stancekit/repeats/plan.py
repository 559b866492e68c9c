"""Which trainings a configuration asks for: its seeds or folds, and the baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stancekit.config.compose import load_config
from stancekit.config.schema import CrossEncoderConfig, TrainConfig

Role = Literal["run", "seed", "fold", "baseline"]

OWN = "model"
"""The line of the trainings that a configuration is about; baselines have lines of their own."""

_BASELINES = ("majority", "tfidf", "frozen_embeddings")
_HIDDEN: dict[str, tuple[Literal["statement", "target", "holder"], ...]] = {
    "statement_only": ("target", "holder"),
    "target_only": ("statement", "holder"),
}


@dataclass(frozen=True)
class Job:
    """One training: what it is called among its siblings, its part in the whole, and its configuration.

    ``line`` is shared by the jobs whose results are averaged.
    """

    key: str
    role: Role
    line: str
    config: TrainConfig
    fold: int | None = None


@dataclass(frozen=True)
class Variant:
    """One of the configurations that are compared, the only one mostly, with its jobs."""

    name: str
    config: TrainConfig
    jobs: Sequence[Job]

    @property
    def single(self) -> bool:
        """Whether it is one training, which needs no parent run."""
        return len(self.jobs) == 1


def plan(configs: Mapping[str, TrainConfig]) -> list[Variant]:
    """Return the variants with their jobs; a configuration without repeats or baselines is one job of role ``run``."""
    return [Variant(name, config, _jobs(config)) for name, config in configs.items()]


def _jobs(config: TrainConfig) -> list[Job]:
    # Folds stay in: a fold is no training that could be repeated by itself, and its hash is not that of a plain one.
    single: dict[str, Any] = {"seeds": 1, "baselines": False, "variants": {}, "resume": None}
    own: list[Job] = []
    for fold in range(config.folds or 1):
        for seed in range(config.seed, config.seed + config.seeds):
            one = config.model_copy(update={**single, "seed": seed})
            if config.folds:
                own.append(Job(f"fold {fold}", "fold", OWN, one, fold))
            elif config.seeds > 1:
                own.append(Job(f"seed {seed}", "seed", OWN, one))
            else:
                own.append(Job(OWN, "run", OWN, one))
    return own + (_baselines(config.model_copy(update=single), config.folds) if config.baselines else [])


def _baselines(config: TrainConfig, folds: int | None) -> list[Job]:
    """Return one job for every baseline, or one for every fold: their seed is the first, since most have none."""
    configs = {}
    # A baseline that is what the configuration trains anyway would be a second line of the same name.
    for name in (known for known in _BASELINES if known != config.model.name):
        model = load_config("train", [f"model={name}"])
        assert isinstance(model, TrainConfig)
        configs[name] = config.model_copy(update={"model": model.model, "stages": {}})
    if isinstance(config.model, CrossEncoderConfig):
        for name, hide in _HIDDEN.items():
            template = config.model.input.model_copy(update={"hide": hide})
            model_config = config.model.model_copy(update={"input": template, "name": f"{config.model.name}_{name}"})
            stages = {
                key: stage.model_copy(update={"model": stage.model.model_copy(update={"input": template})})
                for key, stage in config.stages.items()
            }
            configs[name] = config.model_copy(update={"model": model_config, "stages": stages})
    return [
        Job(name if folds is None else f"{name}, fold {fold}", "baseline", name, one, fold if folds else None)
        for name, one in configs.items()
        for fold in range(folds or 1)
    ]
