from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stancekit.articles import Article, group_stories, read_articles
from stancekit.articles.stories import THRESHOLD, jaccard, word_pairs
from stancekit.errors import UserError

SEEDS = {article.id[:3]: article for article in read_articles(Path(__file__).parents[2] / "seeds")}
REPORT = (
    "Norway will not send soldiers to the peacekeeping force, Defence Minister Tore Berg said on Monday in Oslo. "
    "Berg told parliament that the army had neither the men nor the vehicles for a second mission abroad. "
    "The opposition Centre Party called the decision a retreat and demanded a debate before the summer recess. "
    "Oslo will instead double its payments to the fund that buys shells for the Ukrainian artillery."
)
REWRITE = (
    "Norway refuses to send soldiers to the peacekeeping force, as Defence Minister Tore Berg announced Monday. "
    "The army has neither the men nor the vehicles for a second mission abroad, he told parliament. "
    "Calling the decision a retreat, the opposition Centre Party demanded a debate before the summer recess. "
    "Instead, payments to the fund that buys shells for the Ukrainian artillery will be doubled."
)
SAME_TOPIC = (
    "Sweden is still weighing whether to join the peacekeeping force, Foreign Minister Eva Lind said after talks in "
    "Stockholm. No decision would be taken before the allies agreed on a mandate, she told reporters. "
    "Business groups warned that a mission would cost more than the budget allows. "
    "Ukraine has asked for soldiers from every Nordic country, Defence Minister Tore Berg of Norway among those asked."
)


def test_when_the_seeds_are_grouped_then_the_two_rewrites_alone_are_one_story() -> None:
    stories = group_stories(SEEDS.values())
    assert {name[:3]: story[:3] for name, story in stories.items()} == {
        "000": "000",
        "001": "000",
        "002": "002",
        "003": "003",
        "004": "004",
    }


def test_when_the_seeds_are_compared_then_the_threshold_has_room_on_both_sides() -> None:
    pairs = {name: word_pairs(article) for name, article in SEEDS.items()}
    values = {(a, b): jaccard(pairs[a], pairs[b]) for a, b in itertools.combinations(pairs, 2)}
    rewrite = values.pop(("000", "001"))
    assert round(rewrite, 3) == 0.205
    assert round(max(values.values()), 3) == 0.056
    assert rewrite > 1.75 * THRESHOLD
    assert max(values.values()) < THRESHOLD / 1.75


def test_when_a_report_is_rewritten_then_both_are_one_story_and_another_report_on_the_topic_is_not() -> None:
    articles = [Article("a", REPORT), Article("b", SAME_TOPIC), Article("c", REWRITE)]
    assert group_stories(articles) == {"a": "a", "b": "b", "c": "a"}


def test_when_a_chain_of_versions_links_two_articles_then_all_are_one_story_whatever_the_order() -> None:
    middle = Article("m", f"{REPORT} {SAME_TOPIC}")
    ends = [Article("a", REPORT), Article("b", SAME_TOPIC)]
    assert group_stories(ends) == {"a": "a", "b": "b"}
    assert group_stories([*ends, middle]) == {"a": "a", "b": "a", "m": "a"}
    assert group_stories([middle, *reversed(ends)]) == {"m": "m", "b": "m", "a": "m"}


def test_when_articles_share_only_boilerplate_then_they_are_apart() -> None:
    footer = "\nSubscribe to our newsletter\n© 2025 The Daily Example, Example Street 1, Example Town, all the years"
    articles = [Article("a", f"No troops go abroad.{footer}"), Article("b", f"Taxes rise in May.{footer}")]
    assert group_stories(articles) == {"a": "a", "b": "b"}


def test_when_articles_have_no_word_pair_then_each_is_a_story_of_its_own() -> None:
    assert group_stories([Article("a", "No."), Article("b", "Yes."), Article("c", "…")]) == {
        "a": "a",
        "b": "b",
        "c": "c",
    }


def test_when_there_is_no_article_then_there_is_no_story() -> None:
    assert group_stories([]) == {}


def test_when_the_threshold_is_one_then_only_the_same_words_are_one_story() -> None:
    articles = [Article("a", REPORT), Article("b", REPORT.upper()), Article("c", REWRITE)]
    assert group_stories(articles, threshold=1) == {"a": "a", "b": "a", "c": "c"}


def test_when_an_id_comes_twice_then_it_is_named() -> None:
    with pytest.raises(UserError, match=r"^two articles have the id 'a'; expected a different id for each$"):
        group_stories([Article("a", "No."), Article("a", "Yes.")])


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5, float("nan")])
def test_when_the_threshold_is_no_share_then_the_range_is_named(threshold: float) -> None:
    with pytest.raises(UserError) as caught:
        group_stories([], threshold)
    assert str(caught.value) == f"threshold of a story is {threshold}; expected a number above 0 and at most 1"
