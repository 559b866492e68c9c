"""``stancekit ui``: the MLflow UI on the project's own store."""

from __future__ import annotations

import subprocess
import sys

from stancekit.config.schema import UiConfig
from stancekit.errors import UserError
from stancekit.tracking.store import open_store, store_uri


def run(config: UiConfig) -> None:
    """Serve the UI until it is interrupted.

    Raises:
        UserError: the server could not start; its own words stand above.
    """
    open_store(config.tracking)
    uri = store_uri(config.tracking)
    print(f"MLflow UI of {uri}: http://{config.host}:{config.port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    try:
        done = subprocess.run([*command, "--host", config.host, "--port", str(config.port)], check=False)
    except KeyboardInterrupt:
        return
    if done.returncode:
        raise UserError(f"the MLflow server ended with code {done.returncode}; is port {config.port} in use?")
