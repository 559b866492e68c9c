"""Pairs to probabilities: what is done before the engine, by the engine, and with its logits."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.models.calibration import Calibration, scale
from stancekit.pairs.model import Pair
from stancekit.prediction.batches import token_batches
from stancekit.prediction.engines.base import Engine
from stancekit.prediction.tokens import PairTokenizer, TokenizedPairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MODEL_BATCH = 64


@dataclass(frozen=True)
class Scores:
    """What came out for so many pairs.

    Attributes:
        probabilities: shape (pairs, 4), columns in the order of ``OUTCOMES``; zeros for a refused pair.
        truncated: whether the statement was cut, shape (pairs,).
        errors: why a pair was refused, by its place.
    """

    probabilities: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    errors: Mapping[int, str]


class Scorer(Protocol):
    """A model that is ready to score pairs, in two steps that different threads may take; safe to share.

    Attributes:
        description: which engine runs it, for people.
    """

    description: str

    def prepare(self, pairs: Sequence[Pair]) -> Any:
        """Return what ``score`` takes: all that can be done before the engine is free."""
        ...

    def score(self, prepared: Any) -> Scores:
        """Return the scores of the prepared pairs, in their order."""
        ...


class TokenScorer:
    """A cross-encoder behind an engine."""

    def __init__(
        self, tokenizer: PairTokenizer, engine: Engine, calibration: Calibration | None, batch_tokens: int
    ) -> None:
        """Put the parts together; ``batch_tokens`` is how many tokens, padding included, an engine gets at once."""
        self._tokenizer = tokenizer
        self._engine = engine
        self._temperature = calibration.temperature if calibration else 1.0
        self._batch_tokens = batch_tokens
        self.description = engine.description

    def prepare(self, pairs: Sequence[Pair]) -> TokenizedPairs:
        """Return the tokens of the pairs."""
        return self._tokenizer.tokenize(pairs)

    def score(self, prepared: TokenizedPairs) -> Scores:
        """Return the scores of the tokenised pairs, in their order."""
        logits = np.zeros((len(prepared.lengths), len(OUTCOMES)))
        batches = token_batches(prepared, self._tokenizer.layout, self._batch_tokens, self._tokenizer.longest)
        # Closed whatever happens: an engine holds a lock until its generator ends.
        with closing(self._engine.logits(batches)) as scored:
            for rows, found in scored:
                logits[rows] = found
        # In double precision, so that confident rows keep probabilities that add up to one.
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        if self._temperature != 1.0:
            probabilities = scale(probabilities, self._temperature)
        probabilities[list(prepared.errors)] = 0
        return Scores(probabilities, prepared.truncated, prepared.errors)


class ModelScorer:
    """A model that reads pairs itself: baselines and zero-shot models; one caller at a time, as its tokenizer asks."""

    def __init__(self, model: StanceModel, description: str) -> None:
        """Keep the model."""
        self._model = model
        self._lock = threading.Lock()
        self.description = description

    def prepare(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Return the pairs: the model does the rest."""
        return pairs

    def score(self, prepared: Sequence[Pair]) -> Scores:
        """Return the scores of the pairs, in their order."""
        probabilities = np.zeros((len(prepared), len(OUTCOMES)))
        truncated = np.zeros(len(prepared), dtype=bool)
        errors: dict[int, str] = {}
        with self._lock:
            self._score(prepared, 0, Scores(probabilities, truncated, errors), errors)
        return Scores(probabilities, truncated, errors)

    def _score(self, pairs: Sequence[Pair], first: int, into: Scores, errors: dict[int, str]) -> None:
        if not pairs:
            return
        try:
            found = self._model.predict(pairs, _MODEL_BATCH)
        except UserError as error:
            # One pair that cannot be scored must not cost the others: halves find it.
            if len(pairs) == 1:
                errors[first] = str(error)
                return
            middle = len(pairs) // 2
            self._score(pairs[:middle], first, into, errors)
            self._score(pairs[middle:], first + middle, into, errors)
            return
        into.probabilities[first : first + len(pairs)] = found.probabilities
        into.truncated[first : first + len(pairs)] = found.truncated
