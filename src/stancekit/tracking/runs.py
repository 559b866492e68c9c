"""A run from its start to its end: never left RUNNING by an exception or a signal, closed later if its process died."""

from __future__ import annotations

import hashlib
import signal
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from stancekit.config.schema import TrackingConfig
from stancekit.errors import Interrupted, UserError
from stancekit.paths import without_home
from stancekit.tracking.store import experiment_id, open_store

if TYPE_CHECKING:
    from mlflow import ActiveRun, MlflowClient

_INTERRUPTED = 128 + signal.SIGINT
_NOTHING_PRIVATE = {"mlflow.user": "", "mlflow.source.name": "stancekit"}


def process_tags() -> dict[str, str]:
    """Return the tags that say which process on which machine carries a run, the machine's name as a hash."""
    me = psutil.Process()
    return {
        "stancekit.host": _host(),
        "stancekit.pid": str(me.pid),
        "stancekit.pid_started": _started(me),
    }


def _host() -> str:
    # Stores are shared: nobody needs to learn how a machine is called in order to tell it from others.
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:16]


def _started(process: psutil.Process) -> str:
    return f"{process.create_time():.2f}"


@contextmanager
def tracked_run(
    tracking: TrackingConfig,
    name: str | None,
    tags: Mapping[str, str],
    run_id: str | None = None,
    parent: str | None = None,
    go_on: str | None = "stancekit train resume={run}",
) -> Iterator[ActiveRun]:
    """Carry an MLflow run: FINISHED at the end, FAILED on an exception, KILLED on Ctrl-C or SIGTERM.

    The traceback of a run that did not finish is its artifact ``traceback.txt``. The user's name and the path of the
    program, which MLflow would record, are left out, and so is the path of the home folder in ``tags``
    and traceback.

    Args:
        run_id: an earlier run to go on with, instead of a new one.
        parent: the run under which this one is shown; without it, the active run if there is one.
        go_on: the command that goes on with an interrupted run, ``{run}`` standing for its id; None leaves the words
            to whoever carries the parent.

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
            f"run {run_id} is still running, as process {running.data.tags['stancekit.pid']}; stop it first"
        )
    run = mlflow.start_run(
        run_id=run_id,
        experiment_id=experiment,
        run_name=name,
        nested=mlflow.active_run() is not None,
        parent_run_id=None if run_id else parent,
        tags={**_NOTHING_PRIVATE, **{key: without_home(tag) for key, tag in tags.items()}, **process_tags()},
        log_system_metrics=False,
    )
    try:
        yield run
    except (KeyboardInterrupt, Interrupted) as stop:
        _end(run.info.run_id, "KILLED")
        if go_on is None:
            raise
        code = stop.code if isinstance(stop, Interrupted) else _INTERRUPTED
        raise Interrupted(f"interrupted; go on with: {go_on.format(run=run.info.run_id)}", code) from stop
    except BaseException:
        _end(run.info.run_id, "FAILED")
        raise
    mlflow.end_run("FINISHED")


def _end(run_id: str, status: str) -> None:
    import mlflow

    try:
        mlflow.log_text(without_home(traceback.format_exc()), "traceback.txt", run_id=run_id)
    finally:
        # A full disk may refuse the traceback; the status is the smaller write and the more important one.
        mlflow.end_run(status)


def close_dead_runs(client: MlflowClient, experiment: str) -> list[str]:
    """End as KILLED the runs of this machine whose process is gone, as after SIGKILL; return their ids."""
    running = client.search_runs(
        [experiment],
        f"attributes.status = 'RUNNING' and tags.`stancekit.host` = '{_host()}'",
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
