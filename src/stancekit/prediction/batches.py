"""Token-budget batches: rows of like length together, padded to few shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stancekit.prediction.tokens import TokenizedPairs, TokenLayout

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP = 4
"""Lengths are padded to its multiples: a kernel is prepared for every shape that comes, and even ones run faster."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """What a network reads at once.

    Attributes:
        rows: the places of the pairs, shape (rows,).
        input_ids, attention_mask, token_type_ids: int64, shape (rows, length); the last is None where the model has no
            types.
    """

    rows: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64] | None

    def inputs(self) -> dict[str, NDArray[np.int64]]:
        """Return the arrays by the names that networks give them."""
        found = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return found if self.token_type_ids is None else {**found, "token_type_ids": self.token_type_ids}


def plan(lengths: NDArray[np.int64], budget: int, longest: int) -> list[tuple[NDArray[np.int64], int]]:
    """Return the batches of rows of these lengths, longest first: the places of each one's rows and its padded length.

    A batch holds as many rows as its padded length, a multiple of 4 up to ``longest``, allows within ``budget`` tokens,
    one at least.
    Rows of length 0 are in none. The same lengths give the same batches.
    """
    order = np.argsort(-lengths, kind="stable")
    order = order[: int(np.count_nonzero(lengths))]
    batches = []
    first = 0
    while first < len(order):
        padded = min(-(-int(lengths[order[first]]) // _STEP) * _STEP, longest)
        count = max(1, budget // padded)
        batches.append((order[first : first + count], padded))
        first += count
    return batches


def token_batches(tokenized: TokenizedPairs, layout: TokenLayout, budget: int, longest: int) -> Iterator[TokenBatch]:
    """Yield the batches of tokenised pairs, each made when it is asked for; refused pairs are in none."""
    before, between, after = (np.array(ids, dtype=np.int64) for ids in (layout.before, layout.between, layout.after))
    for rows, length in plan(tokenized.lengths, budget, longest):
        ids = np.full((len(rows), length), layout.pad, dtype=np.int64)
        types = None if layout.types is None else np.zeros_like(ids)
        for line, row in enumerate(rows):
            parts = (before, tokenized.firsts[row], between, tokenized.seconds[row], after)
            end = int(tokenized.lengths[row])
            ids[line, :end] = np.concatenate(parts)
            if types is not None and layout.types is not None:
                types[line, :end] = np.repeat(layout.types, [len(part) for part in parts])
        mask = (np.arange(length) < tokenized.lengths[rows, None]).astype(np.int64)
        yield TokenBatch(rows, ids, mask, types)
