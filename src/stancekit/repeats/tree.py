"""Many trainings under one parent run, each a child; interrupted, the whole goes on with what is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stancekit import __version__
from stancekit.audit.model import Report as AuditReport
from stancekit.config.data import DataConfig
from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.data.folds import fold_of
from stancekit.files import whole_file
from stancekit.repeats.describe import describe_repeats
from stancekit.repeats.one import CONFIG, Say, Trained, train_one, unfinished
from stancekit.repeats.plan import OWN, Job, Variant
from stancekit.repeats.stages import fingerprints, stages_of
from stancekit.repeats.summary import Summary, as_table, summarise, together
from stancekit.tracking.promotion import DEV
from stancekit.tracking.results import (
    EXPERIMENT,
    JOB,
    LINE,
    REPEATS,
    ROLE,
    VARIANT,
    children,
    stored_predictions,
)

if TYPE_CHECKING:
    from mlflow import ActiveRun, MlflowClient
    from mlflow.entities import Run

CONFIG_HASH = "stancekit.config_hash"
SUMMARY = "summary.json"

Data = Callable[[TrainConfig], Dataset]


@dataclass
class Finished:
    """The runs of a variant by line: the configuration's own first, then its baselines."""

    runs: dict[str, list[Trained]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long all trainings took, those before an interruption included."""
        return sum(run.seconds for runs in self.runs.values() for run in runs)

    def summaries(self, config: TrainConfig) -> dict[str, Summary]:
        """Return mean, spread and interval of every line."""
        return {
            line: summarise([run.predictions for run in runs], config.data.metrics, config.evaluation.draws)
            for line, runs in self.runs.items()
        }


def plan_hash(variants: Sequence[Variant]) -> str:
    """Return 16 hexadecimal digits that change with whatever can change the result of any of the trainings.

    Where somebody keeps a corpus of others does not: what stands in it is in the fingerprints of a run.
    """
    from stancekit.tracking.logging import config_hash

    hashes = [[variant.name, config_hash(_anywhere(variant.config))] for variant in variants]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16]


def _anywhere(config: TrainConfig) -> TrainConfig:
    # The words of a stage name the path once more; what they come to is the rest of it.
    stages = {
        name: stage.model_copy(update={"overrides": (), "data": _corpus_anywhere(stage.data)})
        for name, stage in config.stages.items()
    }
    return config.model_copy(update={"data": _corpus_anywhere(config.data), "stages": stages})


def _corpus_anywhere(data: DataConfig) -> DataConfig:
    return data if data.about is None else data.model_copy(update={"path": None})


def train_tree(
    variants: Sequence[Variant],
    data: Data,
    say: Say,
    *,
    audit: AuditReport,
    command: str,
    resume: str | None = None,
) -> tuple[str, dict[str, Finished]]:
    """Train everything that is planned, under one parent run; return its id and what was trained, by variant.

    Args:
        data: gives the data of a configuration.
        audit: what is wrong with the data of the first variant.
        command: what the user typed, to be shown with the run.
        resume: the parent run to go on with.
    """
    import mlflow

    from stancekit.tracking.logging import describe
    from stancekit.tracking.store import open_store

    tracking = variants[0].config.tracking
    several = len(variants) > 1
    name = variants[0].config.name or (tracking.experiment if several else f"{variants[0].config.model.name} repeated")
    tags = _tags(variants, EXPERIMENT if several else REPEATS) | {"stancekit.command": command}
    finished: dict[str, Finished] = {}
    with _parent_run(variants[0].config, name, tags, resume) as root:
        client, run_id = open_store(tracking), root.info.run_id
        folder = unfinished(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "command": command,
            "variants": {variant.name: variant.config.model_dump(mode="json") for variant in variants},
            "data": {
                variant.name: fingerprints(data(variant.config), stages_of(variant.config, data))
                for variant in variants
            },
        }
        with whole_file(folder / CONFIG) as stream:
            json.dump(state, stream)
        say(f"parent run {run_id} ({root.info.run_name}): {sum(len(variant.jobs) for variant in variants)} trainings")
        known = {_key(child): child for child in children(client, client.get_run(run_id))}
        for number, variant in enumerate(variants, 1):
            if several:
                say(f"\n== {variant.name} ({number} of {len(variants)})")
            report = audit if number == 1 else None
            if not several or variant.single:
                finished[variant.name] = _train_all(client, variant, data, report, say, known, run_id)
            else:
                held = known.get((variant.name, ""))
                finished[variant.name] = _train_variant(client, variant, data, report, say, held, run_id)
        lines = summaries(variants, finished)
        mlflow.log_dict(as_table(lines), SUMMARY)
        if not several:
            _log_summary(variants[0].config, finished[variants[0].name], data(variants[0].config))
        configs = [variant.config for variant in variants]
        title = f"{name}: {len(variants)} variants" if several else name
        describe(describe_repeats(title, configs, [data(config) for config in configs], lines, command))
        mlflow.log_metric("seconds", sum(found.seconds for found in finished.values()))
    shutil.rmtree(folder)
    return run_id, finished


def summaries(variants: Sequence[Variant], finished: Mapping[str, Finished]) -> dict[str, Summary]:
    """Return the summaries of all variants and their baselines, by the name that a table shows."""
    lines: dict[str, Summary] = {}
    for variant in variants:
        for line, summary in finished[variant.name].summaries(variant.config).items():
            own = variant.name or variant.config.model.name
            lines[own if line == OWN else f"{own}: {line}" if len(variants) > 1 else line] = summary
    return lines


def _train_variant(
    client: MlflowClient,
    variant: Variant,
    data: Data,
    report: AuditReport | None,
    say: Say,
    held: Run | None,
    parent: str,
) -> Finished:
    """Train one of several variants under a parent run of its own, or return it as it was once finished."""
    import mlflow

    from stancekit.tracking.logging import describe

    resume = held.info.run_id if held else None
    if held and held.info.status == "FINISHED":
        known = {_key(child): child for child in children(client, held)}
        return _train_all(client, variant, data, report, say, known, held.info.run_id)
    with _parent_run(variant.config, variant.name, _tags([variant], REPEATS), resume, parent) as active:
        known = {_key(child): child for child in children(client, client.get_run(active.info.run_id))}
        found = _train_all(client, variant, data, report, say, known, active.info.run_id)
        _log_summary(variant.config, found, data(variant.config))
        lines = summaries([variant], {variant.name: found})
        mlflow.log_dict(as_table(lines), SUMMARY)
        describe(describe_repeats(variant.name, [variant.config], [data(variant.config)], lines, ""))
        mlflow.log_metric("seconds", found.seconds)
    return found


def _train_all(
    client: MlflowClient,
    variant: Variant,
    data: Data,
    report: AuditReport | None,
    say: Say,
    known: Mapping[tuple[str, str], Run],
    parent: str,
) -> Finished:
    """Train the jobs of a variant, less those that earlier runs have finished."""
    found = Finished()
    for number, job in enumerate(variant.jobs, 1):
        held = known.get((variant.name, job.key))
        rows = rows_of(job, data, variant.config)
        if held and held.info.status == "FINISHED":
            say(f"\n-- {job.key}: done before ({held.info.run_id})")
            trained = _stored(client, held, [DEV, *rows.tests])
            # It may have been stopped between its end and the removal of what it was to go on from.
            shutil.rmtree(unfinished(held.info.run_id), ignore_errors=True)
        else:
            say(f"\n-- {job.key} ({number} of {len(variant.jobs)})")
            trained = train_one(
                job,
                rows,
                say,
                audit=report if number == 1 else None,
                variant=variant.name,
                name=variant.name if variant.single and variant.name else job.key,
                run_id=held.info.run_id if held else None,
                parent=parent,
                stages=stages_of(job.config, data),
            )
        found.runs.setdefault(job.line, []).append(trained)
    return found


def rows_of(job: Job, data: Data, config: TrainConfig) -> Dataset:
    """Return the rows of one training of ``config``: those of its fold where it is one."""
    if job.fold is None or config.folds is None:
        return data(job.config)
    training = job.config.training
    seed = job.config.seed if training.sample == "random" else None
    return fold_of(data(config), job.fold, config.folds, config.data.split.by, training.limit_rows, seed)


def _stored(client: MlflowClient, run: Run, parts: Sequence[str]) -> Trained:
    """Return a run that was finished before, as it was then."""
    predictions = {part: stored_predictions(client, run, part) for part in parts}
    return Trained(run.info.run_id, predictions, run.data.metrics["seconds"])


def _key(run: Run) -> tuple[str, str]:
    return run.data.tags.get(VARIANT, ""), run.data.tags.get(JOB, "")


def _tags(variants: Sequence[Variant], role: str) -> dict[str, str]:
    from stancekit.tracking.logging import git_tags, machine_tags

    return {
        ROLE: role,
        LINE: OWN,
        JOB: "",
        VARIANT: variants[0].name if role == REPEATS else "",
        CONFIG_HASH: plan_hash(variants),
        "stancekit.version": __version__,
        **machine_tags(),
        **git_tags(),
    }


def _parent_run(
    config: TrainConfig, name: str, tags: Mapping[str, str], resume: str | None, parent: str | None = None
) -> AbstractContextManager[ActiveRun]:
    from stancekit.tracking.runs import tracked_run

    go_on = None if parent else "stancekit train resume={run}"
    return tracked_run(config.tracking, name, tags, resume, parent, go_on)


def _log_summary(config: TrainConfig, found: Finished, dataset: Dataset) -> None:
    """Log mean, deviation and interval of every metric, and the plots of what the runs say together."""
    import mlflow

    from stancekit.evaluation import figures
    from stancekit.evaluation.calibration import report as calibration_report
    from stancekit.evaluation.metrics import counts
    from stancekit.tracking.logging import log_dataset
    from stancekit.tracking.results import EVALUATION

    log_dataset(dataset)
    mlflow.log_dict(config.model_dump(mode="json"), "config.yaml")
    mlflow.log_params({"data": config.data.name, "model": config.model.name, "kind": config.model.kind})
    own = found.summaries(config)[OWN]
    for part, scores in own.parts.items():
        for name, spread in scores.items():
            deviation = {} if spread.sd is None else {f"{name}_sd": spread.sd}
            values = {name: spread.mean, f"{name}_low": spread.low, f"{name}_high": spread.high, **deviation}
            mlflow.log_metrics({f"{part}/{key}": value for key, value in values.items()})
    for part, said in together([run.predictions for run in found.runs[OWN]], pooled=bool(config.folds)).items():
        picture = figures.confusion(
            counts(said.gold, said.probabilities).outcomes.astype(int), f"{part}, all runs together"
        )
        calibration = calibration_report(said.gold, said.probabilities, None)
        mlflow.log_figure(picture, f"{EVALUATION}/{part}_confusion.png")
        mlflow.log_figure(figures.reliability(calibration), f"{EVALUATION}/{part}_reliability.png")
        mlflow.log_figure(figures.risk_coverage(calibration), f"{EVALUATION}/{part}_risk_coverage.png")
