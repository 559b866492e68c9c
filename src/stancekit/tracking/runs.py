"""A run from its start to its end: never left RUNNING by an exception or a signal, closed later if its process died."""

from __future__ import annotations

import signal
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from stancekit.config.schema import TrackingConfig
from stancekit.errors import Interrupted, UserError
from stancekit.tracking.store import experiment_id, open_store

if TYPE_CHECKING:
    from mlflow import ActiveRun, MlflowClient

_INTERRUPTED = 128 + signal.SIGINT


def process_tags() -> dict[str, str]:
    """Return the tags that say which process on which machine carries a run."""
    me = psutil.Process()
    return {
        "stancekit.host": socket.gethostname(),
        "stancekit.pid": str(me.pid),
        "stancekit.pid_started": _started(me),
    }


def _started(process: psutil.Process) -> str:
    return f"{process.create_time():.2f}"


@contextmanager
def tracked_run(
    tracking: TrackingConfig, name: str | None, tags: Mapping[str, str], run_id: str | None = None
) -> Iterator[ActiveRun]:
    """Carry an MLflow run: FINISHED at the end, FAILED on an exception, KILLED on Ctrl-C or SIGTERM.

    The traceback of a run that did not finish is its artifact ``traceback.txt``.

    Args:
        run_id: an earlier run to go on with, instead of a new one.

    Raises:
        UserError: the earlier run is still running.
        Interrupted: in place of the KeyboardInterrupt or the signal, with the words to go on with the run.
    """
    import mlflow

    client = open_store(tracking)
    experiment = experiment_id(client, tracking)
    close_dead_runs(client, experiment)
    if run_id and (running := client.get_run(run_id)).info.status == "RUNNING":
        raise UserError(
            f"run {run_id} is still running, as process {running.data.tags['stancekit.pid']} on "
            f"{running.data.tags['stancekit.host']}; stop it first"
        )
    run = mlflow.start_run(
        run_id=run_id,
        experiment_id=experiment,
        run_name=name,
        tags={**tags, **process_tags()},
        log_system_metrics=False,
    )
    try:
        yield run
    except (KeyboardInterrupt, Interrupted) as stop:
        _end(run.info.run_id, "KILLED")
        code = stop.code if isinstance(stop, Interrupted) else _INTERRUPTED
        raise Interrupted(f"interrupted; go on with: stancekit train resume={run.info.run_id}", code) from stop
    except BaseException:
        _end(run.info.run_id, "FAILED")
        raise
    mlflow.end_run("FINISHED")


def _end(run_id: str, status: str) -> None:
    import mlflow

    try:
        mlflow.log_text(traceback.format_exc(), "traceback.txt", run_id=run_id)
    finally:
        # A full disk may refuse the traceback; the status is the smaller write and the more important one.
        mlflow.end_run(status)


def close_dead_runs(client: MlflowClient, experiment: str) -> list[str]:
    """End as KILLED the runs of this machine whose process is gone, as after SIGKILL; return their ids."""
    running = client.search_runs(
        [experiment],
        f"attributes.status = 'RUNNING' and tags.`stancekit.host` = '{socket.gethostname()}'",
        max_results=1000,
    )
    dead = [run.info.run_id for run in running if not _alive(run.data.tags)]
    for run_id in dead:
        client.set_terminated(run_id, "KILLED")
    return dead


def _alive(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags["stancekit.pid"]))
        # A process id alone is not enough: it is given out again.
        return _started(process) == tags["stancekit.pid_started"]
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
