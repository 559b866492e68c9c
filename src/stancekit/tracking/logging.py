"""What a run holds: knobs, whole config, data, scores, confusion matrix and model."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit import __version__
from stancekit.audit.model import Report as AuditReport
from stancekit.audit.report import write_report as write_audit
from stancekit.config.schema import NOT_REPEATED, TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.evaluation.evaluate import Evaluated
from stancekit.evaluation.model import Behaviour, Report
from stancekit.evaluation.report import drawn, write_report
from stancekit.metric_names import HEADLINE
from stancekit.pairs.model import Pair
from stancekit.paths import checkout_root, shown_path, without_home
from stancekit.tracking.results import EVALUATION, predictions_file
from stancekit.tracking.store import MODEL_ARTIFACT

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo


def config_hash(config: TrainConfig) -> str:
    """Return 16 hexadecimal digits that change with whatever can change the result of training."""
    values = config.model_dump(mode="json", exclude=set(NOT_REPEATED))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def run_tags(config: TrainConfig, dataset: Dataset) -> dict[str, str]:
    """Return the tags that say what a run was made from: config hash, data fingerprints, code."""
    fingerprints = {f"stancekit.data.{part}": value for part, value in dataset.fingerprints.items()}
    return {
        "stancekit.version": __version__,
        "stancekit.config_hash": config_hash(config),
        **git_tags(),
        **fingerprints,
    }


def git_tags() -> dict[str, str]:
    """Return the tags that say which commit the code is of, and whether it was changed since."""
    commit, dirty = _git_state()
    return {"stancekit.git_commit": commit, "stancekit.git_dirty": dirty}


def machine_tags() -> dict[str, str]:
    """Return the tags that say what a run is computed on; the number of threads is that of torch when it begins."""
    import torch

    return {
        "stancekit.machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "stancekit.threads": str(torch.get_num_threads()),
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

    mlflow.log_params(_knobs(config))
    mlflow.log_dict(config.model_dump(mode="json"), "config.yaml")
    if dataset.mixed:
        mlflow.log_dict({name: asdict(count) for name, count in dataset.mixed.items()}, "mix.json")
    log_dataset(dataset)


def log_dataset(dataset: Dataset) -> None:
    """Log every part of the data as an input of the active run."""
    for context, pairs in {"train": dataset.train, "dev": dataset.dev, **dataset.tests}.items():
        source = dataset.sources[context]
        log_data(pairs, source, dataset.name if source == dataset.sources["train"] else context, context)


def log_data(pairs: Sequence[Pair], source: Path, name: str, context: str) -> None:
    """Log rows as an input of the active run: what they are called, where they came from, what they serve as."""
    import mlflow
    from mlflow.data.pandas_dataset import from_pandas

    with warnings.catch_warnings():
        # A path fits two of MLflow's own source classes, which are one and the same; it warns of its choice.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
        data = from_pandas(_frame(pairs), source=shown_path(source), name=name, targets="label")
    mlflow.log_input(data, context)


def log_audit(report: AuditReport) -> None:
    """Log what the audit of the data found: the report as text, JSON and page, and how many errors and warnings."""
    import mlflow

    mlflow.log_metrics(
        {f"audit/{level}s": sum(f.level == level for f in report.findings) for level in ("error", "warning")}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_audit(replace(report, path=without_home(report.path)), Path(folder))
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


def log_report(evaluated: Evaluated, step: int = 0) -> None:
    """Log one evaluation: its scores as ``part/name``, and report, page, plots and predictions as artifacts.

    Args:
        step: the last step of the training, so that MLflow shows these scores and not those of the last epoch.
    """
    import mlflow

    report, part = evaluated.report, evaluated.report.part
    mlflow.log_metrics({f"{part}/{name}": value for name, value in metrics_of(report).items()}, step=step)
    images = drawn(report)
    with tempfile.TemporaryDirectory() as folder:
        write_report(replace(report, data=without_home(report.data)), Path(folder), part, images)
        for name in ("confusion", "reliability", "risk_coverage"):
            if name in images:
                (Path(folder) / f"{part}_{name}.png").write_bytes(images[name])
        evaluated.predictions.write(Path(folder) / predictions_file(part))
        mlflow.log_artifacts(folder, EVALUATION)


def metrics_of(report: Report) -> dict[str, float]:
    """Return what a report says in numbers, by stable names; the bounds of the main score's interval alone."""
    found: dict[str, float] = {}
    for name, score in report.scores.items():
        found[name] = score.value
        if name == HEADLINE:
            found |= {f"{name}_low": score.low, f"{name}_high": score.high}
    for name, subset in report.subsets.items():
        found[f"{name}/{HEADLINE}"] = subset.scores[HEADLINE].value
    for column, hidden in report.hidden.items():
        found[f"{column}_hidden/{HEADLINE}"] = hidden.macro_f1
        found[f"{column}_hidden/cost"] = hidden.cost.value
    calibration = report.calibration
    found |= {"ece": calibration.ece, "brier": calibration.brier, "aurc": calibration.aurc}
    if conformal := calibration.conformal:
        found |= {"conformal/coverage": conformal.coverage, "conformal/mean_size": conformal.mean_size}
    return found | {"warnings": len(report.warnings)}


def log_behaviour(found: Sequence[Behaviour]) -> None:
    """Log the pass rate of every kind of behaviour test as ``behaviour/kind``."""
    import mlflow

    mlflow.log_metrics({f"behaviour/{one.kind}": one.passed for one in found})


def describe(text: str) -> None:
    """Give the active run its description: Markdown that the UI shows above everything else."""
    import mlflow

    mlflow.set_tag("mlflow.note.content", without_home(text))


def log_model(folder: Path, example: Sequence[Pair], step: int = 0) -> ModelInfo:
    """Log a saved model's folder as the active run's model, with signature and input example.

    The folder is stored as it is and read by ``stancekit.serving``: nothing in it is pickled.

    Args:
        step: the step that the run's scores were logged at: MLflow shows a model with the scores of its own step.
    """
    from mlflow.models import Model

    from stancekit.serving import saving

    info: ModelInfo = Model.log(
        artifact_path=None,
        name=MODEL_ARTIFACT,
        flavor=saving,
        flavor_name=saving.FLAVOR,
        folder=folder,
        input_example=_frame(example)[["statement", "target", "holder"]],
        step=step,
    )
    return info
