"""Where the paragraphs of an article begin and end, also when its lines were wrapped at a column."""

from __future__ import annotations

import re

from stancekit.articles.boilerplate import line_reason
from stancekit.articles.front_matter import front_matter_end

_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_LIST_OR_HEADING = re.compile(r"(?:[-*+•▪●◦‣·>]|#{1,6}|\d{1,2}[.)])\s")
_HEADING = re.compile(r"#{1,6}\s")
_ENDS_SENTENCE = re.compile(r"[.!?…:][”’\"'»)\]*_]*$")
# "iPhone" opens a sentence and "b) no money" an item; "prime minister" goes on.
_OPENS_ANEW = re.compile(r"\w[A-Z]|\w[.)]\s")
_MIN_COLUMN, _MAX_COLUMN = 40, 100
_MIN_BREAKS, _MIN_SHARE = 3, 0.8


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without the whitespace at its two ends; it is empty (``start == end``) if nothing remains."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Return the paragraphs as (start, end) offsets, trimmed, in order, none empty.

    A line is a paragraph, as in text saved from the web. Where the whole text is wrapped at one column (a wire copy, an
    e-mail), the lines that a wrapper broke are one paragraph; anywhere, a line that begins in lower case goes on with
    the unfinished line before it.
    """
    lines = [span for m in _LINE.finditer(text) if (span := trim(text, *m.span()))[0] < span[1]]
    soft = _soft_breaks(text, lines)
    found: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(lines):
        if index in soft:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def unwrapped(text: str) -> str:
    """Return the text of one paragraph with each line break replaced by as many spaces, so that offsets still hold."""
    return "".join(" " if char.isspace() else char for char in text)


def _soft_breaks(text: str, lines: list[tuple[int, int]]) -> set[int]:
    """Return the indices of the lines that continue the line before them."""
    body = front_matter_end(text)
    ragged = {
        index
        for index in range(1, len(lines))
        if lines[index - 1][0] >= body and _goes_on(text, lines[index - 1], lines[index])
    }
    return ragged | _wrapped(text, lines)


def _goes_on(text: str, before: tuple[int, int], line: tuple[int, int]) -> bool:
    """Return whether the line begins in the middle of the sentence that the line before leaves unfinished."""
    left, right = text[slice(*before)], text[slice(*line)]
    return (
        _adjacent(text[before[1] : line[0]])
        and right[0].islower()
        and not _OPENS_ANEW.match(right)
        and any(char.isalnum() for char in left)
        and not _ENDS_SENTENCE.search(left)
        and not _HEADING.match(left)
        and line_reason(left, near_edge=True) is None
        and line_reason(right, near_edge=True) is None
    )


def _wrapped(text: str, lines: list[tuple[int, int]]) -> set[int]:
    """Return the indices of the lines that a wrapper at one column broke off, none if the text is not so wrapped."""
    column = max((end - start for start, end in lines), default=0)
    if not _MIN_COLUMN <= column <= _MAX_COLUMN:
        return set()
    breaks, soft = 0, set()
    for index in range(1, len(lines)):
        (start, end), (next_start, next_end) = lines[index - 1], lines[index]
        if not _adjacent(text[end:next_start]) or _LIST_OR_HEADING.match(text, next_start):
            continue
        breaks += 1
        first_word = text[next_start:next_end].split(maxsplit=1)[0]
        # A wrapper breaks a line only where the next word no longer fits.
        if end - start + 1 + len(first_word) > column:
            soft.add(index)
    return soft if breaks >= _MIN_BREAKS and len(soft) >= _MIN_SHARE * breaks else set()


def _adjacent(gap: str) -> bool:
    return len(gap.replace("\r\n", "\n").strip(" \t")) == 1
