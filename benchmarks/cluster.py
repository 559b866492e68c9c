"""What a Ray cluster on this machine takes for rows with ever more workers, and what one driver can supply at most.

    python benchmarks/cluster.py [--workers 1,2] [--rows 16384] [--window 1024] [--model small] [--rounds 1]

The rows are those of stancebank, over and over, with a number after every statement, so that none repeats. They are
read from a file, and the labelled ones written to a file in parts, as ``stancekit predict`` does it. A worker has one
thread; what it is compared with is one process with one thread that does everything, without Ray. Timed is from when
every worker has done a window to when the output is whole, so that no start is in it. The workers share the machine's
cores with the driver and with Ray's own processes.

What one driver can supply is seen with models that answer at once: all that is left is reading, folding, labelling and
writing, without Ray and, with one worker, what Ray adds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from predict_scale import write_rows
from predicting.machine import describe

from stancekit.config.compose import load_config
from stancekit.config.schema import EngineConfig, MajorityConfig, PredictConfig
from stancekit.files import encode_rows, read_rows
from stancekit.labels import OUTCOMES
from stancekit.models.baselines import Baseline
from stancekit.models.saved import save_model
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen, open_scorer
from stancekit.prediction.cluster import scored_on_ray
from stancekit.prediction.loading import open_model
from stancekit.prediction.memo import Memo
from stancekit.prediction.overlap import ahead, behind
from stancekit.prediction.parts.store import PartStore
from stancekit.prediction.rows import Window, count, labelled_rows, score, windows
from stancekit.prediction.scoring import Scorer, Scores

_ONE = "one process, no Ray"
_INSTANT = "answers at once"


@dataclass(frozen=True)
class Timing:
    """How long rows took after the start; ``start`` is until every worker had done a window.

    ``driver`` is what this process took of a core meanwhile.
    """

    rate: float
    driver: float
    start: float


class Instant:
    """A scorer that answers at once."""

    description = "instant"

    def prepare(self, pairs: Sequence[Pair]) -> int:
        return len(pairs)

    def score(self, prepared: int) -> Scores:
        probabilities = np.full((prepared, len(OUTCOMES)), 1 / len(OUTCOMES))
        return Scores(probabilities, np.zeros(prepared, dtype=np.bool_), {})


def timed(scored: Iterator[Window], made: Path, workers: int = 1) -> Timing:
    """Write scored windows to a file; the first ``workers`` windows are the start."""
    begun = time.perf_counter()
    with PartStore.open(str(made), {}) as store:

        def write(window: Window) -> None:
            found = labelled_rows(window)
            store.write(encode_rows(found), len(found), count(found), window.new.arrays())

        with behind(write) as hand:
            for window in itertools.islice(scored, workers):
                hand(window)
            since, cpu, rows = time.perf_counter(), time.process_time(), 0
            for window in scored:
                hand(window)
                rows += len(window.rows)
        store.finish()
    seconds = time.perf_counter() - since
    return Timing(rows / seconds, (time.process_time() - cpu) / seconds, since - begun)


def on_one(given: Path, window: int, scorer: Scorer) -> Iterator[Window]:
    """Yield the windows of a file, scored in this process."""
    for found in ahead(windows(read_rows(given), window, scorer, Memo())):
        score(found, scorer)
        yield found


def on_ray(given: Path, engine: EngineConfig, chosen: Chosen, workers: int) -> Iterator[Window]:
    """Yield the windows of a file, scored by workers."""
    engine = engine.model_copy(update={"cluster": "ray", "workers": workers})
    return scored_on_ray(read_rows(given), Memo(), chosen.folder, engine, chosen)


def majority(folder: Path, engine: EngineConfig) -> Chosen:
    """Return a model that says the same of every pair."""
    config = MajorityConfig(kind="majority", name="majority")
    pairs = [Pair("", "", label=outcome) for outcome in OUTCOMES]
    save_model(Baseline.fit(config, pairs, False, 0), folder, config, {}, {})
    return open_scorer(folder, engine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--model", default="small")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    wanted = [int(word) for word in given.workers.split(",")]
    words = [f"model={given.model}", "input=-", "output=-", "engine.threads=1", f"engine.window_rows={given.window}"]
    config = load_config("predict", words)
    assert isinstance(config, PredictConfig)
    engine = config.engine
    print("\n".join(describe(("ray", "openvino", "onnxruntime"))))
    chosen = open_model(config.model, engine, config.tracking)
    print(f"model: {chosen.model['name']}, {chosen.scorer.description}; {given.rows:,} rows, {given.window:,} a window")
    found: dict[str, list[Timing]] = {}
    with tempfile.TemporaryDirectory() as name:
        rows, numbers = Path(name, "rows.jsonl"), itertools.count()
        write_rows(rows, given.rows)
        same = majority(Path(name, "majority"), engine)

        def take(what: str, scored: Iterator[Window], workers: int = 1) -> Path:
            made = Path(name, f"made-{next(numbers)}.jsonl")
            found.setdefault(what, []).append(timed(scored, made, workers))
            return made

        for _ in range(given.rounds):
            made = take(_ONE, on_one(rows, given.window, chosen.scorer))
            for workers in wanted:
                take(f"Ray, workers: {workers}", on_ray(rows, engine, chosen, workers), workers)
            take(_INSTANT, on_one(rows, given.window, Instant()))
            take(f"{_INSTANT}, Ray", on_ray(rows, engine, same, 1))
        sizes = [path.stat().st_size / given.rows for path in (rows, made)]
    rates = {what: statistics.median(timing.rate for timing in timings) for what, timings in found.items()}
    print(f"\n{'':<28}{'rows/s':>10}{'efficiency':>12}{'start, s':>10}{'driver, of a core':>20}")
    for what, timings in found.items():
        start, driver = (statistics.median(getattr(timing, key) for timing in timings) for key in ("start", "driver"))
        workers = next((number for number in wanted if what == f"Ray, workers: {number}"), 1)
        share = "" if what.startswith(_INSTANT) else f"{rates[what] / (rates[_ONE] * workers):.0%}"
        print(f"{what:<28}{rates[what]:>10,.0f}{share:>12}{start:>10.1f}{driver:>20.0%}")
    print(f"\none driver supplies as much as {rates[f'{_INSTANT}, Ray'] / rates[_ONE]:,.0f} such workers take")
    print(f"JSONL: {sizes[0]:,.0f} bytes a row in, {sizes[1]:,.0f} out")


if __name__ == "__main__":
    main()
