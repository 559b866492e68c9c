from __future__ import annotations

import json

import numpy as np
import pytest

from stancekit.config.compose import load_config
from stancekit.config.schema import PairsConfig
from stancekit.pairs.relevance import RelevanceGate
from stancekit.pairs.targets import Target, load_targets
from stancekit.paths import shipped_root


@pytest.fixture(scope="module")
def config() -> PairsConfig:
    composed = load_config("pairs", ["input=a", "output=b.jsonl"])
    assert isinstance(composed, PairsConfig)
    return composed


def test_when_the_seeds_are_gated_then_precision_and_recall_are_those_of_the_readme(config: PairsConfig) -> None:
    targets = load_targets("ukraine_2025").targets
    data = shipped_root() / "data" / "seeds"
    statements = [json.loads(line) for line in (data / "statements.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [json.loads(line) for line in (data / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    about = {(row["article"], row["start"], row["target"]) for row in pairs}
    gate = RelevanceGate(config.relevance, targets)
    found = set()
    for article in {row["article"] for row in statements}:
        own = [row for row in statements if row["article"] == article]
        for row, column in zip(*np.nonzero(gate.relevant([r["statement"] for r in own])), strict=True):
            found.add((article, own[row]["start"], targets[column].phrase))
    precision, recall = len(found & about) / len(found), len(found & about) / len(about)
    assert (round(precision, 2), round(recall, 2)) == (0.89, 0.89)


def test_when_a_statement_takes_up_the_one_before_then_it_is_about_its_targets(config: PairsConfig) -> None:
    targets = (Target(name="toll", phrase="a toll on the bridge"), Target(name="ferry", phrase="stopping the ferry"))
    gate = RelevanceGate(config.relevance, targets)
    found = gate.relevant(
        [
            "The mayor spoke of a toll on the bridge.",
            "At first she dismissed the idea, later it was back on the table.",
            "She then had lunch with her sister.",
            "The idea was hers.",
        ]
    )
    assert found.tolist() == [[True, False], [True, False], [False, False], [False, False]]


def test_when_no_alias_occurs_then_closeness_in_meaning_decides(config: PairsConfig) -> None:
    gate = RelevanceGate(config.relevance, (Target(name="toll", phrase="charging drivers to use the bridge"),))
    found = gate.relevant(["Drivers will be charged for using the bridge.", "The cat slept in the sun."])
    assert found.tolist() == [[True], [False]]


def test_when_there_are_no_statements_then_nothing_is_relevant(config: PairsConfig) -> None:
    gate = RelevanceGate(config.relevance, (Target(name="toll", phrase="a toll"),))
    assert gate.relevant([]).shape == (0, 1)


def test_when_articles_are_gated_together_then_each_is_gated_as_alone(config: PairsConfig) -> None:
    gate = RelevanceGate(config.relevance, (Target(name="toll", phrase="a toll on the bridge"),))
    articles = [
        ["The mayor spoke of a toll on the bridge.", "She dismissed the idea."],
        [],
        ["She dismissed the idea.", "Drivers will pay to cross the bridge.", "The proposal is old."],
    ]
    found = gate.relevant_each(articles)
    assert [one.shape for one in found] == [(2, 1), (0, 1), (3, 1)]
    for statements, together in zip(articles, found, strict=True):
        assert together.tolist() == gate.relevant(statements).tolist()
    # What an article takes up was never said in the one before it.
    assert found[2][0].tolist() == [False]
