"""What runs a network over token batches: one protocol, one file per engine."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stancekit.prediction.batches import TokenBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = tuple[NDArray[np.int64], NDArray[np.float32]]
    """The places of a batch's rows, and their logits of shape (rows, 4)."""


class Engine(Protocol):
    """Scores token batches; one instance serves one network and may be shared by threads.

    Attributes:
        description: what runs where, for people: ``openvino bf16, 2 threads``.
    """

    description: str

    def logits(self, batches: Iterable[TokenBatch]) -> Generator[Logits]:
        """Yield the logits of every batch, in any order; the batches are taken as they can be worked on."""
        ...
