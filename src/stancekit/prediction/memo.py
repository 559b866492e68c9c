"""Identical pairs are scored once: within a window, and among the windows not long before it.

What is remembered depends on the rows alone, and every window's newly scored pairs can be kept on disk: a run that is
taken up again remembers what it would have remembered undisturbed.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.prediction.scoring import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEY_BYTES = 16
REMEMBERED = 100_000
"""How many distinct pairs are remembered at most: some 30 MB."""


def key_of(pair: Pair) -> bytes:
    """Return 16 bytes that stand for what a model is given of a pair: statement, holder and target."""
    # Lengths keep apart what runs together; no holder is as long as a missing one.
    holder, length = ("", -1) if pair.holder is None else (pair.holder, len(pair.holder))
    text = f"{len(pair.statement)} {length} {pair.statement}{holder}{pair.target}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


@dataclass(eq=False)
class Block:
    """The pairs that one window scores for the first time, and, once they are scored, what came out."""

    keys: list[bytes]
    scores: Scores | None = None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return keys and scores as arrays to keep in a file; ``from_arrays`` reads them."""
        assert self.scores is not None
        errors = self.scores.errors
        return {
            "keys": np.frombuffer(b"".join(self.keys), dtype=np.uint8).reshape(-1, _KEY_BYTES),
            "probabilities": self.scores.probabilities,
            "truncated": self.scores.truncated,
            "error_at": np.array(sorted(errors), dtype=np.int64),
            "errors": np.array([errors[at] for at in sorted(errors)], dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Block:
        """Return the block that ``arrays`` gave."""
        errors = {int(at): str(text) for at, text in zip(arrays["error_at"], arrays["errors"], strict=True)}
        scores = Scores(
            np.asarray(arrays["probabilities"], dtype=np.float64).reshape(-1, len(OUTCOMES)),
            np.asarray(arrays["truncated"], dtype=np.bool_),
            errors,
        )
        return cls([bytes(key) for key in arrays["keys"]], scores)


@dataclass
class Memo:
    """The blocks of the last windows, oldest first, with at most ``limit`` pairs in all (one block at least)."""

    limit: int = REMEMBERED
    _blocks: deque[Block] = field(default_factory=deque)
    _places: dict[bytes, tuple[Block, int]] = field(default_factory=dict)

    def fold(self, pairs: Sequence[Pair]) -> tuple[Block, list[Pair], list[tuple[Block, int]]]:
        """Return the block of what is new among a window's pairs, those pairs, and where each pair's score will be.

        The block is remembered at once: it may be scored later, but before the next one is read.
        """
        block = Block([])
        new: list[Pair] = []
        found: list[tuple[Block, int]] = []
        for pair in pairs:
            key = key_of(pair)
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = (block, len(new))
                block.keys.append(key)
                new.append(pair)
            found.append(place)
        self._add(block)
        return block, new, found

    def restore(self, newest_first: Iterable[Block]) -> None:
        """Remember the blocks of windows that were scored before, as far back as they are needed."""
        kept: list[Block] = []
        total = 0
        for block in newest_first:
            total += len(block.keys)
            if kept and total > self.limit:
                break
            if block.keys:
                kept.append(block)
        for block in reversed(kept):
            self._places.update((key, (block, at)) for at, key in enumerate(block.keys))
            self._add(block)

    def _add(self, block: Block) -> None:
        if not block.keys:
            # Whether such a block is on disk must not decide what is remembered.
            return
        self._blocks.append(block)
        while len(self._blocks) > 1 and len(self._places) > self.limit:
            for key in self._blocks.popleft().keys:
                del self._places[key]
