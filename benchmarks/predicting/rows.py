"""The rows of ``benchmarks/predict.py``: which are taken, and how long they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from predicting.peers import Row, pairs_of
from stancekit.errors import UserError
from stancekit.files import find_sources, read_rows
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.paths import shipped_root
from stancekit.prediction.engines.torch import pair_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Corpus:
    """Rows, and how many tokens the model reads of each, special ones included."""

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

    def __str__(self) -> str:
        """Return how many there are, and how long they are."""
        statements = len({row["statement"] for row in self.rows})
        shares = ", ".join(f"{count} at {share} %" for share, count in self.percentiles().items())
        return f"{len(self.rows)} rows, {statements} statements, {self.lengths.mean():.1f} tokens on average: {shares}"

    def percentiles(self) -> dict[int, int]:
        """Return by the share of the rows, in percent, how many tokens they have at most."""
        return {share: int(np.percentile(self.lengths, share)) for share in (0, 5, 25, 50, 75, 95, 100)}


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
