"""Cleaning without touching offsets: which spans of an article are content, and why the others are not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stancekit.articles.boilerplate import line_reason
from stancekit.articles.front_matter import front_matter_end
from stancekit.articles.model import Article, Dropped
from stancekit.articles.paragraphs import paragraphs, trim

_LIST_MARKER = re.compile(r"[-*+•▪●◦‣·–]\s+(?=\S)")
_LEADING_MARKUP = re.compile(r"(?:#{1,6}\s+|>\s+|`+|\*{1,3}(?=\S)|_{2,3}(?=\S)|~~)+")
# An opening quotation mark after a space at the end of a line opens nothing; a straight one may close a quotation.
_TRAILING_MARKUP = re.compile(r"\s+[“‘„«`*_#|~\s]*[“‘„«`*_#|~]|[`*|~]+|_{2,3}")
_NEAR_START, _NEAR_END = 6, 3
_HEADLINE_WITHIN = 6
_MIN_REPEATED_WORDS = 8


@dataclass(frozen=True)
class Kept:
    """A span of content within one paragraph, trimmed and never empty."""

    start: int
    end: int
    paragraph: int


def clean(article: Article) -> tuple[list[Kept], list[Dropped]]:
    """Return the content spans and the dropped spans of an article, each list in the order of the text.

    Together they cover every character of the text that is not whitespace, and none twice. The text is not changed.
    """
    text = article.text
    kept: list[Kept] = []
    dropped: list[Dropped] = []

    def drop(start: int, end: int, reason: str) -> None:
        if start < end:
            dropped.append(Dropped(article.id, start, end, text[start:end], reason))

    body = front_matter_end(text)
    spans = paragraphs(text)
    seen: dict[str, int] = {}
    for index, (start, end) in enumerate(spans):
        if end <= body:
            drop(start, end, "front_matter")
            continue
        near_edge = 0 < index < _NEAR_START or index >= len(spans) - _NEAR_END
        inner, marks = _without_edge_markup(text, start, end)
        line = text[slice(*inner)]
        reason = line_reason(line, near_edge) or _repetition(line, index, seen)
        if reason:
            drop(start, end, reason)
            continue
        seen.setdefault(_normal(line), len(seen))
        kept.append(Kept(*inner, index))
        for mark_start, mark_end, mark_reason in marks:
            drop(mark_start, mark_end, mark_reason)
    return kept, dropped


def _without_edge_markup(text: str, start: int, end: int) -> tuple[tuple[int, int], list[tuple[int, int, str]]]:
    """Return the span without list markers and stray markup at its ends, and the spans of those with their reasons."""
    marks: list[tuple[int, int, str]] = []
    inner_start, inner_end = start, end
    for pattern, reason in ((_LIST_MARKER, "list_marker"), (_LEADING_MARKUP, "stray_markup")):
        if match := pattern.match(text, inner_start, inner_end):
            marks.append((*trim(text, inner_start, match.end()), reason))
            inner_start = trim(text, match.end(), end)[0]
    tail = _trailing_markup(text, inner_start, inner_end)
    if tail < inner_end:
        marks.append((*trim(text, tail, inner_end), "stray_markup"))
    inner = trim(text, inner_start, tail)
    if inner[0] == inner[1]:
        return (start, end), []
    return inner, marks


def _trailing_markup(text: str, start: int, end: int) -> int:
    """Return where the run of stray markup that ends the span begins, or ``end`` if there is none."""
    run = end
    while run > start and (text[run - 1].isspace() or text[run - 1] in "“‘„«`*_#|~"):
        run -= 1
    return run if _TRAILING_MARKUP.fullmatch(text, run, end) else end


def _repetition(line: str, index: int, seen: dict[str, int]) -> str | None:
    first = seen.get(_normal(line))
    if first is None:
        return None
    if first == 0 and index < _HEADLINE_WITHIN:
        return "duplicate_headline"
    return "repeated_paragraph" if len(line.split()) >= _MIN_REPEATED_WORDS else None


def _normal(line: str) -> str:
    return " ".join(line.split()).casefold().rstrip(" .")
