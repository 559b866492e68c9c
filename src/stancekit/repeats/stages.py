"""The stages of a training: others that come before it, each a child run that goes on from the weights of the last."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.data.mix import without_copies
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from stancekit.tracking.results import JOB, LINE, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]

STAGE = "stage"
"""The role of a stage's run."""

_FOLDER = "stages"


@dataclass(frozen=True)
class Stage:
    """A stage with its whole configuration and its data."""

    name: str
    config: TrainConfig
    dataset: Dataset


def stage_configs(config: TrainConfig) -> dict[str, TrainConfig]:
    """Return the whole configuration of every stage of a training, in their order."""
    return {
        name: config.model_copy(
            update={"data": stage.data, "model": stage.model, "training": stage.training, "stages": {}, "name": name}
        )
        for name, stage in config.stages.items()
    }


def stages_of(config: TrainConfig, data: Callable[[TrainConfig], Dataset]) -> list[Stage]:
    """Return the stages of a training with their data.

    Raises:
        UserError: the data of a stage is bad; names the stage.
    """
    stages = []
    for name, one in stage_configs(config).items():
        try:
            stages.append(Stage(name, one, data(one)))
        except UserError as error:
            raise UserError(f"stages.{name}: {error}") from error
    return stages


def train_stages(
    stages: Sequence[Stage], held_out: Mapping[str, Sequence[Pair]], folder: Path, say: Say
) -> tuple[Path | None, list[Pair]]:
    """Train the stages one after the other under the active run.

    Stages that an interrupted run has finished are not trained again, and one that it was in goes on where it was.

    Args:
        held_out: what the whole is evaluated on: rows of a stage with such statements, or near-copies, are left out.
        folder: that of the unfinished run.

    Returns:
        The file with the weights of the last, None without stages; and the rows that the stages have learned from.

    Raises:
        UserError: no row of a stage is left.
    """
    start: Path | None = None
    learned: list[Pair] = []
    for number, stage in enumerate(stages, 1):
        weights = folder / _FOLDER / f"{stage.name}.safetensors"
        called = f"stage {stage.name} ({number} of {len(stages)})"
        train = without_copies(stage.dataset.train, held_out)
        if not train:
            raise UserError(
                f"stages.{stage.name}: the evaluation sets hold all of its {len(stage.dataset.train)} training rows "
                "too, or near-copies of them; expected some that they do not hold"
            )
        if weights.is_file():
            say(f"\n{called}: done before")
        else:
            removed = len(stage.dataset.train) - len(train)
            without = f", {removed} left out that the evaluation sets hold too" if removed else ""
            say(f"\n{called}: {len(train)} pairs{without}")
            _train_stage(stage, train, start, weights, say)
        start = weights
        learned += train
    return start, learned


def fingerprints(dataset: Dataset, stages: Sequence[Stage]) -> dict[str, str]:
    """Return the fingerprint of every part of a training's data, and of its stages': dev chooses their epochs."""
    return dataset.fingerprints | {
        f"stage {stage.name} {part}": stage.dataset.fingerprints[part] for stage in stages for part in ("train", "dev")
    }


def _train_stage(stage: Stage, train: Sequence[Pair], start: Path | None, weights: Path, say: Say) -> None:
    import mlflow
    from safetensors.torch import save_file

    from stancekit.models.cross_encoder import CrossEncoder
    from stancekit.tracking.logging import log_inputs, run_tags
    from stancekit.tracking.results import children
    from stancekit.tracking.runs import tracked_run
    from stancekit.tracking.store import open_store
    from stancekit.training.fit import fit

    parent = mlflow.active_run()
    assert parent is not None
    client = open_store(stage.config.tracking)
    known = {run.data.tags.get(JOB): run for run in children(client, client.get_run(parent.info.run_id))}
    held = known.get(stage.name)
    tags = run_tags(stage.config, stage.dataset) | {ROLE: STAGE, LINE: STAGE, JOB: stage.name}
    checkpoints = weights.with_suffix("")
    with tracked_run(
        stage.config.tracking,
        f"stage {stage.name}",
        tags,
        held.info.run_id if held else None,
        parent.info.run_id,
        go_on=None,
    ):
        if held is None:
            log_inputs(stage.config, stage.dataset)
        started = time.monotonic()
        trained = fit(stage.config, train, stage.dataset.dev, checkpoints, log_curve, say, start)
        assert isinstance(trained.model, CrossEncoder)
        mlflow.log_metrics({"best_step": trained.best_step, "steps": trained.steps, "train_rows": len(train)})
        partial = weights.with_suffix(".partial")
        save_file({name: tensor.contiguous() for name, tensor in trained.model.network.state_dict().items()}, partial)
        mlflow.log_metric("seconds", seconds := time.monotonic() - started)
    mlflow.log_metric(f"stages/{stage.name}/seconds", seconds)
    # Last, once all is whole and recorded: its presence says that the stage is done.
    partial.replace(weights)
    shutil.rmtree(checkpoints)


def log_curve(values: Mapping[str, float], step: int) -> None:
    """Log a training's curves with the active run."""
    import mlflow

    mlflow.log_metrics(dict(values), step=step)
