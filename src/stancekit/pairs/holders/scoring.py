"""Scores for holders: precision, recall and F1 over (statement, holder) decisions, with the baselines beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stancekit.articles.model import Statement
from stancekit.pairs.holders.names import fold, same_last_name
from stancekit.pairs.holders.nouns import FUNCTION, HEADS

Attribute = Callable[[Sequence[Statement]], list[tuple[str, ...]]]


@dataclass(frozen=True)
class Gold:
    """One labelled statement: its holders, those that may be given too, and other names that count as a holder."""

    statement: Statement
    holders: tuple[str, ...]
    optional: tuple[str, ...] = ()
    accept: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """Decisions over a set of statements."""

    right: int
    given: int
    wanted: int
    exact: int
    statements: int

    @property
    def precision(self) -> float:
        """The share of the names given that are right."""
        return self.right / self.given if self.given else 0.0

    @property
    def recall(self) -> float:
        """The share of the holders that were found."""
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / (self.given + self.wanted) if self.given + self.wanted else 0.0

    @property
    def accuracy(self) -> float:
        """The share of the statements whose holders are exactly right."""
        return self.exact / self.statements if self.statements else 0.0


def read_invented(folder: Path, part: str) -> list[list[Gold]]:
    """Return the labelled statements of one part of ``data/holders``, by article."""
    return _by_article(
        Gold(_statement(row), tuple(row["holders"]), tuple(row["optional"]), row["accept"])
        for row in _rows(folder / "holders.jsonl")
        if row["part"] == part
    )


def read_seeds(path: Path) -> list[list[Gold]]:
    """Return the labelled statements of the seed articles, by article."""
    return _by_article(Gold(_statement(row), tuple(row["holders"])) for row in _rows(path))


def score(articles: Iterable[Sequence[Gold]], attribute: Attribute) -> Score:
    """Return how well ``attribute`` names the holders of the articles' statements."""
    right = given = wanted = exact = statements = 0
    for article in articles:
        for gold, names in zip(article, attribute([each.statement for each in article]), strict=True):
            found, wrong = judge(gold, names)
            right, given, wanted = right + len(found), given + len(found) + len(wrong), wanted + len(gold.holders)
            exact += len(found) == len(gold.holders) and not wrong
            statements += 1
    return Score(right, given, wanted, exact, statements)


def judge(gold: Gold, names: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the gold holders that the names find and the names that are wrong; optional holders are neither."""
    found: set[str] = set()
    wrong: list[str] = []
    for name in names:
        fits = [each for each in gold.holders if _means(name, each, gold)]
        if fits:
            found.add(next((each for each in fits if each not in found), fits[0]))
        elif not any(_means(name, each, gold) for each in gold.optional):
            wrong.append(name)
    return found, wrong


def most_frequent(statements: Sequence[Statement]) -> list[tuple[str, ...]]:
    """Return, for every statement, the pair of capitalised words whose second the article has most often.

    Pairs with a title or a body in them ("Prime Minister", "Port Authority") are no persons and left out.
    """
    text = " ".join(each.text for each in statements)
    pairs = {
        pair
        for pair in re.findall(r"(?=\b([A-Z][\w-]+ [A-Z][\w-]+))", text)
        if not {fold(word) for word in pair.split()} & (HEADS | FUNCTION)
    }
    best = max(sorted(pairs), key=lambda pair: text.count(pair.split()[1]), default="")
    return [(best,) if best else ()] * len(statements)


_SAID = re.compile(r"((?:[A-Z][\w.-]+ )*[A-Z][\w-]+),? said\b|\bsaid ((?:[A-Z][\w.-]+ )*[A-Z][\w-]+)")


def said_in_sentence(statements: Sequence[Statement]) -> list[tuple[str, ...]]:
    """Return the capitalised words beside "said" in each statement itself, its last two words as the name."""
    return [
        tuple(" ".join((one or other).split()[-2:]) for one, other in _SAID.findall(each.text)) for each in statements
    ]


def _means(name: str, holder: str, gold: Gold) -> bool:
    names = [holder, *gold.accept.get(holder, ())]
    plain = re.sub(r"^(?:the|a|an) ", "", fold(name))
    if any(plain == re.sub(r"^(?:the|a|an) ", "", fold(each)) for each in names):
        return True
    return _person(holder) and _person(name) and _same_person(name, holder)


def _person(name: str) -> bool:
    return len(name.split()) <= 3 and all(word[:1].isupper() or "-" in word for word in name.split())


def _same_person(one: str, other: str) -> bool:
    """Return whether last names agree, and first names where both have one and relatives could be meant."""
    first, last = fold(one).split(), fold(other).split()
    if not same_last_name(first[-1], last[-1]):
        return False
    return len(first) == 1 or len(last) == 1 or first[0][:1] == last[0][:1]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _statement(row: Mapping[str, Any]) -> Statement:
    return Statement(str(row["article"]), int(row["start"]), int(row["end"]), str(row["statement"]), 0)


def _by_article(rows: Iterable[Gold]) -> list[list[Gold]]:
    articles: dict[str, list[Gold]] = {}
    for row in rows:
        articles.setdefault(row.statement.article, []).append(row)
    return list(articles.values())
