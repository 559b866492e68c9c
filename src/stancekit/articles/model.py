"""The rows that the article stage passes on: articles, the statements in them and the spans left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Article:
    """One document as it came; every offset in the toolkit refers to ``text``."""

    id: str
    text: str
    title: str | None = None
    date: str | None = None
    source: str | None = None
    url: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Statement:
    """A verbatim piece of an article: ``article.text[start:end] == text``.

    ``article`` is the article's id and ``paragraph`` counts the article's paragraphs from 0, dropped ones included.
    """

    article: str
    start: int
    end: int
    text: str
    paragraph: int


@dataclass(frozen=True)
class Dropped:
    """A verbatim piece of an article that is no content, with the name of the rule that says so."""

    article: str
    start: int
    end: int
    text: str
    reason: str
