"""A statement as the holder rules read it: words and marks, with each quotation as one opaque token."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stancekit.articles.quotes import closing_position

QUOTE = "“”"
"""The text of a token that stands for a whole quotation."""

_TOKEN = re.compile(r"(?:[A-Za-z]\.){2,}|\d[\d.,:]*%?|[’']s\b|\w+(?:[-.&]\w+|[’'](?!s\b)\w+)*|&|[^\w\s]")
_DATELINE = re.compile(
    r"^(?:[A-ZÅÄÖØÆÉÜ][A-ZÅÄÖØÆÉÜ.' ]{2,}(?:/[A-Z ]+)?(?:,[^-—–]{0,30})?(?:\([^)]*\)\s*)?\s*[-—–]+\s+)"
)
_ABBREVIATIONS = re.compile(r"\b(Mr|Mrs|Ms|Dr|Sen|Sens|Gov|Gen|Rep|Reps|Prof|Rev|Lt|Col|Sgt|St|Coun|Cllr)\.(?=\s)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a mark or a whole quotation (``text == QUOTE``); ``low`` is the text in lower case."""

    text: str
    low: str
    quoted: str = ""

    @property
    def capital(self) -> bool:
        """Whether the word starts with a capital letter."""
        return self.text[:1].isupper()

    @property
    def word(self) -> bool:
        """Whether the token is a word or number, not a mark, a possessive ending or a quotation."""
        return self.text[:1].isalnum()


def tokenise(text: str) -> list[Token]:
    """Return the tokens of a statement without its dateline, quotations as one token each."""
    text = _DATELINE.sub(lambda found: " " * len(found.group()), text)
    text = _ABBREVIATIONS.sub(r"\1 ", text).replace("J.D.", "JD  ")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        opened = _next_quotation(text, position)
        end = len(text) if opened is None else opened[0]
        tokens += [Token(piece, piece.lower().replace("’", "'")) for piece in _TOKEN.findall(text[position:end])]
        if opened is None:
            break
        tokens.append(Token(QUOTE, QUOTE, text[opened[0] + 1 : opened[1]]))
        position = opened[1] + 1
    return tokens


def _next_quotation(text: str, start: int) -> tuple[int, int] | None:
    for index in range(start, len(text)):
        if text[index] in "“\"‘'«„" and (index == 0 or text[index - 1].isspace() or text[index - 1] in "([—–-"):
            end = _closing(text, index)
            if end is not None:
                return index, end
    return None


def _closing(text: str, opened: int) -> int | None:
    """Return where the quotation closes; a double mark left open runs to the end, a single one is an apostrophe."""
    if text[opened] in "‘'":
        found = re.compile(r"[,.!?…]?[’'](?![\w])").search(text, opened + 1)
        return found.end() - 1 if found else None
    end = closing_position(text, opened)
    return len(text) if end is None else end
