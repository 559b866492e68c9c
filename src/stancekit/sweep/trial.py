"""One trial, in a process of its own: train, score on dev, and tell the process that carries the sweep."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from stancekit.config.schema import TrainConfig
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from stancekit.sweep.space import Value
from stancekit.terminal import say
from stancekit.tracking.results import ROLE

_STATE = "stancekit.state"


@dataclass(frozen=True)
class Task:
    """What a trial needs; no test rows are among it, as settings are chosen on dev alone.

    ``parent`` is the MLflow run of the sweep, ``threads`` how many threads torch may use (None: as many as it likes).
    """

    number: int
    name: str
    config: TrainConfig
    metric: str
    values: Mapping[str, Value]
    tags: Mapping[str, str]
    parent: str
    threads: int | None
    checkpoints: Path
    train: list[Pair]
    dev: list[Pair]


@dataclass(frozen=True)
class Began:
    """The trial has an MLflow run."""

    run_id: str


@dataclass(frozen=True)
class Evaluated:
    """The metric on dev after a further epoch; to be answered with whether the trial is to be pruned."""

    value: float


@dataclass(frozen=True)
class Ended:
    """How the trial ended: the metric of its model if ``complete``, the reason if ``failed``."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None = None
    reason: str = ""


Message = Began | Evaluated | Ended
"""What a trial sends."""


class _Pruned(Exception):
    """The trial is not worth going on with."""


def carry_out(task: Task, connection: Connection[Message, bool]) -> None:
    """Do a trial and send what becomes of it; the entry point of its process, which ends with the one that began it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        ended = _tracked(task, connection)
    except UserError as error:
        ended = Ended("failed", reason=str(error))
    except Exception as error:
        ended = Ended("failed", reason=f"{type(error).__name__}: {error}")
    connection.send(ended)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Returns when the parent is gone, however it ended: the operating system closes what joins the two.
        parent.join()
        os._exit(1)


def _tracked(task: Task, connection: Connection[Message, bool]) -> Ended:
    import mlflow

    from stancekit.tracking.runs import tracked_run

    tags = {**task.tags, ROLE: "trial", "stancekit.trial": str(task.number)}
    with tracked_run(task.config.tracking, task.name, tags, parent=task.parent, go_on=None) as active:
        connection.send(Began(active.info.run_id))
        mlflow.log_params(dict(task.values))
        try:
            ended = Ended("complete", _train(task, connection))
        except _Pruned:
            ended = Ended("pruned")
        mlflow.set_tag(_STATE, ended.state)
    return ended


def _train(task: Task, connection: Connection[Message, bool]) -> float:
    """Return the metric on dev of the model that this training would keep, after logging all that dev shows of it."""
    import mlflow

    from stancekit.evaluation.metrics import score
    from stancekit.models.base import label_indices
    from stancekit.training.fit import fit

    if task.threads is not None:
        import torch

        torch.set_num_threads(task.threads)

    def log(values: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(dict(values), step=step)
        if (value := values.get(f"dev/{task.metric}")) is not None:
            connection.send(Evaluated(value))
            if connection.recv():
                raise _Pruned

    config = task.config
    fitted = fit(config, task.train, task.dev, task.checkpoints, log, lambda line: say(f"  {task.number}: {line}"))
    probabilities = fitted.model.predict(task.dev, config.evaluation.batch_size).probabilities
    scores = score(label_indices(task.dev), probabilities, config.data.metrics)
    # At the last step, not at that of the best epoch: MLflow takes the last value of a metric for its value.
    mlflow.log_metrics({f"dev/{name}": value for name, value in scores.items()}, step=fitted.steps)
    mlflow.log_metrics({"best_step": fitted.best_step, "steps": fitted.steps})
    mlflow.set_tag("stancekit.precision", fitted.precision)
    return scores[task.metric]
