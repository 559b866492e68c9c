"""What ships is what its datasheets say."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

from stancekit.annotation.agreement import agreement
from stancekit.audit.run import audit
from stancekit.config.compose import load_config
from stancekit.config.schema import AuditConfig, TrainConfig
from stancekit.data.dataset import load_dataset, read_parts
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


BANK = "data/stancebank/pairs.jsonl"
PHENOMENA = (
    *("negation", "double_negation", "hedge", "conditional", "not_now", "deflection", "idiom_irony", "walk_back"),
    *("flipped_target", "multi_holder", "nested_source", "deed", "vote_ruling", "headline", "pronoun", "late_turn"),
    *("reporter_colour", "no_stance_lure"),
)


@pytest.fixture(scope="module")
def bank() -> list[dict[str, Any]]:
    return rows(BANK)


def test_when_stancebank_is_loaded_then_no_topic_group_or_near_copy_crosses_the_split() -> None:
    config = load_config("train", [])
    assert isinstance(config, TrainConfig)
    dataset = load_dataset(config.data)
    assert set(dataset.tests) == {"test", "test_seen", "seeds"} and config.data.shared == {"test_seen": ("topic",)}
    parts = {"train": dataset.train, "dev": dataset.dev, "test": dataset.tests["test"]}
    topics = {name: {pair.column("topic") for pair in pairs} for name, pairs in parts.items()}
    assert not topics["train"] & topics["dev"] and not (topics["train"] | topics["dev"]) & topics["test"]
    assert {pair.column("topic") for pair in dataset.tests["test_seen"]} <= topics["train"]
    assert all(len(topics[name]) >= 14 and len(parts[name]) >= 900 for name in ("dev", "test"))
    for pairs in (*parts.values(), dataset.tests["test_seen"]):
        shares = {label: count / len(pairs) for label, count in Counter(pair.label for pair in pairs).items()}
        assert all(0.25 <= shares[label] <= 0.33 for label in STANCES) and 0.10 <= shares["no_stance"] <= 0.15


def test_when_stancebank_is_counted_then_it_has_the_size_and_the_spread_that_its_datasheet_states(
    bank: list[dict[str, Any]],
) -> None:
    sheet = (ROOT / "data/stancebank/DATASHEET.md").read_text(encoding="utf-8")
    counted = {
        "pairs": len(bank),
        "statements": len({row["statement"] for row in bank}),
        "targets": len({row["target"] for row in bank}),
        "holders": len({row["holder"] for row in bank if row["holder"]}),
        "topics": len({row["topic"] for row in bank}),
    }
    assert counted["pairs"] >= 6000 and counted["targets"] >= 300 and counted["holders"] >= 1500
    assert counted["topics"] >= 80
    for name, count in counted.items():
        assert f"{count:,} {name}" in sheet
    walks = Counter(row["walk_of_life"] for row in bank)
    assert len(walks) == 10 and walks["war and diplomacy"] / len(bank) <= 0.2
    assert sum(row["register"] == "agency" for row in bank) / len(bank) >= 0.6
    tagged = Counter(name for row in bank for name in row["phenomena"])
    assert set(tagged) == set(PHENOMENA) and min(tagged.values()) >= 120
    for row in bank:
        assert 3 <= len(row["statement"].split()) <= 92


def test_when_stancebank_is_read_then_the_target_decides(bank: list[dict[str, Any]]) -> None:
    by_statement: dict[str, set[str]] = {}
    by_target: dict[str, set[str]] = {}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in bank:
        by_statement.setdefault(row["statement"], set()).add(row["label"])
        by_target.setdefault(row["target"], set()).add(row["label"])
        groups.setdefault((row["group"], str(row["holder"]), row["target"]), []).append(row)
    assert sum(len(labels) > 1 for labels in by_statement.values()) / len(by_statement) >= 0.5
    assert all(len(labels) > 1 for labels in by_target.values())
    minimal = sum(one["label"] != other["label"] for held in groups.values() for one, other in combinations(held, 2))
    assert minimal >= 600


def test_when_two_passes_of_stancebank_are_compared_then_their_agreement_is_what_the_datasheet_says(
    bank: list[dict[str, Any]],
) -> None:
    sheet = (ROOT / "data/stancebank/DATASHEET.md").read_text(encoding="utf-8")
    for split in ("train", "dev", "test", "test_seen"):
        twice = [row for row in bank if row["split"] == split and row["label_2"]]
        found = agreement([row["label_1"] for row in twice], [row["label_2"] for row in twice])
        assert f"| {split} | {found.rows} | {found.raw:.3f} | {found.kappa:.3f} |" in sheet
        assert found.rows >= (0.1 if split == "train" else 1) * sum(row["split"] == split for row in bank)
    for row in bank:
        assert row["label"] in (row["label_1"], row["label_2"])
        assert bool(row["adjudication"]) == (row["label_2"] is not None and row["label_1"] != row["label_2"])


def test_when_stancebank_is_audited_then_nothing_fails_a_strict_audit() -> None:
    config = load_config("audit", ["audit=training", "model=tfidf"])
    assert isinstance(config, AuditConfig)
    report = audit(config.data, read_parts(config.data), config.audit, config.model)
    assert [(found.check, found.message) for found in report.errors] == []
    assert {found.check for found in report.findings if found.level == "ok"} >= {
        "shortcut: statement alone",
        "shortcut: target alone",
        "repeated n-grams",
        "template series",
    }


def test_when_stancebank_is_read_by_its_croissant_then_every_row_comes_out() -> None:
    import mlcroissant

    described = mlcroissant.Dataset(jsonld=str(ROOT / "data/stancebank/croissant.json"))
    assert not described.metadata.ctx.issues.errors and not described.metadata.ctx.issues.warnings
    records = list(described.records(record_set="pairs"))
    wanted = rows(BANK)
    assert len(records) == len(wanted)
    assert records[0]["pairs/statement"].decode() == wanted[0]["statement"]


def test_when_the_guide_is_read_then_it_works_sixty_examples_none_of_which_is_in_the_corpus(
    bank: list[dict[str, Any]],
) -> None:
    guide = (ROOT / "data/stancebank/ANNOTATING.md").read_text(encoding="utf-8")
    examples = re.findall(r"^\| (\d+) \| (.+?) \| .+ \| (\w+) \| .+ \|$", guide, re.MULTILINE)
    assert [int(number) for number, _, _ in examples] == list(range(1, 61))
    assert {label for _, _, label in examples} == set(OUTCOMES)
    assert not {text for _, text, _ in examples} & {row["statement"] for row in bank}


@pytest.mark.parametrize("folder", ["stancebank", "seeds", "holders"])
def test_when_a_dataset_ships_then_its_datasheet_says_how_it_was_made(folder: str) -> None:
    sheet = (ROOT / "data" / folder / "DATASHEET.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in sheet and re.search(r"made|written", sheet, re.IGNORECASE)
    assert not list(Path(ROOT / "data" / folder).glob("**/.*"))
