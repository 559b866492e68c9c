"""``stancekit report``: what an experiment measured, written beside its YAML and into the README's table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.config.compose import load_config
from stancekit.config.schema import ReportConfig, TrainConfig
from stancekit.errors import UserError
from stancekit.repeats.experiment import (
    Measured,
    command_of,
    current,
    known_experiment,
    question_of,
    read,
    words_of,
    write,
)
from stancekit.tracking.results import (
    EXPERIMENT,
    LINE,
    PARENT,
    REPEATS,
    ROLE,
    VARIANT,
    children,
    stored_parts,
    stored_predictions,
)
from stancekit.tracking.runs import close_dead_runs
from stancekit.tracking.store import open_store, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_TRAINED = ("run", "seed", "fold", "baseline")
"""The roles of whole trainings: a stage is part of one."""
_MACHINE = "stancekit.machine"
_CHECKS = ("target_hidden/macro_f1", "statement_hidden/macro_f1", "holder_hidden/macro_f1", "ece")


def run(config: ReportConfig) -> None:
    """Write the result of the last run of an experiment that was made with its present configuration.

    Raises:
        UserError: there is no such experiment, or it has not been run as it is now.
    """
    path = known_experiment(config.experiment)
    client = open_store(config.tracking)
    found = _last_run(client, config)
    earlier = read(config.experiment)
    learned = config.learned or (earlier.learned if earlier else None)
    if learned is None:
        raise UserError(f"experiment={config.experiment}: say what it taught: learned='…' (later reports keep it)")
    measured = _measured(client, found, path, learned)
    for written in write(measured):
        print(f"written: {written}")


def _last_run(client: MlflowClient, config: ReportConfig) -> Run:
    from stancekit.config.compose import expand_variants
    from stancekit.repeats.plan import plan
    from stancekit.repeats.tree import CONFIG_HASH, plan_hash
    from stancekit.tracking.logging import config_hash

    words = words_of(config.experiment)
    configs: dict[str, TrainConfig] = {}
    for variant, given in expand_variants("train", words).items():
        composed = load_config("train", given)
        assert isinstance(composed, TrainConfig)
        configs[variant] = composed
    variants = plan(configs)
    jobs = [job for variant in variants for job in variant.jobs]
    single = len(jobs) == 1
    wanted = config_hash(jobs[0].config) if single else plan_hash(variants)
    name = next(iter(configs.values())).tracking.experiment
    experiment = client.get_experiment_by_name(name)
    runs: list[Run] = []
    if experiment:
        # A run whose process was killed would be waited for in vain.
        close_dead_runs(client, experiment.experiment_id)
        order = ["attributes.start_time DESC"]
        runs += client.search_runs([experiment.experiment_id], order_by=order, max_results=1000)
    # A single training may be one of a parent's, as the first of several seeds.
    roles = ("run", "seed") if single else (EXPERIMENT, REPEATS)
    roots = [one for one in runs if one.data.tags.get(ROLE) in roles and (single or PARENT not in one.data.tags)]
    whole = [one for one in roots if one.info.status == "FINISHED" and one.data.tags.get(CONFIG_HASH) == wanted]
    if whole:
        return whole[0]
    command = command_of(config.experiment)
    if unfinished := [one for one in roots if one.data.tags.get(CONFIG_HASH) == wanted]:
        one = unfinished[0]
        said = f"its run {one.info.run_id} is {one.info.status}"
        command = f"stancekit train resume={one.info.run_id}" if one.info.status != "RUNNING" else "wait for its end"
    elif roots:
        said = "its configuration has changed since it was run"
    else:
        said = "it has not been run yet"
    raise UserError(f"experiment={config.experiment}: {said}, in {store_uri(config.tracking)}\n  {command}")


def _measured(client: MlflowClient, root: Run, path: Path, learned: str) -> Measured:
    from stancekit.repeats.tree import CONFIG_HASH

    tags = root.data.tags
    values, variants = current(path.stem)
    trained = [one for one in _below(client, root) if one.data.tags.get(ROLE) in _TRAINED] or [root]
    return Measured(
        name=path.stem,
        question=question_of(path),
        command=command_of(path.stem),
        config=values,
        variants=variants,
        config_hash=tags[CONFIG_HASH],
        commit=tags["stancekit.git_commit"],
        changed_since=tags["stancekit.git_dirty"] == "true",
        date=datetime.fromtimestamp(root.info.start_time / 1000, tz=UTC).date().isoformat(),
        machine=tags.get(_MACHINE) or client.get_run(tags[PARENT]).data.tags[_MACHINE],
        # Of the trainings, so that an interruption does not count.
        seconds=sum(one.data.metrics["seconds"] for one in trained),
        seeds="seeds " + ", ".join(sorted({one.data.params["seed"] for one in trained}, key=int)),
        table=_table(client, root, path.stem),
        checks=_checks(trained),
        learned=learned,
    )


def _table(client: MlflowClient, root: Run, name: str) -> dict[str, Any]:
    """Return the summaries by line: as the parent run logged them, or that of a single training."""
    from stancekit.repeats.summary import as_table, summarise
    from stancekit.repeats.tree import SUMMARY

    if root.data.tags[ROLE] in (EXPERIMENT, REPEATS):
        path = client.download_artifacts(root.info.run_id, SUMMARY)
        table: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        return table
    config = load_config("train", words_of(name))
    assert isinstance(config, TrainConfig)
    predictions = {part: stored_predictions(client, root, part) for part in stored_parts(client, root)}
    summary = summarise([predictions], config.data.metrics, config.evaluation.draws)
    return dict(as_table({config.model.name: summary}))


def _below(client: MlflowClient, root: Run) -> list[Run]:
    found = []
    for child in children(client, root):
        found += [child, *children(client, child)]
    return found


def _checks(trained: list[Run]) -> dict[str, dict[str, float]]:
    """Return what the checks on the test set, or dev without one, found: by variant and line, the mean over runs."""
    part = "test" if any(key.startswith("test/") for one in trained for key in one.data.metrics) else "dev"
    grouped: dict[str, list[Run]] = {}
    for one in trained:
        variant, line = one.data.tags.get(VARIANT, ""), one.data.tags[LINE]
        own = line == "model"
        name = (variant or one.data.params["model"]) if own else f"{variant}: {line}" if variant else line
        grouped.setdefault(name, []).append(one)
    found: dict[str, dict[str, float]] = {}
    for name, runs in grouped.items():
        keys = [f"{part}/{check}" for check in _CHECKS]
        keys += sorted({key for one in runs for key in one.data.metrics if key.startswith("behaviour/")})
        found[name] = {}
        for key in keys:
            if values := [one.data.metrics[key] for one in runs if key in one.data.metrics]:
                found[name][key] = round(sum(values) / len(values), 4)
    return found
