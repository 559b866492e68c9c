"""Saved models by name: what ``model=`` stands for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from stancekit.config.schema import TrackingConfig
from stancekit.errors import UserError, nearest
from stancekit.models.saved import MANIFEST
from stancekit.models.shipped import DEFAULT, SIZES, names_shipped, shipped_folder, shipped_models
from stancekit.paths import siblings
from stancekit.tracking.store import MODEL_ARTIFACT, open_store, store_uri

CHAMPION = "champion"
LATEST = "latest"
INSIDE = ("artifacts", "data")
"""The folder of a logged model that the saved model lies in; ``data`` in models that were not logged as code."""


def is_name(model: str) -> bool:
    """Return whether ``model=`` is a name of ours, which wins over a folder that is called the same."""
    return model in (CHAMPION, LATEST) or names_shipped(model)


def find_model(model: str, tracking: TrackingConfig) -> Path:
    """Return the folder of the saved model that ``model`` names.

    Args:
        model: a shipped model (``default``, ``base``, ``half``, ``small``), ``champion`` (the registered one),
            ``latest`` (the last one registered), a folder, an MLflow URI or a run id. A folder that is called as one of
            these names is given as ``./small``.

    Raises:
        UserError: there is no such model; says which command trains one, or what was looked for where.
    """
    if names_shipped(model):
        return shipped_folder(model)
    folder = Path(os.path.expanduser(model))
    if folder.is_dir() and not is_name(model):
        return _saved_folder(folder)
    if model == CHAMPION:
        uri = f"models:/{tracking.registered_model}@{CHAMPION}"
    elif model == LATEST:
        uri = f"models:/{tracking.registered_model}/latest"
    elif re.fullmatch(r"[0-9a-f]{32}", model):
        uri = f"runs:/{model}/{MODEL_ARTIFACT}"
    elif re.match(r"(runs|models):/", model):
        uri = model
    else:
        names = list(dict.fromkeys([DEFAULT, *SIZES, *shipped_models(), CHAMPION, LATEST]))
        close = nearest(folder.name, [*names, *siblings(folder)])
        wrong = "is a file" if folder.exists() else f"no such folder{close}"
        raise UserError(
            f"model: '{model}': {wrong}\n  expected: {', '.join(names)}, the folder of a saved model, "
            "runs:/RUN_ID/model, models:/NAME@ALIAS or a run id"
        )
    return _downloaded(uri, model, tracking)


def _downloaded(uri: str, model: str, tracking: TrackingConfig) -> Path:
    open_store(tracking)
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return _saved_folder(Path(mlflow.artifacts.download_artifacts(artifact_uri=_model_uri(uri))))
    except (MlflowException, OSError) as error:
        where = f"in the MLflow store {store_uri(tracking)}"
        if model in (CHAMPION, LATEST):
            called = f"registered as '{tracking.registered_model}'"
            missing = f"no model {called} is the champion" if model == CHAMPION else f"no model is {called}"
            raise UserError(f"model={model}: {missing} yet, {where}; train one with: stancekit train") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"model={model}: not found {where}: {reason}") from error


def _model_uri(uri: str) -> str:
    """Return the URI of the model that a run logged, for ``runs:/RUN_ID/model``; any other URI as it is.

    MLflow gives a model's own folder where the store is local, but copies what is named by its run.
    """
    import mlflow

    match = re.fullmatch(rf"runs:/([0-9a-f]{{32}})/{MODEL_ARTIFACT}", uri)
    if match is None:
        return uri
    outputs = mlflow.MlflowClient().get_run(match[1]).outputs
    models = outputs.model_outputs if outputs else []
    return f"models:/{models[-1].model_id}" if models else uri


def _saved_folder(folder: Path) -> Path:
    """Return ``folder`` or, where MLflow has wrapped it, the saved model inside."""
    if (folder / MANIFEST).is_file():
        return folder
    inside = [path.parent for name in INSIDE for path in sorted(folder.glob(f"{name}/*/{MANIFEST}"))]
    return inside[0] if inside else folder
