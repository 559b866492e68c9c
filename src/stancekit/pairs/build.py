"""Articles to pairs: every statement with each of its holders and each target that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.articles import Article, Dropped, Statement, find_statements, group_stories, make_splitter, read_articles
from stancekit.config.schema import ArticlesConfig, RelevanceConfig
from stancekit.pairs.holders.finding import find_holders
from stancekit.pairs.model import Pair
from stancekit.pairs.relevance import RelevanceGate
from stancekit.pairs.targets import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stancekit.encoders.embedding import Embedder

_TOGETHER = 512
"""So many statements, or somewhat more, are embedded together: enough to sort them by length."""


@dataclass
class Tally:
    """What building has met so far."""

    articles: int = 0
    stories: int = 0
    statements: int = 0
    pairs: int = 0
    dropped: list[Dropped] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line for people."""
        reasons = Counter(one.reason for one in self.dropped)
        why = f" ({', '.join(f'{reason} {count}' for reason, count in reasons.most_common())})" if reasons else ""
        return (
            f"{_counted(self.articles, 'article')}, {_counted(self.stories, 'story', 'stories')}, "
            f"{_counted(self.statements, 'statement')}, {_counted(self.pairs, 'pair')}; "
            f"{_counted(len(self.dropped), 'line')} dropped{why}"
        )


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def pairs_from_articles(
    path: Path,
    targets: Sequence[Target],
    articles: ArticlesConfig,
    relevance: RelevanceConfig,
    tally: Tally,
    embedder: Embedder | None = None,
) -> Iterator[Pair]:
    """Yield the pairs of the articles in a file or folder, article by article, and count them in ``tally``.

    The files are read twice, first to see which articles tell one story: memory holds sketches, not texts.

    Args:
        embedder: the one of ``relevance.encoder``, if it is open already.

    Raises:
        UserError: nothing is there to read, or a file cannot be read.
    """
    stories = group_stories(read_articles(path), articles.story_threshold)
    tally.stories = len(set(stories.values()))
    gate = RelevanceGate(relevance, targets, embedder)
    split = _split(path, articles, tally)
    while some := list(_enough(split)):
        about = gate.relevant_each([[statement.text for statement in statements] for _, statements in some])
        for (article, statements), relevant in zip(some, about, strict=True):
            for pair in _pairs(article, statements, targets, relevant, stories[article.id]):
                tally.pairs += 1
                yield pair


def _split(path: Path, articles: ArticlesConfig, tally: Tally) -> Iterator[tuple[Article, list[Statement]]]:
    splitter = make_splitter(articles.splitter)
    for article in read_articles(path):
        statements, dropped = find_statements(article, splitter)
        tally.articles += 1
        tally.statements += len(statements)
        tally.dropped += dropped
        yield article, statements


def _enough(split: Iterator[tuple[Article, list[Statement]]]) -> Iterator[tuple[Article, list[Statement]]]:
    """Yield articles until there are statements enough to be embedded together."""
    count = 0
    for article, statements in split:
        yield article, statements
        count += len(statements)
        if count >= _TOGETHER:
            return


def _pairs(
    article: Article, statements: Sequence[Statement], targets: Sequence[Target], about: NDArray[np.bool_], story: str
) -> Iterator[Pair]:
    for row, (statement, holders) in enumerate(zip(statements, find_holders(statements), strict=True)):
        for column, target in enumerate(targets):
            if about[row, column]:
                for number, holder in enumerate(holders or (None,), 1):
                    yield Pair(
                        id=f"{article.id}:{statement.start}:{target.name}:{number}",
                        statement=statement.text,
                        holder=holder,
                        target=target.phrase,
                        extra={
                            "target_name": target.name,
                            "article": article.id,
                            "start": statement.start,
                            "end": statement.end,
                            "story": story,
                            **_origin(article),
                        },
                    )


def _origin(article: Article) -> dict[str, str | None]:
    return {"date": article.date, "title": article.title, "source": article.source, "url": article.url}
