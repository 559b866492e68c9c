"""Noun phrases that can name a holder, found in a statement's tokens: names with titles, roles, bodies, pronouns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stancekit.pairs.holders.nouns import (
    ANONYMOUS,
    BODIES,
    DETERMINERS,
    FUNCTION,
    GROUPS,
    HEADS,
    MEDIA,
    PARTICLES,
    PRONOUNS,
    ROLES,
    SPOKES,
    THINGS,
    TIMES,
    TITLES,
    words,
)
from stancekit.pairs.holders.tokens import Token
from stancekit.pairs.holders.verbs import AGENTS_ONLY, VERBS

_OPENING_PARTICLES = words("de von van di da du del della la al bin ibn abu")
_OF_MEMBERS = words(
    "association union federation confederation organisation organization council committee alliance league network "
    "group body society institute"
)
_COMPOUNDING = words(
    "military state party company city town county body opposition community police house court club bank team fund "
    "service camp"
)
_LINKS = words("of for")
_MAX_MODIFIERS = 4
_MAX_COMPOUND = 2


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens ``start`` to ``end`` (exclusive): a name, a role or body noun with its modifiers, or a pronoun.

    ``name`` holds the words of a proper name without titles; ``words`` everything else in it, in lower case; ``head``
    the noun that says what it is, if any; ``determiner`` what introduces it ("the", "her", "'s", ""); ``text`` is the
    whole of a phrase without proper name.
    """

    start: int
    end: int
    name: tuple[str, ...]
    words: tuple[str, ...]
    head: str
    determiner: str
    text: str = ""

    @property
    def pronoun(self) -> bool:
        """Whether it is he, she, they or it."""
        return self.head in PRONOUNS and not self.words


def find_phrases(tokens: Sequence[Token]) -> list[Phrase]:
    """Return the phrases of a statement, in order and without overlaps."""
    found: list[Phrase] = []
    index = 0
    while index < len(tokens):
        phrase = _pronoun(tokens, index) or _noun_phrase(tokens, index, found[-1].end if found else 0)
        if phrase is None:
            index += 1
        else:
            found.append(phrase)
            index = phrase.end
    return found


def _pronoun(tokens: Sequence[Token], index: int) -> Phrase | None:
    low = tokens[index].low
    if low in PRONOUNS:
        return Phrase(index, index + 1, (), (), low, "")
    following = tokens[index + 1].low if index + 1 < len(tokens) else ""
    if low == "both" and following in VERBS:
        return Phrase(index, index + 1, (), (), "they", "")
    if (
        low in ("the", "both")
        and following in ("two", "pair", "pairs")
        and (index + 2 >= len(tokens) or tokens[index + 2].low in VERBS or tokens[index + 2].low in FUNCTION)
    ):
        return Phrase(index, index + 2, (), (), "they", "")
    return None


def _noun_phrase(tokens: Sequence[Token], index: int, floor: int) -> Phrase | None:
    """Return the phrase whose first capital run or head noun stands at ``index``; modifiers reach back to ``floor``."""
    run_end = _run_end(tokens, index)
    if run_end > index:
        head_end = _head_after(tokens, run_end)
        if head_end:
            return _with_name(tokens, index, head_end, floor)
        return _from_run(tokens, index, run_end, floor)
    if end := _association_end(tokens, index):
        return _with_name(tokens, index, end, floor)
    if tokens[index].low in HEADS and not tokens[index].capital and not _modifies(tokens, index):
        end = index + 1
        while further := _head_after(tokens, end, _MAX_COMPOUND):
            end = further
        return _with_name(tokens, index, end, floor)
    return _agent(tokens, index, floor)


def _association_end(tokens: Sequence[Token], index: int) -> int:
    """Return the end of a body named after its members ("employers' association") whose name opens here, or 0."""
    members = tokens[index]
    owner = index + 1 < len(tokens) and tokens[index + 1].text in "’'"
    if not owner or members.capital or not members.word or not members.low.endswith("s"):
        return 0
    end = _head_after(tokens, index + 2, _MAX_COMPOUND)
    return end if end and tokens[end - 1].low in _OF_MEMBERS else 0


def _agent(tokens: Sequence[Token], index: int, floor: int) -> Phrase | None:
    """Return a phrase of any other noun whose verb only persons and bodies can have ("the mill said")."""
    token = tokens[index]
    if (
        not token.word
        or token.capital
        or not token.text.isalpha()
        or token.low in FUNCTION | THINGS
        or token.low in VERBS
    ):
        return None
    verb = index + 1
    while verb < len(tokens) and tokens[verb].low in ("has", "have", "had", "also", "later", "then"):
        verb += 1
    if verb >= len(tokens) or tokens[verb].low not in AGENTS_ONLY or token.low.endswith("ly"):
        return None
    start, determiner = _introduced(tokens, index, floor)
    plural = token.low.endswith("s") and not token.low.endswith("ss")
    if determiner not in ("the", "its", "their", "his", "her", "'s") and not plural:
        return None
    text = " ".join(piece.text for piece in tokens[start : index + 1])
    return Phrase(start, index + 1, (), tuple(text.lower().split()), token.low, determiner, text)


def _modifies(tokens: Sequence[Token], index: int) -> bool:
    """Return whether a body or group noun only goes before another noun ("military action", "party funds")."""
    if tokens[index].low in ROLES or index + 1 >= len(tokens):
        return False
    after = tokens[index + 1]
    plain = after.word and after.text[0].isalpha() and not after.capital
    return (
        plain
        and after.low not in FUNCTION | HEADS
        and after.low not in VERBS
        and not after.low.endswith(("ed", "ly", "ing"))
        and tokens[index].low in _COMPOUNDING
    )


def _nameable(token: Token) -> bool:
    return token.word and token.capital and token.low not in TIMES | FUNCTION and token.text != "I"


def _opens_name(tokens: Sequence[Token], index: int) -> bool:
    """Return whether a name starts at the token; some given names are months as well, and some particles nouns."""
    if tokens[index].low in _OPENING_PARTICLES and not tokens[index].capital:
        introduced = index > 0 and tokens[index - 1].low in DETERMINERS
        return not introduced and _particles(tokens, index) > 0
    if tokens[index].low in ("jan", "april", "june", "may", "august") and tokens[index].capital:
        return index + 1 < len(tokens) and _nameable(tokens[index + 1])
    return _nameable(tokens[index])


def _run_end(tokens: Sequence[Token], index: int) -> int:
    """Return the end of the run of capitalised words at ``index``, with the small words inside a name."""
    if not _opens_name(tokens, index):
        return index
    end = index + 1
    while end < len(tokens):
        step = _link(tokens, index, end)
        if step == 0:
            break
        end += step
    return end


def _link(tokens: Sequence[Token], start: int, end: int) -> int:
    """Return how many tokens from ``end`` on continue the run, 0 if none."""
    if _nameable(tokens[end]):
        return 1
    after = tokens[end + 1] if end + 1 < len(tokens) else None
    if after is None:
        return 0
    token, before = tokens[end], tokens[end - 1]
    kinds = {piece.low for piece in tokens[start:end]}
    if particles := _particles(tokens, end):
        return particles + 1
    if token.low == "&" and _nameable(after):
        return 2
    if (
        token.text in "’'"
        and before.low.endswith("s")
        and _nameable(after)
        and (_body_ahead(tokens, end + 1) and not before.low.endswith("ss"))
    ):
        return 2
    if token.low in _LINKS and kinds & (BODIES | TITLES | {"ministry", "bank", "friends"}):
        if _nameable(after):
            return 2
        if after.low == "the" and end + 2 < len(tokens) and _nameable(tokens[end + 2]) and kinds & TITLES:
            return 3
    if token.low == "and" and _nameable(after) and _joins(tokens, start, end):
        return 2
    return 0


def _particles(tokens: Sequence[Token], index: int) -> int:
    """Return how many particles stand at ``index`` before a capitalised word ("von der" Leyen), 0 if none does."""
    end = index
    while end < len(tokens) and tokens[end].low in PARTICLES and not tokens[end].capital:
        end += 1
    return end - index if end < len(tokens) and _nameable(tokens[end]) else 0


def _joins(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Return whether "and" at ``end`` stands inside one name ("the Maritime and Dock Workers’ Union")."""
    if tokens[end - 1].low in TITLES:
        return any(token.low in TITLES for token in tokens[end + 1 : _run_end(tokens, end + 1)])
    introduced = start > 0 and tokens[start - 1].low in ("the", "for", "of")
    return introduced and end - start <= 2 and _body_ahead(tokens, end + 1) and tokens[end - 1].low not in BODIES


def _body_ahead(tokens: Sequence[Token], index: int) -> bool:
    last = _run_end(tokens, index) - 1
    return tokens[last].low in BODIES | GROUPS


def _head_after(tokens: Sequence[Token], index: int, reach: int = _MAX_MODIFIERS) -> int:
    """Return the end of a head noun that lower-case words after a run lead to ("Finnish defence ministry"), or 0."""
    for position in range(index, min(index + reach, len(tokens))):
        token = tokens[position]
        if not token.word or token.capital or token.low in FUNCTION or _finite(token, position == index):
            return 0
        if token.low in HEADS:
            end = position + 1
            while end < len(tokens) and tokens[end].low in HEADS and not tokens[end].capital:
                end += 1
            return end
    return 0


def _finite(token: Token, first: bool) -> bool:
    """Return whether the word after a name is rather a verb than a modifier."""
    return token.low not in HEADS and (token.low in VERBS or (first and token.low.endswith(("ed", "ly"))))


def _with_name(tokens: Sequence[Token], first: int, head_end: int, floor: int) -> Phrase:
    """Return a phrase with the head noun before ``head_end``, and the name it introduces if one follows."""
    start, determiner = _introduced(tokens, first, floor)
    head = tokens[head_end - 1].low
    end = _run_end(tokens, head_end) if head_end < len(tokens) else head_end
    words = tuple(token.low for token in tokens[start:head_end] if token.word)
    if end > head_end and head not in GROUPS and head not in ("number", "party"):
        inner = _from_run(tokens, head_end, end, head_end)
        return Phrase(start, end, inner.name, words + inner.words, inner.head or head, determiner)
    end = _of_end(tokens, head_end)
    words = tuple(token.low for token in tokens[start:end] if token.word)
    text = joined(token.text for token in tokens[start:end])
    return Phrase(start, end, (), words, head, determiner, text)


def _of_end(tokens: Sequence[Token], head_end: int) -> int:
    """Return where the "of" with a name after a body ends ("government of Tavalu"), ``head_end`` if there is none."""
    linked = [token.low for token in tokens[head_end : head_end + 2]]
    start = head_end + (2 if linked == ["of", "the"] else 1)
    if tokens[head_end - 1].low not in BODIES - SPOKES or linked[:1] != ["of"] or start >= len(tokens):
        return head_end
    end = _run_end(tokens, start)
    titled = any(token.low in TITLES for token in tokens[start:end])
    return head_end if end == start or titled or _head_after(tokens, end) else end


def joined(words: Iterable[str]) -> str:
    """Return the words of a name as text."""
    return re.sub(r" ([’'])", r"\1", " ".join(words))


def _from_run(tokens: Sequence[Token], start: int, end: int, floor: int) -> Phrase:
    run = tokens[start:end]
    titles = [place for place, token in enumerate(run) if token.low in TITLES]
    begin, determiner = _introduced(tokens, start, floor)
    before = tuple(token.low for token in tokens[begin:start] if token.word)
    if not titles or (run[-1].low in BODIES | MEDIA and run[0].low not in TITLES):
        return Phrase(begin, end, tuple(token.text for token in run), before, "", determiner)
    cut = titles[-1] + 1
    if cut < len(run) and run[cut].low in _LINKS:
        ends_in_body = run[-1].low in BODIES
        cut = len(run) if ends_in_body or len(run) - cut < 3 else cut + 2
    words = before + tuple(token.low for token in run[:cut])
    text = " ".join(token.text for token in tokens[begin:end] if token.word)
    return Phrase(begin, end, tuple(token.text for token in run[cut:]), words, run[titles[-1]].low, determiner, text)


def _introduced(tokens: Sequence[Token], start: int, floor: int) -> tuple[int, str]:
    """Return where the phrase begins, lower-case modifiers included, and the determiner before it."""
    begin = start
    while begin > floor and start - begin < _MAX_MODIFIERS:
        token = tokens[begin - 1]
        if not token.word or token.low in FUNCTION or token.capital or _finite(token, False):
            break
        begin -= 1
    if begin > 0 and tokens[begin - 1].low in DETERMINERS:
        return begin, tokens[begin - 1].low
    if begin > 0 and (tokens[begin - 1].low == "'s" or (tokens[begin - 1].text in "’'" and begin > 1)):
        return begin, "'s"
    return begin, ""


def unnamed_source(phrase: Phrase) -> bool:
    """Return whether the phrase is of those whom an article only counts or calls sources ("three diplomats")."""
    if phrase.name or phrase.pronoun or phrase.head in SPOKES:
        return False
    counted = phrase.head in GROUPS and phrase.determiner in ("two", "three", "several", "some", "many")
    return counted or phrase.head == "diplomats" or anonymous(phrase)


def anonymous(phrase: Phrase) -> bool:
    """Return whether the phrase speaks of somebody whom the article does not name ("two officials")."""
    if phrase.name or phrase.pronoun:
        return False
    if phrase.head in ANONYMOUS:
        return True
    return phrase.head in ROLES - {"judge", "coroner", "magistrate"} and phrase.determiner in (
        "a",
        "an",
        "one",
        "another",
        "some",
    )
