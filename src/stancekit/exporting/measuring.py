"""How fast a variant is, and how often it says what the model says: beside torch in fp32, on the same rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stancekit.evaluation.metrics import score
from stancekit.metric_names import HEADLINE
from stancekit.prediction.scoring import TokenScorer
from stancekit.prediction.tokens import TokenizedPairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_AGREEMENT = 0.985
MOST_LOSS = 0.005
"""A variant that agrees less, or loses more three-way macro-F1, is refused."""
_ROUNDS = 3


@dataclass(frozen=True)
class Comparison:
    """A variant beside torch fp32: the share of rows with the same outcome, and the difference in macro-F1."""

    agreement: float
    f1_difference: float

    @property
    def refused(self) -> str | None:
        """Why the variant is not to be used, or None."""
        reasons = []
        if self.agreement < LEAST_AGREEMENT:
            reasons.append(f"gives the same label to {self.agreement:.2%} of the rows; at least {LEAST_AGREEMENT:.1%}")
        if self.f1_difference < -MOST_LOSS:
            reasons.append(f"loses {-100 * self.f1_difference:.2f} points of macro-F1; at most {100 * MOST_LOSS:.1f}")
        return "; ".join(reasons) or None


def compare(gold: NDArray[np.int64], reference: NDArray[np.float64], found: NDArray[np.float64]) -> Comparison:
    """Compare two models' probabilities, each of shape (rows, 4), of rows whose outcomes are ``gold``."""
    agreement = float((reference.argmax(axis=1) == found.argmax(axis=1)).mean())
    before, after = (score(gold, probabilities)[HEADLINE] for probabilities in (reference, found))
    return Comparison(agreement, after - before)


def rows_per_second(
    scorers: Mapping[str, TokenScorer], prepared: TokenizedPairs, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return the median speed of every scorer over so many rounds; in each they take turns on the same rows."""
    taken: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(rounds):
        for name, scorer in scorers.items():
            begun = time.perf_counter()
            scorer.score(prepared)
            taken[name].append(time.perf_counter() - begun)
    return {name: len(prepared.lengths) / statistics.median(seconds) for name, seconds in taken.items()}


def some(prepared: TokenizedPairs, rows: Sequence[int]) -> TokenizedPairs:
    """Return those rows of tokenised pairs, none of which were refused."""
    places = np.array(rows)
    return TokenizedPairs(
        [prepared.firsts[i] for i in rows],
        [prepared.seconds[i] for i in rows],
        prepared.lengths[places],
        prepared.truncated[places],
        {},
    )
