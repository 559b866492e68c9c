"""Cues for a holder in one statement: each verb, noun or preposition that gives a position, with whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.pairs.lexicon import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    FUNCTION,
    PARTICLES,
    POSITION_NOUNS,
    PREPOSITIONS,
    SAY,
    SILENT,
    STATIVE,
    UNDER_WOULD,
    VERBS,
    WILL_NOUNS,
)
from stancekit.pairs.phrases import Phrase
from stancekit.pairs.subjects import Clause
from stancekit.pairs.tokens import QUOTE, Token

_MODALS = frozenset("will would could should may might must can".split())
_DO = frozenset("do does did".split())
_BEFORE_ING = frozenset(", after by while before despite without and in when".split())
_NOUN_LIKE = POSITION_NOUNS | frozenset("votes hopes fears supports orders signs answers notes".split())
_CONTRAST = frozenset(
    "contradict contradicts contradicted contrast contrasts contrasted differ differs differed than defend defends "
    "defended echo echoes echoed from".split()
)
_SOURCES = frozenset("from among by of".split())
_NOT_VERBS = frozenset(("noun", "passive", "according"))
_AGENT_REACH = 7


@dataclass(frozen=True, slots=True)
class Cue:
    """Something that gives ``holders`` a position: ``base`` is the verb's base form, or what kind of cue it is."""

    at: int
    base: str
    holders: tuple[Phrase, ...]
    relative: bool = False
    inverted: bool = False


def find_cues(tokens: Sequence[Token], phrases: Sequence[Phrase]) -> list[Cue]:
    """Return the cues of a statement in order."""
    clause = Clause(tokens, phrases)
    found: list[Cue] = []
    for index in range(len(tokens)):
        earlier = next((cue for cue in reversed(found) if cue.base not in _NOT_VERBS), None)
        cues = (_verb(clause, index, earlier), _stative(clause, index, earlier), _other(clause, index))
        found += [cue for cue in cues if cue is not None and cue.holders][:1]
    if clause.heading and all(cue.base == "noun" for cue in found):
        return _headline_plan(clause)
    return found


def _verb(clause: Clause, index: int, earlier: Cue | None) -> Cue | None:
    token = clause.tokens[index]
    if token.low not in VERBS or (token.capital and index > 0):
        return None
    base, form = VERBS[token.low]
    after = [piece.low for piece in clause.tokens[index + 1 : index + 4]]
    if _hypothetical(clause, index) or (token.low == "back" and after[0:1] and after[0] in FUNCTION - DETERMINERS):
        return None
    if base in PARTICLES and not PARTICLES[base] & set(after):
        return None
    if form == "ing":
        return _participle(clause, index, base, earlier)
    group = clause.group_start(index)
    auxiliaries = {piece.low for piece in clause.tokens[group:index]}
    previous = clause.low(group - 1)
    if previous in ("to", "'s", "the", "a", "an", "his", "her", "its", "their", "this", "these") and form != "base":
        return None
    if form == "past" and auxiliaries & BE and base != "outvote":
        return None
    if form == "past" and after[:1] == ["by"] and clause.starting(index + 2):
        return None
    if form == "base" and not _base_counts(clause, index, group, base, auxiliaries):
        return None
    if form == "third" and previous in ("and", "but", ",") and token.low in _NOUN_LIKE:
        return None
    if form == "third" and clause.ending(group) is None and previous not in ("who", "which", "and", "but", ","):
        return None
    if form != "base" and base in SAY and (named := clause.inverted_subject(index)):
        return Cue(index, base, named, inverted=True)
    subject = clause.subject(group - 1)
    if subject.shared and earlier is not None and form != "base":
        return Cue(index, base, earlier.holders)
    holders = subject.phrases or (clause.main_subject(index) if subject.shared else ())
    if base == "outvote":
        holders += clause.listed_after("with", index)
    return Cue(index, base, holders, relative=subject.relative)


def _hypothetical(clause: Clause, index: int) -> bool:
    """Return whether the verb stands in a condition ("if Putin refuses to sign")."""
    for place in range(index - 1, -1, -1):
        if clause.low(place) in ("if", "unless", "whether"):
            return True
        if clause.low(place) in (",", ";", QUOTE):
            return False
    return False


def _base_counts(clause: Clause, index: int, group: int, base: str, auxiliaries: set[str]) -> bool:
    """Return whether a base form is a finite verb, or one that "would" or "did not" leaves as a position."""
    if clause.low(group - 1) == "to":
        return False
    if auxiliaries & _MODALS:
        return base in UNDER_WOULD and (base != "vote" or clause.low(index + 1) in ("for", "against", "to"))
    if auxiliaries & _DO:
        return base not in SILENT
    before = clause.ending(group)
    if before is None or before.head in ("he", "she", "it"):
        return False
    return not (base in POSITION_NOUNS and before.name and before.determiner)


def _participle(clause: Clause, index: int, base: str, earlier: Cue | None) -> Cue | None:
    group = clause.group_start(index)
    if {piece.low for piece in clause.tokens[group:index]} & BE:
        subject = clause.subject(group - 1)
        return Cue(index, base, subject.phrases, relative=subject.relative)
    if group > 0 and clause.low(group - 1) not in _BEFORE_ING:
        return None
    if earlier is not None and not clause.broken(earlier.at, index):
        return Cue(index, base, earlier.holders)
    return Cue(index, base, clause.main_subject(index) or clause.first_subject())


def _stative(clause: Clause, index: int, earlier: Cue | None) -> Cue | None:
    after = clause.low(index + 1)
    if clause.low(index) not in STATIVE or after not in ("to", "by", "for", "on", "that", "at", "over", "between"):
        return None
    if _hypothetical(clause, index):
        return None
    group = clause.group_start(index)
    if clause.low(group - 1) in ("appeared", "appears", "seemed", "seems", "remained", "remains", "made", "stood"):
        group = clause.group_start(group - 1)
    subject = clause.subject(group - 1)
    if subject.shared and earlier is not None:
        return Cue(index, "stative", earlier.holders)
    return Cue(index, "stative", subject.phrases, relative=subject.relative)


def _other(clause: Clause, index: int) -> Cue | None:
    low, after = clause.low(index), clause.low(index + 1)
    if low == "according" and after == "to":
        return Cue(index, "according", clause.list_from(index + 2))
    if low == "by" and (agents := clause.list_from(index + 1)) and _passive_before(clause, index):
        return Cue(index, "passive", agents)
    if low in POSITION_NOUNS | WILL_NOUNS:
        return _noun(clause, index)
    return None


def _passive_before(clause: Clause, index: int) -> bool:
    """Return whether a participle of saying, deciding or making stands shortly before "by" in the same clause."""
    for place in range(index - 1, max(-1, index - _AGENT_REACH), -1):
        low = clause.low(place)
        if low in (",", ";", QUOTE):
            return False
        if low in ("made", "taken", "issued", "drafted", "and") or VERBS.get(low, ("", ""))[1] == "past":
            return True
    return False


def _noun(clause: Clause, index: int) -> Cue | None:
    low = clause.low(index)
    owner, start = clause.owner(index)
    if owner is not None:
        after, before = clause.low(index + 1), clause.low(start - 1)
        leading = start == 0 or before in (",", ";", "while", "but", QUOTE) or clause.leads(start)
        narrates = after in (",", ".", "", "'s") and not leading
        if low in WILL_NOUNS and not owner.pronoun and not narrates | (low == "plan" and not leading):
            return Cue(index, "noun", (owner,))
        told = after == "that" or (after == "," and clause.low(index + 2) == "that")
        contrast = any(clause.low(place) in _CONTRAST for place in (start - 1, start - 2))
        if leading or told or (contrast and not owner.pronoun) or (low in WILL_NOUNS and not owner.pronoun):
            return Cue(index, "noun", (owner,))
        return None
    for place in (index + 1, index + 2):
        if clause.low(place) in _SOURCES and (place == index + 1 or clause.low(index + 1) not in FUNCTION):
            if clause.low(place) == "of" and low not in ("objections", "support", "opposition", "stance", "wishes"):
                return None
            return Cue(index, "noun", clause.list_from(place + 1))
    return None


def _headline_plan(clause: Clause) -> list[Cue]:
    """Return the plan that a headline's infinitive tells ("Dockers at the port to strike")."""
    for index in range(1, len(clause.tokens) - 1):
        if clause.low(index) == "to" and clause.tokens[index + 1].word and clause.low(index + 1) not in FUNCTION:
            subject = clause.subject(index - 1)
            known = subject.phrases and clause.low(index - 1) not in PREPOSITIONS | AUXILIARIES
            return [Cue(index, "plan", subject.phrases)] if known else []
    return []
