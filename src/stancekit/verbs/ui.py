"""``stancekit ui``: the MLflow UI on the project's own store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from stancekit.config.schema import UiConfig
from stancekit.errors import UserError
from stancekit.tracking.store import open_store, store_uri


def run(config: UiConfig) -> None:
    """Serve the UI until it is interrupted; the server and its workers end with this process.

    Raises:
        UserError: the port cannot be used, or the server ended with an error.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            raise UserError(
                f"port={config.port}: {config.host}:{config.port} cannot be used ({error.strerror}); choose another"
            ) from error
    client = open_store(config.tracking)
    uri = store_uri(config.tracking)
    # MLflow opens on its pages for language-model apps; the runs are one link further.
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    page = f"experiments/{experiment.experiment_id}/runs" if experiment else "experiments"
    print(f"MLflow UI of {uri} (Ctrl-C ends it):", flush=True)
    print(f"  http://{config.host}:{config.port}/#/{page}?workflowType=machine_learning", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    # One worker serves a person; MLflow's four take four times as long to start.
    command += ["--host", config.host, "--port", str(config.port), "--workers", "1"]
    # In a session of its own, so that a signal to this process alone ends the workers as well.
    # Its workers for judging language-model traces are of no use here and take 240 MB each.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt:
            return
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
    if code:
        raise UserError(f"the MLflow server ended with code {code}; its own words stand above")
