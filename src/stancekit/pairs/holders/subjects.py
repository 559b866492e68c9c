"""Whose a verb is: subjects found by walking through one statement's tokens, without a parser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.pairs.holders.nouns import AUXILIARIES, BREAKS, DETERMINERS, PREPOSITIONS, ROLES, words
from stancekit.pairs.holders.phrases import Phrase
from stancekit.pairs.holders.tokens import QUOTE, Token
from stancekit.pairs.holders.verbs import VERBS

_RELATIVE = words("who which")
_ASIDES = words(
    "who which whose where when while after along like including citing despite in on at with from by as speaking "
    "during for of but not however too meanwhile though then asked"
)
_STOPS = words(
    "that if whether ; : because while although though after as when where than despite unlike before until"
) | {QUOTE}
_AFTER_HEAD = PREPOSITIONS | frozenset(("(", ",", "familiar", "close", "briefed", "also", "opposed", "who"))
_BEFORE_SUBJECT = words(", ; and but that while : as") | {QUOTE}
_REACH = 30


@dataclass(frozen=True, slots=True)
class Subject:
    """What stands as subject: ``shared`` if it is that of the verb before, ``relative`` if "who" leads to it."""

    phrases: tuple[Phrase, ...] = ()
    shared: bool = False
    relative: bool = False


class Clause:
    """A statement's tokens and phrases, with the questions that the cues ask about them."""

    def __init__(self, tokens: Sequence[Token], phrases: Sequence[Phrase]) -> None:
        """Take the tokens and the phrases found in them."""
        self.tokens = tokens
        self.phrases = phrases
        self._ending = {phrase.end: phrase for phrase in phrases}
        self._starting = {phrase.start: phrase for phrase in phrases}

    @property
    def heading(self) -> bool:
        """Whether the statement ends as headlines and headings do, with a word."""
        return bool(self.tokens) and self.tokens[-1].word and not self.tokens[-1].text.endswith(".")

    def low(self, index: int) -> str:
        """Return the token's text in lower case, "" outside the statement."""
        return self.tokens[index].low if 0 <= index < len(self.tokens) else ""

    def ending(self, end: int) -> Phrase | None:
        """Return the phrase that ends before the token ``end``."""
        return self._ending.get(end)

    def starting(self, start: int) -> Phrase | None:
        """Return the phrase that starts at the token ``start``, a determiner skipped."""
        if start in self._starting:
            return self._starting[start]
        return self._starting.get(start + 1) if self.low(start) in DETERMINERS else None

    def lead(self, phrase: Phrase) -> int:
        """Return the index of the token before a phrase, its determiner and its owners left out."""
        before = phrase.start - 1
        while self.low(before) in ("'s", "'") or self.low(before) in DETERMINERS:
            owner = self.ending(before) if self.low(before) in ("'s", "'") else None
            before = owner.start - 1 if owner else before - 1
        return before

    def owns(self, phrase: Phrase) -> bool:
        """Return whether the phrase is only the owner of what follows ("Vance’s …")."""
        after = self.low(phrase.end)
        return after == "'s" or (after == "'" and self.low(phrase.end - 1).endswith("s"))

    def group_start(self, index: int) -> int:
        """Return where the verb's group begins: the auxiliaries and adverbs before it."""
        while index > 0 and (self.low(index - 1) in AUXILIARIES or _adverb(self.low(index - 1))):
            index -= 1
        return index

    def broken(self, start: int, end: int) -> bool:
        """Return whether a new clause begins between two tokens."""
        return any(self.low(place) in BREAKS | {";", QUOTE} for place in range(start + 1, end))

    def leads(self, start: int) -> bool:
        """Return whether only an opening word or adverbial stands before the token."""
        return start <= 2 and not any(self.low(place) in VERBS for place in range(start))

    def subject(self, place: int, absolute: bool = False) -> Subject:
        """Return the subject whose phrase ends at or before ``place``, the last token before a verb's group.

        ``absolute`` lets "with" introduce it ("with two members opposed").
        """
        skipped = attached = False
        for _ in range(_REACH):
            if place < 0:
                break
            low = self.low(place)
            phrase = self.ending(place + 1)
            if phrase is not None:
                if skipped and self.low(phrase.end) not in _AFTER_HEAD:
                    break
                group, lead = self._conjoined(phrase)
                through = ("by", "with") if absolute else ("by",)
                if self.low(lead) in PREPOSITIONS - BREAKS and self.low(lead) not in through:
                    place, attached, skipped = lead - 1, True, False
                    continue
                return Subject(group)
            if low == ")":
                place = max((at for at in range(place) if self.low(at) == "("), default=0) - 1
                continue
            if low == ",":
                opened = self._aside(place)
                if opened is None:
                    break
                if isinstance(opened, Phrase):
                    return Subject(self._conjoined(opened)[0] if opened.end == place else (opened,))
                place, skipped = opened - 1, False
                continue
            if low in _RELATIVE or (low == "that" and self.ending(place) is not None and attached):
                before = self.ending(place - 1 if self.low(place - 1) == "," else place)
                return Subject((before,) if before else (), relative=True)
            if low in ("and", "but", "or", "yet"):
                return Subject(shared=True)
            if low in _STOPS or not self.tokens[place].word:
                break
            place, skipped = place - 1, True
        return Subject()

    def _conjoined(self, phrase: Phrase) -> tuple[tuple[Phrase, ...], int]:
        """Return the phrase with those joined to it by "and", and the index of the token before the first."""
        group: tuple[Phrase, ...] = (phrase,)
        lead = self.lead(phrase)
        while self.low(lead) in ("and", "or", "nor", ",") and not phrase.pronoun:
            before = self.ending(lead)
            comma = self.low(lead) == ","
            if before is None or (comma and len(group) == 1 and not self._bare_list(before, phrase)):
                break
            if self._owned_role(before, phrase):
                break
            group = (before, *group)
            lead = self.lead(before)
        return group, lead

    def _bare_list(self, before: Phrase, phrase: Phrase) -> bool:
        """Return whether a headline lists two names with a comma ("Hegseth, Vance differ")."""
        return before.start == 0 and bool(before.name and phrase.name) and self.tokens[-1].word

    def _owned_role(self, before: Phrase, phrase: Phrase) -> bool:
        return self.low(self.lead(phrase)) == "," and bool(before.name) != bool(phrase.name)

    def _aside(self, comma: int) -> Phrase | int | None:
        """Return what the aside that closes at the comma belongs to: a phrase, or the index of the opening comma."""
        phrase = self.ending(comma)
        if phrase is not None:
            lead = self._conjoined(phrase)[1]
            if self.low(lead) == ",":
                before = self.ending(lead)
                if before is None:
                    return phrase if phrase.name else lead
                if phrase.name and self.low(self.lead(before)) in PREPOSITIONS:
                    return phrase
                return phrase if phrase.name and not before.name else self._head_of(before)
            opening = self._opening(comma)
            inside = opening is not None and self.low(opening + 1) in _ASIDES
            if opening is not None and (inside or self.low(lead) in PREPOSITIONS | {"and"} or lead < 0):
                return opening
            return phrase if lead < 0 or self.low(lead) in ("but", "and", "while", "than", "that", QUOTE) else None
        return self._opening(comma)

    def _head_of(self, phrase: Phrase) -> Phrase | int:
        """Return the phrase, or what it stands in apposition to ("Her deputy, X, the …, said")."""
        lead = self.lead(phrase)
        before = self.ending(lead) if self.low(lead) == "," else None
        if before is not None and before.name and not phrase.name:
            return before
        if self.low(lead) in PREPOSITIONS and (opening := self._opening(phrase.end)) is not None:
            return opening
        return phrase

    def _opening(self, comma: int) -> int | None:
        for place in range(comma - 1, 0, -1):
            if self.low(place) in (";", QUOTE):
                return None
            if self.low(place) == ",":
                first = self.low(place + 1)
                aside = first in _ASIDES | DETERMINERS or first[:1].isdigit() or first.endswith(("ing", "ed"))
                if aside or self.starting(place + 1) is not None:
                    return place
        return None

    def inverted_subject(self, index: int) -> tuple[Phrase, ...]:
        """Return the subject after a verb of saying ("…, said X, the …"), or nothing if it stands before."""
        previous = self.low(index - 1)
        if (index > 0 and previous not in (QUOTE, ",")) or self.ending(index) is not None:
            return ()
        if previous == "," and self.low(index - 2) != QUOTE and self.subject(index - 1).phrases:
            return ()
        found = self.list_from(index + 1)
        if previous == "," and self.low(index - 2) != QUOTE and found and found[0].pronoun:
            return ()
        if len(found) == 1 and not found[0].name and self.low(found[0].end) == ",":
            named = self.starting(found[0].end + 1)
            return (named,) if named is not None and named.name else found
        return found

    def list_from(self, index: int) -> tuple[Phrase, ...]:
        """Return the phrase that starts at the token with all that commas and "and" join to it, roles apposed."""
        phrase = self._owned(self.starting(index))
        if phrase is None:
            return ()
        found = [phrase]
        while True:
            after = found[-1].end
            step = after + 1
            if self.low(after) == "," and self.low(step) == "and":
                step += 1
            elif self.low(after) not in (",", "and"):
                break
            if self.low(step) == "by":
                step += 1
            following = self._owned(self.starting(step))
            if following is None or following.pronoun or self.low(following.end) in VERBS:
                break
            apposed = {following.head, found[-1].head} & ROLES and bool(following.name) != bool(found[-1].name)
            if self.low(after) == "," and apposed and step == after + 1:
                found[-1] = following if following.name else found[-1]
                break
            found.append(following)
        return tuple(found)

    def _owned(self, phrase: Phrase | None) -> Phrase | None:
        """Return the phrase, or the one it owns where that is a role ("the union’s chair"); None where it is not."""
        while phrase is not None and self.owns(phrase):
            phrase = self._starting.get(phrase.end + 1)
        return phrase

    def listed_after(self, word: str, index: int) -> tuple[Phrase, ...]:
        """Return the list that follows the first such word after the token."""
        for place in range(index + 1, len(self.tokens)):
            if self.low(place) == word:
                return self.list_from(place + 1)
        return ()

    def main_subject(self, index: int) -> tuple[Phrase, ...]:
        """Return the first phrase of the clause before the token that can be its subject."""
        start = max((place for place in range(index) if self.low(place) == ";"), default=-1) + 1
        for phrase in self.phrases:
            if start <= phrase.start < index and self._can_be_subject(phrase):
                return self._conjoined_after(phrase)
        return ()

    def first_subject(self) -> tuple[Phrase, ...]:
        """Return the first phrase of the statement that can be a subject."""
        return self.main_subject(len(self.tokens))

    def _can_be_subject(self, phrase: Phrase) -> bool:
        lead = self.lead(phrase)
        before = self.low(lead)
        if self.owns(phrase) or before in PREPOSITIONS - {"by"} | {"to"}:
            return False
        return lead <= 1 or before in _BEFORE_SUBJECT or _adverb(before)

    def _conjoined_after(self, phrase: Phrase) -> tuple[Phrase, ...]:
        if self.low(phrase.end) == "," and not phrase.name:
            named = self.starting(phrase.end + 1)
            if named is not None and named.name and self.low(named.end) == ",":
                return (named,)
        following = self.starting(phrase.end + 1) if self.low(phrase.end) == "and" else None
        return (phrase, following) if following is not None and not following.pronoun else (phrase,)

    def owner(self, index: int) -> tuple[Phrase | None, int]:
        """Return whose the noun at the token is ("Vance’s earlier remarks", "her plan") and where that begins."""
        for place in range(index - 1, max(-1, index - 4), -1):
            low = self.low(place)
            if low in ("'s", "'") and (phrase := self.ending(place)) is not None:
                return phrase, self.lead(phrase) + 1
            if low in ("his", "her", "their"):
                head = {"his": "he", "her": "she", "their": "they"}[low]
                return Phrase(place, place + 1, (), (), head, ""), place
            if not self.tokens[place].word or low in PREPOSITIONS | BREAKS | DETERMINERS:
                break
        return None, index


def _adverb(low: str) -> bool:
    return low.endswith("ly") and low not in ("july", "family", "assembly", "ally", "italy", "supply", "reply", "rely")
