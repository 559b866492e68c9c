"""Pairs labelled per second: stancekit against its peers, by turns in one run, all from Python rows to labels.

    python benchmarks/predict.py [--model small] [--rows 1500] [--rounds 5] [--input FILE.jsonl] [--tokens 36]
                                 [--slow-rows 300] [--price 0.05] [--output FILE.json]

The rows are pairs of news text, the dev and test rows of stancebank unless a file is given, none of them twice and none
longer than the model reads. Every contender has the same network and all cores: first it must give the outcomes that
torch gives in fp32, then it is timed once a round, each round beginning with another. The pipeline as it comes is slow:
it gets a part of the rows, which are as long on average. An archive is as many rows, a third of which repeat others.
Medians over the rounds; a ratio is that of the two rates in the same round. Needs the model's export.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from predicting.classifier import write_classifier
from predicting.machine import describe, operations
from predicting.peers import Contender, Peers, Row, command_line, ours, pairs_of, predict
from predicting.report import ARCHIVE, print_arithmetic, print_cost, print_goals, print_rates, print_starts
from predicting.rows import Corpus, pick, read

from stancekit.config.compose import load_config
from stancekit.config.schema import PredictConfig
from stancekit.encoders.loading import quiet_transformers
from stancekit.errors import UserError
from stancekit.models.calibration import scale
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import SavedModel, load_model
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.exported import ExportedModel, export_folder, is_exported, source_of
from stancekit.tracking.registry import find_model

_SEED = 0
_PACKAGES = ("torch", "transformers", "tokenizers", "sentence-transformers", "onnxruntime", "openvino")
_EXACT_AGREEMENT, _LEAST_AGREEMENT = 0.999, 0.985
_MOST_DIFFERENCE = 1e-3
_ENOUGH_ROWS = 200
"""Of fewer, a share that falls short says little: one row is as much as the share may be off, or nearly."""
_STARTS = 5


@dataclass(frozen=True)
class Task:
    """What is timed: a contender on rows."""

    name: str
    contender: Contender
    rows: Sequence[Row]

    def rate(self) -> float:
        """Return the rows labelled in a second."""
        # What others left behind is not to be cleared away in this one's time.
        gc.collect()
        begun = time.perf_counter()
        self.contender.label(self.rows)
        return len(self.rows) / (time.perf_counter() - begun)


@dataclass(frozen=True)
class Measured:
    """What came out, by the names of the tasks.

    Attributes:
        best: the name of stancekit with the engine that it picks itself.
        agreement: the share of the rows with the outcome that torch gives in fp32.
        rates: rows a second, of every round.
        starts: seconds to a first answer, by engine.
    """

    best: str
    agreement: Mapping[str, float]
    rates: Mapping[str, Sequence[float]]
    starts: Mapping[str, Sequence[float]]


def check(contenders: Sequence[Contender], saved: SavedModel, corpus: Corpus, part: Corpus) -> dict[str, float]:
    """Print for every contender which share of the rows has the outcome that torch gives in fp32, and return it.

    Slow contenders get a part of the rows.

    Raises:
        SystemExit: a contender does not compute the same, so its speed is that of something else.
    """
    print(f"\n{'beside torch fp32':<52}{'same outcome':>14}{'probability':>14}")
    whole, some = (saved.model.predict(pairs_of(one.rows), 32).probabilities for one in (corpus, part))
    agreement, wrong = {}, []
    for contender in contenders:
        rows, reference = (part.rows, some) if contender.slow else (corpus.rows, whole)
        found = contender.label(rows)
        other = int((found.outcomes != reference.argmax(axis=1)).sum())
        if contender.calibrated and saved.calibration is not None:
            reference = scale(reference, saved.calibration.temperature)
        apart = float(np.abs(found.confidence - reference[np.arange(len(rows)), found.outcomes]).max())
        least = _EXACT_AGREEMENT if contender.exact else _LEAST_AGREEMENT
        agreement[contender.name] = 1 - other / len(rows)
        judged = len(rows) >= _ENOUGH_ROWS
        if (judged and agreement[contender.name] < least) or (contender.exact and apart > _MOST_DIFFERENCE):
            wrong.append(contender.name)
        print(f"{contender.name:<52}{agreement[contender.name]:>14.2%}{apart:>14.1e}{'' if judged else '  (few rows)'}")
    if wrong:
        raise SystemExit(
            f"not the same as torch fp32: {'; '.join(wrong)}; expected {_EXACT_AGREEMENT:.1%} of the outcomes and "
            f"probabilities within {_MOST_DIFFERENCE:g} in fp32, {_LEAST_AGREEMENT:.1%} of the outcomes in others"
        )
    return agreement


def rates(tasks: Sequence[Task], rounds: int) -> dict[str, list[float]]:
    """Return the rows a second of every task in every round; each round begins with another task."""
    found: dict[str, list[float]] = {task.name: [] for task in tasks}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} …", file=sys.stderr, flush=True)
        first = number * len(tasks) // rounds
        for task in (*tasks[first:], *tasks[:first]):
            found[task.name].append(task.rate())
    return found


def first_answers(model: str, row: Row) -> dict[str, list[float]]:
    """Return how long ``stancekit predict`` takes to label one row, from the start of the process, by engine."""
    line = json.dumps(row) + "\n"
    taken: dict[str, list[float]] = {"auto": [], "torch": []}
    for _ in range(_STARTS):
        for engine, seconds in taken.items():
            begun = time.perf_counter()
            predict([f"model={model}", f"engine={engine}", "input=-", "output=-"], line)
            seconds.append(time.perf_counter() - begun)
    return taken


def measure(
    name: str, exported: ExportedModel, saved: SavedModel, corpus: Corpus, given: argparse.Namespace
) -> Measured:
    """Check and time every contender on the rows.

    Raises:
        SystemExit: a contender does not compute the same as the others.
    """
    assert isinstance(saved.model, CrossEncoder)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_classifier(saved.model, folder / "classifier")
        own = ours(name, exported)
        peers = Peers(folder / "classifier", saved.model.template, exported).all()
        contenders = [*peers, *own, command_line(name, folder, own[0].exact)]
        part = corpus.part(given.slow_rows)
        agreement = check(contenders, saved, corpus, part)
        tasks = [Task(one.name, one, (part if one.slow else corpus).rows) for one in contenders]
        archive = corpus.archive(random.Random(_SEED))
        some = archive.part(given.slow_rows)
        timed = [one for one in contenders if one.slow or one is own[0]]
        tasks += [Task(one.name + ARCHIVE, one, (some if one.slow else archive).rows) for one in timed]
        return Measured(own[0].name, agreement, rates(tasks, given.rounds), first_answers(name, corpus.rows[0]))


def main(given: argparse.Namespace) -> None:
    config = load_config("predict", [f"model={given.model}", "input=-", "output=-"])
    assert isinstance(config, PredictConfig)
    folder = find_model(given.model, config.tracking)
    kept = export_folder(source_of(folder))
    if not is_exported(kept):
        raise SystemExit(f"not exported; run first: stancekit export format=engines model={given.model}")
    quiet_transformers()
    torch.set_num_threads(available_threads())
    saved = load_model(folder, calibrated=False)
    assert isinstance(saved.model, CrossEncoder)
    corpus = pick(read(given.input, saved.model), given.rows, given.tokens, random.Random(_SEED))
    about = describe(_PACKAGES)
    print("\n".join(about))
    print(f"{given.model}: {corpus}; {given.rounds} rounds")
    found = measure(given.model, ExportedModel.read(kept), saved, corpus, given)
    print_rates(found.rates, found.best)
    ratios = print_goals(found.rates, found.best)
    per_row = operations(saved.model.network, corpus.lengths) / len(corpus.rows)
    fastest = print_arithmetic(found.rates, per_row)
    cost = print_cost(statistics.median(found.rates[found.best]), given.price)
    print_starts(found.starts)
    if given.output:
        values = {
            "machine": about,
            "model": given.model,
            "rows": len(corpus.rows),
            "tokens": {"mean": float(corpus.lengths.mean()), "percentiles": corpus.percentiles()},
            "same_outcome": found.agreement,
            "rows_per_second": found.rates,
            "ratios": ratios,
            "gflop_per_row": per_row / 1e9,
            "peak_gflops": fastest,
            "cost_of_a_million": cost,
            "first_answer_seconds": found.starts,
        }
        Path(given.output).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--input")
    parser.add_argument("--tokens", type=float, help="mean length of the rows; default: as they come")
    parser.add_argument("--slow-rows", type=int, default=300, help="of them for the pipeline as it comes")
    parser.add_argument("--price", type=float, default=0.05, help="of a core for an hour")
    parser.add_argument("--output", help="a JSON file of all that was measured")
    # It is processors that are compared; the processes that are started inherit it.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        main(parser.parse_args())
    except UserError as error:
        raise SystemExit(str(error)) from error
