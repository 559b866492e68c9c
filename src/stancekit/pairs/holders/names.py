"""The table of an article's persons and bodies, and what a phrase refers to."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stancekit.pairs.holders.given_names import FEMALE_NAMES, MALE_NAMES
from stancekit.pairs.holders.nouns import (
    BODIES,
    FEMALE_ROLES,
    GROUPS,
    MALE_ROLES,
    MEDIA,
    PARTICLES,
    PERSON_PARTICLES,
    ROLES,
    SPOKES,
    TITLES,
    words,
)
from stancekit.pairs.holders.phrases import Phrase, anonymous, joined
from stancekit.pairs.holders.tokens import Token

_LEADERS = words("president premier chancellor king taoiseach leader minister chairman chief")
_OFFICES = {
    "minister": frozenset({"minister", "secretary"}),
    "leader": _LEADERS,
    "politician": ROLES,
    "chief": frozenset({"chief", "director", "executive"}),
}
_ARTICLES = frozenset(("the", "a", ""))
_IGNORED = words("general former new senior top own own longtime acting said also")


@dataclass(eq=False, slots=True)
class Entity:
    """A person or body of one article."""

    name: str
    kind: str
    gender: str = ""
    words: set[str] = field(default_factory=set)
    seen: int = 0

    @property
    def last(self) -> str:
        """The last word of the name, folded for comparison."""
        return fold(self.name.split()[-1])

    @property
    def first(self) -> str:
        """The first word of the name, folded for comparison."""
        return fold(self.name.split()[0])


def fold(name: str) -> str:
    """Return a name without case, accents, points and the kind of apostrophe."""
    plain = unicodedata.normalize("NFKD", name.lower().replace("’", "'"))
    return re.sub(r"[^\w' -]", "", "".join(char for char in plain if not unicodedata.combining(char))).strip()


def same_last_name(one: str, other: str) -> bool:
    """Return whether two last names are one, transliterated differently ("Zelensky", "Zelenskyy", "Zelenskiy")."""
    one, other = (re.sub(r"(?:yy|iy|ii|ij|yi|i|y)$", "y", fold(name).removeprefix("al-")) for name in (one, other))
    return one == other


def last_name(name: Sequence[str]) -> Sequence[str]:
    """Return the words of a name that is only a last name ("Reyes", "von der Leyen"), () for any other."""
    start = 0
    while start < len(name) - 1 and name[start].lower() in PARTICLES:
        start += 1
    given = start == 1 and name[0][0].isupper() and name[0].lower() not in ("von", "van", "de")
    return name if len(name) - start == 1 and not given else ()


class NameTable:
    """The persons and bodies named anywhere in an article."""

    def __init__(self) -> None:
        """Start with nobody known."""
        self.entities: list[Entity] = []
        self._acronyms: dict[str, Entity] = {}

    def learn(self, statements: Sequence[tuple[Sequence[Token], Sequence[Phrase]]]) -> None:
        """Fill the table from the phrases of all statements: full names first, so that short ones find them."""
        last_names = Counter(
            fold(phrase.name[-1]) for _, phrases in statements for phrase in phrases if last_name(phrase.name)
        )
        for tokens, _ in statements:
            for token in tokens:
                if token.word and not token.capital:
                    last_names.pop(fold(token.text), None)
        pending: list[tuple[Phrase, Sequence[Token]]] = []
        for tokens, phrases in statements:
            for place, phrase in enumerate(phrases):
                if phrase.name and not last_name(phrase.name):
                    person = _looks_like_person(phrase, tokens, last_names)
                    entity = self._named(phrase, "person" if person else "body" if _names_body(phrase) else "other")
                    self._acronym(entity, phrase, tokens)
                    self._describe(entity, phrases, place, tokens)
                elif phrase.name:
                    pending.append((phrase, tokens))
        for phrase, _ in pending:
            person = phrase.head in TITLES or _has_particle(phrase)
            entity = self.find_name(phrase) or self._named(phrase, "person" if person else "other")
            entity.words.update(phrase.words)
        for tokens, phrases in statements:
            for place, phrase in enumerate(phrases):
                if phrase.name and (known := self.find_name(phrase)):
                    self._describe(known, phrases, place, tokens)
                elif not phrase.name and phrase.head in BODIES | GROUPS and len(phrase.words) > 1:
                    self._common(phrase)

    def _named(self, phrase: Phrase, kind: str) -> Entity:
        found = self.find_name(phrase) if kind == "person" else None
        name = joined(phrase.name)
        if found is None:
            found = next((entity for entity in self.entities if fold(entity.name) == fold(name)), None)
        if found is None:
            found = Entity(name, kind, _gender(phrase) if kind == "person" else "")
            self.entities.append(found)
        elif len(name.split()) > len(found.name.split()):
            found.name = name
        found.words.update(phrase.words)
        return found

    def _common(self, phrase: Phrase) -> Entity:
        name = phrase.text
        for entity in self.entities:
            if fold(entity.name) == fold(name):
                return entity
        entity = Entity(name, "group" if phrase.head in GROUPS else "body", words=set(phrase.words))
        self.entities.append(entity)
        return entity

    def _acronym(self, entity: Entity, phrase: Phrase, tokens: Sequence[Token]) -> None:
        after = tokens[phrase.end : phrase.end + 3]
        if len(after) == 3 and after[0].text == "(" and after[2].text == ")" and after[1].text.isupper():
            self._acronyms[after[1].text] = entity

    def _describe(self, entity: Entity, phrases: Sequence[Phrase], place: int, tokens: Sequence[Token]) -> None:
        """Take the role that stands in apposition before or after the name ("X, the finance minister,")."""
        for near in (place - 1, place + 1):
            if not 0 <= near < len(phrases):
                continue
            other, here = phrases[near], phrases[place]
            between = tokens[other.end : here.start] if near < place else tokens[here.end : other.start]
            apposed = other.head in ROLES and not other.name and [token.text for token in between[:1]] == [","]
            inner = [
                token for token in between[1:] if token.low not in ("the", "a", "an", "his", "her", "its", "their")
            ]
            if apposed and not inner:
                entity.words.update(other.words)
                entity.gender = entity.gender or _role_gender(other.words)
                if entity.kind == "other":
                    entity.kind = "person"
        if entity.kind == "other" and phrases[place].head in TITLES:
            entity.kind = "person"
        if entity.kind == "person":
            entity.gender = entity.gender or _gender(phrases[place])

    def find_name(self, phrase: Phrase) -> Entity | None:
        """Return the entity that a phrase with a proper name means, the last mentioned where several fit."""
        words = [fold(word) for word in phrase.name]
        whole = fold(joined(phrase.name))
        if joined(phrase.name) in self._acronyms:
            return self._acronyms[joined(phrase.name)]
        for entity in self.entities:
            if fold(entity.name) == whole:
                return entity
        if last_name(phrase.name):
            gender = _role_gender(phrase.words)
            fits = [e for e in self.entities if e.kind == "person" and same_last_name(e.last, words[-1])]
            if len(words) > 1:
                fits = [e for e in self.entities if e.kind != "body" and fold(e.name).endswith(f" {whole}")]
            fits = [e for e in fits if not gender or e.gender in ("", gender)] or fits
            # These cannot match a last name of several words.
            fits = fits or [e for e in self.entities if e.kind == "person" and e.first == whole]
            fits = fits or [
                e for e in self.entities if e.kind in ("body", "other") and len(e.name.split()) > 1 and e.first == whole
            ]
            fits = fits or [e for e in self.entities if e.kind in ("body", "other") and e.last == whole]
            return max(fits, key=lambda entity: entity.seen, default=None)
        for entity in self.entities:
            if entity.kind == "person" and same_last_name(entity.last, words[-1]) and _same_first(entity.first, words):
                return entity
        return None

    def find_description(self, phrase: Phrase) -> Entity | None:
        """Return the entity that a role, body or group noun means, the last mentioned where several fit."""
        if phrase.head in ROLES - BODIES:
            return self._role(phrase)
        whole = fold(phrase.text)
        fits = [
            entity
            for entity in self.entities
            if entity.kind in (("group",) if phrase.head in GROUPS else ("body", "other", "group"))
            and any(_contains(name.split(), whole.split()) for name in (fold(entity.name), _without_of(entity.name)))
        ]
        longest = max(fits, key=lambda entity: (entity.seen, len(entity.name)), default=None)
        if longest is not None or anonymous(phrase):
            return longest
        return self._common(phrase)

    def _role(self, phrase: Phrase) -> Entity | None:
        heads = _OFFICES.get(phrase.head, frozenset({phrase.head}))
        wanted = {word for word in phrase.words if word not in _IGNORED and word != phrase.head}
        fits = [e for e in self.entities if e.kind == "person" and e.words & heads and _agree(wanted, e.words)]
        gender = _role_gender(phrase.words)
        fits = [e for e in fits if not gender or e.gender in ("", gender)]
        if fits:
            seen = [entity for entity in fits if entity.seen]
            return max(seen, key=lambda entity: entity.seen) if seen else fits[0]
        if phrase.determiner not in _ARTICLES or anonymous(phrase) or phrase.head in SPOKES | {"head", "number"}:
            return None
        return Entity(phrase.text, "person", _role_gender(phrase.words), set(phrase.words))


def _same_first(first: str, words: Sequence[str]) -> bool:
    return first == words[0] or (
        min(len(first), len(words[0])) >= 3 and (first.startswith(words[0]) or words[0].startswith(first))
    )


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Return whether the part's words stand in the name, in order, the last one last."""
    rest = iter(words)
    return bool(part) and words[-1] == part[-1] and all(word in rest for word in part)


def _without_of(name: str) -> str:
    """Return the name up to its "of": what "the government" leaves of "government of Tavalu"."""
    return fold(name).partition(" of ")[0]


def _agree(wanted: set[str], words: set[str]) -> bool:
    return all(word in words or any(word[:5] == other[:5] and len(word) > 4 for other in words) for word in wanted)


def _role_gender(words: Iterable[str]) -> str:
    for word in words:
        if word in MALE_ROLES:
            return "m"
        if word in FEMALE_ROLES:
            return "f"
    return ""


def _gender(phrase: Phrase) -> str:
    first = phrase.name[0].lower() if len(phrase.name) > 1 else ""
    given = "m" if first in MALE_NAMES - FEMALE_NAMES else "f" if first in FEMALE_NAMES - MALE_NAMES else ""
    return _role_gender(phrase.words) or given


def _names_body(phrase: Phrase) -> bool:
    return any(word.lower() in BODIES | GROUPS | MEDIA or word in ("&", "of", "for") for word in phrase.name)


def _has_particle(phrase: Phrase) -> bool:
    """Return whether a small word stands in the name that only persons' names have ("Pieter van den Berg")."""
    return any(word in PERSON_PARTICLES for word in phrase.name)


def _looks_like_person(phrase: Phrase, tokens: Sequence[Token], last_names: Counter[str]) -> bool:
    folded = [word.lower() for word in phrase.name]
    if _names_body(phrase):
        return False
    if phrase.head in TITLES or folded[0] in MALE_NAMES | FEMALE_NAMES or _has_particle(phrase):
        return True
    after = tokens[phrase.end : phrase.end + 3]
    aged = len(after) == 3 and after[0].text == "," and after[1].text.isdigit() and after[2].text == ","
    relative = len(after) > 1 and after[0].text == "," and after[1].low == "who"
    role = any(word in ROLES for word in phrase.words)
    return aged or relative or role or last_names[fold(phrase.name[-1])] > 0
