"""``stancekit train``: data, model, evaluation and the MLflow runs that hold them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from stancekit.audit.model import Report as AuditReport
from stancekit.audit.run import audit
from stancekit.config.compose import load_config, validate
from stancekit.config.schema import MajorityConfig, TfidfConfig, TrainConfig
from stancekit.data.dataset import Dataset, label_counts, load_dataset
from stancekit.data.folds import refuse_torn
from stancekit.data.soft import soft_labels
from stancekit.encoders.locate import locate
from stancekit.errors import UserError, nearest
from stancekit.paths import home
from stancekit.repeats.one import CONFIG, Trained, train_one
from stancekit.repeats.plan import OWN, Variant, plan
from stancekit.repeats.stages import Stage, fingerprints, stages_of
from stancekit.repeats.tree import rows_of
from stancekit.terminal import say
from stancekit.tracking.store import open_store, store_uri


@dataclass(frozen=True)
class _Unfinished:
    """An interrupted run, single or parent, as it was begun: its configurations, by variant, and their data."""

    run_id: str
    configs: Mapping[str, TrainConfig]
    data: Mapping[str, Mapping[str, str]]
    command: str


def run_jobs(configs: Mapping[str, TrainConfig]) -> None:
    """Train what the configurations ask for, each with its repeats and baselines; print what came of it.

    One training is one run. Several are children of a parent run, which holds mean and spread.

    Args:
        configs: by the name of the variant, of which the only one may be empty.

    Raises:
        UserError: the data, the encoder or the run to resume is bad.
        Interrupted: Ctrl-C or SIGTERM; the run is KILLED and can be resumed.
    """
    # Files may have changed since an earlier call in the same process.
    _load.cache_clear()
    config = next(iter(configs.values()))
    resumed = _find_unfinished(config) if config.resume else None
    if resumed:
        configs, config = resumed.configs, next(iter(resumed.configs.values()))
    variants = plan(configs)
    jobs = [job for variant in variants for job in variant.jobs]
    for job in jobs:
        if not isinstance(job.config.model, MajorityConfig | TfidfConfig):
            # Here, and not only when it is loaded: a missing encoder must not begin a run.
            locate(job.config.model.encoder)
    told: set[str] = set()
    for variant in variants:
        dataset = _data(variant.config)
        stages = stages_of(variant.config, _data)
        _refuse_changed(resumed, variant, fingerprints(dataset, stages))
        _check(variant, dataset, stages)
        if (shown := json.dumps(dataset.fingerprints)) not in told:
            told.add(shown)
            _tell(dataset)
    if len(jobs) == 1:
        _train_single(config, variants[0], resumed)
    else:
        _train_several(variants, resumed)


def _train_single(config: TrainConfig, variant: Variant, resumed: _Unfinished | None) -> None:
    dataset = _data(config)
    trained = train_one(
        variant.jobs[0],
        dataset,
        say,
        audit=_audited(config, dataset),
        name=config.name,
        run_id=resumed.run_id if resumed else None,
        stages=stages_of(config, _data),
    )
    # Fewer rows to learn from than to test on is a trial, as training=debug is.
    trial = len(dataset.train) < len(dataset.dev) or config.model.kind != "cross_encoder"
    _register(config, trained, eligible=not trial)
    say(f"run:    {trained.run_id} in {store_uri(config.tracking)}")
    if config.tracking.models:
        say(f"use it: stancekit predict model={trained.run_id} input=… output=…")
    say("see it: stancekit ui")


def _train_several(variants: list[Variant], resumed: _Unfinished | None) -> None:
    from stancekit.repeats.describe import summary_table
    from stancekit.repeats.tree import summaries, train_tree

    config = variants[0].config
    command = resumed.command if resumed else shlex.join(["stancekit", *sys.argv[1:]])
    run_id, finished = train_tree(
        variants,
        _data,
        say,
        audit=_audited(config, _data(config)),
        command=command,
        resume=resumed.run_id if resumed else None,
    )
    say("\n" + "\n".join(summary_table(summaries(variants, finished))))
    # The model of a fold has seen rows of the corpus's own test set, which it must not be judged by later.
    if len(variants) == 1 and config.folds is None:
        runs = finished[variants[0].name].runs[OWN]
        best = max(runs, key=lambda trained: _dev_score(trained))
        trial = len(_data(config).train) < len(_data(config).dev) or config.model.kind != "cross_encoder"
        _register(config, best, eligible=not trial)
    say(f"run:    {run_id} in {store_uri(config.tracking)}")
    say("see it: stancekit ui")


def _dev_score(trained: Trained) -> float:
    from stancekit.evaluation.metrics import score
    from stancekit.metric_names import HEADLINE
    from stancekit.tracking.promotion import DEV

    dev = trained.predictions[DEV]
    return score(dev.gold, dev.probabilities)[HEADLINE]


def _register(config: TrainConfig, trained: Trained, eligible: bool) -> None:
    if not config.tracking.models:
        return
    from stancekit.tracking.promotion import DEV, promote, register

    client = open_store(config.tracking)
    version = register(client, config.tracking, trained.run_id)
    dev = trained.predictions[DEV]
    _, said = promote(client, config.tracking, version, dev, config.evaluation, eligible)
    say(f"\n{said}")


def _data(config: TrainConfig) -> Dataset:
    training = config.training
    # Where no rows are left out, every seed has the same data.
    seed = config.seed if training.sample == "random" and training.limit_rows is not None else None
    return _load(config.data.model_dump_json(), training.limit_rows, seed)


@cache
def _load(data: str, limit: int | None, seed: int | None) -> Dataset:
    from stancekit.config.data import DataConfig

    return load_dataset(DataConfig.model_validate_json(data), limit, seed)


def _check(variant: Variant, dataset: Dataset, stages: Sequence[Stage]) -> None:
    """Refuse, before anything is trained, what could not be learned from or scored afterwards."""
    config = variant.config
    from stancekit.evaluation.behaviour import load_suite
    from stancekit.evaluation.evaluate import require_stances
    from stancekit.paths import find_file

    for where, learned in {"data": dataset, **{f"stages.{stage.name}": stage.dataset for stage in stages}}.items():
        for pair in (*learned.train, *learned.dev):
            soft_labels(pair, where)
    scored = {"": dataset}
    if config.folds:
        own = [job for job in variant.jobs if job.line == OWN]
        scored = {f"{job.key}, ": rows_of(job, _data, config) for job in own}
        refuse_torn(list(scored.values()), config.data.disjoint)
    for name, rows in scored.items():
        for part, pairs in {"dev": rows.dev, **rows.tests}.items():
            require_stances(pairs, f"{name}{part}", config.evaluation)
    if config.evaluation.behaviour:
        load_suite(find_file(config.evaluation.behaviour, "evaluation.behaviour"))


def _tell(dataset: Dataset) -> None:
    say(f"data: {dataset.sources['train']}")
    for name, pairs in {"train": dataset.train, "dev": dataset.dev, **dataset.tests}.items():
        counts = ", ".join(f"{label} {count}" for label, count in label_counts(pairs).items())
        say(f"  {name:<9} {len(pairs):>6} pairs ({counts})")
    for reason, count in dataset.parts.left_out.items():
        say(f"  left out: {count} rows {reason}")
    if dataset.removed:
        say(f"  removed from train, because dev or test holds them too: {dataset.removed}")
    for name, mixed in dataset.mixed.items():
        say(f"  mixed in from {name}: {mixed}")


def _audited(config: TrainConfig, dataset: Dataset) -> AuditReport:
    report = audit(config.data, dataset.parts, config.audit, config.model)
    for found in report.errors:
        say(f"audit: {found.check}: {found.message}")
    if config.audit.strict and report.errors:
        raise UserError(f"audit.strict=true: {len(report.errors)} errors in {report.path}; see `stancekit audit`")
    return report


def _refuse_changed(resumed: _Unfinished | None, variant: Variant, now: Mapping[str, str]) -> None:
    if resumed is None or (before := resumed.data[variant.name]) == now:
        return
    changed = [part for part, value in now.items() if before.get(part) != value]
    raise UserError(f"resume={resumed.run_id}: the data has changed since ({', '.join(changed)}); start a new run")


def _find_unfinished(given: TrainConfig) -> _Unfinished:
    name = str(given.resume)
    if given != load_config("train", [f"resume={name}"]):
        raise UserError(f"resume={name}: a resumed run keeps its own config; leave out every other key=value")
    folder = home() / "unfinished"
    found = sorted((p for p in folder.glob(f"*/{CONFIG}")), key=lambda path: path.stat().st_mtime)
    names = [path.parent.name for path in found]
    chosen = names[-1] if names and name == "last" else name
    if chosen not in names:
        listed = "\n".join(f"    {n}" for n in names) or "    (none)"
        raise UserError(
            f"resume={name}: no unfinished run of that name{nearest(name, names)}; a finished one cannot be resumed\n"
            f"  unfinished runs in {folder}:\n{listed}"
        )
    state = json.loads((folder / chosen / CONFIG).read_text(encoding="utf-8"))
    if "variants" in state:
        configs = {variant: _resumed(values, chosen) for variant, values in state["variants"].items()}
        return _Unfinished(chosen, configs, state["data"], state["command"])
    return _Unfinished(chosen, {"": _resumed(state["config"], chosen)}, {"": state["data"]}, "")


def _resumed(values: dict[str, Any], run_id: str) -> TrainConfig:
    config = validate("train", {**values, "resume": run_id})
    assert isinstance(config, TrainConfig)
    return config
