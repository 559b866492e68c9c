"""Articles as they came, the statements in them and the stories they tell."""

from __future__ import annotations

from stancekit.articles.model import Article, Dropped, Statement
from stancekit.articles.reading import article_files, read_articles
from stancekit.articles.splitting import SentenceSplitter, make_splitter
from stancekit.articles.statements import find_statements
from stancekit.articles.stories import group_stories

__all__ = [
    "Article",
    "Dropped",
    "SentenceSplitter",
    "Statement",
    "article_files",
    "find_statements",
    "group_stories",
    "make_splitter",
    "read_articles",
]
