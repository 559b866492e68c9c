from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stancekit.paths import shipped_root
from tests.conftest import CliRunner

SEEDS = shipped_root() / "seeds"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def seed_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stancekit.cli import main

    folder = tmp_path_factory.mktemp("pairs")
    words = [f"input={SEEDS}", f"output={folder / 'pairs.jsonl'}", f"dropped={folder / 'dropped.jsonl'}"]
    assert main(["pairs", *words]) == 0
    return folder


def test_when_the_seeds_are_paired_then_every_row_keeps_article_offsets_story_and_date(seed_pairs: Path) -> None:
    pairs = rows(seed_pairs / "pairs.jsonl")
    assert {"id", "statement", "holder", "target", "article", "start", "end", "story", "date"} <= set(pairs[0])
    assert len({row["id"] for row in pairs}) == len(pairs) > 120
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SEEDS.glob("*.txt")}
    assert all(texts[row["article"]][row["start"] : row["end"]] == row["statement"] for row in pairs)
    assert {row["article"] for row in pairs} == set(texts)


def test_when_two_articles_are_rewrites_then_they_share_a_story_and_the_others_do_not(seed_pairs: Path) -> None:
    stories = {row["article"][:3]: row["story"][:3] for row in rows(seed_pairs / "pairs.jsonl")}
    assert stories == {"000": "000", "001": "000", "002": "002", "003": "003", "004": "004"}


def test_when_a_sentence_has_two_holders_then_each_has_a_pair(seed_pairs: Path) -> None:
    found = [
        row["holder"]
        for row in rows(seed_pairs / "pairs.jsonl")
        if row["statement"].startswith("Vance said the option of sending") and row["target_name"] == "troops"
    ]
    assert sorted(found) == ["J.D. Vance", "Pete Hegseth"] or sorted(found) == ["JD Vance", "Pete Hegseth"]


def test_when_only_a_pronoun_names_the_holder_then_it_is_resolved(seed_pairs: Path) -> None:
    found = [
        (row["holder"], row["target_name"])
        for row in rows(seed_pairs / "pairs.jsonl")
        if row["statement"].startswith("While initially dismissing the idea")
    ]
    assert ("Pete Hegseth", "troops") in found


def test_when_lines_are_dropped_then_each_is_listed_with_its_reason(seed_pairs: Path) -> None:
    reasons = {(row["article"][:3], row["reason"]) for row in rows(seed_pairs / "dropped.jsonl")}
    assert reasons == {("000", "rewriting_note"), ("001", "stray_markup"), ("002", "duplicate_headline")}


def test_when_the_rules_cut_the_seeds_then_most_statements_are_those_cut_by_hand(seed_pairs: Path) -> None:
    by_hand = {(row["article"], row["start"], row["end"]) for row in rows(SEEDS.parent / "data/seeds/statements.jsonl")}
    paired = {(row["article"], row["start"], row["end"]) for row in rows(seed_pairs / "pairs.jsonl")}
    assert len(paired - by_hand) <= 2


def test_when_an_article_of_ones_own_is_paired_then_ones_own_targets_are_found(cli: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "Council weighs bridge toll\n\nMayor Ada Brandt ruled out a bridge toll on Monday. Deputy mayor Jon Falk, "
        "asked about the bridge toll, said he would think about it.\n",
        encoding="utf-8",
    )
    (tmp_path / "t.yaml").write_text(
        "targets: [{name: toll, phrase: charging drivers for the bridge, aliases: [bridge toll]}]", encoding="utf-8"
    )
    cli("pairs", f"input={tmp_path / 'a.txt'}", f"targets={tmp_path / 't.yaml'}", f"output={tmp_path / 'o.jsonl'}")
    found = {(row["holder"], row["target"]) for row in rows(tmp_path / "o.jsonl")}
    assert {("Ada Brandt", "charging drivers for the bridge"), ("Jon Falk", "charging drivers for the bridge")} <= found


def test_when_the_list_of_dropped_lines_cannot_be_written_then_nothing_is(cli: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The mayor said no.", encoding="utf-8")
    words = [f"input={tmp_path / 'a.txt'}", f"output={tmp_path / 'o.jsonl'}", f"dropped={tmp_path / 'x.txt'}"]
    assert "is no row format" in cli("pairs", *words, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["input=nowhere"], "input: no file or folder 'nowhere'"),
        (["input={tmp}/empty.txt"], "empty.txt is empty; expected the text of an article"),
        (["input={tmp}/none"], "holds no article; expected at least one file of: .txt, .md"),
        (["input={tmp}/latin.txt"], "latin.txt is not UTF-8: byte 0xe4 at offset 1, line 1"),
        (["input={tmp}/good.txt", "targets=ukrain_2025"], "no list 'ukrain_2025'; did you mean 'ukraine_2025'?"),
        (["input={tmp}/good.txt", "output={tmp}/o.txt"], "'{tmp}/o.txt' is no row format"),
        (["input={tmp}/good.txt", "output={tmp}/good.txt/o.jsonl"], "cannot be written"),
    ],
)
def test_when_the_input_is_bad_then_the_message_says_so_and_no_output_is_left(
    cli: CliRunner, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"g\xe4")
    (tmp_path / "good.txt").write_text("The mayor said no.", encoding="utf-8")
    before = set(tmp_path.rglob("*"))
    output = [] if any(word.startswith("output") for word in words) else ["output={tmp}/o.jsonl"]
    said = cli("pairs", *(word.format(tmp=tmp_path) for word in [*words, *output]), code=2)
    assert expected.format(tmp=tmp_path) in said
    assert set(tmp_path.rglob("*")) == before
