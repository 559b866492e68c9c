"""What the checks of an evaluation cost beside the predictions that the score itself needs, and the bootstrap a loop.

    python benchmarks/evaluate.py [ROWS]

The default model with an untrained head on the first rows of stancebank's test set: what is computed does not depend on
the weights. Every step is timed three times in turn, the median is shown, and its ratio to scoring the rows once.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from stancekit.config.compose import load_config
from stancekit.config.schema import CrossEncoderConfig, EvaluateConfig, TrainConfig
from stancekit.evaluation.behaviour import load_suite, run_suite
from stancekit.evaluation.bootstrap import drawn_scores, resample, scored
from stancekit.evaluation.errors import mistakes
from stancekit.evaluation.evaluate import Evaluator
from stancekit.evaluation.hidden import hide
from stancekit.evaluation.metrics import score
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.precision import use_bf16
from stancekit.paths import find_file
from stancekit.verbs.evaluate import rows_of

_REPEATS = 3
_LOOP_DRAWS = 50


def main(rows: int) -> None:
    config, training = load_config("evaluate", []), load_config("train", [])
    assert isinstance(config, EvaluateConfig) and isinstance(training, TrainConfig)
    assert isinstance(training.model, CrossEncoderConfig)
    settings = config.evaluation
    _, pairs = rows_of(config.data, "test")
    pairs = pairs[:rows]
    torch.manual_seed(0)
    model = CrossEncoder.from_encoder(training.model)
    model.bf16 = use_bf16(settings.precision)
    evaluator = Evaluator(model, "minilm", settings, config.data)
    predictions = evaluator.predict(pairs)
    suites = load_suite(find_file(str(settings.behaviour), "evaluation.behaviour"))

    def loop() -> None:
        """Draw the clusters and score the rows of every draw, as one would without confusion matrices."""
        members = [np.flatnonzero(predictions.groups == group) for group in range(predictions.groups.max() + 1)]
        for drawn in resample(len(members), _LOOP_DRAWS, 0):
            chosen = np.concatenate([np.tile(members[i], count) for i, count in enumerate(drawn) if count])
            score(predictions.gold[chosen], predictions.probabilities[chosen])

    steps: dict[str, Callable[[], object]] = {
        "score the rows once": lambda: evaluator.predict(pairs),
        "hide statement, target, holder": lambda: hide(model, predictions, settings.batch_size, settings.draws),
        "behaviour tests": lambda: run_suite(model, suites, settings.batch_size),
        "words of the mistakes": lambda: mistakes(model, predictions, settings.mistakes, settings.batch_size),
        f"intervals, {settings.draws} draws": lambda: scored(predictions, (), settings.draws),
        "all checks together": lambda: evaluator.evaluate(pairs, "test", Path("pairs.jsonl")),
        f"bootstrap, {_LOOP_DRAWS} draws": lambda: drawn_scores(
            predictions.gold, predictions.probabilities, predictions.groups, draws=_LOOP_DRAWS
        ),
        f"the same in a loop, {_LOOP_DRAWS} draws": loop,
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_REPEATS):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - started)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    once = seconds["score the rows once"]
    print(f"{len(pairs)} pairs, {platform.machine()}, {torch.get_num_threads()} threads, bf16 {model.bf16}\n")
    for name, taken_ in seconds.items():
        print(f"{name:<36}{taken_:>8.2f} s{taken_ / once:>8.2f} x")
    vectorised, looped = list(seconds.values())[-2:]
    print(f"\nvectorised bootstrap against a loop: {looped / vectorised:.0f} times as fast")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
