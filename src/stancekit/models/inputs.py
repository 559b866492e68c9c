"""How a pair is written out for a model."""

from __future__ import annotations

from stancekit.config.schema import InputConfig
from stancekit.pairs.model import Pair


def render(pair: Pair, config: InputConfig) -> tuple[str, str]:
    """Return the two segments that a cross-encoder reads: the statement with its holder, and the target."""
    statement = "" if "statement" in config.hide else pair.statement
    target = "" if "target" in config.hide else pair.target
    holder = config.unknown_holder if "holder" in config.hide or not pair.holder else pair.holder
    # One pass over the template: braces in the news text are text, not fields.
    return config.statement.format(statement=statement, holder=holder), config.target.format(target=target)
