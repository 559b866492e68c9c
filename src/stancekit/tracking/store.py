"""The MLflow store: one SQLite file and one artifact folder, at a path that does not depend on the working folder."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
from typing import TYPE_CHECKING

from stancekit.config.schema import TrackingConfig
from stancekit.errors import UserError
from stancekit.paths import home

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_ARTIFACT = "model"
"""What a run's model is called in the run."""

_SQLITE = "sqlite:///"
_DATABASE = "mlflow.db"
_ARTIFACTS = "artifacts"


def store_uri(tracking: TrackingConfig) -> str:
    """Return the tracking URI: the configured one, or that of the project's own SQLite file."""
    return tracking.uri or f"{_SQLITE}{home() / _DATABASE}"


def open_store(tracking: TrackingConfig) -> MlflowClient:
    """Point MLflow at the store, which is created when it is not there yet, and return a client of it.

    Raises:
        UserError: the store cannot be opened or its folder cannot be written to.
    """
    # Nothing that a user trains on is reported to anybody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Otherwise a uv project that the working folder happens to be is copied into every model that is logged.
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    import mlflow

    if hasattr(signal, "siginterrupt"):
        # MLflow imports polars where it is installed, whose handler of Ctrl-C lets a wait for a child process go on.
        signal.siginterrupt(signal.SIGINT, True)
    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    uri = store_uri(tracking)
    try:
        if tracking.uri is None:
            home().mkdir(parents=True, exist_ok=True)
        if uri.startswith(_SQLITE):
            # MLflow would try again for minutes before it says that the file cannot be opened.
            sqlite3.connect(uri.removeprefix(_SQLITE)).close()
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    except Exception as error:
        if "out-of-date database schema" in str(error):
            raise UserError(
                f"tracking.uri: the MLflow store '{uri}' is of another MLflow than {mlflow.__version__}\n"
                f"  copy the file to a safe place, then: mlflow db upgrade {uri}"
            ) from error
        raise UserError(
            f"tracking.uri: the MLflow store '{uri}' cannot be opened: {str(error).splitlines()[0]}\n"
            "  expected: null for the project's own store, sqlite:////absolute/path.db or http://host:port"
        ) from error
    return client


def experiment_id(client: MlflowClient, tracking: TrackingConfig) -> str:
    """Return the id of the configured experiment, created on first use with its artifacts beside the database."""
    if found := client.get_experiment_by_name(tracking.experiment):
        return str(found.experiment_id)
    location = None if tracking.uri else (home() / _ARTIFACTS).as_uri()
    return str(client.create_experiment(tracking.experiment, artifact_location=location))
