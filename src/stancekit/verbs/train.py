"""``stancekit train``: data, model, evaluation and one MLflow run that holds them all."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.audit.model import Report
from stancekit.audit.run import audit
from stancekit.config.compose import load_config, validate
from stancekit.config.schema import CrossEncoderConfig, MajorityConfig, TfidfConfig, TrainConfig
from stancekit.data.dataset import Dataset, label_counts, load_dataset
from stancekit.encoders.locate import locate
from stancekit.errors import UserError, nearest
from stancekit.paths import home
from stancekit.tracking.registry import promote
from stancekit.tracking.runs import tracked_run
from stancekit.tracking.store import open_store, store_uri

if TYPE_CHECKING:
    from stancekit.models.base import StanceModel

_CONFIG = "config.json"
_CHECKPOINTS = "checkpoints"
_SAVED = "stance_model"


@dataclass(frozen=True)
class _Resumed:
    run_id: str
    config: TrainConfig
    data: Mapping[str, str]


def run(config: TrainConfig) -> None:
    """Train, evaluate, record and register a model; print what came of it.

    Raises:
        UserError: the data, the encoder or the run to resume is bad.
        Interrupted: Ctrl-C or SIGTERM; the run is KILLED and can be resumed.
    """
    resumed = _find_unfinished(config) if config.resume else None
    if resumed:
        config = resumed.config
    if not isinstance(config.model, MajorityConfig | TfidfConfig):
        # Here, and not only when it is loaded: a missing encoder must not begin a run.
        locate(config.model.encoder)
    dataset = load_dataset(config.data, config.training.limit_rows)
    if resumed and resumed.data != dataset.fingerprints:
        changed = [part for part, value in dataset.fingerprints.items() if resumed.data.get(part) != value]
        raise UserError(f"resume={resumed.run_id}: the data has changed since ({', '.join(changed)}); start a new run")
    _say(f"data: {dataset.sources['train']}")
    for name, pairs in {"train": dataset.train, "dev": dataset.dev, **dataset.tests}.items():
        counts = ", ".join(f"{label} {count}" for label, count in label_counts(pairs).items())
        _say(f"  {name:<9} {len(pairs):>6} pairs ({counts})")
    for reason, count in dataset.parts.left_out.items():
        _say(f"  left out: {count} rows {reason}")
    if dataset.removed:
        _say(f"  removed from train, because dev or test holds them too: {dataset.removed}")
    for name, mixed in dataset.mixed.items():
        _say(f"  mixed in from {name}: {mixed}")
    report = audit(config.data, dataset.parts, config.audit, config.model)
    for found in report.errors:
        _say(f"audit: {found.check}: {found.message}")
    if config.audit.strict and report.errors:
        raise UserError(f"audit.strict=true: {len(report.errors)} errors in {report.path}; see `stancekit audit`")
    _train(config, dataset, report, resumed.run_id if resumed else None)


def _train(config: TrainConfig, dataset: Dataset, report: Report, resumed: str | None) -> None:
    # Imported late, so that a mistake in data or config is told before torch and MLflow have been loaded.
    import mlflow

    from stancekit.evaluation.evaluate import evaluate
    from stancekit.models.saved import save_model
    from stancekit.tracking.logging import config_hash, log_audit, log_inputs, log_model, log_scores, run_tags

    started = time.monotonic()
    # MLflow's own names are drawn from the generator that the seed sets, so that runs of one seed would share one.
    name = config.name or f"{config.model.name}-{config_hash(config)[:6]}"
    with tracked_run(config.tracking, name, run_tags(config, dataset), resumed) as active:
        client, run_id = open_store(config.tracking), active.info.run_id
        folder = home() / "unfinished" / run_id
        if resumed is None:
            folder.mkdir(parents=True)
            log_inputs(config, dataset)
            log_audit(report)
            # Last, so that a run which can be resumed has all its inputs recorded.
            state = {"config": config.model_dump(mode="json"), "data": dataset.fingerprints}
            (folder / _CONFIG).write_text(json.dumps(state), encoding="utf-8")
        _say(f"run {run_id} ({active.info.run_name})")
        try:
            model, steps = _fit(config, dataset, folder / _CHECKPOINTS)
        except Exception:
            if not any((folder / _CHECKPOINTS).glob("*")):
                # Nothing to go on from: `resume` must not offer it.
                shutil.rmtree(folder)
            raise
        mlflow.log_metric("training_seconds", time.monotonic() - started)
        _say(f"\n{'':<10}{'macro-F1':>9}{'four-way':>10}   F1 of each outcome")
        dev_score = 0.0
        for split, pairs in {"dev": dataset.dev, **dataset.tests}.items():
            evaluation = evaluate(model, pairs, config.evaluation.batch_size)
            scores = evaluation.scores
            log_scores(split, scores, evaluation.matrix, steps)
            dev_score = scores["macro_f1"] if split == "dev" else dev_score
            each = " · ".join(f"{label} {scores[f'{label}/f1']:.2f}" for label in label_counts(pairs))
            _say(f"{split:<10}{scores['macro_f1']:>9.3f}{scores['macro_f1_outcomes']:>10.3f}   {each}")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            saved = Path(temporary) / _SAVED
            save_model(model, saved, config.model, config.model_dump(mode="json"), dataset.fingerprints)
            version = log_model(client, saved, config.tracking.registered_model, dataset.dev[:2])
        # Fewer rows to learn from than to test on is a trial, as training=debug is.
        trial = len(dataset.train) < len(dataset.dev) or config.model.kind != "cross_encoder"
        promoted = promote(
            client,
            config.tracking,
            version,
            dev_score,
            dataset.fingerprints["dev"],
            eligible=not trial,
        )
    shutil.rmtree(folder)
    _say(f"\n{promoted}")
    _say(f"run:    {run_id} in {store_uri(config.tracking)}")
    _say(f"use it: stancekit predict model={run_id} input=… output=…")
    _say("see it: stancekit ui")


def _fit(config: TrainConfig, dataset: Dataset, checkpoints: Path) -> tuple[StanceModel, int]:
    """Return the trained model and the optimizer step that its scores belong to."""
    import mlflow

    if not isinstance(config.model, CrossEncoderConfig):
        from stancekit.models.baselines import Baseline

        balanced = config.training.class_weights == "balanced"
        return Baseline.fit(config.model, dataset.train, balanced, config.seed), 0

    from stancekit.evaluation.metrics import score
    from stancekit.training.trainer import fit_cross_encoder

    def log_curve(values: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(dict(values), step=step)

    fitted = fit_cross_encoder(
        config.model,
        config.training,
        dataset.train,
        dataset.dev,
        eval_batch_size=config.evaluation.batch_size,
        seed=config.seed,
        folder=checkpoints,
        score=score,
        log=log_curve,
        say=_say,
    )
    mlflow.set_tag("stancekit.precision", "bf16" if fitted.bf16 else "fp32")
    mlflow.log_metrics({"best_step": fitted.best_step, "steps": fitted.steps})
    return fitted.model, fitted.best_step


def _find_unfinished(given: TrainConfig) -> _Resumed:
    name = str(given.resume)
    if given != load_config("train", [f"resume={name}"]):
        raise UserError(f"resume={name}: a resumed run keeps its own config; leave out every other key=value")
    folder = home() / "unfinished"
    found = sorted((p for p in folder.glob(f"*/{_CONFIG}")), key=lambda path: path.stat().st_mtime)
    names = [path.parent.name for path in found]
    chosen = names[-1] if names and name == "last" else name
    if chosen not in names:
        listed = "\n".join(f"    {n}" for n in names) or "    (none)"
        raise UserError(
            f"resume={name}: no unfinished run of that name{nearest(name, names)}; a finished one cannot be resumed\n"
            f"  unfinished runs in {folder}:\n{listed}"
        )
    state = json.loads((folder / chosen / _CONFIG).read_text(encoding="utf-8"))
    config = validate("train", {**state["config"], "resume": chosen})
    assert isinstance(config, TrainConfig)
    return _Resumed(chosen, config, state["data"])


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # Whoever read along has gone (`| head`); the training goes on without them.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
