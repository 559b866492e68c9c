"""Whose position each statement of an article reports: a name table, cues, and a memory of who spoke last."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from stancekit.articles.model import Statement
from stancekit.pairs.holders.casing import lowered, vocabulary
from stancekit.pairs.holders.cues import Cue, find_cues
from stancekit.pairs.holders.names import Entity, NameTable, fold
from stancekit.pairs.holders.nouns import ANONYMOUS, BODIES, GROUPS, MEDIA, PREPOSITIONS, SPOKES, TIMES, words
from stancekit.pairs.holders.phrases import Phrase, anonymous, find_phrases, unnamed_source
from stancekit.pairs.holders.subjects import Clause
from stancekit.pairs.holders.tokens import QUOTE, Token, tokenise
from stancekit.pairs.holders.verbs import INNER, OWN_TOO, SAY

_MEMORY = 6
_ADJECTIVE = re.compile(r"(?:\w+(?:ish|ean|ian|ese)|American|French|German|Dutch|Greek|Swiss|Welsh|Mexican)$").match
_POSSESSIVE = {"his": "he", "her": "she", "its": "it", "their": "they"}
_OWN_SIDE = words("government country administration company firm club union team party office ministry")


def find_holders(statements: Sequence[Statement]) -> list[tuple[str, ...]]:
    """Return, for every statement of one article in order, the names of its holders; () where nobody can be named.

    A person's name is the fullest form in the article without title; a body's is the name the article gives it,
    without "the". Each name comes once, in the order of the statement.
    """
    raw = [tokenise(statement.text) for statement in statements]
    known = vocabulary(raw)
    tokens = [lowered(pieces, known) for pieces in raw]
    phrases = [find_phrases(pieces) for pieces in tokens]
    reader = _Reader()
    reader.table.learn(list(zip(tokens, phrases, strict=True)))
    found = [reader.read(pieces, names) for pieces, names in zip(tokens, phrases, strict=True)]
    return [
        tuple(entity.name for entity in _quoted_elsewhere(index, tokens, found) or found[index])
        for index in range(len(statements))
    ]


def _quoted_elsewhere(
    index: int, tokens: Sequence[Sequence[Token]], found: Sequence[Sequence[Entity]]
) -> Sequence[Entity]:
    """Return the holders of the statement that repeats the words of a heading that is only a quotation."""
    if not _only_quotation(tokens[index]):
        return ()
    words = fold(tokens[index][0].quoted)
    for other, pieces in enumerate(tokens):
        repeats = any(words and words in fold(piece.quoted) for piece in pieces if piece.text == QUOTE)
        if other != index and repeats and not _only_quotation(pieces):
            return found[other]
    return ()


def _only_quotation(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and tokens[0].text == QUOTE and not any(token.word for token in tokens)


class _Reader:
    """Reads an article's statements in order and remembers whom "he" and "they" can mean."""

    def __init__(self) -> None:
        self.table = NameTable()
        self._clock = 0
        self._focus: list[list[Entity]] = []
        self._speaker: tuple[Entity, ...] = ()

    def read(self, tokens: Sequence[Token], phrases: Sequence[Phrase]) -> tuple[Entity, ...]:
        """Return the holders of the next statement."""
        if _only_quotation(tokens):
            return self._speaker
        clause = Clause(tokens, phrases)
        meant = self._resolve_all(clause)
        told: list[tuple[Cue, tuple[Entity, ...]]] = []
        for cue in find_cues(tokens, phrases):
            holders = tuple(e for phrase in cue.holders for e in self._holders_of(clause, phrase, meant))
            told.append((cue, holders))
        named = dict.fromkeys(entity for _, each in _without_tellers(clause, told) for entity in each)
        speaking = tuple(entity for entity in named if not _is_media(entity))
        holders = speaking if speaking else tuple(named)
        self._remember(clause, meant, holders)
        return holders

    def _resolve_all(self, clause: Clause) -> dict[int, tuple[Entity, ...]]:
        meant: dict[int, tuple[Entity, ...]] = {}
        for phrase in clause.phrases:
            self._clock += 1
            meant[phrase.start] = self._resolve(clause, phrase, meant)
            for entity in meant[phrase.start]:
                entity.seen = self._clock
        return meant

    def _resolve(self, clause: Clause, phrase: Phrase, meant: dict[int, tuple[Entity, ...]]) -> tuple[Entity, ...]:
        if phrase.pronoun:
            return self._pronoun(clause, phrase, meant)
        if phrase.name:
            found = self.table.find_name(phrase)
            return (found,) if found else ()
        if phrase.head in SPOKES:
            return self._spoken_for(clause, phrase, meant)
        found = self.table.find_description(phrase)
        return (found,) if found else ()

    def _spoken_for(self, clause: Clause, phrase: Phrase, meant: dict[int, tuple[Entity, ...]]) -> tuple[Entity, ...]:
        """Return the body or person for whom an unnamed spokesman speaks ("a spokeswoman for the ministry")."""
        if clause.low(phrase.end) in ("for", "of") and (body := clause.starting(phrase.end + 1)) is not None:
            return self._resolve(clause, body, meant)
        if phrase.determiner == "'s" and (owner := clause.ending(phrase.start - 1)) is not None:
            return meant.get(owner.start, ())
        if phrase.determiner in _POSSESSIVE:
            pronoun = Phrase(phrase.start, phrase.start, (), (), _POSSESSIVE[phrase.determiner], "")
            return self._pronoun(clause, pronoun, meant)
        words = phrase.words[:-1]
        fits = [e for e in self.table.entities if words and set(fold(e.name).split()) & {fold(word) for word in words}]
        return (max(fits, key=lambda entity: entity.seen),) if fits else ()

    def _pronoun(self, clause: Clause, phrase: Phrase, meant: dict[int, tuple[Entity, ...]]) -> tuple[Entity, ...]:
        here = [
            (clause.low(clause.lead(other)), entity)
            for other in clause.phrases
            if other.start < phrase.start
            for entity in meant[other.start]
        ]
        people = [entity for _, entity in here if entity.kind == "person"]
        people = people or [entity for _, entity in here if entity.kind == "other" and " " in entity.name]
        if phrase.head == "they":
            if here and here[0][1].kind != "person" and clause.phrases[0].start <= 1:
                return (here[0][1],)
            pair = list(dict.fromkeys(reversed(people)))[:2]
            if len(pair) == 2:
                return tuple(reversed(pair))
            return self._plural(pair)
        if phrase.head == "it":
            bodies = [entity for _, entity in here if entity.kind not in ("person", "group")]
            return (bodies[0],) if bodies else self._last("body")
        gender = "m" if phrase.head == "he" else "f"
        owners = [entity for entity in people if entity.gender in ("", gender)]
        if owners:
            chosen = owners[-1] if clause.broken(0, phrase.start) else owners[0]
        else:
            fits = self._recalled(gender)
            if not fits:
                return ()
            chosen = fits[0]
        chosen.gender, chosen.kind = gender, "person"
        return (chosen,)

    def _recalled(self, gender: str) -> list[Entity]:
        """Return whom he or she can mean, best first; a single word that may be a place comes last."""
        fits: list[Entity] = []
        for each in reversed(self._focus[-_MEMORY:]):
            people = [entity for entity in each if entity.kind == "person" and entity.gender in ("", gender)]
            fits += people + [e for e in each if e.kind == "other" and " " in e.name and e is each[0]]
        return fits or [entity for each in self._focus[-1:] for entity in each if entity.kind == "other"]

    def _plural(self, people: Sequence[Entity]) -> tuple[Entity, ...]:
        for each in reversed(self._focus[-2:]):
            groups = [entity for entity in each if entity.kind == "group"]
            if groups:
                return (groups[0],)
            both = list(dict.fromkeys([*each, *people]))
            persons = [entity for entity in both if entity.kind == "person"]
            if len(persons) == 2:
                return tuple(persons)
            bodies = [entity for entity in each if entity.kind != "person"]
            if bodies:
                return (bodies[0],)
        return ()

    def _last(self, kind: str) -> tuple[Entity, ...]:
        for each in reversed(self._focus[-2:]):
            for entity in each:
                if entity.kind == kind:
                    return (entity,)
        return ()

    def _holders_of(self, clause: Clause, phrase: Phrase, meant: dict[int, tuple[Entity, ...]]) -> tuple[Entity, ...]:
        if phrase.start not in meant:
            return self._pronoun(clause, phrase, meant)
        if (phrase.head in ANONYMOUS and not phrase.name) or (anonymous(phrase) and phrase.head not in SPOKES):
            return ()
        return tuple(entity for entity in meant[phrase.start] if entity.kind != "other" or not _ADJECTIVE(entity.name))

    def _remember(self, clause: Clause, meant: dict[int, tuple[Entity, ...]], holders: tuple[Entity, ...]) -> None:
        subject = [e for phrase in clause.first_subject() for e in meant.get(phrase.start, ())]
        others = [entity for each in meant.values() for entity in each]
        first = subject if not holders or set(subject) & set(holders) else []
        self._focus.append(list(dict.fromkeys([*first, *holders, *subject, *others])))
        if holders:
            self._speaker = holders if len(holders) == 1 else ()
        elif len(subject) == 1 and subject[0].kind == "person":
            self._speaker = (subject[0],)


def _without_tellers(
    clause: Clause, told: Sequence[tuple[Cue, tuple[Entity, ...]]]
) -> list[tuple[Cue, tuple[Entity, ...]]]:
    """Leave out who only tells another's position, and whom a speaker speaks for."""
    dropped: set[int] = set()
    for outer, (say, tellers) in enumerate(told):
        unnamed = all(unnamed_source(phrase) for phrase in say.holders)
        if unnamed and say.base == "according" and any(holders for cue, holders in told if cue is not say):
            dropped.add(outer)
        if say.base not in SAY | OWN_TOO:
            continue
        for inner, (cue, holders) in enumerate(told):
            if inner == outer or cue.relative or set(holders) & set(tellers) or not holders:
                continue
            if cue.base in ("noun", "passive", "according") or not _inside(clause, say, cue):
                continue
            if unnamed:
                dropped.add(outer)
            elif (
                _own_side(holders, tellers, cue, say)
                or (cue.base not in INNER | {"stative"} and cue.base not in SAY)
                or (say.base in OWN_TOO and holders[0].kind != "person")
            ):
                dropped.add(inner)
            elif say.base not in OWN_TOO and not say.inverted:
                dropped.add(outer)
    return [pair for index, pair in enumerate(told) if index not in dropped]


def _inside(clause: Clause, say: Cue, cue: Cue) -> bool:
    """Return whether the cue stands in what the verb of saying reports."""
    if say.at < cue.at:
        between = [clause.low(place) for place in range(say.at + 1, cue.at)]
        joined = any(one == "," and two in ("and", "but") for one, two in itertools.pairwise(between))
        return not joined and not clause.broken(say.at, cue.at)
    if not (say.inverted or _closes(clause, say.at)):
        return False
    between = [clause.low(place) for place in range(cue.at + 1, say.at)]
    return "," in between and not clause.broken(cue.at, say.at)


def _is_media(entity: Entity) -> bool:
    return entity.kind != "person" and fold(entity.name.split()[-1]) in MEDIA


def _closes(clause: Clause, at: int) -> bool:
    """Return whether nothing that could be said follows the verb ("…, Vance said on Friday")."""
    return clause.low(at + 1) in {".", ",", ""} | TIMES | (PREPOSITIONS - {"that"}) or clause.low(at) == "told"


def _own_side(holders: Sequence[Entity], tellers: Sequence[Entity], cue: Cue, say: Cue) -> bool:
    """Return whether the teller speaks for the body inside the report ("the minister said the government …")."""
    if tellers and tellers[0].words & SPOKES:
        return True
    body = [entity for entity in holders if entity.kind != "person"]
    if not tellers or not body or tellers[0].kind != "person":
        return False
    head = cue.holders[0].head
    if head in _OWN_SIDE | GROUPS or (head in BODIES and not cue.holders[0].name):
        return True
    return bool(set(fold(body[0].name).split()) & tellers[0].words) or (cue.at < say.at and bool(tellers[0].words))
