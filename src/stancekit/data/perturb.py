"""Targets turned round, narrowed or softened: other courses of action in readable English, near a given one.

The rules keep to what can be said of any gerund phrase ("extending the permit") or noun phrase ("a toll on the
bridge"); what they yield means something else, so its label is for a teacher or a person to say.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Literal

PerturbationKind = Literal["opposite", "narrowed", "softened"]

_OPPOSITE_GERUND = ("not {}", "ruling out {}", "giving up on {}", "stopping short of {}")
_OPPOSITE_NOUN = ("rejecting {}", "blocking {}", "delaying {}")
_TIMES = ("{} this year", "{} by the end of the year", "{} before the next election", "{} from next year")
_TIMES_LASTING = ("{} permanently", "{} temporarily")
_TIMES_DEED = ("{} right away", "{} later")
_CONDITIONS = (
    "{} without parliament's approval",
    "{} only as a last resort",
    "{} on certain conditions",
    "{} only after a referendum",
    "{} in return for concessions",
    "{} without further consultation",
)
_SOFTENED = ("considering {}", "a vote on {}", "talks on {}", "a debate on {}", "discussing {}")
_SOFTENED_GERUND = ("keeping open the option of {}",)

_ANTONYMS = {
    "abolishing": "keeping",
    "accepting": "rejecting",
    "allowing": "banning",
    "approving": "rejecting",
    "attending": "boycotting",
    "banning": "allowing",
    "blocking": "allowing",
    "boycotting": "attending",
    "cancelling": "going ahead with",
    "cutting": "increasing",
    "delaying": "speeding up",
    "dropping": "keeping",
    "easing": "tightening",
    "expanding": "scaling back",
    "extending": "ending",
    "increasing": "reducing",
    "joining": "leaving",
    "legalising": "banning",
    "legalizing": "banning",
    "lifting": "keeping",
    "lowering": "raising",
    "nationalising": "privatising",
    "nationalizing": "privatizing",
    "opening": "closing",
    "privatising": "nationalising",
    "privatizing": "nationalizing",
    "raising": "lowering",
    "reducing": "increasing",
    "scrapping": "keeping",
    "shelving": "going ahead with",
    "suspending": "continuing",
    "tightening": "easing",
}
_TIED = {
    "allowing": {"to", "into"},
    "banning": {"from"},
    "blocking": {"from"},
    "extending": {"to", "by", "until", "beyond", "for"},
}
"""Words that go with a verb but not with its antonym: one allows drones to fly, but does not ban them to."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES = _words("ahead away back down in into off on out over short through to up")
"""Words that make another verb of the one before them: cutting off, opening up."""
_LASTING = _words(
    "allowing banning barring capping closing cutting exempting extending freezing keeping leaving letting lifting "
    "lowering moving opening raising reopening running staying stopping suspending withholding"
)
"""Verbs whose outcome lasts, so that it can be for ever or for a while."""
_RATHER_NOUNS = _words("banking financing funding housing parking policing testing training")
"""Gerunds only before a determiner: "funding the tram", but "funding for the tram" and "parking fees"."""
_RATHER_GERUNDS = _words("building lending planning spending")
"""Nouns only before a preposition: "spending more", but "spending on roads"."""
_NO_GERUNDS = _words("during evening king morning nothing ring something spring string wing")
_DETERMINERS = _words("a all an any both each every her his its more new our some that the their these this those")
_PREPOSITIONS = _words("at between by for from in into of on over to with without")
_UNNEGATED = (_DETERMINERS - {"a", "an", "new"}) | _words(
    "cheaper earlier faster fewer further half higher later less longer lower no only stricter tighter wider"
)
"""First words that take no "no" before them, or not in the sense that is meant: "no fewer ministers"."""
_DELIBERATIONS = _words(
    "ballot commission committee consultation debate discussion hearing inquiry negotiations plebiscite poll probe "
    "referendum review study summit talks vote"
)
_TIMED = re.compile(
    r"\b(years?|months?|weeks?|days?|hours?|today|tomorrow|tonight|now|time|terms?|until|till|before|after|by the|"
    r"from next|during|while|weekend|\w+day|spring|summer|autumn|winter|january|february|march|april|may|june|july|"
    r"august|september|october|november|december|permanent(ly)?|temporar(y|ily)|forever|for good|early|earlier|late|"
    r"later|longer|soon|immediate(ly)?|indefinite(ly)?|again|once|at \d+|elections?|re-election|\d{4})\b"
)
_CONDITIONED = re.compile(r"\b(only|unless|without|if|conditions?|conditional(ly)?|instead|rather|except)\b")
_SENTENCE = re.compile(r"[.!?;:]\s*$|[;:]\s")


@dataclass(frozen=True, slots=True)
class Perturbation:
    """What a target became, and how it differs from it."""

    kind: PerturbationKind
    target: str


def perturbations(target: str) -> list[Perturbation]:
    """Return every perturbation of a target that is safe to write, always in the same order, none for a sentence."""
    phrase = " ".join(target.split())
    spelled = re.findall(r"[\w'’-]+", phrase)
    words = [word.lower() for word in spelled]
    if not words or _SENTENCE.search(phrase):
        return []
    if words[0] == "not":
        return [Perturbation("opposite", phrase[4:])] if len(words) > 1 else []
    turned: list[str] = []
    forms: dict[PerturbationKind, list[str]]
    if _is_gerund(words):
        turned = _antonym(words, phrase)
        softened = [*_softened(words), *_SOFTENED_GERUND]
        forms = {"opposite": [*_OPPOSITE_GERUND], "narrowed": _narrowed(words, gerund=True), "softened": softened}
    elif _has_a_subject(spelled):
        forms = {"narrowed": _narrowed(words)}
    else:
        if words[0] not in _UNNEGATED:
            turned = [f"no {re.sub('^an? ', '', phrase, flags=re.IGNORECASE)}"]
        forms = {"opposite": [*_OPPOSITE_NOUN], "narrowed": _narrowed(words), "softened": _softened(words)}
    found = [Perturbation("opposite", text) for text in turned]
    for kind, templates in forms.items():
        found.extend(Perturbation(kind, form.format(phrase)) for form in templates if not _repeats(form, words))
    return found


def _is_gerund(words: list[str]) -> bool:
    first, following = words[0], words[1] if len(words) > 1 else ""
    # "attention-tracking" is an adjective, "re-opening" a verb.
    verb = re.sub(r"^(co|de|pre|re)-", "", first)
    if not verb.endswith("ing") or "-" in verb or verb in _NO_GERUNDS:
        return False
    if verb in _RATHER_NOUNS:
        return following in _DETERMINERS
    return verb not in _RATHER_GERUNDS or not (following in _PREPOSITIONS or not following)


def _has_a_subject(spelled: list[str]) -> bool:
    """Return whether the phrase says who does it ("brands paying more"), so that nothing goes well before it."""
    return any(
        word.endswith("ing")
        and word not in _NO_GERUNDS | _RATHER_NOUNS | _RATHER_GERUNDS
        and ((before.endswith("s") and not before.endswith(("'s", "’s", "ss", "us"))) or before[0].isupper())
        for before, word in itertools.pairwise(spelled[:4])
    )


def _antonym(words: list[str], phrase: str) -> list[str]:
    """Return the phrase with the opposite verb, or nothing where that may not be English."""
    verb, rest = words[0], words[1:]
    if verb not in _ANTONYMS or not rest or rest[0] in _PARTICLES or _TIED.get(verb, set()).intersection(rest):
        return []
    return [_ANTONYMS[verb] + phrase[len(verb) :]]


def _narrowed(words: list[str], gerund: bool = False) -> list[str]:
    text = " ".join(words)
    forms = [] if _CONDITIONED.search(text) else [*_CONDITIONS]
    if not _TIMED.search(text):
        forms += _TIMES
        if gerund:
            forms += _TIMES_LASTING if words[0] in _LASTING else _TIMES_DEED
    return forms


def _softened(words: list[str]) -> list[str]:
    # A vote on a referendum, talks on a debate: too far from what anybody would say.
    return [] if _DELIBERATIONS.intersection(words) else list(_SOFTENED)


def _repeats(form: str, words: list[str]) -> bool:
    """Return whether the phrase has a word of weight already that the form adds, or one beside it ("go on on")."""
    before, _, after = form.partition("{}")
    if before.split()[-1:] == words[:1] or after.split()[:1] == words[-1:]:
        return True
    added = {word.removesuffix("'s") for word in re.findall(r"[a-z']{4,}", form)}
    return not added.isdisjoint(re.sub("['’]s$", "", word) for word in words)
