"""What ``benchmarks/predict.py`` prints: speeds, and how they compare with the goals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predicting.machine import peaks
from predicting.peers import CROSS_ENCODER, PIPELINE, RAW_ONNX, RAW_OPENVINO, RAW_OPENVINO_FP32
from stancekit.prediction.choosing import available_threads

ARCHIVE = ", archive"
"""How the names end of what is timed on rows that repeat."""
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
    Goal("the pipeline as it comes, archive", (f"{PIPELINE}, as it comes",), 15, ARCHIVE),
)


def print_rates(found: Mapping[str, Sequence[float]], best: str) -> None:
    """Print a line for every task; ``best`` is that of stancekit as it comes."""
    cores = available_threads()
    print(f"\n{'rows/s':<52}{'median':>10}{'lowest':>10}{'highest':>10}{'per core':>10}{'stancekit is':>14}")
    for name, values in found.items():
        own = found[best + ARCHIVE if name.endswith(ARCHIVE) else best]
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
        if name.startswith("stancekit,") and not name.endswith(ARCHIVE):
            speed = statistics.median(values) * per_row / 1e9
            shares = ", ".join(f"{speed / fastest[kind]:.0%} of {kind}" for kind in ("bf16", "int8"))
            print(f"{name:<52}{speed:>10,.0f} GFLOP/s, {shares}")
    return fastest


def print_cost(speed: float, price: float) -> float:
    """Print what a million pairs take at that speed, and return what they cost at that price of a core for an hour."""
    hours = 1e6 / speed / 3600
    cost = hours * available_threads() * price
    print(f"\na million pairs: {60 * hours:,.0f} minutes, {cost:.3f} at {price:g} per core-hour")
    return cost


def print_starts(starts: Mapping[str, Sequence[float]]) -> None:
    """Print how long the first answer of a new process takes."""
    print(f"\n{'first answer, s':<52}{'median':>10}{'lowest':>10}{'highest':>10}{'goal':>10}")
    for engine, seconds in starts.items():
        verdict = "met" if statistics.median(seconds) < _MOST_SECONDS else "short"
        print(f"{'engine=' + engine:<52}{_spread(seconds, 2)}{'< ' + str(_MOST_SECONDS):>10}  {verdict}")


def _ratios(fast: Sequence[float], slow: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(fast, slow, strict=True)]


def _spread(values: Sequence[float], digits: int = 1) -> str:
    return "".join(f"{value:>10,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
