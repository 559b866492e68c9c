"""Sentence boundaries with exact offsets: a maintained library's boundaries, mended for news style."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Protocol

from stancekit.articles.paragraphs import trim
from stancekit.articles.repair import repaired
from stancekit.errors import UserError, nearest

_LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_NAIVE_END = re.compile(r"(?:[.!?…]+[”’\"')\]]*)(\s+)")


class SentenceSplitter(Protocol):
    """Anything that finds the sentences of a text."""

    def split(self, text: str) -> list[tuple[int, int]]:
        """Return the sentences as (start, end) offsets: in order, apart, trimmed; together all but whitespace."""
        ...


class NupunktSplitter:
    """nupunkt's default model (Punkt, MIT licence), line by line, with the boundaries of news style repaired.

    Chosen over sentencex, syntok and pysbd by ``benchmarks/splitters.py`` on ``tests/articles/hard_splits.jsonl``.
    """

    def split(self, text: str) -> list[tuple[int, int]]:
        """Return the sentences of the text; a line break always ends one."""
        return [span for start, end in _lines(text) for span in self._split_line(text, start, end)]

    @staticmethod
    def _split_line(text: str, start: int, end: int) -> list[tuple[int, int]]:
        from nupunkt import sent_spans

        line = text[start:end]
        cuts = repaired(line, [first for first, _ in sent_spans(line)])
        return _between(text, start, end, cuts)


class RegexSplitter:
    """The baseline for comparisons: a sentence ends at ., !, ? or … before whitespace, and at a line break."""

    def split(self, text: str) -> list[tuple[int, int]]:
        """Return the sentences of the text by punctuation alone."""
        found: list[tuple[int, int]] = []
        for start, end in _lines(text):
            cuts = [match.end() for match in _NAIVE_END.finditer(text[start:end])]
            found += _between(text, start, end, cuts)
        return found


SPLITTERS: dict[str, Callable[[], SentenceSplitter]] = {"nupunkt": NupunktSplitter, "regex": RegexSplitter}
DEFAULT_SPLITTER = "nupunkt"


def make_splitter(name: str = DEFAULT_SPLITTER) -> SentenceSplitter:
    """Return the splitter of that name; raises UserError for a name that is not in ``SPLITTERS``."""
    if name not in SPLITTERS:
        known = ", ".join(sorted(SPLITTERS))
        raise UserError(f"unknown sentence splitter '{name}'; expected one of: {known}{nearest(name, SPLITTERS)}")
    return SPLITTERS[name]()


def _lines(text: str) -> list[tuple[int, int]]:
    starts = [0, *(match.end() for match in _LINE_BREAK.finditer(text))]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _between(text: str, start: int, end: int, cuts: list[int]) -> list[tuple[int, int]]:
    """Return the trimmed, non-empty pieces of ``text[start:end]`` between the cuts, which count from ``start``."""
    edges = [start, *(start + cut for cut in cuts), end]
    pieces = (trim(text, left, right) for left, right in itertools.pairwise(edges))
    return [piece for piece in pieces if piece[0] < piece[1]]
