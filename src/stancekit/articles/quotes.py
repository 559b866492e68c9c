"""Quotation marks and attributions ("… ,” Vance said on Friday"), as the splitter and the joiner both need them."""

from __future__ import annotations

import re

_OPEN_TO_CLOSE = {"“": "”", "„": "“”", "«": "»", "‘": "’", '"': '"', "'": "'"}
OPENING = "“„«‘\"'"
CLOSING = "”»’\"'"
_SINGLE = "‘’'"
_ELISION = re.compile(r"[‘’'](?:em|til|tis|twas|cos|n|\d0s)\b")
_PLURAL = re.compile(r"s[’'] [a-z]")

_VERB = (
    r"(?:said|says|told|asked|asks|added|adds|stated|states|wrote|writes|replied|answered|insisted|noted|warned|argued|"
    r"declared|announced|shouted|explained|continued|concluded|recalled|stressed|emphasi[sz]ed|remarked|tweeted|posted|"
    r"responded|acknowledged|admitted|reiterated|claimed|demanded|quipped|snapped)"
)
_NAME = r"(?:[A-Z][\w.’'-]*|of|for|the|and|de|von|van|al|bin)"
_SUBJECT = rf"(?:[A-Z][\w.’'-]*(?:,? {_NAME}){{0,7}})"
_PRONOUN = r"(?:[Hh]e|[Ss]he|[Tt]hey|I|[Ww]e)"
_COMMON = r"(?:[Tt]he|[Aa]n?|[Hh]is|[Hh]er|[Tt]heir|[Oo]ne) (?:[\w’'-]+ ){1,4}?"
_ADVERB = r"(?:(?:\w+ly|also|later|then|once|again) )?"
_WHEN = (
    r"(?:on|in|at|to|during|after|before|as|when|while|from|with|of|via|by|late|earlier|later|last|this|yesterday|"
    r"today|again|through|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|\w+ly)\b"
)
_HEARER = r"(?: (?!that\b|he\b|she\b|they\b|it\b|whether\b|if\b)[\w.’'-]+){1,6}?"
# What may follow the verb of a bare attribution: its end, a time or place, a hearer; never what was said.
_REST = rf"(?:{_HEARER})?(?:\s*[.,;:…]|\s+{_WHEN}|\s*$)"
_BARE_REST = rf"(?:\s*[.,;:…]|\s+{_WHEN}|\s*$)"
_SAYS = rf"{_ADVERB}(?:(?:told|asked){_REST}|{_VERB}{_BARE_REST})"

NAMED_ATTRIBUTION = re.compile(rf"(?!(?:The|An?|He|She|They|It|We|I|But|And|His|Her|Their)\b){_SUBJECT} {_SAYS}")
ANY_ATTRIBUTION = re.compile(rf"(?:{_PRONOUN} |{_SUBJECT} |{_COMMON}){_SAYS}|{_VERB} (?:{_PRONOUN}\b|[A-Z]|the )")
PRONOUN_ATTRIBUTION = re.compile(rf"\s*(?:{_PRONOUN} {_SAYS}|{_VERB} (?:he|she|they)\b)")
MAX_ATTRIBUTION_WORDS = 15


def starts_with_quote(sentence: str) -> bool:
    """Return whether the sentence opens with a quotation mark."""
    return sentence[:1] in OPENING and sentence[:1] != ""


def ends_with_quote(sentence: str) -> bool:
    """Return whether a quotation mark closes the sentence, before or after its last point."""
    return sentence.rstrip(".,!?…")[-1:] in CLOSING and sentence.rstrip(".,!?…") != ""


def is_attribution(sentence: str) -> bool:
    """Return whether the sentence only says who spoke ("Vance said on Friday."), not what was said."""
    if len(sentence.split()) > MAX_ATTRIBUTION_WORDS or any(mark in sentence for mark in '“”„«»"‘'):
        return False
    return ANY_ATTRIBUTION.match(sentence) is not None


def quoted_part(sentence: str) -> tuple[str, str]:
    """Return the quotation that opens the sentence, marks included, and what follows it; ("", sentence) if none."""
    if not starts_with_quote(sentence):
        return "", sentence
    end = closing_position(sentence, 0)
    return ("", sentence) if end is None else (sentence[: end + 1], sentence[end + 1 :])


def closing_position(text: str, opened: int) -> int | None:
    """Return where the quotation that opens at ``opened`` closes, or None if it stays open.

    A single mark inside a word is an apostrophe and closes nothing. After a plural ("the workers' demands") it closes
    only a quotation that no later mark closes.
    """
    mark = text[opened]
    closers = _OPEN_TO_CLOSE.get(mark, mark)
    depth = 1
    after_plural: int | None = None
    for index in range(opened + 1, len(text)):
        char = text[index]
        if (char != mark and char not in closers) or _apostrophe(text, index):
            continue
        if char not in closers or _opens_word(text, index):
            if after_plural is not None:
                return after_plural
            depth += char not in closers
        elif depth == 1 and _PLURAL.match(text, index - 1):
            after_plural = index if after_plural is None else after_plural
        else:
            depth -= 1
            if depth == 0:
                return index
    return after_plural


def open_quote(text: str, stop: int) -> int | None:
    """Return the offset of the first quotation mark that opens before ``stop`` and does not close before it, or None.

    What follows ``stop`` tells a closing mark from an apostrophe.
    """
    index = 0
    while index < stop:
        if can_open(text, index):
            end = closing_position(text, index)
            if end is None or end >= stop:
                return index
            index = end
        index += 1
    return None


def can_open(text: str, index: int) -> bool:
    """Return whether the character is a quotation mark that stands where one opens."""
    if text[index] not in _OPEN_TO_CLOSE:
        return False
    if text[index] in _SINGLE and (_ELISION.match(text, index) or not text[index + 1 : index + 2].strip()):
        return False
    return index == 0 or text[index - 1].isspace() or text[index - 1] in "([{—–-:“‘\"'"


def _apostrophe(text: str, index: int) -> bool:
    """Return whether the mark is a single one inside a word ("won't") or for its first letters ("'em")."""
    if text[index] not in _SINGLE:
        return False
    inside = text[index - 1 : index].isalnum() and text[index + 1 : index + 2].isalnum()
    return inside or (text[index - 1 : index].isspace() and _ELISION.match(text, index) is not None)


def _opens_word(text: str, index: int) -> bool:
    return text[index] == "'" and text[index - 1 : index].isspace() and text[index + 1 : index + 2].isalnum()
