"""A saved model: one folder that says all that is needed to use it, and from which nothing is executed.

``stancekit.json`` lists the label names, the configuration of the model (its input template included), the fingerprints
of the data, the versions and the hash of every other file. Of a cross-encoder the folder holds the whole weights, or
only their difference from those of the encoder that the manifest calls its base.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from stancekit.config.schema import (
    CrossEncoderConfig,
    EncoderConfig,
    HubEncoder,
    ModelConfig,
    Precision,
    ZeroShotConfig,
)
from stancekit.data.trace import FILE as TRACE
from stancekit.data.trace import Trace
from stancekit.encoders.locate import WEIGHTS, locate
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.models.calibration import Calibrated, Calibration
from stancekit.models.delta import FILE as DELTA
from stancekit.models.delta import DeltaConfig, DeltaSize

if TYPE_CHECKING:
    from stancekit.models.cross_encoder import CrossEncoder

MANIFEST = "stancekit.json"
CONFIG = "config.yaml"
FORMAT = 3
_READ = (2, FORMAT)
"""Format 2 knew no deltas."""

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
    delta: DeltaConfig | None = None,
) -> DeltaSize | None:
    """Write a model into a new folder: its files, the resolved configuration and the manifest with all hashes.

    Args:
        resolved: the whole configuration of the run that made the model.
        data: the fingerprint of every part of the data.
        calibration: what makes the model's probabilities mean what they say; applied when the model is loaded.
        trace: what the model was trained on, as hashes.
        delta: for a cross-encoder, to write only what differs from its encoder, which is then needed to read it.

    Returns:
        What the delta takes and loses; None for a model written whole.

    Raises:
        UserError: the encoder of a delta cannot be found, or is not the model's.
    """
    folder.mkdir(parents=True)
    base, size = None, None
    if delta is None:
        model.write(folder)
    else:
        from stancekit.models.cross_encoder import CrossEncoder

        assert isinstance(model, CrossEncoder) and isinstance(config, CrossEncoderConfig)
        base = {"name": config.encoder.name, "sha256": _weights_sha256(config.encoder)}
        size = model.write_delta(folder, config, delta)
    if trace is not None:
        trace.write(folder)
    (folder / CONFIG).write_text(yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "labels": list(OUTCOMES),
        "model": config.model_dump(mode="json"),
        "base": base,
        "calibration": calibration.as_dict() if calibration else None,
        "data": dict(data),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return size


def manifest_of(folder: Path) -> Path:
    """Return the path of a saved model's manifest.

    Raises:
        UserError: the folder has none.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(
            f"model: '{folder}' is no saved model: no {MANIFEST}, so its label names are unknown; "
            "expected a folder written by `stancekit train`"
        )
    return path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a model folder after checking labels and the hash of every file.

    Raises:
        UserError: there is no manifest, it has no label names or others than ours, a file is missing or was changed.
    """
    path = manifest_of(folder)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"model: '{path}' is not valid JSON: {error}") from error
    if not isinstance(manifest, dict) or not manifest.get("labels"):
        raise UserError(f"model: '{path}' has no label names ('labels'); expected {', '.join(OUTCOMES)}")
    if manifest["labels"] != list(OUTCOMES):
        raise UserError(f"model: the labels in '{path}' are {manifest['labels']}; expected {list(OUTCOMES)}")
    if manifest.get("format") not in _READ:
        read = " and ".join(map(str, _READ))
        raise UserError(f"model: '{path}' has format {manifest.get('format')!r}; this version reads {read}")
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


def load_model(folder: Path, precision: Precision = "fp32", calibrated: bool = True) -> SavedModel:
    """Return the model in a folder, calibrated if it was saved so; the encoder of a delta may have to be fetched.

    Args:
        precision: what a transformer computes in.
        calibrated: False for a model that gives its probabilities as they come, and can be saved anew.

    Raises:
        UserError: as ``read_manifest``; the manifest's model configuration or calibration is not valid; or the encoder
            of a delta cannot be had or is another one.
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
        from stancekit.models.precision import use_bf16

        cross_encoder = _read_cross_encoder(folder, config, manifest.get("base"))
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
    if calibration is not None and calibrated:
        model = Calibrated(model, calibration)
    trace = Trace.read(folder) if (folder / TRACE).is_file() else None
    return SavedModel(model, config, manifest, folder, calibration, trace)


def _read_cross_encoder(folder: Path, config: CrossEncoderConfig, base: Any) -> CrossEncoder:
    """Return the cross-encoder in a folder; ``base`` is what the manifest says of the encoder of a delta."""
    from stancekit.models.cross_encoder import CrossEncoder

    if base is None and not (folder / DELTA).exists():
        return CrossEncoder.read(folder, config)
    if not isinstance(base, dict) or not isinstance(expected := base.get("sha256"), str):
        raise UserError(f"model: '{folder / MANIFEST}': base: expected name and sha256 of the encoder's weights")
    if (found := _weights_sha256(config.encoder)) != expected:
        raise UserError(
            f"model: '{folder}' is a delta on {base.get('name')} with other weights than those of encoder "
            f"{config.encoder.name}\n  expected sha256 {expected}\n  found    sha256 {found}"
        )
    return CrossEncoder.read_delta(folder, config)


def _weights_sha256(encoder: EncoderConfig) -> str:
    """Return the hash of an encoder's weights: the configured one, which is checked when they are loaded, or theirs."""
    if not isinstance(encoder, HubEncoder):
        return encoder.sha256 or sha256_of(Path(locate(encoder).location) / WEIGHTS)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return sha256_of(Path(hf_hub_download(encoder.name, WEIGHTS, revision=encoder.revision)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"encoder {encoder.name}: {WEIGHTS} at revision {encoder.revision} cannot be had from the hub, and a delta "
            f"needs it ({type(error).__name__})"
        ) from error
