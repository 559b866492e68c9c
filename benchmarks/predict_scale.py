"""What ``stancekit predict`` takes for ever more rows: seconds and memory, from file to file.

    python benchmarks/predict_scale.py [--sizes 10000,100000,1000000] [--model small] [--engine auto] [--folder DIR]

The rows are those of stancebank, over and over, with a number after every statement, so that none repeats. The command
runs as a process of its own. Its memory is the resident memory of that process and all that it starts, summed, looked
at five times a second. The goals: a peak below 1.2 GB, and from 100,000 rows on neither a peak nor a time per row that
grows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from predicting.machine import describe

from stancekit.files import find_sources, read_rows
from stancekit.paths import shipped_root

_INTERVAL = 0.2
_MOST_GIGABYTES = 1.2
_STEADY_ROWS = 100_000
"""From here on the start no longer counts for much."""
_MOST_GROWTH = 1.1
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Run:
    """A run over so many rows: how long it took, and its memory in gigabytes whenever it was looked at."""

    rows: int
    seconds: float
    memory: Sequence[float]

    @property
    def peak(self) -> float:
        """The most memory it had."""
        return max(self.memory)

    def at(self, share: float) -> float:
        """Return the memory after that share of the time: the most of a second, since the end of it is clearing up."""
        last = max(1, round(share * len(self.memory)))
        return max(self.memory[max(0, last - round(1 / _INTERVAL)) : last])


def write_rows(path: Path, count: int) -> None:
    """Write so many rows, no two of them alike."""
    source = shipped_root() / "data" / "stancebank" / "pairs.jsonl"
    rows = [row.values for row in read_rows(find_sources(str(source)))]
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), count), 1):
            made = {
                "id": str(number),
                "statement": f"{row['statement']} ({number})",
                "holder": row["holder"],
                "target": row["target"],
            }
            file.write(json.dumps(made, ensure_ascii=False) + "\n")


def predict(given: Path, made: Path, rows: int, words: Sequence[str]) -> Run:
    """Run the command on a file.

    Raises:
        SystemExit: it failed, or a row is missing or was not labelled; says what the command said.
    """
    command = [sys.executable, "-m", "stancekit", "predict", *words, f"input={given}", f"output={made}"]
    log = made.with_suffix(".log")
    memory = []
    with log.open("w", encoding="utf-8") as errors:
        begun = time.perf_counter()
        running = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while True:
            if looked := resident(running):
                memory.append(looked / _GIGABYTE)
            try:
                code = running.wait(_INTERVAL)
                break
            except psutil.TimeoutExpired:
                continue
        seconds = time.perf_counter() - begun
    if code:
        raise SystemExit(f"{' '.join(command)}\n{log.read_text(encoding='utf-8')}")
    with made.open(encoding="utf-8") as file:
        whole = sum(json.loads(line)["status"] == "ok" for line in file)
    if whole != rows:
        raise SystemExit(f"{whole:,} rows of {rows:,} were labelled\n{log.read_text(encoding='utf-8')}")
    return Run(rows, seconds, memory)


def resident(process: psutil.Process) -> int:
    """Return the bytes in memory of a process and of all that it started; 0 where it is over."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def print_goals(runs: Sequence[Run]) -> None:
    """Print what the runs say of the goals, each for the least and the most rows that are steady."""
    peak = max(run.peak for run in runs)
    print(f"\npeak {peak:.2f} GB, goal below {_MOST_GIGABYTES}: {_verdict(peak < _MOST_GIGABYTES)}")
    steady = [run for run in runs if run.rows >= _STEADY_ROWS]
    if len(steady) < 2:
        print(f"whether memory and time per row grow: needs two sizes of {_STEADY_ROWS:,} rows or more")
        return
    first, last = steady[0], steady[-1]
    growth = {
        "peak memory": last.peak / first.peak,
        "seconds per row": (last.seconds / last.rows) / (first.seconds / first.rows),
    }
    for what, ratio in growth.items():
        print(
            f"{what}, {last.rows:,} rows to {first.rows:,}: {ratio:.2f} times, goal at most {_MOST_GROWTH}: "
            f"{_verdict(ratio <= _MOST_GROWTH)}"
        )


def _verdict(met: bool) -> str:
    return "met" if met else "short"


def main(sizes: Sequence[int], words: Sequence[str], folder: str | None) -> None:
    print("\n".join(describe(("torch", "onnxruntime", "openvino"))))
    print(f"stancekit predict {' '.join(words)}\n")
    print(f"{'rows':>10}{'seconds':>10}{'rows/s':>10}{'peak GB':>10}{'at 10 %':>10}{'at 50 %':>10}{'at 100 %':>10}")
    runs = []
    for rows in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            given = Path(name) / "rows.jsonl"
            write_rows(given, rows)
            run = predict(given, Path(name) / "labelled.jsonl", rows, words)
        memory = "".join(f"{value:>10.2f}" for value in (run.peak, run.at(0.1), run.at(0.5), run.at(1)))
        print(f"{rows:>10,}{run.seconds:>10.1f}{rows / run.seconds:>10,.0f}{memory}", flush=True)
        runs.append(run)
    print_goals(runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="rows, separated by commas")
    parser.add_argument("--model", default="small")
    parser.add_argument("--engine", default="auto", choices=["auto", "torch", "onnx", "openvino"])
    parser.add_argument("--folder", help="where rows are written for the time of a run; default: temporary files")
    given = parser.parse_args()
    words = [f"model={given.model}", f"engine={given.engine}"]
    main([int(size) for size in given.sizes.split(",")], words, given.folder)
