"""What capitals mean in an article: names, or only the first word of a sentence and headlines in title case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.pairs.holders.nouns import FUNCTION, HEADS, PARTICLES
from stancekit.pairs.holders.tokens import QUOTE, Token

_OPENERS = frozenset((".", ":", ";", "?", "!", "—", "–", "-", QUOTE))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which words an article writes with a capital inside a sentence, and which in lower case."""

    proper: frozenset[str]
    lower: frozenset[str]


def vocabulary(statements: Sequence[Sequence[Token]]) -> Vocabulary:
    """Return the vocabulary of an article, headlines in title case left out."""
    proper: set[str] = set()
    lower: set[str] = set()
    for tokens in statements:
        if title_case(tokens):
            continue
        for before, token in zip((None, *tokens), tokens, strict=False):
            inside = before is not None and (before.word or before.text == "," or before.low == "'s")
            if token.word and token.capital and inside:
                proper.add(token.low)
            elif token.word and not token.capital:
                lower.add(token.low)
    return Vocabulary(frozenset(proper), frozenset(lower))


def title_case(tokens: Sequence[Token]) -> bool:
    """Return whether the statement is a headline with every longer word capitalised."""
    long = [token for token in tokens if token.word and len(token.text) > 3]
    closed = bool(tokens) and tokens[-1].text in (".", QUOTE, "?", "!")
    return len(long) > 2 and not closed and all(token.capital or token.text[0].isdigit() for token in long)


def lowered(tokens: Sequence[Token], known: Vocabulary) -> list[Token]:
    """Return the tokens with a lower-case initial where the capital is only that of a headline or a sentence."""
    whole = title_case(tokens) and len(tokens) > 1
    found: list[Token] = []
    for index, token in enumerate(tokens):
        initial = index == 0 or tokens[index - 1].text in _OPENERS
        plain = token.low not in known.proper and (
            whole
            or (
                initial
                and not _opens_name(tokens, index)
                and (
                    token.low in FUNCTION
                    or token.low in known.lower
                    or token.low in HEADS
                    or token.low.endswith(("ing", "ly"))
                )
            )
        )
        shouted = len(token.text) > 1 and token.text.isupper()
        found.append(Token(token.low, token.low, token.quoted) if plain and not shouted else token)
    return found


def _opens_name(tokens: Sequence[Token], index: int) -> bool:
    """Return whether the token is the particle that begins a last name ("Von der Leyen")."""
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return tokens[index].low in PARTICLES and after is not None and (after.capital or after.low in PARTICLES)
