"""Several runs as one result: mean, spread and interval of every metric, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stancekit.errors import UserError
from stancekit.evaluation.bootstrap import drawn_scores, interval
from stancekit.evaluation.metrics import score
from stancekit.evaluation.predictions import Predictions

Parts = Mapping[str, Predictions]
"""What one run said of every part of its data."""


@dataclass(frozen=True)
class Spread:
    """A metric over runs: the mean, the standard deviation (None for one run) and the 95 % interval of the mean."""

    mean: float
    sd: float | None
    low: float
    high: float

    def __str__(self) -> str:
        """Show mean, deviation and interval, to three places."""
        deviation = "" if self.sd is None else f" ± {self.sd:.3f}"
        return f"{self.mean:.3f}{deviation} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Summary:
    """The metrics of several runs, by part and name."""

    runs: int
    parts: Mapping[str, Mapping[str, Spread]]


def as_table(lines: Mapping[str, Summary]) -> dict[str, Any]:
    """Return summaries by name as plain values, which ``from_table`` reads."""
    return {name: asdict(summary) for name, summary in lines.items()}


def from_table(table: Mapping[str, Any]) -> dict[str, Summary]:
    """Return what ``as_table`` gave."""
    return {
        name: Summary(
            values["runs"],
            {
                part: {metric: Spread(**spread) for metric, spread in scores.items()}
                for part, scores in values["parts"].items()
            },
        )
        for name, values in table.items()
    }


def summarise(runs: Sequence[Parts], further: Sequence[str], draws: int, seed: int = 0) -> Summary:
    """Return mean, spread and interval of every metric.

    The interval is a bootstrap over both sources of chance: in every draw the clusters of rows are drawn anew, the same
    for all runs that were scored on the same rows, and then the runs. With a single run it is that of its own score.

    Args:
        further: metrics beyond those of every evaluation.
    """
    found = {}
    for part in runs[0]:
        scored = [run[part] for run in runs]
        values = [score(one.gold, one.probabilities, further) for one in scored]
        rows = list(dict.fromkeys(one.fingerprint for one in scored))
        drawn = [
            # Folds have rows of their own, whose draws must not go together.
            drawn_scores(one.gold, one.probabilities, one.groups, further, draws, seed + rows.index(one.fingerprint))
            for one in scored
        ]
        generator = np.random.default_rng(seed)
        chosen = generator.integers(len(runs), size=(len(runs), draws))
        found[part] = {
            name: Spread(
                float(np.mean([one[name] for one in values])),
                float(np.std([one[name] for one in values], ddof=1)) if len(runs) > 1 else None,
                *interval(np.take_along_axis(np.stack([one[name] for one in drawn]), chosen, axis=0).mean(axis=0)),
            )
            for name in values[0]
        }
    return Summary(len(runs), found)


def together(runs: Sequence[Parts], pooled: bool) -> dict[str, Predictions]:
    """Return what the runs say together of every part: the mean of their probabilities.

    Args:
        pooled: the runs are folds, so that rows which only some of them have are put side by side.

    Raises:
        UserError: the runs were scored on different rows.
    """
    found = {}
    for part in runs[0]:
        scored = [run[part] for run in runs]
        if len({one.fingerprint for one in scored}) == 1:
            mean = np.mean([one.probabilities for one in scored], axis=0)
            found[part] = Predictions(scored[0].pairs, mean, scored[0].clusters)
        elif pooled:
            pairs = [pair for one in scored for pair in one.pairs]
            clusters = [cluster for one in scored for cluster in one.clusters]
            found[part] = Predictions(pairs, np.concatenate([one.probabilities for one in scored]), clusters)
        else:
            raise UserError(f"{part}: the runs were not scored on the same rows")
    return found
