"""Which targets a statement is about: an alias occurs in it, or its embedding is close to the target's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stancekit.config.schema import RelevanceConfig
from stancekit.pairs.targets import Target, alias_pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stancekit.encoders.embedding import Embedder

_TAKES_UP = re.compile(
    r"""\b(?:
        (?:the|this|that|such\ an?)\ (?:idea|option|proposal|plan|move|measure|step|matter|objective|goal|issue
            |sentiment|possibility|prospect|question)
      | (?:those|these|his|her|their)\ (?:statements|remarks)
      | o(?:n|ff)\ the\ table
      | definitive\ (?:rejection|answer)
      | rul\w+\ (?:it|that|this)\ (?:out|in)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


class RelevanceGate:
    """Embeds the targets once and every statement once."""

    def __init__(self, config: RelevanceConfig, targets: Sequence[Target], embedder: Embedder | None = None) -> None:
        """Embed the phrases of the targets, with the encoder that is configured unless its embedder is given."""
        if embedder is None:
            from stancekit.encoders.embedding import SentenceEmbedder

            embedder = SentenceEmbedder(config.encoder)
        self._threshold = config.threshold
        self._embedder = embedder
        self._patterns = [alias_pattern(target) for target in targets]
        self._targets = self._embedder.embed([target.phrase for target in targets])

    def similarities(self, statements: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of every statement and every target's phrase: shape (statements, targets)."""
        similarities: NDArray[np.float32] = self._embedder.embed(statements) @ self._targets.T
        return similarities

    def mentions(self, statements: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether the phrase or an alias of every target stands in every statement: (statements, targets)."""
        found = [[pattern.search(text) is not None for pattern in self._patterns] for text in statements]
        return np.array(found, dtype=bool).reshape(len(statements), len(self._patterns))

    def relevant(self, statements: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether every statement is about every target: shape (statements, targets).

        Args:
            statements: those of one article, in order: one that names no target but takes something up ("the idea",
                "not entirely off the table") is about the targets of the one before it.
        """
        return self.relevant_each([statements])[0]

    def relevant_each(self, articles: Sequence[Sequence[str]]) -> list[NDArray[np.bool_]]:
        """Return ``relevant`` of the statements of every article; those of all are embedded together."""
        close = self.similarities([text for statements in articles for text in statements]) >= self._threshold
        ends = np.cumsum([len(statements) for statements in articles])
        return [
            self._with_taken_up(statements, close[end - len(statements) : end])
            for statements, end in zip(articles, ends, strict=True)
        ]

    def _with_taken_up(self, statements: Sequence[str], close: NDArray[np.bool_]) -> NDArray[np.bool_]:
        named = self.mentions(statements)
        found = named | close
        for i, statement in enumerate(statements[1:], 1):
            if not named[i].any() and _TAKES_UP.search(statement):
                found[i] |= found[i - 1]
        return found
