"""``stancekit sweep``: search for training settings on dev; killed at any moment, the same command goes on."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

from stancekit.config.schema import MajorityConfig, SweepConfig, TfidfConfig
from stancekit.data.dataset import Dataset, load_dataset
from stancekit.encoders.locate import locate
from stancekit.errors import Interrupted, UserError
from stancekit.sweep.results import log_results, table, train_command
from stancekit.sweep.space import check, distributions
from stancekit.sweep.study import (
    RUN,
    alone,
    by_state,
    database_of,
    end_run,
    fail_unfinished,
    folder_of,
    hash_of,
    open_study,
    run_status,
    settings_of,
    use_pruner,
)
from stancekit.sweep.trials import Trials
from stancekit.terminal import say
from stancekit.tracking.results import ROLE
from stancekit.tracking.runs import tracked_run
from stancekit.tracking.store import open_store, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study


def run(config: SweepConfig) -> None:
    """Make the trials that the study does not have yet, record them in MLflow, print them and how to train the best.

    Raises:
        UserError: the space, the data or the encoder is bad; the study was made with other settings or is being carried
            by another process; all trials fail.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    check(config)
    distributions(config)
    database = database_of(config.sweep.name)
    if not isinstance(config.model, MajorityConfig | TfidfConfig):
        locate(config.model.encoder)
    dataset = load_dataset(config.data, config.training.limit_rows)
    client = open_store(config.tracking)
    with alone(config.sweep.name):
        study = open_study(config, {part: dataset.fingerprints[part] for part in ("train", "dev")})
        say(
            f"sweep {config.sweep.name}: {config.sweep.trials} trials, {config.sweep.workers} at a time, by "
            f"{config.sweep.metric} on {len(dataset.dev)} pairs of dev; {len(dataset.train)} pairs to train on"
        )
        parent = _take_over(study, client, config.sweep.name)
        missing = max(0, config.sweep.trials - len(study.get_trials(deepcopy=False)))
        if missing or parent is None or run_status(client, parent) != "FINISHED":
            parent = _carry_on(config, study, dataset, client, parent, missing)
    say("")
    for line in table(study, config):
        say(line)
    complete = by_state(study)["complete"]
    best = complete[0]
    say(f"\nbest:     trial {best.number}, {config.sweep.metric} {best.value:.3f} on dev")
    say(f"          chosen on dev as the best of {len(complete)}: expect less on test")
    say(f"train it: {train_command(config, best.params)}")
    say(f"run:      {parent} in {store_uri(config.tracking)}")
    say(f"study:    {database}")


def _take_over(study: Study, client: MlflowClient, name: str) -> str | None:
    """Clear away what a dead process left, and return the id of the sweep's MLflow run, if it has one."""
    left = fail_unfinished(study, client)
    shutil.rmtree(folder_of(name), ignore_errors=True)
    if trials := study.get_trials(deepcopy=False):
        say(f"going on: {_counted(study)} of {len(trials)} trials are there")
    for number in left:
        say(f"trial {number}: failed: its process is gone")
    parent: str | None = study.user_attrs.get(RUN)
    if parent is None or run_status(client, parent) is None:
        return None
    end_run(client, parent)
    return parent


def _carry_on(
    config: SweepConfig, study: Study, dataset: Dataset, client: MlflowClient, parent: str | None, missing: int
) -> str:
    """Make the missing trials under the sweep's MLflow run, a new one without ``parent``, and return its id."""
    import mlflow

    from stancekit.tracking.logging import run_tags

    use_pruner(study, config)
    tags = {**run_tags(config, dataset), ROLE: "sweep", "stancekit.config_hash": hash_of(config)}
    try:
        with tracked_run(config.tracking, config.name or config.sweep.name, tags, parent, go_on=None) as active:
            run_id: str = active.info.run_id
            study.set_user_attr(RUN, run_id)
            mlflow.log_params({"data": config.data.name, "model": config.model.name, "metric": config.sweep.metric})
            mlflow.log_dict(config.model_dump(mode="json"), "config.yaml")
            mlflow.log_dict(settings_of(config)["sweep"]["space"], "sweep/space.yaml")
            Trials(config, study, dataset, client, run_id).carry_out(missing)
            log_results(study, config)
            if not by_state(study)["complete"]:
                raise UserError(
                    f"sweep.name={config.sweep.name}: no trial was completed ({_counted(study)}); the reasons:\n"
                    + "\n".join(f"  {line}" for line in table(study, config))
                    + "\n  raise sweep.trials for more, or start anew with sweep.name=OTHER"
                )
    except (KeyboardInterrupt, Interrupted) as stop:
        code = stop.code if isinstance(stop, Interrupted) else 128 + signal.SIGINT
        raise Interrupted(f"interrupted ({_counted(study)}); the same command goes on", code) from stop
    return run_id


def _counted(study: Study) -> str:
    return ", ".join(f"{len(trials)} {state}" for state, trials in by_state(study).items())
