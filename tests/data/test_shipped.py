"""What ships is what its datasheets say."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

from stancekit.config.compose import load_config
from stancekit.config.schema import TrainConfig
from stancekit.data.corpus import read_labelled
from stancekit.data.dataset import load_dataset
from stancekit.labels import OUTCOMES, STANCES
from stancekit.pairs.targets import load_targets
from stancekit.paths import shipped_root

ROOT = shipped_root()
SEEDS = {
    "000_de3850db7ed21a9f": "10d5b1d0d38846f22fe83323e93473aeed5fce48f2d0a815a1d28ca9bc0277d3",
    "001_0ef9933f5c7230ec": "707347ec11e30f9d28940bbeb4868e4c96e63295347c8f921a904b254a5a4f04",
    "002_00a945a184a7d2f5": "4032787e0381d9e312464242609cc143d3f050170c8431dda1fe49af00b8823b",
    "003_1794b264632f6277": "561d1301e0edadbc75560b2b35675556b634092f1f8f1ddc8038626656eca938",
    "004_8398bc5f8353bf78": "15b8413ea04d12beeb3d54b52076e8191195677e6a76ccfe207036918defaf2e",
}


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "sha256"), SEEDS.items())
def test_when_a_seed_article_is_read_then_it_is_byte_for_byte_as_it_came(name: str, sha256: str) -> None:
    assert hashlib.sha256((ROOT / "seeds" / f"{name}.txt").read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("file", ["pairs.jsonl", "statements.jsonl", "off_topic.jsonl"])
def test_when_a_seed_row_has_offsets_then_they_give_its_statement(file: str) -> None:
    texts = {name: (ROOT / "seeds" / f"{name}.txt").read_text(encoding="utf-8") for name in SEEDS}
    for row in rows(f"data/seeds/{file}"):
        assert texts[row["article"]][row["start"] : row["end"]] == row["statement"]


def test_when_the_seed_pairs_are_counted_then_they_cover_articles_targets_and_outcomes() -> None:
    pairs = rows("data/seeds/pairs.jsonl")
    assert len(pairs) >= 120 and len({row["id"] for row in pairs}) == len(pairs)
    assert {row["article"] for row in pairs} == set(SEEDS)
    assert {row["label"] for row in pairs} == set(OUTCOMES)
    targets = {target.phrase for target in load_targets("ukraine_2025").targets}
    assert len(targets) >= 8 and {row["target"] for row in pairs} == targets
    several = Counter((row["article"], row["start"], row["target"]) for row in pairs)
    assert sum(count > 1 for count in several.values()) >= 5, "sentences with two holders"
    wanted = "While initially dismissing the idea, he later avoided a definitive rejection."
    assert any(row["statement"] == wanted and row["label"] == "leaves_open" for row in pairs)


def test_when_agreement_is_computed_from_the_rows_then_it_is_what_the_datasheet_says() -> None:
    pairs = rows("data/seeds/pairs.jsonl")
    first, second = ([row[f"label_{i}"] for row in pairs] for i in (1, 2))
    raw = sum(a == b for a, b in zip(first, second, strict=True)) / len(pairs)
    kappa = cohen_kappa_score(first, second)
    sheet = (ROOT / "data/seeds/DATASHEET.md").read_text(encoding="utf-8")
    assert f"raw agreement {raw:.3f}" in sheet and f"Cohen's κ {kappa:.3f}" in sheet
    for row in pairs:
        assert row["label"] in (row["label_1"], row["label_2"])
        assert bool(row["adjudication"]) == (row["label_1"] != row["label_2"])


def test_when_stancebank_is_loaded_then_no_topic_statement_or_target_crosses_the_split() -> None:
    config = load_config("train", [])
    assert isinstance(config, TrainConfig)
    dataset = load_dataset(config.data)
    assert len(dataset.train) + len(dataset.dev) + len(dataset.tests["test"]) == 1290
    parts = [dataset.train, dataset.dev, dataset.tests["test"]]
    for column in ("topic", "statement", "target"):
        values = [{pair.column(column) for pair in part} for part in parts]
        assert not values[0] & values[1] and not values[0] & values[2] and not values[1] & values[2]
    for part in parts:
        counts = Counter(pair.label for pair in part)
        assert all(counts[label] / len(part) > 0.2 for label in STANCES)


def test_when_a_target_of_stancebank_stands_often_then_its_label_is_not_given_away() -> None:
    labels: dict[str, Counter[str | None]] = {}
    for pair in read_labelled(ROOT / "data/stancebank/pairs.jsonl"):
        labels.setdefault(pair.target, Counter())[pair.label] += 1
    often = [counts for counts in labels.values() if counts.total() >= 4]
    assert len(often) > 90 and all(len(counts) > 1 for counts in often)


@pytest.mark.parametrize("folder", ["stancebank", "seeds", "holders"])
def test_when_a_dataset_ships_then_its_datasheet_says_how_it_was_made(folder: str) -> None:
    sheet = (ROOT / "data" / folder / "DATASHEET.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in sheet and re.search(r"made|written", sheet, re.IGNORECASE)
    assert not list(Path(ROOT / "data" / folder).glob("**/.*"))
