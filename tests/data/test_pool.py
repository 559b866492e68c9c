from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stancekit.config.compose import load_config
from stancekit.config.schema import PoolConfig
from stancekit.data.dataset import Dataset, load_dataset
from stancekit.data.perturb import perturbations
from stancekit.data.pool import kind_counts, make_pool
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from tests.conftest import write_jsonl

PLAIN = ["pool.perturbed=0", "pool.without_holder=0"]
PERTURBED = ["pool.perturbed=0.9", "pool.without_holder=0"]
_TARGETS = {
    "bridge": ["raising the toll", "a ban on lorries", "closing the north bridge"],
    "school": ["a phone ban", "keeping the old hall"],
    "harbour": ["expanding the harbour", "a fishing quota"],
    "airport": ["a night curfew on flights", "building a second runway"],
}
_WORDS = "amber birch cedar delta ember fjord glade heron inlet jetty knoll larch maple north ocean".split()  # noqa: SIM905


def corpus_rows() -> list[dict[str, Any]]:
    """Return rows of two topics for train and one each for dev and test: six statements each, of one or two holders."""
    rows = []
    for at, (topic, targets) in enumerate(_TARGETS.items()):
        for number in range(6):
            words = " ".join(_WORDS[(at * 5 + number * 3 + step * (at + 2)) % 15] for step in range(6))
            statement = f"{topic.title()} {number}: Ann said {words}, while {topic} staff heard it from Bob {number}."
            for holder, label in [("Ann", "supports"), ("Bob", "rules_out")][: 1 + number % 2]:
                target = targets[number % len(targets)]
                split = {"harbour": "dev", "airport": "test"}.get(topic, "train")
                row = {"statement": statement, "holder": holder, "target": target, "label": label}
                rows.append(row | {"topic": topic, "split": split})
    return rows


def config_of(tmp_path: Path, rows: list[dict[str, Any]], *words: str) -> PoolConfig:
    path = write_jsonl(tmp_path / "corpus.jsonl", rows)
    config = load_config("pool", ["data=file", f"data.path={path}", "output=pool.jsonl", *words])
    assert isinstance(config, PoolConfig)
    return config


def pool_of(tmp_path: Path, rows: list[dict[str, Any]], *words: str) -> list[Pair]:
    config = config_of(tmp_path, rows, *words)
    return make_pool(load_dataset(config.data), config.pool)


@pytest.fixture(scope="module")
def stancebank() -> tuple[Dataset, PoolConfig, list[Pair]]:
    config = load_config("pool", ["output=pool.jsonl"])
    assert isinstance(config, PoolConfig)
    dataset = load_dataset(config.data)
    return dataset, config, make_pool(dataset, config.pool)


def key(pair: Pair) -> tuple[str, str, str]:
    return tuple(" ".join((text or "").lower().split()) for text in (pair.statement, pair.holder, pair.target))  # type: ignore[return-value]


def test_when_nothing_is_perturbed_then_every_statement_has_the_other_targets_of_its_topic(tmp_path: Path) -> None:
    rows = corpus_rows()
    pool = pool_of(tmp_path, rows, *PLAIN)
    plain = {key(pair) for pair in pool if pair.column("perturbation") is None}
    gold = {(row["statement"], row["holder"], row["target"]) for row in rows if row["split"] == "train"}
    # Of either topic nine statements with a holder: under two more targets of the bridge, one more of the school.
    assert len(gold) == 18 and len(plain) == 9 * 2 + 9 * 1
    expected = {
        (row["statement"], row["holder"], target)
        for row in rows
        if row["split"] == "train"
        for target in _TARGETS[row["topic"]]
    } - gold
    assert plain == {tuple(text.lower() for text in one) for one in expected}
    assert all(pair.label is None and "label" not in pair.row() for pair in pool)


def test_when_pairs_are_drawn_then_a_few_have_a_target_of_another_topic(tmp_path: Path) -> None:
    others = [pair for pair in pool_of(tmp_path, corpus_rows(), *PLAIN) if pair.column("perturbation")]
    # 27 plain pairs are 95 %.
    assert [pair.column("perturbation") for pair in others] == ["other_topic"]
    assert others[0].target in _TARGETS[{"bridge": "school", "school": "bridge"}[others[0].column("topic")]]


def test_when_shares_are_set_then_the_pool_of_the_shipped_corpus_has_them(
    stancebank: tuple[Dataset, PoolConfig, list[Pair]],
) -> None:
    _, config, pool = stancebank
    counts = kind_counts(pool)
    perturbed = counts["opposite"] + counts["narrowed"] + counts["softened"]
    assert len(pool) > 40_000 and perturbed + counts["plain"] + counts["other_topic"] == len(pool)
    assert perturbed / len(pool) == pytest.approx(config.pool.perturbed, abs=0.001)
    assert counts["other_topic"] / len(pool) == pytest.approx(0.05 * 0.7, abs=0.001)
    assert min(counts["opposite"], counts["narrowed"], counts["softened"]) > 0.25 * perturbed
    named = {pair.statement for pair in stancebank[0].train if pair.holder is None}
    lost = sum(pair.holder is None and pair.statement not in named for pair in pool)
    assert lost / len(pool) == pytest.approx(config.pool.without_holder, abs=0.02)


def test_when_the_shipped_corpus_is_pooled_then_nothing_of_dev_or_test_and_no_labelled_pair_is_in_it(
    stancebank: tuple[Dataset, PoolConfig, list[Pair]],
) -> None:
    dataset, _, pool = stancebank
    evaluated = [pair for part in (dataset.dev, *dataset.tests.values()) for pair in part]
    assert {"test", "test_seen", "seeds"} <= set(dataset.tests)
    assert {pair.statement for pair in pool} <= {pair.statement for pair in dataset.train}
    assert not {key(pair)[0] for pair in pool} & {key(pair)[0] for pair in evaluated}
    of_train = {key(pair)[2] for pair in dataset.train}
    assert not {key(pair)[2] for pair in pool} & ({key(pair)[2] for pair in evaluated} - of_train)
    assert not {key(pair) for pair in pool} & {key(pair) for pair in dataset.train}
    assert len({key(pair) for pair in pool}) == len({pair.id for pair in pool}) == len(pool)
    holders = {(pair.statement, pair.holder) for pair in dataset.train}
    assert all(pair.holder is None or (pair.statement, pair.holder) in holders for pair in pool)


def test_when_fewer_rows_are_wanted_then_they_are_the_first_and_of_every_kind(
    stancebank: tuple[Dataset, PoolConfig, list[Pair]],
) -> None:
    dataset, config, pool = stancebank
    few = make_pool(dataset, config.pool.model_copy(update={"rows": 2000}))
    assert few == pool[:2000]
    whole, part = kind_counts(pool), kind_counts(few)
    assert all(part[kind] / 2000 == pytest.approx(whole[kind] / len(pool), abs=0.03) for kind in whole)


def test_when_the_rows_stand_in_another_order_then_the_pool_is_the_same_and_with_another_seed_it_is_not(
    tmp_path: Path,
) -> None:
    rows = corpus_rows()
    pool = pool_of(tmp_path, rows)
    assert pool_of(tmp_path, rows[::-1]) == pool
    assert pool_of(tmp_path, rows, "pool.seed=14") != pool
    # Written down, so that another machine or Python must draw the same.
    assert [pair.id for pair in pool[:3]] == ["1808965ab2cd97ef", "b4fc2be0add5a084", "9f8d46e7b1ee7d47"]


def test_when_a_perturbed_target_is_one_of_dev_or_test_alone_then_it_is_left_out(tmp_path: Path) -> None:
    rows = corpus_rows()
    drawn = {
        pair.target for pair in pool_of(tmp_path, rows, *PERTURBED) if pair.column("perturbation") != "other_topic"
    }
    perturbed = sorted(drawn - {target for targets in _TARGETS.values() for target in targets})
    for row, target in zip([row for row in rows if row["split"] != "train"], perturbed, strict=False):
        row["target"] = f" {target.upper()}"
    left = {pair.target for pair in pool_of(tmp_path, rows, *PERTURBED)}
    assert len(perturbed) > 18 and not left & set(perturbed[:18]) and set(perturbed[18:]) <= left


def test_when_most_pairs_lose_their_holder_then_every_one_is_there_once(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, corpus_rows(), "pool.without_holder=0.9", "pool.perturbed=0")
    lost = [pair for pair in pool if pair.column("perturbation") is None and pair.holder is None]
    # Six statements under three targets and six under two: the labelled ones too, which have a holder there.
    assert len(lost) == len({key(pair) for pair in lost}) == 6 * 3 + 6 * 2


def test_when_no_pair_of_the_corpus_has_a_holder_then_the_share_of_perturbed_ones_holds_all_the_same(
    tmp_path: Path,
) -> None:
    rows = [row | {"holder": None} for row in corpus_rows() if row["holder"] == "Ann"]
    rows[0]["label"] = "rules_out"
    pool = pool_of(tmp_path, rows, "pool.perturbed=0.5", "pool.without_holder=0")
    counts = kind_counts(pool)
    # Six statements under two more targets and six under one are 95 % of the half that is not perturbed.
    assert counts["plain"] == 18 and counts["no holder"] == len(pool) == 18 + 19 + 1


def test_when_a_further_source_is_mixed_in_then_its_rows_have_no_topic_and_make_no_pairs(tmp_path: Path) -> None:
    config = config_of(tmp_path, corpus_rows())
    dataset = load_dataset(config.data)
    foreign = Pair("It rained.", "rain", label="supports", extra={"source": "other"})
    assert make_pool(replace(dataset, train=[*dataset.train, foreign]), config.pool) == make_pool(dataset, config.pool)


def test_when_rows_have_a_group_and_no_topic_then_the_group_says_which_targets_belong_together(tmp_path: Path) -> None:
    rows = [{("group" if name == "topic" else name): value for name, value in row.items()} for row in corpus_rows()]
    assert pool_of(tmp_path, rows) == pool_of(tmp_path, corpus_rows())


def test_when_no_column_says_the_topic_then_the_nearest_is_told(tmp_path: Path) -> None:
    rows = [{("topics" if name == "topic" else name): value for name, value in row.items()} for row in corpus_rows()]
    with pytest.raises(UserError, match=r"(?s)no training row has the column 'topic' \(or 'group'\).*mean 'topics'\?"):
        pool_of(tmp_path, rows)


@pytest.mark.parametrize(
    ("target", "said", "unsaid"),
    [
        ("extending the permit", {"not extending the permit", "ending the permit"}, "rejecting extending the permit"),
        (
            "a toll on the bridge",
            {"no toll on the bridge", "rejecting a toll on the bridge"},
            "not a toll on the bridge",
        ),
        ("cutting off the water", {"not cutting off the water"}, "increasing off the water"),
        ("banning lorries from the town", {"not banning lorries from the town"}, "allowing lorries from the town"),
        ("funding for the tram", {"no funding for the tram"}, "not funding for the tram"),
        ("funding the tram", {"not funding the tram"}, "no funding the tram"),
        ("building two reactors", {"not building two reactors"}, "no building two reactors"),
        ("fewer junior ministers", {"rejecting fewer junior ministers"}, "no fewer junior ministers"),
        ("the takeover", {"blocking the takeover"}, "no the takeover"),
        ("attention-tracking cameras", {"no attention-tracking cameras"}, "not attention-tracking cameras"),
        ("a referendum on fluoride", {"no referendum on fluoride"}, "a vote on a referendum on fluoride"),
        (
            "postponing the election",
            {"not postponing the election"},
            "postponing the election before the next election",
        ),
        ("closing the mill on Friday", {"not closing the mill on Friday"}, "closing the mill on Friday this year"),
        ("a curfew without a vote", {"no curfew without a vote"}, "a curfew without a vote only as a last resort"),
        ("  Closing\n the mill", {"not Closing the mill"}, "no Closing the mill"),
        ("a {0} ban", {"no {0} ban", "a {0} ban this year"}, "a a {0} ban ban"),
    ],
)
def test_when_a_target_is_perturbed_then_what_comes_out_is_english(target: str, said: set[str], unsaid: str) -> None:
    found = [one.target for one in perturbations(target)]
    assert said <= set(found) and unsaid not in found
    assert len(found) == len(set(found)) and target not in found


def test_when_a_target_says_who_acts_then_it_is_narrowed_alone() -> None:
    for target in ("brands paying higher prices", "Italy leaving the euro"):
        assert {one.kind for one in perturbations(target)} == {"narrowed"}


def test_when_a_target_is_negated_then_its_opposite_is_the_rest_and_a_sentence_has_none() -> None:
    assert [(one.kind, one.target) for one in perturbations("not joining NATO")] == [("opposite", "joining NATO")]
    assert perturbations("We should join NATO.") == perturbations("") == perturbations("not") == []


def test_when_the_targets_of_the_shipped_corpus_are_perturbed_then_no_word_is_doubled(
    stancebank: tuple[Dataset, PoolConfig, list[Pair]],
) -> None:
    targets = {pair.target for pair in stancebank[0].train}
    for target in targets:
        found = perturbations(target)
        assert len({one.kind for one in found}) >= 2 or target == "brands paying higher purchase prices"
        for one in found:
            words = one.target.lower().split()
            assert all(before != word for before, word in pairwise(words)), one.target
