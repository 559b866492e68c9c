"""The study of a sweep: a SQLite file that outlives its process, carried by one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.config.base import flat
from stancekit.config.schema import SweepConfig
from stancekit.errors import UserError
from stancekit.paths import home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study
    from optuna.trial import FrozenTrial

RUN = "run"
"""The attribute of a study and of a trial that holds the id of its MLflow run."""
REASON = "reason"
"""The attribute of a failed trial that says why; without it, the trial was stopped together with its sweep."""
_CONFIG = "config"
_DATA = "data"
_PROCESS = "process"
_NAME = re.compile(r"\w[\w.-]*")
_ABSENT = "(none)"


def folder_of(name: str) -> Path:
    """Return the folder that takes the checkpoints of the running trials of a sweep."""
    return home() / "sweeps" / name


def database_of(name: str) -> Path:
    """Return the path of the SQLite file of a sweep.

    Raises:
        UserError: the name cannot be that of a file.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"sweep.name: expected letters, digits, '_', '-' and '.', as it names a file; found '{name}'")
    return folder_of(name).with_name(f"{name}.db")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let no other process carry the sweep of this name within the block.

    Raises:
        UserError: another process carries it at this moment.
    """
    database = database_of(name)
    database.parent.mkdir(parents=True, exist_ok=True)
    # A lock of SQLite's ends with its process, however that ends, and is taken in one step; a recorded process id would
    # leave a moment in which two sweeps that are started together both find nobody.
    lock = sqlite3.connect(database.with_suffix(".lock"), timeout=0, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise UserError(
                f"sweep.name={name}: another process{_carrier(name)} is carrying this sweep; wait for it, or start "
                "another with sweep.name=OTHER"
            ) from error
        yield
    finally:
        lock.close()


def _carrier(name: str) -> str:
    if not database_of(name).exists():
        return ""
    return f" ({_load(name).user_attrs.get(_PROCESS, 'just started')})"


def open_study(config: SweepConfig, fingerprints: Mapping[str, str]) -> Study:
    """Return the study of a sweep, a new one or the one that is there.

    Args:
        fingerprints: those of the rows of train and dev, by part.

    Raises:
        UserError: the study that is there searched something else, had other settings or other rows; names each.
    """
    study = _load(config.sweep.name)
    recorded = {_CONFIG: settings_of(config), _DATA: dict(fingerprints)}
    if _DATA in study.user_attrs:
        before = {name: study.user_attrs[name] for name in recorded}
        changed = differences(before[_CONFIG], recorded[_CONFIG])
        changed += [f"the rows of {line}" for line in differences(before[_DATA], recorded[_DATA])]
        if changed:
            listed = "\n".join(f"  - {line}" for line in changed)
            raise UserError(
                f"sweep.name={config.sweep.name}: its {len(study.get_trials(deepcopy=False))} trials cannot be gone on "
                f"with, because what was given has changed:\n{listed}\n"
                "  give what it was, or start a new sweep with sweep.name=OTHER"
            )
    for name, value in recorded.items():
        study.set_user_attr(name, value)
    study.set_user_attr(_PROCESS, os.getpid())
    return study


def _load(name: str) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=f"sqlite:///{database_of(name)}", study_name=name, direction="maximize", load_if_exists=True
    )


def use_pruner(study: Study, config: SweepConfig) -> None:
    """Let the study stop trials below the median of the others, or none, as configured."""
    from optuna.pruners import MedianPruner, NopPruner

    study.pruner = MedianPruner(n_startup_trials=config.sweep.startup_trials) if config.sweep.pruning else NopPruner()


def settings_of(config: SweepConfig) -> dict[str, Any]:
    """Return what makes two sweeps the same: all but names, how many trials, how many at a time, and tracking."""
    names_and_amounts = {"name", "trials", "workers"}
    values: dict[str, Any] = config.model_dump(mode="json", exclude={"name", "resume", "tracking", "audit"})
    return values | {"sweep": {key: v for key, v in values["sweep"].items() if key not in names_and_amounts}}


def hash_of(config: SweepConfig) -> str:
    """Return 16 hexadecimal digits that change with whatever makes a sweep another one."""
    return hashlib.sha256(json.dumps(settings_of(config), sort_keys=True).encode()).hexdigest()[:16]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line for every dotted key whose value is not the same, with both values."""
    old, new = flat(before), flat(after)
    return [
        f"{key}: was {_shown(old, key)}, now {_shown(new, key)}"
        for key in dict.fromkeys([*old, *new])
        if _shown(old, key) != _shown(new, key)
    ]


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else _ABSENT


def fail_unfinished(study: Study, client: MlflowClient) -> list[int]:
    """Tell the study that the trials without a process have failed, and end their runs; return their numbers.

    For the one process that carries the study, when none of its trials is running.
    """
    from optuna.trial import TrialState

    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        study.tell(trial.number, state=TrialState.FAIL)
        end_run(client, trial.user_attrs.get(RUN))
    return [trial.number for trial in left]


def end_run(client: MlflowClient, run_id: str | None) -> None:
    """End a run as KILLED if it is there and still counts as running."""
    if run_id and run_status(client, run_id) == "RUNNING":
        client.set_terminated(run_id, "KILLED")


def run_status(client: MlflowClient, run_id: str) -> str | None:
    """Return the status of a run, or None if the store has no such run, or a deleted one."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return None
    return str(run.info.status) if run.info.lifecycle_stage == "active" else None


def by_state(study: Study) -> dict[str, list[FrozenTrial]]:
    """Return the trials that are over: ``complete`` and ``pruned``, the best first, and ``failed``."""
    from optuna.trial import TrialState

    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: _best_first(study.get_trials(deepcopy=False, states=(state,))) for name, state in states.items()}


def _best_first(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(trials, key=lambda trial: float("inf") if trial.value is None else -trial.value)


def next_sampler(study: Study, seed: int) -> None:
    """Give the study a sampler for its next trial: the same seed and trials before it propose the same values.

    So a sweep that was killed proposes what it would have proposed, and never its first values again. The sampler is
    the tree-structured Parzen estimator (Bergstra et al., 2011).
    """
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        study.sampler = TPESampler(seed=seed + len(study.get_trials(deepcopy=False)))
