"""Cues for a holder in one statement: each verb, noun or preposition that gives a position, with whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stancekit.pairs.holders.nouns import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    FUNCTION,
    POSITION_NOUNS,
    PREPOSITIONS,
    WILL_NOUNS,
    words,
)
from stancekit.pairs.holders.phrases import Phrase
from stancekit.pairs.holders.subjects import Clause
from stancekit.pairs.holders.tokens import QUOTE, Token
from stancekit.pairs.holders.verbs import PARTICLES, SAY, SILENT, STATIVE, UNDER_WOULD, VERBS, WITHHELD

_MODALS = words("will would could should may might must can")
_DO = words("do does did")
_BEFORE_ING = words(", after by while before despite without and in when")
_OF_WHOM = words("objections support opposition stance wishes backing view opinion verdict")
_NOUN_LIKE = POSITION_NOUNS | words("votes hopes fears supports orders signs answers notes")
_CONTRAST = words(
    "contradict contradicts contradicted contrast contrasts contrasted differ differs differed than defend defends "
    "defended echo echoes echoed from"
)
_SOURCES = words("from among by of")
_LINKING = words("appeared appears seemed seems remained remains stood")
_HEARSAY = words("said understood reported believed thought known")
_NOT_VERBS = frozenset(("noun", "passive", "according"))
_ACTS = words("investigate build close open cut end start begin launch appeal fight introduce")
_LACKS = {
    ("no", noun) for noun in words("plan plans intention intentions objection objections doubt doubts wish desire")
}
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
        return _colon(clause) or _headline_plan(clause)
    return _compared(clause, found) or _colon(clause)


def _compared(clause: Clause, found: list[Cue]) -> list[Cue]:
    """Add whom the statement sets against another who has a position ("more cautious than X, who has promised …")."""
    if not found or not found[0].relative:
        return found
    rival = found[0].holders[0]
    if clause.low(clause.lead(rival)) not in ("than", "unlike"):
        return found
    return [Cue(rival.start, "compared", clause.main_subject(rival.start)), *found]


def _colon(clause: Clause) -> list[Cue]:
    """Return whose words a colon or a closing dash attributes ("Mensah: no deal", "‘No deal’ – Mensah")."""
    tokens = clause.tokens
    for index in range(1, len(tokens) - 1):
        named = clause.ending(index)
        if clause.low(index) == ":" and (tokens[index + 1].text == QUOTE or clause.heading):
            leading = named is not None and bool(named.name) and named.start == 0
            if leading or tokens[index + 1].text == QUOTE:
                return [Cue(index, "colon", (named,) if leading and named else clause.main_subject(index))]
    closing = clause.ending(len(tokens))
    if len(tokens) > 2 and tokens[0].text == QUOTE and clause.low(1) in "-–—," and closing and closing.start == 2:
        return [Cue(1, "colon", (closing,))]
    return []


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
    if form == "past" and auxiliaries & _MODALS:
        return None
    if form == "past" and after[:1] == ["by"] and clause.starting(index + 2):
        return None
    if form == "base" and not _base_counts(clause, index, group, base, auxiliaries):
        return None
    apposed = previous == "," and clause.ending(group - 1) is not None
    if form == "third" and previous in ("and", "but", ",") and token.low in _NOUN_LIKE and not apposed:
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
        if auxiliaries & {"not", "never"} or any(clause.low(place) in ("neither", "nor") for place in range(group)):
            return base in UNDER_WOULD | WITHHELD
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
    if clause.low(index) not in STATIVE:
        return None
    group = {clause.low(place) for place in range(clause.group_start(index) - 1, index)}
    stands = bool(group & (BE | _LINKING)) and (clause.low(index) != "prepared" or after == "to")
    if after not in ("to", "by", "for", "on", "that", "at", "over", "between") and not stands:
        return None
    if _hypothetical(clause, index):
        return None
    start = clause.group_start(index)
    if clause.low(start - 1) in _LINKING:
        start = clause.group_start(start - 1)
    subject = clause.subject(start - 1, clause.low(index) == "opposed")
    if subject.shared and earlier is not None:
        return Cue(index, "stative", earlier.holders)
    return Cue(index, "stative", subject.phrases, relative=subject.relative)


def _other(clause: Clause, index: int) -> Cue | None:
    low, after = clause.low(index), clause.low(index + 1)
    if low == "according" and after == "to":
        return Cue(index, "according", clause.list_from(index + 2))
    if low == "by" and (agents := clause.list_from(index + 1)) and _passive_before(clause, index):
        return Cue(index, "passive", agents)
    if low in _HEARSAY and after == "to" and clause.low(index - 1) in BE:
        return _of_subject(clause, index)
    if low == "to" and clause.low(index - 1) in BE and after not in BE and (after in VERBS or after in _ACTS):
        return _of_subject(clause, index)
    if low in ("has", "have", "had") and ((after, clause.low(index + 2)) in _LACKS or _undecided(clause, index)):
        return _of_subject(clause, index)
    if low == "favour" and clause.low(index - 1) == "in":
        return _of_subject(clause, index - 1)
    if low in POSITION_NOUNS | WILL_NOUNS or (low == "will" and clause.low(index - 1) in ("'s", "his", "her")):
        return _noun(clause, index)
    return None


def _undecided(clause: Clause, index: int) -> bool:
    return [clause.low(index + step) for step in (1, 2, 3)] == ["yet", "to", "decide"]


def _of_subject(clause: Clause, index: int) -> Cue:
    subject = clause.subject(clause.group_start(index) - 1)
    return Cue(index, "stative", subject.phrases, relative=subject.relative)


def _passive_before(clause: Clause, index: int) -> bool:
    """Return whether a participle of saying, deciding or making stands shortly before "by" in the same clause."""
    for place in range(index - 1, max(-1, index - _AGENT_REACH), -1):
        low = clause.low(place)
        if low in (",", ";", QUOTE):
            return False
        base, form = VERBS.get(low, ("", ""))
        if low in ("made", "taken", "issued", "drafted", "and") or (form == "past" and base not in PARTICLES):
            return base not in ("ask", "tell", "surprise")
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
        if clause.low(start - 1) == "in" and low in ("view", "opinion", "words"):
            return Cue(index, "noun", (owner,))
        if leading or told or (contrast and not owner.pronoun) or (low in WILL_NOUNS and not owner.pronoun):
            return Cue(index, "noun", (owner,))
        return None
    if low in ("support", "backing", "opposition", "criticism", "pressure"):
        away = next((place for place in range(index + 1, index + 6) if clause.low(place) in ("from", ",", ".")), index)
        if clause.low(away) == "from":
            return Cue(index, "noun", clause.list_from(away + 1))
    for place in (index + 1, index + 2):
        if clause.low(place) in _SOURCES and (place == index + 1 or clause.low(index + 1) not in FUNCTION):
            if clause.low(place) == "of" and low not in _OF_WHOM:
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
