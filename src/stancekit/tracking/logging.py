"""What a run holds: knobs, whole config, data, scores, confusion matrix and model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit import __version__
from stancekit.audit.model import Report
from stancekit.audit.report import write_report
from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.paths import checkout_root

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from numpy.typing import NDArray

_NOT_HASHED = ("name", "resume", "tracking", "audit")
MODEL_ARTIFACT = "model"


def config_hash(config: TrainConfig) -> str:
    """Return 16 hexadecimal digits that change with whatever can change the result of training."""
    values = config.model_dump(mode="json", exclude=set(_NOT_HASHED))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def run_tags(config: TrainConfig, dataset: Dataset) -> dict[str, str]:
    """Return the tags that say what a run was made from: config hash, data fingerprints, code."""
    fingerprints = {f"stancekit.data.{part}": value for part, value in dataset.fingerprints.items()}
    commit, dirty = _git_state()
    return {
        "stancekit.version": __version__,
        "stancekit.config_hash": config_hash(config),
        "stancekit.git_commit": commit,
        "stancekit.git_dirty": dirty,
        **fingerprints,
    }


def _git_state() -> tuple[str, str]:
    root = checkout_root()
    if root is None:
        return "none", "none"
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, "true" if _git(root, "status", "--porcelain", "--untracked-files=no") else "false"
    except (OSError, subprocess.CalledProcessError):
        return "none", "none"


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def log_inputs(config: TrainConfig, dataset: Dataset) -> None:
    """Log the few knobs as params, the whole resolved config as an artifact and every part of the data as an input."""
    import mlflow
    from mlflow.data.pandas_dataset import from_pandas

    mlflow.log_params(_knobs(config))
    mlflow.log_dict(config.model_dump(mode="json"), "config.yaml")
    if dataset.mixed:
        mlflow.log_dict({name: asdict(count) for name, count in dataset.mixed.items()}, "mix.json")
    for context, pairs in {"train": dataset.train, "dev": dataset.dev, **dataset.tests}.items():
        source = dataset.sources[context]
        with warnings.catch_warnings():
            # A path fits two of MLflow's own source classes, which are one and the same; it warns of its choice.
            warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
            data = from_pandas(
                _frame(pairs),
                source=str(source),
                name=dataset.name if source == dataset.sources["train"] else context,
                targets="label",
            )
        mlflow.log_input(data, context)


def log_audit(report: Report) -> None:
    """Log what the audit of the data found: the report as text, JSON and page, and how many errors and warnings."""
    import mlflow

    mlflow.log_metrics(
        {f"audit/{level}s": sum(f.level == level for f in report.findings) for level in ("error", "warning")}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_report(report, Path(folder))
        mlflow.log_artifacts(folder, "audit")


def _knobs(config: TrainConfig) -> dict[str, Any]:
    model, training = config.model, config.training
    knobs: dict[str, Any] = {"data": config.data.name, "model": model.name, "kind": model.kind, "seed": config.seed}
    if encoder := getattr(model, "encoder", None):
        knobs["encoder"] = encoder.name
    if model.kind == "cross_encoder":
        knobs |= training.model_dump(mode="json")
        knobs |= {"max_length": model.input.max_length, "freeze_word_embeddings": model.freeze_word_embeddings}
    return knobs


def _frame(pairs: Sequence[Pair]) -> Any:
    import pandas as pd

    columns = ("id", "statement", "holder", "target", "label")
    return pd.DataFrame([{name: getattr(pair, name) or "" for name in columns} for pair in pairs])


def log_scores(split: str, scores: Mapping[str, float], matrix: NDArray[np.int64], step: int) -> None:
    """Log scores as ``split/name``, and the confusion matrix as JSON and as a picture."""
    import mlflow

    mlflow.log_metrics({f"{split}/{name}": value for name, value in scores.items()}, step=step)
    mlflow.log_dict({"labels": list(OUTCOMES), "rows_are_gold": matrix.tolist()}, f"evaluation/{split}_confusion.json")
    mlflow.log_figure(confusion_figure(matrix, split), f"evaluation/{split}_confusion.png")


def confusion_figure(matrix: NDArray[np.int64], title: str) -> Figure:
    """Return the confusion matrix as a picture: gold down, predicted across, colour by the share of the gold row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in _cells(matrix):
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.6 else "k"
        )
    axes.set_xticks(range(len(OUTCOMES)), OUTCOMES, rotation=20)
    axes.set_yticks(range(len(OUTCOMES)), OUTCOMES)
    axes.set(xlabel="predicted", ylabel="gold", title=f"{title} ({int(matrix.sum())} pairs)")
    return figure


def _cells(matrix: NDArray[np.int64]) -> list[tuple[tuple[int, int], int]]:
    return [((r, c), int(matrix[r, c])) for r in range(matrix.shape[0]) for c in range(matrix.shape[1])]


def log_model(client: MlflowClient, folder: Path, registered_model: str, example: Sequence[Pair]) -> str:
    """Log a saved model's folder as the run's model, with signature and input example, and register it.

    The folder is stored as it is and read by ``stancekit.tracking.pyfunc``: nothing in it is pickled.

    Returns:
        The version under which it was registered.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    text = DataType.string
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(text, "statement"),
        ColSpec(text, "target"),
        ColSpec(text, "holder", required=False),
    ]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(text, "stance")]
    outputs += [ColSpec(DataType.double, f"p_{label}") for label in OUTCOMES]
    logged = mlflow.pyfunc.log_model(
        name=MODEL_ARTIFACT,
        loader_module="stancekit.tracking.pyfunc",
        data_path=str(folder),
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs)),
        input_example=_frame(example)[["statement", "target", "holder"]],
        pip_requirements=[f"stancekit=={__version__}"],
    )
    if not client.search_registered_models(f"name = '{registered_model}'"):
        client.create_registered_model(registered_model)
    version = client.create_model_version(
        registered_model, source=logged.model_uri, run_id=logged.run_id, model_id=logged.model_id
    )
    return str(version.version)
