"""How a model was made, from the MLflow run that made it."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from stancekit.cards.training import Stage, Training
from stancekit.config.schema import TrackingConfig, TrainConfig
from stancekit.encoders.locate import WEIGHTS
from stancekit.errors import UserError
from stancekit.paths import without_home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MACHINE, THREADS, HOST = "stancekit.machine", "stancekit.threads", "stancekit.host"
"""The tags of a run that say what it was computed on."""

_STAGE = re.compile(r"stages/(.+)/seconds")
"""The metrics that say how long the earlier trainings of a run took."""
_SLACK = 60.0
"""Seconds between the start of a run and its end that are no sign of an interruption."""


def training_of(run_id: str, tracking: TrackingConfig) -> Training:
    """Return how the model of a run was made, as far as the run says.

    Raises:
        UserError: there is no such run, it has not come to its end, or it is no training.
    """
    from stancekit.repeats.command import command
    from stancekit.tracking.results import find_run
    from stancekit.tracking.store import open_store

    client = open_store(tracking)
    run = find_run(client, tracking, run_id)
    metrics, tags = run.data.metrics, run.data.tags
    if "training_seconds" not in metrics or "seconds" not in metrics:
        raise UserError(f"run {run.info.run_id} ({run.info.run_name}) is no training; expected one that made a model")
    config = _config(client, run)
    machine = _machine(client, run)
    again = command(config) if config else None
    return Training(
        command=without_home(again) if again else None,
        seconds=round(metrics["seconds"], 1),
        interrupted=(run.info.end_time - run.info.start_time) / 1000 > metrics["seconds"] + _SLACK,
        machine=machine,
        threads=_threads(tags, config, machine),
        commit=tags.get("stancekit.git_commit", "none"),
        changed_since=tags.get("stancekit.git_dirty") == "true",
        rows=_whole(metrics.get("train_rows")),
        soft_rows=_whole(metrics.get("soft_rows")),
        parameters=_parameters(run.info.run_id, tracking),
        stages=tuple(
            Stage(found[1], round(value, 1))
            for name, value in sorted(metrics.items())
            if (found := _STAGE.fullmatch(name))
        ),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _config(client: MlflowClient, run: Run) -> TrainConfig | None:
    """Return the configuration of a run; None for one of a version whose configuration had other keys."""
    file = Path(client.download_artifacts(run.info.run_id, "config.yaml"))
    try:
        return TrainConfig.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError:
        return None


def _machine(client: MlflowClient, run: Run) -> str | None:
    """Return what the run says of its machine, or its parent; else this machine, if it is the one that carried it."""
    from stancekit.tracking.results import PARENT
    from stancekit.tracking.runs import process_tags

    tags = run.data.tags
    if MACHINE not in tags and PARENT in tags:
        tags = {**client.get_run(tags[PARENT]).data.tags, **tags}
    if MACHINE in tags:
        return str(tags[MACHINE])
    return _this_machine() if tags.get(HOST) == process_tags()[HOST] else None


def _this_machine() -> str:
    import torch

    return f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"


def _threads(tags: Mapping[str, str], config: TrainConfig | None, machine: str | None) -> int | None:
    """Return how many threads a run computed with: as it says, as it was told, or all cores of its machine."""
    if THREADS in tags:
        return int(tags[THREADS])
    if config and config.threads:
        return config.threads
    cores = re.search(r"(\d+) cores", machine or "")
    return int(cores[1]) if cores else None


def _parameters(run_id: str, tracking: TrackingConfig) -> int | None:
    """Return the number of weights of a run's model, from the heading of its file; None where it keeps no such file."""
    from safetensors import safe_open

    from stancekit.tracking.registry import find_model

    try:
        weights = find_model(run_id, tracking) / WEIGHTS
    except UserError:
        return None
    if not weights.is_file():
        return None
    with safe_open(weights, framework="numpy") as stream:
        shapes: list[list[int]] = [stream.get_slice(name).get_shape() for name in stream.keys()]  # noqa: SIM118
    return sum(map(math.prod, shapes))
