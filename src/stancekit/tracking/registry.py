"""Saved models by name: what ``model=`` stands for, and which version is the champion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.config.schema import TrackingConfig
from stancekit.errors import UserError, nearest
from stancekit.models.saved import MANIFEST
from stancekit.paths import siblings
from stancekit.tracking.logging import MODEL_ARTIFACT
from stancekit.tracking.store import open_store, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT = "default"
CHAMPION = "champion"
LATEST = "latest"
_DEV_SCORE = "dev_macro_f1"
_DEV_DATA = "dev_fingerprint"


def find_model(model: str, tracking: TrackingConfig) -> Path:
    """Return the folder of the saved model that ``model`` names.

    Args:
        model: ``default`` (the registered champion), ``latest`` (the last one registered), a folder, an MLflow URI or a
            run id.

    Raises:
        UserError: there is no such model; says which command trains one, or what was looked for where.
    """
    folder = Path(model).expanduser()
    if folder.is_dir() and model not in (DEFAULT, LATEST):
        return _saved_folder(folder)
    if model == DEFAULT:
        uri = f"models:/{tracking.registered_model}@{CHAMPION}"
    elif model == LATEST:
        uri = f"models:/{tracking.registered_model}/latest"
    elif re.fullmatch(r"[0-9a-f]{32}", model):
        uri = f"runs:/{model}/{MODEL_ARTIFACT}"
    elif re.match(r"(runs|models):/", model):
        uri = model
    else:
        close = nearest(folder.name, [DEFAULT, LATEST, *siblings(folder)])
        wrong = "is a file" if folder.exists() else f"no such folder{close}"
        raise UserError(
            f"model: '{model}': {wrong}\n  expected: default, latest, the folder of a saved model, "
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
        if model in (DEFAULT, LATEST):
            raise UserError(
                f"model={model}: no model is registered as '{tracking.registered_model}' yet, {where}; "
                "train one with: stancekit train"
            ) from error
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
    inside = [path.parent for path in sorted(folder.glob(f"data/*/{MANIFEST}"))]
    if (folder / MANIFEST).is_file() or not inside:
        return folder
    return inside[0]


def promote(
    client: MlflowClient, tracking: TrackingConfig, version: str, dev_score: float, dev_fingerprint: str, eligible: bool
) -> str:
    """Mark a new version as the champion if the configured rule says so.

    ``best_on_dev``: there is no champion yet, or the new version scores higher on the same dev rows. Only ``eligible``
    versions (no baseline, no debugging run) are taken by that rule.

    Returns:
        A sentence that says what was done and why.
    """
    name = tracking.registered_model
    client.set_model_version_tag(name, version, _DEV_SCORE, f"{dev_score:.6f}")
    client.set_model_version_tag(name, version, _DEV_DATA, dev_fingerprint)
    champion = client.get_registered_model(name).aliases.get(CHAMPION)
    became = f"{name} version {version} is now the champion: model=default"
    if tracking.promote == "always":
        client.set_registered_model_alias(name, CHAMPION, version)
        return became
    stays = f"{name} version {version} was registered; model=default is unchanged"
    if tracking.promote == "never" or not eligible:
        return f"{stays} ({'tracking.promote=never' if tracking.promote == 'never' else 'a baseline or a trial run'})"
    if champion is None:
        client.set_registered_model_alias(name, CHAMPION, version)
        return became
    tags = client.get_model_version(name, str(champion)).tags
    if tags.get(_DEV_DATA) != dev_fingerprint:
        return f"{stays} (version {champion} was chosen on other dev rows; tracking.promote=always replaces it)"
    if dev_score <= float(tags[_DEV_SCORE]):
        return f"{stays} (version {champion} has dev macro-F1 {float(tags[_DEV_SCORE]):.3f}, this one {dev_score:.3f})"
    client.set_registered_model_alias(name, CHAMPION, version)
    return became
