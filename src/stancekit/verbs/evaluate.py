"""``stancekit evaluate``: any model against labelled pairs, with the checks that would show its score to be hollow."""

from __future__ import annotations

import shlex
from pathlib import Path

from stancekit.config.data import DataConfig
from stancekit.config.schema import EvaluateConfig
from stancekit.data.corpus import read_corpus, read_labelled
from stancekit.data.dataset import split_rows
from stancekit.errors import UserError, nearest
from stancekit.evaluation.evaluate import Evaluated, Evaluator, require_stances
from stancekit.evaluation.report import print_report, write_report
from stancekit.files import row_suffix
from stancekit.models.saved import SavedModel
from stancekit.pairs.model import Pair
from stancekit.paths import find_file, without_home
from stancekit.tracking.models import open_model, run_of
from stancekit.tracking.store import store_uri

ALL = "all"


def run(config: EvaluateConfig) -> None:
    """Print what was found, record it as a run of its own, and write it where ``output`` says.

    Raises:
        UserError: the data, the model or the output is bad.
    """
    if config.output:
        row_suffix(config.output, "output", (".json",))
    path, pairs = rows_of(config.data, config.split)
    part = config.split or ("test" if any(pair.column("split") for pair in pairs) else ALL)
    require_stances(pairs, part, config.evaluation)
    saved = open_model(config.model, config.tracking, config.evaluation.precision)
    evaluator = Evaluator(
        saved.model, saved.config.name, config.evaluation, config.data, saved.calibration, saved.trace
    )
    evaluated = evaluator.evaluate(pairs, part, path)
    print_report(evaluated.report)
    run_id = _record(config, saved, evaluated, evaluator)
    if config.output:
        output = Path(config.output).with_suffix(".json")
        write_report(evaluated.report, output.parent, output.stem)
        print(f"\nwritten: {output} and {output.with_suffix('.html')}")
    print(f"run: {run_id} in {store_uri(config.tracking)}")


def rows_of(config: DataConfig, split: str | None) -> tuple[Path, list[Pair]]:
    """Return the rows of a corpus to be scored, and the file that they came from.

    Args:
        split: the rows of that split or further test set, or ``all``; None takes ``test``, or all where the file has no
            splits.

    Raises:
        UserError: the file is bad, or has no rows of that split.
    """
    if split in config.tests:
        path = find_file(config.tests[split], f"data.tests.{split}")
        return path, read_labelled(path)
    corpus = read_corpus(config)
    path, pairs = corpus.path, corpus.pairs
    found = {str(pair.column("split")) for pair in pairs if pair.column("split")}
    if split == ALL or (split is None and not found):
        return path, pairs
    parts = split_rows(pairs, config.split, path)
    wanted = split or "test"
    if not parts.get(wanted):
        held = [*(name for name, rows in parts.items() if rows), *config.tests]
        close = nearest(wanted, [*held, ALL])
        raise UserError(
            f"split={wanted}: no such rows in {path}{close} (splits: {', '.join(held)}; {ALL} takes every row)"
        )
    return path, parts[wanted]


def _record(config: EvaluateConfig, saved: SavedModel, evaluated: Evaluated, evaluator: Evaluator) -> str:
    """Record an evaluation as a run, which is linked with its data and, where that is known, with the model's run."""
    import mlflow

    from stancekit.evaluation.report import markdown_table
    from stancekit.tracking.logging import describe, git_tags, log_behaviour, log_data, log_report
    from stancekit.tracking.results import ROLE
    from stancekit.tracking.runs import tracked_run

    report = evaluated.report
    tags = {ROLE: "evaluation", f"stancekit.data.{report.part}": report.fingerprint, **git_tags()}
    if trained_in := run_of(saved.folder):
        tags["stancekit.model_run"] = trained_in
    name = f"{report.model} on {config.data.name} {report.part}"
    with tracked_run(config.tracking, name, tags, go_on="the same command") as active:
        mlflow.log_params({"model": without_home(config.model), "model_name": report.model, "data": config.data.name})
        log_data(evaluated.predictions.pairs, Path(report.data), config.data.name, report.part)
        log_report(evaluated)
        log_behaviour(evaluator.behaviour)
        warned = [f"- {found.message}" for found in report.warnings]
        heading = f"**{report.model}** (`model={config.model}`) on **{config.data.name}**, {report.rows} rows"
        told = ["**Warnings**", "", *warned, ""] if warned else []
        words = [f"model={config.model}", f"data={config.data.name}", f"split={report.part}"]
        words += [f"data.path={config.data.path}"] if config.data.path else []
        again = f"Repeat it: `{shlex.join(['stancekit', 'evaluate', *words])}`"
        describe("\n".join([heading, "", *told, markdown_table(report), "", again]))
        return str(active.info.run_id)
