"""How a pair is written out for a model."""

from __future__ import annotations

from stancekit.config.schema import InputConfig
from stancekit.pairs.model import Pair


def render(pair: Pair, config: InputConfig) -> tuple[str, str]:
    """Return the two segments that a cross-encoder reads: the statement with its holder, and the target."""
    holder = pair.holder or config.unknown_holder
    # One pass over the template: braces in the news text are text, not fields.
    return config.statement.format(statement=pair.statement, holder=holder), config.target.format(target=pair.target)
