"""A saved model: one folder that says all that is needed to use it, and from which nothing is executed.

``stancekit.json`` lists the label names, the configuration of the model (its input template included), the fingerprints
of the data, the versions and the hash of every other file.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from stancekit.config.schema import CrossEncoderConfig, ModelConfig, Precision, ZeroShotConfig
from stancekit.data.trace import FILE as TRACE
from stancekit.data.trace import Trace
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.models.calibration import Calibrated, Calibration

MANIFEST = "stancekit.json"
CONFIG = "config.yaml"
FORMAT = 2
_VERSIONS = ("stancekit", "torch", "transformers", "tokenizers", "scikit-learn", "numpy")


@dataclass(frozen=True)
class SavedModel:
    """A model read back from its folder, with what the manifest says of it.

    ``calibration`` and ``trace`` are None where the model has none.
    """

    model: StanceModel
    config: ModelConfig
    manifest: Mapping[str, Any]
    folder: Path
    calibration: Calibration | None
    trace: Trace | None


def save_model(
    model: StanceModel,
    folder: Path,
    config: ModelConfig,
    resolved: Mapping[str, Any],
    data: Mapping[str, str],
    calibration: Calibration | None = None,
    trace: Trace | None = None,
) -> None:
    """Write a model into a new folder: its files, the resolved configuration and the manifest with all hashes.

    Args:
        resolved: the whole configuration of the run that made the model.
        data: the fingerprint of every part of the data.
        calibration: what makes the model's probabilities mean what they say; applied when the model is loaded.
        trace: what the model was trained on, as hashes.
    """
    folder.mkdir(parents=True)
    model.write(folder)
    if trace is not None:
        trace.write(folder)
    (folder / CONFIG).write_text(yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "labels": list(OUTCOMES),
        "model": config.model_dump(mode="json"),
        "calibration": calibration.as_dict() if calibration else None,
        "data": dict(data),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a model folder after checking labels and the hash of every file.

    Raises:
        UserError: there is no manifest, it has no label names or others than ours, a file is missing or was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(
            f"model: '{folder}' is no saved model: no {MANIFEST}, so its label names are unknown; "
            "expected a folder written by `stancekit train`"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"model: '{path}' is not valid JSON: {error}") from error
    if not isinstance(manifest, dict) or not manifest.get("labels"):
        raise UserError(f"model: '{path}' has no label names ('labels'); expected {', '.join(OUTCOMES)}")
    if manifest["labels"] != list(OUTCOMES):
        raise UserError(f"model: the labels in '{path}' are {manifest['labels']}; expected {list(OUTCOMES)}")
    if manifest.get("format") != FORMAT:
        raise UserError(f"model: '{path}' has format {manifest.get('format')!r}; this version reads {FORMAT}")
    hashes = manifest.get("sha256") or {}
    if unknown := sorted({path.name for path in folder.iterdir()} - {*hashes, MANIFEST}):
        raise UserError(f"model: '{path}' has no hash of '{unknown[0]}'; expected one for every file in the folder")
    for name, expected in hashes.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"model: '{file}' is missing; the folder is not whole")
        if (found := sha256_of(file)) != expected:
            raise UserError(
                f"model: the hash of '{file}' is wrong; the file was changed after it was saved\n"
                f"  expected sha256 {expected}\n  found    sha256 {found}"
            )
    return manifest


def load_model(folder: Path, precision: Precision = "fp32") -> SavedModel:
    """Return the model in a folder, calibrated if it was saved so.

    Args:
        precision: what a transformer computes in.

    Raises:
        UserError: as ``read_manifest``, or the manifest's model configuration or calibration is not valid.
    """
    manifest = read_manifest(folder)
    try:
        config: ModelConfig = TypeAdapter(ModelConfig).validate_python(manifest.get("model"))
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(
            f"model: '{folder / MANIFEST}': {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from error
    model: StanceModel
    if isinstance(config, CrossEncoderConfig):
        from stancekit.models.cross_encoder import CrossEncoder
        from stancekit.models.precision import use_bf16

        cross_encoder = CrossEncoder.read(folder, config)
        cross_encoder.bf16 = use_bf16(precision)
        model = cross_encoder
    elif isinstance(config, ZeroShotConfig):
        from stancekit.models.zero_shot import ZeroShotNli

        model = ZeroShotNli.read(folder, config)
    else:
        from stancekit.models.baselines import Baseline

        model = Baseline.read(folder, config)
    try:
        given = manifest.get("calibration")
        calibration = None if given is None else Calibration.from_dict(given)
    except (TypeError, ValueError) as error:
        raise UserError(f"model: '{folder / MANIFEST}': calibration: {error}") from error
    if calibration is not None:
        model = Calibrated(model, calibration)
    trace = Trace.read(folder) if (folder / TRACE).is_file() else None
    return SavedModel(model, config, manifest, folder, calibration, trace)
