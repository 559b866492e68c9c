"""From an article to its statements: sentences, with quotations and their "X said" kept together."""

from __future__ import annotations

from stancekit.articles.cleaning import Kept, clean
from stancekit.articles.model import Article, Dropped, Statement
from stancekit.articles.paragraphs import unwrapped
from stancekit.articles.quotes import (
    ANY_ATTRIBUTION,
    MAX_ATTRIBUTION_WORDS,
    PRONOUN_ATTRIBUTION,
    closing_position,
    ends_with_quote,
    is_attribution,
    open_quote,
    quoted_part,
    starts_with_quote,
)
from stancekit.articles.splitting import SentenceSplitter

MAX_SENTENCES = 5
MAX_WORDS = 120

Span = tuple[int, int]


def find_statements(article: Article, splitter: SentenceSplitter) -> tuple[list[Statement], list[Dropped]]:
    """Return the statements of an article and the spans that were dropped as no content, both in order of the text.

    Every character that is not whitespace is in exactly one of the two. A statement is one sentence, or a quotation
    that spans up to ``MAX_SENTENCES`` sentences and ``MAX_WORDS`` words, with its attribution and its continuation in
    the same paragraph. Headlines and headings are statements.
    """
    kept, dropped = clean(article)
    statements = [
        Statement(article.id, start, end, article.text[start:end], span.paragraph)
        for span in kept
        for start, end in _spans(article.text, span, splitter)
    ]
    return statements, dropped


def _spans(text: str, kept: Kept, splitter: SentenceSplitter) -> list[Span]:
    paragraph = unwrapped(text[kept.start : kept.end])
    sentences = splitter.split(paragraph)
    joined = _with_attributions(paragraph, _with_whole_quotations(paragraph, sentences))
    return [(kept.start + start, kept.start + end) for start, end in joined]


def _with_whole_quotations(text: str, sentences: list[Span]) -> list[Span]:
    """Join the sentences of a quotation that closes within the bounds; one that does not is left in sentences."""
    found: list[Span] = []
    index = 0
    while index < len(sentences):
        last = _closing_sentence(text, sentences, index)
        found.append((sentences[index][0], sentences[last][1]))
        index = last + 1
    return found


def _closing_sentence(text: str, sentences: list[Span], first: int) -> int:
    """Return the index of the sentence that closes the quotation open at the end of ``first``, or ``first`` itself."""
    start = sentences[first][0]
    within = sentences[first : first + MAX_SENTENCES]
    window = text[start : within[-1][1]]
    for last, (_, end) in enumerate(within, first):
        size = end - start
        if last > first and len(window[:size].split()) > MAX_WORDS:
            break
        if open_quote(window, size) is None:
            return last
    return first


def _with_attributions(text: str, spans: list[Span]) -> list[Span]:
    """Join a quotation with the sentence that only attributes it, and with its continuation by the same speaker."""
    found: list[Span] = []
    sizes: list[int] = []
    for start, end in spans:
        if found:
            whole = (found[-1][0], end)
            fits = sizes[-1] < MAX_SENTENCES and len(text[slice(*whole)].split()) <= MAX_WORDS
            if fits and _belongs(text[slice(*found[-1])], text[start:end]):
                found[-1] = whole
                sizes[-1] += 1
                continue
        found.append((start, end))
        sizes.append(1)
    return found


def _belongs(before: str, sentence: str) -> bool:
    """Return whether the sentence is part of the statement before it."""
    if before.endswith(":"):
        return starts_with_quote(sentence)
    if ends_with_quote(before) and is_attribution(sentence):
        return starts_with_quote(before)
    return _ends_in_attribution(before) and _continues(sentence)


def _ends_in_attribution(statement: str) -> bool:
    """Return whether the statement is a quotation followed by its attribution and nothing else."""
    quotation, rest = quoted_part(statement)
    while rest and (later := quoted_part(rest.lstrip()))[0]:
        quotation, rest = later
    if not quotation or len(rest.split()) > MAX_ATTRIBUTION_WORDS or any(mark in rest for mark in '“”„«»"'):
        return False
    return ANY_ATTRIBUTION.match(rest.lstrip()) is not None


def _continues(sentence: str) -> bool:
    """Return whether the sentence is a quotation with no attribution, or with a pronoun's ("he added")."""
    if not starts_with_quote(sentence) or closing_position(sentence, 0) is None:
        return False
    _, rest = quoted_part(sentence)
    return not any(char.isalnum() for char in rest) or PRONOUN_ATTRIBUTION.match(rest) is not None
