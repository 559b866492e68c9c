"""One training from its first row to its recorded run: fitted, calibrated, evaluated, saved."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stancekit.audit.model import Report as AuditReport
from stancekit.data.dataset import Dataset
from stancekit.data.soft import soft_columns
from stancekit.data.trace import Trace
from stancekit.evaluation.evaluate import Evaluator
from stancekit.evaluation.predictions import Predictions
from stancekit.files import whole_file
from stancekit.paths import home
from stancekit.repeats.describe import describe_run, score_line, warning_lines
from stancekit.repeats.plan import Job
from stancekit.repeats.stages import Stage, fingerprints, log_curve, train_stages
from stancekit.tracking.promotion import DEV
from stancekit.tracking.results import JOB, LINE, ROLE, VARIANT

CONFIG = "config.json"
"""The file in an unfinished run's folder that says how to go on with it; the runs under a parent have none."""

_CHECKPOINTS = "checkpoints"
_SAVED = "stance_model"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """A finished run: its id, its own predictions by part, and how long it took."""

    run_id: str
    predictions: Mapping[str, Predictions]
    seconds: float


def unfinished(run_id: str) -> Path:
    """Return the folder that keeps what an unfinished run needs to go on."""
    return home() / "unfinished" / run_id


def train_one(
    job: Job,
    dataset: Dataset,
    say: Say,
    *,
    audit: AuditReport | None,
    variant: str = "",
    name: str | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    stages: Sequence[Stage] = (),
) -> Trained:
    """Train and evaluate one model within a run of its own.

    Args:
        stages: the trainings that come before this one.
        audit: what is wrong with the data, logged with the run; None where a parent has it.
        run_id: an earlier run of the same job to go on with.
        parent: the run that this one belongs to; without it, the run can be resumed by itself.
    """
    # Imported late, so that a mistake in data or config is told before torch and MLflow have been loaded.
    import mlflow

    from stancekit.models.calibration import Calibrated, scale
    from stancekit.models.calibration import fit as fit_calibration
    from stancekit.models.saved import save_model
    from stancekit.tracking.logging import (
        config_hash,
        describe,
        log_audit,
        log_behaviour,
        log_inputs,
        log_model,
        log_report,
        machine_tags,
        run_tags,
    )
    from stancekit.tracking.runs import tracked_run
    from stancekit.training.fit import fit

    config, started = job.config, time.monotonic()
    # MLflow's own names are drawn from the generator that the seed sets, so that runs of one seed would share one.
    called = name or f"{config.model.name}-{config_hash(config)[:6]}"
    tags = run_tags(config, dataset) | machine_tags() | {ROLE: job.role, LINE: job.line, JOB: job.key, VARIANT: variant}
    go_on = None if parent else "stancekit train resume={run}"
    with tracked_run(config.tracking, called, tags, run_id, parent, go_on) as active:
        folder = unfinished(active.info.run_id)
        if not folder.is_dir():
            log_inputs(config, dataset)
            if audit:
                log_audit(audit)
            # After the inputs, so that a run which is gone on with has them all recorded.
            folder.mkdir(parents=True)
        if parent is None:
            state = {"config": config.model_dump(mode="json"), "data": fingerprints(dataset, stages)}
            with whole_file(folder / CONFIG) as stream:
                json.dump(state, stream)
        say(f"run {active.info.run_id} ({active.info.run_name})")
        try:
            start, learned = train_stages(stages, {DEV: dataset.dev, **dataset.tests}, folder, say)
            trained = fit(config, dataset.train, dataset.dev, folder / _CHECKPOINTS, log_curve, say, start)
        except Exception:
            if not any(folder.glob("*/*")):
                # Nothing to go on from: `resume` must not offer it.
                shutil.rmtree(folder)
            raise
        mlflow.set_tag("stancekit.precision", trained.precision)
        mlflow.log_metrics(
            {
                "training_seconds": time.monotonic() - started,
                "best_step": trained.best_step,
                "steps": trained.steps,
                "train_rows": len(dataset.train),
                "soft_rows": sum(bool(soft_columns(pair)) for pair in dataset.train),
            }
        )
        trace = Trace.of([*learned, *dataset.train])
        plain = Evaluator(trained.model, called, config.evaluation, config.data).predict(dataset.dev)
        calibration = fit_calibration(plain.gold, plain.probabilities, config.evaluation.coverage)
        scaled = replace(plain, probabilities=scale(plain.probabilities, calibration.temperature))
        model = Calibrated(trained.model, calibration)
        evaluator = Evaluator(model, called, config.evaluation, config.data, calibration, trace)
        predictions, reports = {}, []
        for part, pairs in {DEV: dataset.dev, **dataset.tests}.items():
            # Dev served to choose the epoch and the temperature: what is believed is looked at on the test sets.
            thorough = part != DEV or not dataset.tests
            known = scaled if part == DEV else None
            evaluated = evaluator.evaluate(pairs, part, dataset.sources[part], thorough, known)
            log_report(evaluated, trained.steps)
            predictions[part] = evaluated.predictions
            reports.append(evaluated.report)
            say(score_line(evaluated.report, first=part == DEV))
        log_behaviour(evaluator.behaviour)
        for line in warning_lines(reports):
            say(line)
        if config.tracking.models:
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                saved = Path(temporary) / _SAVED
                resolved = config.model_dump(mode="json")
                learned_from = fingerprints(dataset, stages)
                save_model(trained.model, saved, config.model, resolved, learned_from, calibration, trace)
                log_model(saved, dataset.dev[:2], trained.steps)
        describe(describe_run(config, dataset, reports, evaluator.behaviour, active.info.run_id))
        seconds = time.monotonic() - started
        mlflow.log_metric("seconds", seconds)
    shutil.rmtree(folder)
    return Trained(active.info.run_id, predictions, seconds)
