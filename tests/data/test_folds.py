from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stancekit.config.data import CorpusConfig, DataConfig, MixSource, SplitConfig
from stancekit.data.dataset import Dataset, load_dataset
from stancekit.data.folds import fold_of, refuse_torn
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from tests.conftest import labelled_rows, write_jsonl

BY_TOPIC = SplitConfig(by="topic", dev=0.2, test=0.2)


def dataset(path: Path, rows: list[dict[str, Any]], **changes: Any) -> Dataset:
    write_jsonl(path / "rows.jsonl", rows)
    return load_dataset(DataConfig(name="mine", path=str(path / "rows.jsonl"), split=BY_TOPIC, **changes))


def ids(pairs: list[Pair]) -> list[str]:
    return [str(pair.id) for pair in pairs]


def topics(pairs: list[Pair]) -> set[str]:
    return {str(pair.column("topic")) for pair in pairs}


def test_when_a_corpus_is_cross_validated_then_every_row_is_tested_once_and_no_group_is_on_two_sides(
    tmp_path: Path,
) -> None:
    rows = labelled_rows(120)
    for row in rows[::3]:
        # A further split of the corpus's own takes part as well.
        row["split"] = "test_seen" if row["split"] == "test" else row["split"]
    whole = dataset(tmp_path, rows)
    folds = [fold_of(whole, fold, 5, "topic") for fold in range(5)]
    everything = Counter(str(row["id"]) for row in rows)
    assert Counter(one for fold in folds for one in ids(fold.tests["test"])) == everything
    assert Counter(one for fold in folds for one in ids(fold.dev)) == everything
    for fold in folds:
        assert set(fold.tests) == {"test"}
        assert Counter(ids(fold.train) + ids(fold.dev) + ids(fold.tests["test"])) == everything
        assert not topics(fold.train) & topics(fold.dev)
        assert not topics(fold.train) & topics(fold.tests["test"])
        assert not topics(fold.dev) & topics(fold.tests["test"])
        assert set(fold.sources) == {"train", "dev", "test"} and fold.removed == 0
    assert topics(folds[0].dev) == topics(folds[1].tests["test"])
    assert len({fold.fingerprints["test"] for fold in folds}) == 5


def test_when_a_group_is_called_0_or_has_no_name_then_its_rows_stay_together(tmp_path: Path) -> None:
    rows = labelled_rows(80)
    for number, row in enumerate(rows):
        row["topic"] = number // 4 % 7
    for number, row in enumerate(rows[60:]):
        # Without a group, equal statements are one.
        row |= {"topic": None, "split": "train", "statement": f"she says word{number % 2} and no more than that"}
    whole = dataset(tmp_path, rows)
    sides = Counter(
        side
        for number in range(4)
        for side in {
            str(pair.statement if pair.column("topic") is None else pair.column("topic"))
            for pair in fold_of(whole, number, 4, "topic").tests["test"]
        }
    )
    assert len(sides) == 9 and set(sides.values()) == {1}


def test_when_there_are_further_test_sets_then_every_fold_keeps_them(tmp_path: Path) -> None:
    other = labelled_rows(12, seed=5)
    write_jsonl(tmp_path / "other.jsonl", other)
    whole = dataset(tmp_path, labelled_rows(120), tests={"other": str(tmp_path / "other.jsonl")})
    for number in range(3):
        fold = fold_of(whole, number, 3, "topic")
        assert list(fold.tests) == ["test", "other"]
        assert ids(fold.tests["other"]) == [row["id"] for row in other]
        assert fold.sources["other"] == tmp_path / "other.jsonl"


def test_when_a_statement_stands_in_two_groups_then_it_is_never_trained_on_where_it_is_evaluated(
    tmp_path: Path,
) -> None:
    rows = labelled_rows(120)
    twice = [row for row in rows if row["split"] == "train"]
    first = next(row for row in twice if row["topic"] == "topic 0")
    copy = next(row for row in twice if row["topic"] == "topic 1")
    copy["statement"] = first["statement"]
    whole = dataset(tmp_path, rows)
    removed = []
    for number in range(5):
        fold = fold_of(whole, number, 5, "topic")
        held = {pair.statement for pair in [*fold.dev, *fold.tests["test"]]}
        assert not held & {pair.statement for pair in fold.train}
        assert len(fold.train) + fold.removed + len(fold.dev) + len(fold.tests["test"]) == 120
        removed.append(fold.removed)
    assert sum(removed) > 0 and set(removed) <= {0, 1}


def test_when_rows_are_mixed_in_then_every_fold_trains_on_those_that_it_does_not_evaluate_on(tmp_path: Path) -> None:
    rows = labelled_rows(120)
    further = labelled_rows(40, seed=9)
    copied = next(row for row in rows if row["topic"] == "topic 0")
    further[0]["statement"] = copied["statement"]
    write_jsonl(tmp_path / "further.jsonl", further)
    corpus = CorpusConfig(name="more", path=str(tmp_path / "further.jsonl"))
    whole = dataset(tmp_path, rows, mix={"more": MixSource(weight=1.0, corpus=corpus)})
    assert whole.mixed["more"].taken > 20 and whole.mixed["more"].removed == 0
    for number in range(5):
        fold = fold_of(whole, number, 5, "topic")
        evaluated = "topic 0" in topics(fold.dev) | topics(fold.tests["test"])
        mixed = [pair for pair in fold.train if pair.column("source") == "more"]
        assert (copied["statement"] in {pair.statement for pair in mixed}) == (not evaluated)
        assert len(mixed) == whole.mixed["more"].taken - evaluated == fold.mixed["more"].taken
        assert fold.mixed["more"].removed == evaluated
        assert all(pair.column("source") is None for pair in [*fold.dev, *fold.tests["test"]])
        assert Counter(ids([p for p in fold.train if p.id]) + ids(fold.dev) + ids(fold.tests["test"])) == Counter(
            row["id"] for row in rows
        )


def test_when_training_rows_are_limited_then_the_first_are_kept_or_those_that_the_seed_draws(tmp_path: Path) -> None:
    whole = dataset(tmp_path, labelled_rows(120))
    full = fold_of(whole, 1, 4, "topic")
    first, drawn, other = (fold_of(whole, 1, 4, "topic", 20, seed) for seed in (None, 1, 2))
    assert ids(first.train) == ids(full.train)[:20]
    assert len(drawn.train) == 20 and set(ids(drawn.train)) <= set(ids(full.train))
    assert ids(drawn.train) == ids(fold_of(whole, 1, 4, "topic", 20, 1).train) != ids(other.train)
    assert ids(first.tests["test"]) == ids(full.tests["test"]) and ids(first.dev) == ids(full.dev)


def test_when_folds_tear_a_value_apart_that_must_stay_on_one_side_then_it_is_named(tmp_path: Path) -> None:
    rows = labelled_rows(120)
    for row in rows:
        row["story"] = None if row["topic"] == "topic 1" else f"story {row['topic'][-1]}"
    rows[0]["story"] = "story 6"
    whole = dataset(tmp_path, rows)
    folds = [fold_of(whole, number, 5, "topic") for number in range(5)]
    refuse_torn(folds, ["topic"])
    with pytest.raises(UserError, match=r"(?s)folds=5: story 'story 6' is in fold \d and in fold \d.*split.by=story"):
        refuse_torn(folds, ["topic", "story"])


def test_when_there_are_too_few_groups_or_folds_then_the_error_says_so(tmp_path: Path) -> None:
    whole = dataset(tmp_path, labelled_rows(120))
    with pytest.raises(UserError, match=r"folds=11: the rows fall into 10 groups of equal 'topic'"):
        fold_of(whole, 0, 11, "topic")
    with pytest.raises(UserError, match=r"folds=3: the rows fall into 1 groups of equal 'holder'"):
        fold_of(whole, 0, 3, "holder")
    with pytest.raises(UserError, match=r"folds=2: .* leaves none to train on; give 3 or more"):
        fold_of(whole, 0, 2, "topic")
