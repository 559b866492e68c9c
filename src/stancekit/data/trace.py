"""What a model was trained on, as hashes: enough to say whether a target is new to it and a statement a copy.

A saved model carries its trace, so that whoever evaluates it learns of leaked rows without having the training data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "trace.npz"
COPIED = 0.5
"""Share of a statement's word 5-grams that must stand in the training statements for it to count as a copy."""

_WORDS = 5
_MOST = 200_000


@dataclass(frozen=True)
class Trace:
    """Sorted 64-bit hashes of the targets, and of the word 5-grams of the statements.

    Of many 5-grams the lowest hashes alone are kept, up to ``limit``: a sample whose shares estimate those of all
    (FracMinHash; Irber et al., 2022).
    """

    targets: NDArray[np.uint64]
    grams: NDArray[np.uint64]
    limit: np.uint64

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Self:
        """Return the trace of training pairs."""
        rows = list(pairs)
        grams = np.unique(_hashes(gram for text in {pair.statement for pair in rows} for gram in _grams(text)))
        limit = np.uint64(2**64 - 1) if len(grams) <= _MOST else grams[_MOST - 1]
        return cls(np.unique(_hashes(_normal(pair.target) for pair in rows)), grams[grams <= limit], limit)

    def write(self, folder: Path) -> None:
        """Write the hashes into an existing folder."""
        np.savez_compressed(folder / FILE, targets=self.targets, grams=self.grams, limit=self.limit)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what ``write`` wrote."""
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return cls(arrays["targets"], arrays["grams"], arrays["limit"][()])

    def targets_seen(self, pairs: Sequence[Pair]) -> NDArray[np.bool_]:
        """Return for every pair whether its target, letter case and punctuation aside, was trained on."""
        return _among(_hashes(_normal(pair.target) for pair in pairs), self.targets)

    def copies(self, pairs: Sequence[Pair]) -> NDArray[np.bool_]:
        """Return for every pair whether its statement, or a near-copy, was trained on.

        That is the case where at least ``COPIED`` of its word 5-grams were; a shorter statement is one gram.
        """
        found: dict[str, bool] = {}
        for pair in pairs:
            if pair.statement not in found:
                grams = _hashes(_grams(pair.statement))
                kept = grams[grams <= self.limit]
                found[pair.statement] = bool(len(kept)) and float(_among(kept, self.grams).mean()) >= COPIED
        return np.array([found[pair.statement] for pair in pairs], dtype=bool)


def _among(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which hashes are among the sorted known ones, which ``np.isin`` would sort anew for every statement."""
    if not len(known):
        return np.zeros(len(hashes), dtype=bool)
    return np.asarray(known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes, dtype=bool)


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _grams(text: str) -> list[str]:
    words = _normal(text).split()
    return [" ".join(words[i : i + _WORDS]) for i in range(max(1, len(words) - _WORDS + 1))]


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
