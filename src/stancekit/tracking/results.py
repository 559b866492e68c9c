"""Runs by name, and what they found: their children and the predictions that they left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.config.schema import TrackingConfig
from stancekit.errors import UserError, nearest
from stancekit.evaluation.predictions import Predictions
from stancekit.tracking.runs import close_dead_runs
from stancekit.tracking.store import store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ROLE = "stancekit.role"
LINE = "stancekit.line"
JOB = "stancekit.job"
VARIANT = "stancekit.variant"
PARENT = "mlflow.parentRunId"
REPEATS = "repeats"
EXPERIMENT = "experiment"
EVALUATION = "evaluation"
"""The folder of a run's artifacts with what its evaluations found."""

_MOST = 1000


def predictions_file(part: str) -> str:
    """Return the name of the artifact with the predictions of a part."""
    return f"{part}_predictions.jsonl"


def find_run(client: MlflowClient, tracking: TrackingConfig, name: str) -> Run:
    """Return the run of that id, or the last one of that name.

    Raises:
        UserError: there is none, it is still running, or it ended before it was done.
    """
    # MLflow's filters know no escapes: an apostrophe is asked for as any one character.
    like = name.replace("'", "_")
    asked = f"run_id = '{name}'" if re.fullmatch(r"[0-9a-f]{32}", name) else f"run_name LIKE '{like}'"
    order = ["attributes.start_time DESC"]
    found = client.search_runs(_experiments(client), f"attributes.{asked}", max_results=_MOST, order_by=order)
    run = next((one for one in found if name in (one.info.run_id, one.info.run_name)), None)
    if run is None:
        known = client.search_runs(_experiments(client), max_results=_MOST)
        names = {str(other.info.run_name) for other in known} | {other.info.run_id for other in known}
        raise UserError(
            f"'{name}': no run of that id or name in {store_uri(tracking)}{nearest(name, names)}\n"
            "  expected: a run id or a run's name, as the MLflow UI shows them"
        )
    if run.info.status == "RUNNING" and close_dead_runs(client, run.info.experiment_id):
        run = client.get_run(run.info.run_id)
    return refuse_unfinished(run)


def refuse_unfinished(run: Run) -> Run:
    """Return a run that has come to its end.

    Raises:
        UserError: it is still running, or ended before it was done.
    """
    status = run.info.status
    if status == "RUNNING":
        pid = run.data.tags.get("stancekit.pid")
        carried = f", as process {pid}" if pid else ""
        raise UserError(f"run {run.info.run_id} ({run.info.run_name}) is still running{carried}; wait for its end")
    if status != "FINISHED":
        # What is no training is done anew.
        resume = f"; go on with: stancekit train resume={run.data.tags.get(PARENT, run.info.run_id)}"
        raise UserError(
            f"run {run.info.run_id} ({run.info.run_name}) is {status}: it ended before it was done"
            f"{resume if LINE in run.data.tags else ''}"
        )
    return run


def children(client: MlflowClient, run: Run) -> list[Run]:
    """Return the child runs of a run, the first first."""
    found = client.search_runs(
        [run.info.experiment_id],
        f"tags.`{PARENT}` = '{run.info.run_id}'",
        max_results=_MOST,
        order_by=["attributes.start_time ASC"],
    )
    return list(found)


def own_children(client: MlflowClient, run: Run) -> list[Run]:
    """Return the child runs that a parent of repeats averages: neither baselines nor what did not end well."""
    return [
        child
        for child in children(client, run)
        if child.data.tags.get(ROLE) in ("seed", "fold") and child.info.status == "FINISHED"
    ]


def stored_parts(client: MlflowClient, run: Run) -> list[str]:
    """Return the parts that a run left predictions of: dev, the corpus's own test splits, then the others."""
    held = [Path(item.path).name for item in client.list_artifacts(run.info.run_id, EVALUATION)]
    ending = predictions_file("")
    parts = [file.removesuffix(ending) for file in held if file.endswith(ending)]
    return sorted(parts, key=lambda part: (part != "dev", not part.startswith("test"), part))


def stored_predictions(client: MlflowClient, run: Run, part: str) -> Predictions:
    """Return the predictions that a run left of one part of its data.

    Raises:
        UserError: it left none; names the parts that it has.
    """
    if part not in (parts := stored_parts(client, run)):
        raise UserError(
            f"run {run.info.run_id} ({run.info.run_name}) has no predictions of '{part}'{nearest(part, parts)} "
            f"(it has: {', '.join(parts) or 'none'})"
        )
    return Predictions.read(Path(client.download_artifacts(run.info.run_id, f"{EVALUATION}/{predictions_file(part)}")))


def runs_to_compare(client: MlflowClient, run: Run) -> list[Run]:
    """Return the runs whose predictions stand for a run: its repeats for a parent of them, else the run itself.

    Raises:
        UserError: the run is an experiment of several variants.
    """
    if run.data.tags.get(ROLE) == EXPERIMENT:
        named = ", ".join(f"{child.info.run_name} ({child.info.run_id})" for child in children(client, run))
        raise UserError(
            f"run {run.info.run_id} ({run.info.run_name}) holds several variants, which are not one model; "
            f"give one of them: {named}"
        )
    return own_children(client, run) or [run]


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments(max_results=_MOST)]
