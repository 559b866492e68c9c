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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from machine import describe, operations, peaks
from predict_peers import (
    CROSS_ENCODER,
    PIPELINE,
    RAW_ONNX,
    RAW_OPENVINO,
    RAW_OPENVINO_FP32,
    Contender,
    Peers,
    Row,
    command_line,
    ours,
    pairs_of,
    predict,
    write_classifier,
)

from stancekit.config.compose import load_config
from stancekit.config.schema import PredictConfig
from stancekit.encoders.loading import quiet_transformers
from stancekit.errors import UserError
from stancekit.files import find_sources, read_rows
from stancekit.models.calibration import scale
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import SavedModel, load_model
from stancekit.paths import shipped_root
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.exported import ExportedModel, export_folder, is_exported, source_of
from stancekit.prediction.torch_engine import pair_tokenizer
from stancekit.tracking.registry import find_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 0
_PACKAGES = ("torch", "transformers", "tokenizers", "sentence-transformers", "onnxruntime", "openvino")
_ARCHIVE = ", archive"
_EXACT_AGREEMENT, _LEAST_AGREEMENT = 0.999, 0.985
_MOST_DIFFERENCE = 1e-3
_STARTS = 5
_MOST_SECONDS = 1.5


@dataclass(frozen=True)
class Goal:
    """How many times as fast as the fastest of ``peers`` stancekit is to be, on the rows that ``suffix`` names."""

    what: str
    peers: tuple[str, ...]
    times: float
    suffix: str = ""


_GOALS = (
    Goal("the pipeline as it comes", (f"{PIPELINE}, as it comes",), 10),
    Goal("CrossEncoder.predict", (CROSS_ENCODER,), 6),
    Goal("the best of raw ONNX Runtime and raw OpenVINO", (RAW_ONNX, RAW_OPENVINO, RAW_OPENVINO_FP32), 1.5),
    Goal("the pipeline as it comes, archive", (f"{PIPELINE}, as it comes",), 15, _ARCHIVE),
)


@dataclass(frozen=True)
class Corpus:
    """Distinct rows, and how many tokens the model reads of each."""

    rows: Sequence[Row]
    lengths: NDArray[np.int64]

    def some(self, places: Sequence[int]) -> Corpus:
        """Return the rows at those places."""
        return Corpus([self.rows[i] for i in places], self.lengths[list(places)])

    def part(self, count: int) -> Corpus:
        """Return so many of the rows, as long on average and in the same order: taken evenly by length."""
        by_length = np.argsort(self.lengths, kind="stable")
        steps = np.linspace(0, len(by_length) - 1, min(count, len(by_length))).round().astype(int)
        return self.some(sorted(by_length[steps].tolist()))

    def archive(self, draw: random.Random) -> Corpus:
        """Return as many rows, a third of which repeat others, shuffled."""
        repeats = len(self.rows) // 3
        once = draw.sample(range(len(self.rows)), len(self.rows) - repeats)
        places = once + draw.choices(once, k=repeats)
        draw.shuffle(places)
        return self.some(places)


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


def read(path: str | None, model: CrossEncoder) -> Corpus:
    """Return the distinct rows of a file, or stancebank's of dev and test, that the model reads whole."""
    source = path or str(shipped_root() / "data" / "stancebank" / "pairs.jsonl")
    values = [row.values for row in read_rows(find_sources(source)) if not row.error]
    if path is None:
        values = [row for row in values if row["split"] in ("dev", "test")]
    keys = dict.fromkeys((row.get("statement"), row.get("target"), row.get("holder")) for row in values)
    rows: list[Row] = [
        {"statement": statement, "target": target, "holder": holder}
        for statement, target, holder in keys
        if statement and target
    ]
    tokenizer = pair_tokenizer(model)
    if tokenizer is None:
        raise UserError("the model's tokenizer is none of the tokenizers library")
    found = tokenizer.tokenize(pairs_of(rows))
    whole = np.flatnonzero((found.lengths > 0) & ~found.truncated)
    return Corpus(rows, found.lengths).some(whole.tolist())


def pick(corpus: Corpus, count: int, tokens: float | None, draw: random.Random) -> Corpus:
    """Return so many of the rows, drawn at random from all, or from the shortest or longest of that mean length.

    Raises:
        UserError: there are too few.
    """
    pool = np.arange(len(corpus.rows))
    if tokens is not None:
        shorter = tokens <= corpus.lengths.mean()
        pool = np.argsort(corpus.lengths if shorter else -corpus.lengths, kind="stable")
        means = np.cumsum(corpus.lengths[pool]) / np.arange(1, len(pool) + 1)
        pool = pool[: int(np.count_nonzero(means <= tokens if shorter else means >= tokens))]
    if len(pool) < count:
        of_length = "" if tokens is None else f" of {tokens:g} tokens on average"
        raise UserError(f"there are {len(pool)} rows{of_length}; expected --rows to be no more")
    return corpus.some(draw.sample(pool.tolist(), count))


def check(tasks: Sequence[Task], saved: SavedModel) -> dict[str, float]:
    """Print for every contender which share of the rows has the outcome that torch gives in fp32, and return it.

    Raises:
        SystemExit: a contender does not compute the same, so its speed is that of something else.
    """
    print(f"\n{'beside torch fp32':<52}{'same outcome':>14}{'probability':>14}")
    agreement, wrong = {}, []
    for task in tasks:
        reference = saved.model.predict(pairs_of(task.rows), 32).probabilities
        found = task.contender.label(task.rows)
        same = float((found.outcomes == reference.argmax(axis=1)).mean())
        if task.contender.calibrated and saved.calibration is not None:
            reference = scale(reference, saved.calibration.temperature)
        apart = float(np.abs(found.confidence - reference[np.arange(len(task.rows)), found.outcomes]).max())
        least = _EXACT_AGREEMENT if task.contender.exact else _LEAST_AGREEMENT
        if same < least or (task.contender.exact and apart > _MOST_DIFFERENCE):
            wrong.append(task.name)
        print(f"{task.name:<52}{same:>13.2%} {apart:>13.1e}")
        agreement[task.name] = same
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


def _ratios(fast: Sequence[float], slow: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(fast, slow, strict=True)]


def _spread(values: Sequence[float], digits: int = 1) -> str:
    return "".join(f"{value:>10,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))


def print_rates(found: Mapping[str, Sequence[float]], best: str) -> None:
    """Print a line for every task; ``best`` is that of stancekit as it comes."""
    cores = available_threads()
    print(f"\n{'rows/s':<52}{'median':>10}{'lowest':>10}{'highest':>10}{'per core':>10}{'stancekit is':>14}")
    for name, values in found.items():
        own = found[best + _ARCHIVE if name.endswith(_ARCHIVE) else best]
        ratio = statistics.median(_ratios(own, values))
        print(f"{name:<52}{_spread(values)}{statistics.median(values) / cores:>10,.1f}{ratio:>12.2f} x")


def print_goals(found: Mapping[str, Sequence[float]], best: str) -> dict[str, list[float]]:
    """Print how many times as fast as its peers stancekit is, beside what it is to be; return the ratios."""
    print(f"\n{'stancekit, times as fast as':<52}{'median':>10}{'lowest':>10}{'highest':>10}{'goal':>10}")
    kept = {}
    for goal in _GOALS:
        there = [peer + goal.suffix for peer in goal.peers if peer + goal.suffix in found]
        if not there:
            print(f"{goal.what:<52}{'not timed':>10}")
            continue
        peer = max(there, key=lambda name: statistics.median(found[name]))
        kept[goal.what] = _ratios(found[best + goal.suffix], found[peer])
        verdict = "met" if statistics.median(kept[goal.what]) >= goal.times else "short"
        print(f"{goal.what:<52}{_spread(kept[goal.what], 2)}{goal.times:>10g}  {verdict}")
    return kept


def print_arithmetic(found: Mapping[str, Sequence[float]], per_row: float) -> dict[str, float]:
    """Print what stancekit gets out of the processor beside its fastest matrix products; return these."""
    fastest = peaks()
    listed = ", ".join(f"{kind} {value:,.0f}" for kind, value in fastest.items())
    print(f"\n{per_row / 1e9:.2f} GFLOP a row without padding; matrix products of 2048, GFLOP/s at best: {listed}")
    for name, values in found.items():
        if name.startswith("stancekit,") and not name.endswith(_ARCHIVE):
            speed = statistics.median(values) * per_row / 1e9
            shares = ", ".join(f"{speed / fastest[kind]:.0%} of {kind}" for kind in ("bf16", "int8"))
            print(f"{name:<52}{speed:>10,.0f} GFLOP/s, {shares}")
    return fastest


def main(given: argparse.Namespace) -> None:
    config = load_config("predict", [f"model={given.model}", "input=-", "output=-"])
    assert isinstance(config, PredictConfig)
    model_folder = find_model(given.model, config.tracking)
    kept = export_folder(source_of(model_folder))
    if not is_exported(kept):
        raise SystemExit(f"not exported; run first: stancekit export format=engines model={given.model}")
    exported = ExportedModel.read(kept)
    saved = load_model(model_folder, calibrated=False)
    assert isinstance(saved.model, CrossEncoder)
    quiet_transformers()
    torch.set_num_threads(available_threads())
    draw = random.Random(_SEED)
    corpus = pick(read(given.input, saved.model), given.rows, given.tokens, draw)
    lengths = corpus.lengths
    marks = ", ".join(f"{int(np.percentile(lengths, share))} ({share} %)" for share in (0, 5, 50, 95, 100))
    about = describe(_PACKAGES)
    statements = len({row["statement"] for row in corpus.rows})
    print("\n".join(about))
    print(
        f"{given.model}: {len(lengths)} distinct rows with {statements} statements, {lengths.mean():.1f} tokens on "
        f"average, {marks}; {given.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_classifier(saved.model, folder / "classifier")
        own = ours(given.model, exported)
        contenders = [
            *Peers(folder / "classifier", saved.model.template, exported).all(),
            *own,
            command_line(given.model, folder, own[0].exact),
        ]
        part = corpus.part(given.slow_rows)
        tasks = [Task(one.name, one, (part if one.slow else corpus).rows) for one in contenders]
        agreement = check(tasks, saved)
        archive = corpus.archive(draw)
        some = archive.part(given.slow_rows)
        timed = [one for one in contenders if one.slow or one is own[0]]
        tasks += [Task(one.name + _ARCHIVE, one, (some if one.slow else archive).rows) for one in timed]
        found = rates(tasks, given.rounds)
        starts = first_answers(given.model, corpus.rows[0])
    best = own[0].name
    print_rates(found, best)
    ratios = print_goals(found, best)
    per_row = operations(saved.model.network, lengths) / len(lengths)
    fastest = print_arithmetic(found, per_row)
    speed, cores = statistics.median(found[best]), available_threads()
    cost = 1e6 / speed / 3600 * cores * given.price
    print(f"\na million pairs: {1e6 / speed / 60:.0f} minutes, {cost:.3f} at {given.price:g} per core-hour")
    print(f"\n{'first answer, s':<52}{'median':>10}{'lowest':>10}{'highest':>10}{'goal':>10}")
    for engine, seconds in starts.items():
        verdict = "met" if statistics.median(seconds) < _MOST_SECONDS else "short"
        print(f"{'engine=' + engine:<52}{_spread(seconds, 2)}{'< ' + str(_MOST_SECONDS):>10}  {verdict}")
    if given.output:
        values: dict[str, Any] = {
            "machine": about,
            "model": given.model,
            "lengths": {"mean": float(lengths.mean()), "rows": len(lengths), "percentiles 0 5 50 95 100": marks},
            "agreement": agreement,
            "rows_per_second": found,
            "ratios": ratios,
            "gflop_per_row": per_row / 1e9,
            "peak_gflops": fastest,
            "cost_per_million": {"price_per_core_hour": given.price, "cost": cost},
            "first_answer_seconds": starts,
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
