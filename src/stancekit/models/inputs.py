"""How a pair is written out for a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.config.schema import InputConfig
from stancekit.errors import UserError
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


def render(pair: Pair, config: InputConfig) -> tuple[str, str]:
    """Return the two segments that a cross-encoder reads: the statement with its holder, and the target."""
    statement = "" if "statement" in config.hide else pair.statement
    target = "" if "target" in config.hide else pair.target
    holder = config.unknown_holder if "holder" in config.hide or not pair.holder else pair.holder
    # One pass over the template: braces in the news text are text, not fields.
    return config.statement.format(statement=statement, holder=holder), config.target.format(target=target)


def refused_target(target: str, tokens: int, room: int) -> str:
    """Return why a pair is refused whose target of so many ``tokens`` leaves no ``room`` for its statement."""
    return (
        f"the target {target[:60]!r}… has {tokens} tokens, but the input has room for {room} in all; "
        "expected a short noun phrase"
    )


def encode(
    tokenizer: Any, segments: Sequence[tuple[str, str]], max_length: int, refusal: Callable[[int, int, int], str]
) -> tuple[list[dict[str, list[int]]], NDArray[np.bool_]]:
    """Return a model's inputs for every two segments, unpadded, and whether the first was cut; the second never is.

    Args:
        refusal: the words for a second segment that leaves no room for the first: from its place among the segments,
            its length in tokens and the room that there is in all.

    Raises:
        UserError: there is such a segment.
    """
    if not segments:
        return [], np.zeros(0, dtype=bool)
    firsts, seconds = [first for first, _ in segments], [second for _, second in segments]
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    asked = _lengths(tokenizer, seconds)
    if max(asked) >= room:
        at = int(np.argmax(asked))
        raise UserError(refusal(at, asked[at], room))
    encoded = tokenizer(firsts, seconds, truncation="only_first", max_length=max_length)
    names = list(encoded.keys())
    inputs = [{name: encoded[name][i] for name in names} for i in range(len(segments))]
    given = _lengths(tokenizer, firsts)
    return inputs, np.array([first + second > room for first, second in zip(given, asked, strict=True)])


def _lengths(tokenizer: Any, texts: list[str]) -> list[int]:
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]
