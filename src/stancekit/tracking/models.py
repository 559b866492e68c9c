"""Any model by name: a saved one, from a folder or MLflow, or a zero-shot one from the hub or a transformers folder."""

from __future__ import annotations

from pathlib import Path

import yaml

from stancekit.config.schema import Precision, TrackingConfig
from stancekit.models.saved import SavedModel, load_model
from stancekit.models.zero_shot import ZeroShotNli, zero_shot_config
from stancekit.tracking.registry import INSIDE, find_model, is_name


def open_model(name: str, tracking: TrackingConfig, precision: Precision = "fp32") -> SavedModel:
    """Return the model that ``name`` stands for.

    Args:
        name: as ``find_model`` takes it; or ``hub:OWNER/NAME@COMMIT`` or the folder of a transformers model, whose
            label names are those of natural language inference.
        precision: what a transformer computes in.

    Raises:
        UserError: there is no such model, or its labels do not say what they mean.
    """
    if not is_name(name) and (config := zero_shot_config(name)):
        return SavedModel(ZeroShotNli.from_encoder(config), config, {}, Path(), None, None)
    return load_model(find_model(name, tracking), precision)


def run_of(folder: Path) -> str | None:
    """Return the id of the run that logged the model in a folder; None where MLflow does not hold the model."""
    wrapped = folder.parent.parent / "MLmodel"
    if folder.parent.name not in INSIDE or not wrapped.is_file():
        return None
    found = yaml.safe_load(wrapped.read_text(encoding="utf-8")).get("run_id")
    return str(found) if found else None
