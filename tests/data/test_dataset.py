from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from stancekit.config.data import DataConfig, SplitConfig
from stancekit.data.corpus import read_labelled
from stancekit.data.dataset import fingerprint, label_counts, load_dataset, split_rows
from stancekit.data.leaks import refuse_leaks, shingles
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from tests.conftest import CliRunner, labelled_rows, write_jsonl

SPLIT = SplitConfig(by="topic", dev=0.2, test=0.2)


def config(path: Path, disjoint: tuple[str, ...] = ("topic",), **tests: str) -> DataConfig:
    return DataConfig(name="mine", path=str(path), split=SPLIT, disjoint=disjoint, tests=tests)


def test_when_the_file_has_splits_then_they_are_kept(labelled_file: Path) -> None:
    dataset = load_dataset(config(labelled_file))
    assert {pair.column("split") for pair in dataset.train} == {"train"}
    assert len(dataset.train) + len(dataset.dev) + len(dataset.tests["test"]) == 120
    assert label_counts(dataset.train)["supports"] == len(dataset.train) // 4


def test_when_the_file_has_no_splits_then_groups_stay_together_on_every_machine() -> None:
    pairs = [Pair(f"s{i}", "t", label="supports", extra={"topic": f"topic {i % 20}"}) for i in range(200)]
    parts = split_rows(pairs, SPLIT, Path("x"))
    topics = {name: {pair.column("topic") for pair in rows} for name, rows in parts.items()}
    assert topics["dev"] and topics["test"] and topics["train"]
    assert not topics["train"] & topics["dev"] and not topics["train"] & topics["test"]
    assert topics["test"] == {"topic 8", "topic 11", "topic 13"}
    assert split_rows(pairs[::-1], SPLIT, Path("x"))["test"][::-1] == parts["test"]


def test_when_rows_change_order_then_the_fingerprint_stays_and_when_a_label_changes_it_does_not() -> None:
    pairs = [Pair("a", "t", label="supports"), Pair("b", "t", label="rules_out", holder="h")]
    assert fingerprint(pairs) == fingerprint(pairs[::-1]) == "2e2d64dd1a7e3081"
    assert fingerprint([pairs[0], replace(pairs[1], label="supports")]) != fingerprint(pairs)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"label": "suports"},
            r"row 3: unknown label 'suports'; did you mean 'supports'\? \(valid: supports, rules_out",
        ),
        ({"label": None}, r"row 3: unknown label None.*valid: supports, rules_out, leaves_open, no_stance"),
        ({"statement": " "}, "row 3: 'statement' is empty"),
        ({"target": 7}, "row 3: 'target' must be text, found int"),
        ({"split": "tests"}, r"row 3: unknown split 'tests'; did you mean 'test'\?"),
    ],
)
def test_when_a_row_is_bad_then_its_number_and_what_is_valid_are_said(
    tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    rows = labelled_rows(40)
    rows[2] |= change
    with pytest.raises(UserError, match=expected):
        load_dataset(config(write_jsonl(tmp_path / "rows.jsonl", rows)))


def test_when_columns_are_missing_then_those_found_and_those_expected_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("statment,target,label\nx,y,supports\n")
    with pytest.raises(UserError) as error:
        read_labelled(path)
    assert "no column 'statement'; did you mean 'statment'?" in str(error.value)
    assert "found: statment, target, label" in str(error.value)
    assert "expected: statement, target, label" in str(error.value)


def test_when_training_has_one_class_only_then_it_is_refused(tmp_path: Path) -> None:
    rows = [row | {"label": "supports"} for row in labelled_rows(80)]
    with pytest.raises(UserError, match="all 56 training rows are labelled 'supports'; expected at least two of"):
        load_dataset(config(write_jsonl(tmp_path / "rows.jsonl", rows)))


def test_when_a_split_is_empty_then_the_sizes_are_told(tmp_path: Path) -> None:
    rows = [row for row in labelled_rows(80) if row["split"] != "dev"]
    with pytest.raises(UserError, match=r"the split 'dev' has no rows \(rows per split: train 56, dev 0, test 8\)"):
        load_dataset(config(write_jsonl(tmp_path / "rows.jsonl", rows)))


def test_when_a_topic_stands_on_both_sides_then_it_is_named(tmp_path: Path) -> None:
    rows = labelled_rows(120)
    next(row for row in rows if row["split"] == "dev")["topic"] = "topic 0"
    with pytest.raises(UserError, match=r"the split leaks(?s:.*)topic 'topic 0' is in train and in dev"):
        load_dataset(config(write_jsonl(tmp_path / "rows.jsonl", rows)))


def test_when_a_statement_or_its_near_copy_stands_on_both_sides_then_it_is_shown(tmp_path: Path) -> None:
    rows = labelled_rows(120)
    train = next(row for row in rows if row["split"] == "train")
    copy = next(row for row in rows if row["split"] == "test")
    copy["statement"] = train["statement"] = (
        "the council of the northern province said late on Monday that it would not close the old port this year"
    )
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match="near-copies in train and in test: 'the council"):
        load_dataset(config(path))
    copy["statement"] = copy["statement"].replace("this year", "this winter")
    with pytest.raises(UserError, match="near-copies in train and in test"):
        load_dataset(config(write_jsonl(path, rows)))
    copy["statement"] = "the council of the southern province said it would open a new port before the winter comes"
    load_dataset(config(write_jsonl(path, rows)))


def test_when_near_copies_just_reach_the_threshold_then_every_one_is_found() -> None:
    draw = random.Random(1)
    for _ in range(60):
        words = ["".join(draw.choices("abcdefghijklmnop", k=5)) for _ in range(40)]
        one, other = " ".join(words), " ".join([*words[:-3], "x", "y", "z"])
        grams = shingles(one), shingles(other)
        assert 0.8 <= len(grams[0] & grams[1]) / len(grams[0] | grams[1]) < 0.9
        with pytest.raises(UserError, match="near-copies in train and in test"):
            refuse_leaks({"train": [Pair(one, "t")], "test": [Pair(other, "t")]}, (), {}, Path("x"))


def test_when_a_column_to_keep_apart_is_not_there_then_it_is_said(labelled_file: Path) -> None:
    with pytest.raises(UserError, match=r"data.disjoint: no training row has the column 'topik'; did you mean 'topic'"):
        load_dataset(config(labelled_file, disjoint=("topik",)))


def test_when_a_further_test_set_is_named_then_it_is_read_and_checked(tmp_path: Path, labelled_file: Path) -> None:
    rows = [{k: v for k, v in row.items() if k not in ("topic", "split")} for row in labelled_rows(8, seed=5)]
    other = write_jsonl(tmp_path / "other.jsonl", rows)
    dataset = load_dataset(config(labelled_file, mine=str(other)))
    assert len(dataset.tests["mine"]) == 8 and set(dataset.fingerprints) == {"train", "dev", "test", "mine"}


def test_when_the_file_is_missing_then_the_command_line_says_so_without_a_traceback(
    cli: CliRunner, labelled_file: Path
) -> None:
    said = cli("train", "data=file", f"data.path={labelled_file.with_name('labeled.jsonl')}", code=2)
    assert "data.path: no file or folder" in said and "did you mean 'labelled.jsonl'" in said
