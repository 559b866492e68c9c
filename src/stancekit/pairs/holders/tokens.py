"""A statement as the holder rules read it: words and marks, with each quotation as one opaque token."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stancekit.articles.quotes import can_open, closing_position

QUOTE = "“”"
"""The text of a token that stands for a whole quotation."""

_TOKEN = re.compile(r"(?:[A-Za-z]\.){2,}|\d[\d.,:]*%?|[’']s\b|\w+(?:[-.&]\w+|[’'](?!s\b)\w+)*|&|[^\w\s]")
_DATELINE = re.compile(
    r"^(?:[A-ZÅÄÖØÆÉÜ][A-ZÅÄÖØÆÉÜ.' ]{2,}(?:/[A-Z ]+)?(?:,[^-—–]{0,30})?(?:\([^)]*\)\s*)?\s*[-—–]+\s+)"
)
# "al-Khatib" and "d'Estaing" are capitalised where it counts.
_JOINED_PARTICLE = re.compile(r"(?:[ae][lndrstz]|ash|bin|ibn|abu|ben|ul|ur)-[A-Z]|[dl]['’][A-Z]")
_ABBREVIATIONS = re.compile(r"\b(Mr|Mrs|Ms|Dr|Sen|Sens|Gov|Gen|Rep|Reps|Prof|Rev|Lt|Col|Sgt|St|Coun|Cllr)\.(?=\s)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a mark or a whole quotation (``text == QUOTE``); ``low`` is the text in lower case."""

    text: str
    low: str
    quoted: str = ""

    @property
    def capital(self) -> bool:
        """Whether the word starts with a capital letter, or with a small particle joined to one."""
        return self.text[:1].isupper() or _JOINED_PARTICLE.match(self.text) is not None

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
    """Return where the next quotation opens and closes; a double mark left open runs to the end of the text."""
    for index in range(start, len(text)):
        if can_open(text, index):
            end = closing_position(text, index)
            if end is not None or text[index] not in "‘'":
                return index, len(text) if end is None else end
    return None
